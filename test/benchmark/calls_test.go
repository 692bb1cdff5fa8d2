package benchmark

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/benchmark/transcript"
)

// callBudgets are how many calls of the CDK's process a resource may take: a
// system's own, and, for all, also those of the app. Lower them when calls are
// saved; docs/performance.md says what is left of them.
var callBudgets = map[string]float64{
	"flashsale":   2.40,
	"gateway":     2.35,
	"healthwatch": 1.82,
	"training":    2.50,
	all:           2.00,
}

const all = "all"

func TestCalls(t *testing.T) {
	traced := goSystems().trace(t)
	systems := countCalls(t, transcript.Requests(traced.stderr))
	for file, template := range traced.templates(t) {
		for name, c := range systems {
			if name == all || strings.HasPrefix(strings.ToLower(file), name) {
				c.resources += len(template.Resources(""))
			}
		}
	}
	t.Log("\n" + callTable(systems))
	for name, budget := range callBudgets {
		c := systems[name]
		if c == nil || c.total < c.resources/2 || c.resources < 50 {
			t.Errorf("%s: %+v calls cannot be: does jsii still trace them?", name, c)
			continue
		}
		if c.perResource() > budget {
			t.Errorf("%s: %.2f calls a resource, want at most %.2f: read attributes once, and give props at once rather than by setters; most are\n%s",
				name, c.perResource(), budget, most(c.names, 15))
		}
	}
}

// callCount is how often an app called the CDK.
type callCount struct {
	total, resources int
	kinds            map[string]int // of calls, as jsii names them
	names            map[string]int // what was called
}

func (c *callCount) perResource() float64 { return float64(c.total) / float64(c.resources) }

func (c *callCount) add(kind, name string) {
	c.total++
	c.kinds[kind]++
	c.names[kind+" "+name]++
}

// countCalls counts the calls of each system, which makes its stacks before the
// next one does, and of all.
func countCalls(t *testing.T, requests [][]byte) map[string]*callCount {
	counts := map[string]*callCount{all: {kinds: map[string]int{}, names: map[string]int{}}}
	for _, name := range stacks.Systems() {
		counts[name] = &callCount{kinds: map[string]int{}, names: map[string]int{}}
	}
	current := ""
	for _, request := range requests {
		var r struct {
			API, FQN, Method, Property, Name string
			Args                             []json.RawMessage
			Object                           struct {
				ID string `json:"$jsii.byref"`
			} `json:"objref"`
			Complete any
		}
		if err := json.Unmarshal(request, &r); err != nil {
			t.Fatal(err)
		}
		class, _, _ := strings.Cut(r.Object.ID, "@")
		if class == "aws-cdk-lib.App" && r.Method == "synth" {
			current = ""
		}
		if r.API == "create" && len(r.Args) > 1 && strings.Contains(string(r.Args[0]), `"aws-cdk-lib.App@`) {
			name, _, _ := strings.Cut(strings.Trim(string(r.Args[1]), `"`), "-")
			if counts[strings.ToLower(name)] != nil {
				current = strings.ToLower(name)
			}
		}
		kind := r.API
		switch {
		case r.Complete != nil:
			kind = "answer" // to a call of the CDK's
		case kind == "" || kind == "load":
			kind = "start" // or end
		}
		name := strings.Trim(r.FQN+class+"."+r.Method+r.Property+r.Name, ".")
		counts[all].add(kind, name)
		if c := counts[current]; c != nil {
			c.add(kind, name)
		}
	}
	return counts
}

// callTable returns the table of docs/performance.md.
func callTable(systems map[string]*callCount) string {
	kinds := byCount(systems[all].kinds)
	s := "| | resources | calls | a resource | " + strings.Join(kinds, " | ") + " |\n|---" + strings.Repeat("|---:", 3+len(kinds)) + "|\n"
	for _, name := range append(stacks.Systems(), all) {
		c := systems[name]
		s += fmt.Sprintf("| %s | %d | %d | %.2f |", name, c.resources, c.total, c.perResource())
		for _, kind := range kinds {
			s += fmt.Sprintf(" %d |", c.kinds[kind])
		}
		s += "\n"
	}
	return s
}

// most returns a line for each of the n that are counted most.
func most(counts map[string]int, n int) string {
	s := ""
	for _, name := range byCount(counts)[:min(n, len(counts))] {
		s += fmt.Sprintf("%6d %s\n", counts[name], name)
	}
	return s
}

// byCount returns the names, those that are counted most first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
}
