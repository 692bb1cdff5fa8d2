package benchmark

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/serverless-go/cdk/patterns/edge/routing"
)

// edgeCosts are what the routing takes at the edges. The limits lie a little
// above: whoever needs more says so here and in docs/performance.md.
var edgeCosts = []struct {
	name, unit string
	limit      int
	measure    func(testing.TB) int
}{
	{"CloudFront Function", "bytes", 5300, func(t testing.TB) int { return len(edgeCode(t, routing.CloudFrontFunction)) }},
	{"Cloudflare Worker", "bytes", 5200, func(t testing.TB) int { return len(edgeCode(t, routing.Worker)) }},
	{"CloudFront Function", "instructions", 1020, edgeInstructions},
}

// BenchmarkEdge counts what the edge's code takes. Nothing in it depends on the
// machine.
func BenchmarkEdge(b *testing.B) {
	rows := ""
	for _, c := range edgeCosts {
		b.Run(c.name+" "+c.unit, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = c.measure(b)
			}
			b.ReportMetric(float64(n), c.unit)
			rows += fmt.Sprintf("| %s | %d | %s | %d |\n", c.name, n, c.unit, c.limit)
		})
	}
	if *table {
		fmt.Print("| code | takes | unit | the test fails above |\n|---|---:|---|---:|\n" + rows)
	}
}

func TestEdgeCost(t *testing.T) {
	for _, c := range edgeCosts {
		t.Run(c.name+" "+c.unit, func(t *testing.T) {
			if n := c.measure(t); n > c.limit || n < c.limit*9/10 {
				t.Errorf("%d %s, want %d to %d", n, c.unit, c.limit*9/10, c.limit)
			}
		})
	}
}

func edgeCode(t testing.TB, compile func() (string, error)) string {
	t.Helper()
	code, err := compile()
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// instruction is how njs lists one.
var instruction = regexp.MustCompile(`(?m)^\s*(\d+ \| )?[0-9]{5} [A-Z]`)

// edgeInstructions counts the instructions in the engine's own listing, which
// says more than a time: it does not depend on the machine.
func edgeInstructions(t testing.TB) int {
	t.Helper()
	if _, err := exec.LookPath("njs"); err != nil {
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	main := filepath.Join(dir, "main.js")
	for name, text := range map[string]string{filepath.Join(dir, "cloudfront"): "export default {};", main: edgeCode(t, routing.CloudFrontFunction)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "njs", "-d", "-p", dir, main).CombinedOutput()
	if err != nil {
		t.Fatalf("njs: %v\n%s", err, out)
	}
	return len(instruction.FindAll(out, -1))
}
