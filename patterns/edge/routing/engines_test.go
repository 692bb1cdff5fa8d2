package routing_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/test/engine"
)

var (
	//go:embed testdata/package.json
	manifest []byte
	//go:embed testdata/package-lock.json
	lockfile []byte
)

type request struct {
	Name    string            `json:"name"`
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	Country *string           `json:"country,omitempty"`
	Address string            `json:"address,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Miss    string            `json:"miss,omitempty"`
	Want    string            `json:"want,omitempty"` // "200 eu" or "400 path"
}

type outcome struct {
	Status  int               `json:"status"`
	Body    string            `json:"body"`
	Origins []string          `json:"origins"`
	Headers map[string]string `json:"headers"`
}

func (o outcome) String() string {
	if o.Status == 200 {
		return "200 " + o.Headers["x-routing-jurisdiction"]
	}
	return fmt.Sprintf("%d %s", o.Status, strings.TrimSuffix(strings.TrimPrefix(o.Body, `{"error":"`), `"}`))
}

// refuse skips a test whose engine is missing, or fails it.
func refuse(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("REQUIRE_ENGINES") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}

func table() routing.Table {
	return routing.Table{
		Jurisdictions: map[string]routing.Jurisdiction{
			"eu": {Origins: []string{"eu.example.com", "eu2.example.com"}},
			"us": {Origins: []string{"us.example.com"}},
			"ap": {Origins: []string{"ap.example.com"}, Maintenance: routing.Maintenance{On: true, RetryAfter: time.Minute, Allow: []string{"203.0.113.0/26", "2001:db8::/33"}}},
		},
		Countries: map[string]string{"DE": "eu", "FR": "eu", "ED": "us", "US": "us", "JP": "ap"},
		Experiments: map[string]routing.Experiment{
			"search": {Subject: "x-device-id", Variants: []routing.Variant{{Name: "old", Weight: 90}, {Name: "new", Weight: 10}}},
		},
		Token: routing.Token{Form: routing.FormJWT},
		Paths: map[string]routing.Access{"/": routing.Public, "/me": routing.Protected, "/me/help": routing.Public},
	}
}

func inNJS(t *testing.T, table routing.Table, requests []request) []outcome {
	t.Helper()
	if _, err := exec.LookPath("njs"); err != nil {
		refuse(t, err)
	}
	code, err := routing.CloudFrontFunction()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := table.Entries()
	if err != nil {
		t.Fatal(err)
	}
	harness, err := os.ReadFile("testdata/cloudfront.js")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stub := "const state = {};\nconst entries = " + text(t, entries) + `;
const cf = {
  state: state,
  kvs: () => ({ get: async key => { if (key === state.miss || entries[key] === undefined) throw new Error(key); return entries[key]; } }),
  selectRequestOriginById: id => { state.origins = [id]; },
  createRequestOriginGroup: group => { state.origins = group.originIds.map(o => o.originId); },
};
export default cf;
`
	main := code + "\n" + string(harness) + "\nimport stubbed from 'cloudfront';\nconst stub = stubbed.state;\nall(" + text(t, requests) + ").then(o => o.forEach(one => console.log('OUT' + JSON.stringify(one))));\n"
	for name, content := range map[string]string{"cloudfront": stub, "main.js": main} {
		write(t, filepath.Join(dir, name), content)
	}
	cmd := exec.CommandContext(t.Context(), "njs", "-p", dir, filepath.Join(dir, "main.js"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("njs: %v\n%s", err, out)
	}
	// njs cuts long lines of output.
	var outcomes []outcome
	for line := range bytes.Lines(out) {
		var one outcome
		if rest, ok := bytes.CutPrefix(line, []byte("OUT")); !ok || json.Unmarshal(rest, &one) != nil {
			t.Fatalf("njs printed %s", line)
		}
		outcomes = append(outcomes, one)
	}
	return outcomes
}

func inWorkerd(t *testing.T, table routing.Table, requests []request) []outcome {
	t.Helper()
	modules, err := engine.Install(manifest, lockfile)
	if err != nil {
		refuse(t, err)
	}
	code, err := routing.Worker()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := table.Entries()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/worker.mjs", modules)
	cmd.Stdin = strings.NewReader(text(t, map[string]any{"code": code, "entries": entries, "requests": requests}))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("workerd: %v\n%s", err, &stderr)
	}
	var outcomes []outcome
	if err := json.Unmarshal(out, &outcomes); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return outcomes
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// agree compares the two engines; CloudFront takes two origins at once, of
// which the Worker asks the second only if the first fails.
func agree(t *testing.T, table routing.Table, requests []request) []outcome {
	t.Helper()
	left, right := inNJS(t, table, requests), inWorkerd(t, table, requests)
	if len(left) != len(requests) || len(right) != len(requests) {
		t.Fatalf("%d and %d outcomes of %d requests", len(left), len(right), len(requests))
	}
	for i := range left {
		one := left[i]
		one.Origins = one.Origins[:min(1, len(one.Origins))]
		if diff := cmp.Diff(one, right[i]); diff != "" {
			t.Errorf("%s: the engines differ (-njs +workerd):\n%s", text(t, requests[i]), diff)
		}
	}
	return left
}

func TestRequests(t *testing.T) {
	data, err := os.ReadFile("testdata/requests.json")
	if err != nil {
		t.Fatal(err)
	}
	var requests []request
	if err := json.Unmarshal(data, &requests); err != nil {
		t.Fatal(err)
	}
	if len(requests) < 100 {
		t.Fatalf("%d requests, want at least 100", len(requests))
	}
	for i, got := range agree(t, table(), requests) {
		if got.String() != requests[i].Want {
			t.Errorf("%s: %s, want %s", text(t, requests[i]), got, requests[i].Want)
		}
	}
}

// A token's form is looked at where the table says, and nowhere else.
func TestTokenForms(t *testing.T) {
	opaque, reference := strings.Repeat("a", 42)+"A", "sgref_"+strings.Repeat("a-_0", 12)
	for name, c := range map[string]struct {
		token     routing.Token
		good, bad []string
	}{
		"opaque": {routing.Token{Form: routing.FormOpaque, Header: "x-token"}, []string{opaque},
			[]string{"", opaque + "A", opaque[1:], strings.Repeat("a", 43), opaque[:42] + "=", "Bearer " + opaque, opaque + "," + opaque, opaque[:20] + " " + opaque[21:], reference}},
		"reference": {routing.Token{Form: routing.FormReference, Header: "x-access-reference"}, []string{reference},
			[]string{"", reference + "a", reference[:53], "SGREF_" + reference[6:], reference[6:], "sgref-" + reference[6:], "Bearer " + reference,
				reference + ", " + reference, reference[:53] + "=", reference[:53] + ".", opaque, "sgref_" + strings.Repeat("\u0430", 48)}},
	} {
		t.Run(name, func(t *testing.T) {
			table := table()
			table.Token = c.token
			country := "DE"
			var requests []request
			add := func(values []string, want string) {
				for _, v := range values {
					requests = append(requests, request{Name: name, Country: &country, Path: "/me", Headers: map[string]string{c.token.Header: v}, Want: want})
				}
			}
			add(c.good, "200 eu")
			add(c.bad, "401 token")
			requests = append(requests, request{Name: "another header", Country: &country, Path: "/me", Headers: map[string]string{"authorization": c.good[0]}, Want: "401 token"})
			for i, got := range agree(t, table, requests) {
				if got.String() != requests[i].Want {
					t.Errorf("%s: %s, want %s", text(t, requests[i]), got, requests[i].Want)
				}
			}
		})
	}
}

func TestEnginesAgreeOnGeneratedRequests(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 1))
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	var requests []request
	for range 500 {
		r := request{Method: pick("GET", "POST", "OPTIONS", "TRACE"), Headers: map[string]string{}}
		for range random.IntN(4) {
			r.Path += "/" + pick("me", "ME", "help", "a", "..", "%2e", "%2f", "%C3%A9", "%c3", "%", ";x", "me;v=1", "%6De", "")
		}
		if random.IntN(4) > 0 {
			country := pick("DE", "US", "JP", "BR", "XX", "T1", "de", "DEU")
			r.Country = &country
		}
		r.Address = pick("203.0.113.9", "203.0.113.99", "2001:db8::1", "2001:db8:8000::1", "::ffff:203.0.113.1", "x")
		r.Headers["x-device-id"] = fmt.Sprint(random.Uint32())
		r.Headers["authorization"] = pick("Bearer a.b.c", "bearer a.b.", "Basic a.b.c", "a.b.c")
		r.Headers[pick("x-routing-country", "x_routing_country", "x-other")] = "US"
		requests = append(requests, r)
	}
	experiment := table().Experiments["search"]
	for i, got := range agree(t, table(), requests) {
		if got.Status == -1 {
			t.Errorf("%s: threw %s", text(t, requests[i]), got.Body)
		}
		if got.Status == 200 {
			if want := "search=" + experiment.Assign("search", requests[i].Headers["x-device-id"]); got.Headers["x-routing-experiments"] != want {
				t.Errorf("%s: experiments %q, want %q", text(t, requests[i]), got.Headers["x-routing-experiments"], want)
			}
		}
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
