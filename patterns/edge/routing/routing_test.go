package routing_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/patterns/props"
)

func TestEntries(t *testing.T) {
	got, err := table().Entries()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"settings":        `{"version":1,"token":{"form":"jwt","header":"authorization","scheme":"bearer","max":4096},"paths":true,"experiments":true}`,
		"countries":       `{"ap":"JP","eu":"DEFR","us":"EDUS"}`,
		"paths":           `{"protected":["/me"],"public":["/","/me/help"]}`,
		"experiments":     `[{"name":"search","subject":"x-device-id","variants":["old","new"],"weights":[90,10]}]`,
		"jurisdiction/ap": `{"origins":["ap.example.com"],"maintenance":{"retryAfter":60,"allow":["4.cb00710","4.cb00711","4.cb00712","4.cb00713","6.20010db80","6.20010db81","6.20010db82","6.20010db83","6.20010db84","6.20010db85","6.20010db86","6.20010db87"]}}`,
		"jurisdiction/eu": `{"origins":["eu.example.com","eu2.example.com"]}`,
		"jurisdiction/us": `{"origins":["us.example.com"]}`,
	}
	if !maps.Equal(got, want) {
		t.Errorf("Entries() = %v, want %v", got, want)
	}
}

func TestWrongTable(t *testing.T) {
	_, err := routing.Table{
		Jurisdictions: map[string]routing.Jurisdiction{
			"EU": {},
			"us": {Origins: []string{"https://us.example.com", "a.example.com", "a.example.com"}, Maintenance: routing.Maintenance{RetryAfter: 1, Allow: []string{"10.0.0.1/8"}}},
		},
		Countries:   map[string]string{"de": "us", "FR": "fr"},
		Default:     "moon",
		Experiments: map[string]routing.Experiment{"a": {Subject: "x-routing-a", Variants: []routing.Variant{{Name: "b"}, {Name: "b"}}}},
		Token:       routing.Token{Scheme: "Bearer"},
		Paths:       map[string]routing.Access{"/a/../b": routing.Public, "/me": routing.Protected},
	}.Entries()
	var wrong *props.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("Entries() = %v, want a *props.Error", err)
	}
	for _, field := range []string{
		`Jurisdictions["EU"]`, `Jurisdictions["EU"].Origins`, `Jurisdictions["us"].Origins[0]`, `Jurisdictions["us"].Origins[2]`,
		`Jurisdictions["us"].Maintenance.RetryAfter`, `Jurisdictions["us"].Maintenance.Allow[0]`, `Countries["de"]`, `Countries["FR"]`, "Default",
		`Experiments["a"].Subject`, `Experiments["a"].Variants[1].Name`, `Experiments["a"].Variants`, "Token.Form", `Paths["/a/../b"]`, `Paths["/me"]`,
	} {
		found := false
		for _, p := range wrong.Problems {
			found = found || p.Field == field
		}
		if !found {
			t.Errorf("no problem with %s in\n%v", field, err)
		}
	}
}

func TestEntryTooLarge(t *testing.T) {
	large := table()
	large.Paths = make(map[string]routing.Access)
	for i := range 100 {
		large.Paths[fmt.Sprintf("/segment/%d", i)] = routing.Public
	}
	if _, err := large.Entries(); err == nil || !strings.Contains(err.Error(), `Entries["paths"]`) {
		t.Errorf("Entries() = %v, want the entry that is too large", err)
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"for-of":      {"export function handler(e) {\n  for (const x of e) x();\n}", `own\.ts:2:16: .*for-of`},
		"class":       {"class A {}\nexport function handler() { return new A(); }", `own\.ts:1:1: .*class`},
		"destructure": {"export function handler(e) { const {a} = e; return a; }", `own\.ts:1:\d+: .*destructuring`},
		"generator":   {"function* g() {}\nexport function handler() { return g(); }", `own\.ts:1:9: .*generator`},
		"default":     {"export function handler(e, d = 1) { return d; }", `own\.ts:1:\d+: .*default argument`},
		"bigint":      {"export function handler() { return 1n; }", `own\.ts:1:\d+: Big integer`},
		"lookbehind":  {"export function handler(e) { return /(?<=a)b/.test(e); }", `own\.ts:1:\d+: Lookbehind`},
		"flag":        {"export function handler(e) { return /a/u.test(e); }", `own\.ts:1:\d+: .*flag`},
		"spread":      {"export function handler(e) { return [...e]; }", `own\.ts:1:\d+: .*array spread`},
		"import":      {"import fs from 'fs';\nexport function handler() { return fs; }", `own\.ts:1:\d+: Could not resolve`},
		"syntax":      {"export function handler() {", `own\.ts:1:\d+: `},
		"debugger":    {"export function handler() {\n  debugger;\n}", `own\.ts:2:3: debugger`},
		"no handler":  {"export function main() {}", `own\.ts: a CloudFront Function exports`},
		"size":        {"export function handler() { return '" + strings.Repeat("a", routing.MaxFunction) + "'; }", `own\.ts: the code takes \d+ bytes`},
	} {
		_, err := routing.Compile(routing.CloudFront, routing.Source{File: "own.ts", Text: test.text})
		if err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

// Everything that the engine refuses in arguments is refused at synth, at its
// place, and nothing else is.
func TestCompileRefusesArguments(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"g(await h())", "3:3"},
		{"g(1,\n  await h())", "4:3"},
		{"new G(await h())", "3:7"},
		{"g(1)(await h())", "3:6"},
		{"x.g(await h()).z", "3:5"},
		{"g([await h()])", "3:4"},
		{"g({x: await h()})", "3:7"},
		{"g(x ? 1 : await h())", "3:11"},
		{"g(a[await h()])", "3:5"},
		{"g(`${await h()}`)", "3:6"},
		{"g((0, await h()))", "3:7"},
		{"await g(await h())", "3:9"},
		{"(await h())(await h())", "3:13"},
		{"(function(x) {})(await h())", "3:18"},
		{"if (g(1, await h())) g(/* await */ await h());", "3:10 3:36"},
		{"g(...[1, 2])", "3:6"},
		{"new G(1, ...a)", "3:13"},
		{"g(...await h())", "3:6 3:6"},
		{"[await h(), {x: await h()}, `${await h()}`]", ""},
		{"(await h()).x((a, b) => a)", ""},
		{"g(() => h(1), function() { return h(g(2)); }); await h()", ""},
		{"a[await h()] = await h() + await h()", ""},
		{"if (await h()) g(); else while (await h()) { g(1)[await h()]; }", ""},
		{"a.await(1); g({await: 1}, a.await, 'await h()', /await h/)", ""},
		{"(await h())(1); new (await h())(1); await h(1); throw await h();", ""},
		{"for (let i = await h(); await i;) { try { await h(1); } finally { await g(g(1)); } }", ""},
		{"switch (await h()) { case await h(): await a; }", ""},
	} {
		text := "async function f(a, g, h, x, G) {\n\n" + test.text + "\n}\n"
		_, err := routing.Compile(routing.CloudFront, routing.Source{File: "own.ts", Text: text + "export function handler(e) { f(e); return e; }"})
		var places []string
		for _, at := range regexp.MustCompile(`own\.ts:(\d+:\d+): (?:await in|spread) .* CloudFront's runtime`).FindAllStringSubmatch(fmt.Sprint(err), -1) {
			places = append(places, at[1])
		}
		if got := strings.Join(places, " "); got != test.want || (got == "") != (err == nil) {
			t.Errorf("%s: refused at %q, want %q; %v", test.text, got, test.want, err)
		}
		if parses := inNJSParses(t, text); parses != (test.want == "") {
			t.Errorf("%s: parsed by njs: %t, refused at %q", test.text, parses, test.want)
		}
	}
}

// Random nests of calls and awaits: what is accepted, the engine parses. What
// is refused, it refuses too, but for awaits that its parser overlooks after a
// call inside the arguments; it crashes when it runs those.
func TestCompileJudgesAsTheEngine(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	var expr func(depth int) string
	expr = func(depth int) string {
		if depth == 0 {
			return "a"
		}
		e := func() string { return expr(depth - 1) }
		switch random.IntN(11) {
		case 0:
			return "g(" + e() + ")"
		case 1:
			return "g(" + e() + ", " + e() + ")"
		case 2:
			return "new G(" + e() + ")"
		case 3, 4:
			return "(await " + e() + ")"
		case 5:
			return "(" + e() + ")(" + e() + ")"
		case 6:
			return "[" + e() + ", " + e() + "]"
		case 7:
			return "({k: " + e() + "})"
		case 8:
			return "(" + e() + " ? " + e() + " : a)"
		case 9:
			return "`${" + e() + "}`"
		}
		return "a[" + e() + "]"
	}
	var refused, accepted, overlooked int
	for range 200 {
		text := "async function f(a, g, G) { return " + expr(1+random.IntN(5)) + "; }\n"
		_, err := routing.Compile(routing.CloudFront, routing.Source{File: "own.ts", Text: text + "export function handler(e) { f(e); return e; }"})
		switch parses := inNJSParses(t, text); {
		case err == nil && !parses:
			t.Errorf("%s: accepted", text)
		case err == nil:
			accepted++
		case parses:
			overlooked++
		default:
			refused++
		}
	}
	if refused < 40 || accepted < 40 || overlooked > 10 {
		t.Errorf("%d refused, %d accepted, %d overlooked by the engine", refused, accepted, overlooked)
	}
}

// AWS supports no async closures, though the engine here runs them.
func TestCompileRefusesClosures(t *testing.T) {
	for text, want := range map[string]string{
		"export function handler(e) { return e.map(async x => x); }":                                                         "1:43",
		"export function handler(e) {\n  return async function () { return e; };\n}":                                         "2:10",
		"export async function handler(e) { const f = async () => await e; await f(); }":                                     "1:46",
		"const top = async (e) => await e;\nexport async function handler(e) { await top(e); return e.map(x => x); }":        "",
		"async function a() {}\nconst b = async function () {};\nexport async function handler(e) { await a(); await b(); }": "",
	} {
		_, err := routing.Compile(routing.CloudFront, routing.Source{File: "own.ts", Text: text})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "routing: own.ts:"+want+": an async function inside")) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// inNJSParses says whether the engine parses a program.
func inNJSParses(t *testing.T, program string) bool {
	t.Helper()
	if _, err := exec.LookPath("njs"); err != nil {
		refuse(t, err)
	}
	file := filepath.Join(t.TempDir(), "main.js")
	write(t, file, program)
	out, err := exec.CommandContext(t.Context(), "njs", file).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "SyntaxError") {
		t.Fatalf("njs: %v\n%s", err, out)
	}
	return err == nil
}

// Positions in what is imported are those of the imported file.
func TestCompileRefusesInImports(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lib.ts"), "type T = { a: string };\nexport async function inner(g: any, t: T) {\n  const é = '😀'; g(é, await t);\n}\n")
	write(t, filepath.Join(dir, "edge.ts"), "import cf from 'cloudfront';\nimport { inner } from './lib';\nexport function handler(e: any) { inner(cf, e); return e; }\n")
	_, err := routing.Compile(routing.CloudFront, routing.Source{File: filepath.Join(dir, "edge.ts")})
	if err == nil || !strings.Contains(err.Error(), "lib.ts:3:24: await in the arguments") {
		t.Errorf("Compile() = %v, want the place in lib.ts", err)
	}
	if _, err := routing.Compile(routing.Cloudflare, routing.Source{File: filepath.Join(dir, "lib.ts")}); err != nil {
		t.Errorf("Compile() for Cloudflare = %v", err)
	}
}

func TestCompileLowers(t *testing.T) {
	code, err := routing.Compile(routing.CloudFront, routing.Source{File: "own.ts", Text: "import { answer } from '@serverless-go/routing';\nexport function handler(e: { a?: string }) { return e?.a ?? answer(400, 'own'); }"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(code, "?.") || strings.Contains(code, "??") || strings.Contains(code, "export") || !strings.Contains(code, "function handler(") {
		t.Errorf("Compile() = %s", code)
	}
}

func TestAssignFollowsTheWeights(t *testing.T) {
	e := routing.Experiment{Subject: "x-device-id", Variants: []routing.Variant{{Name: "old", Weight: 90}, {Name: "new", Weight: 10}, {Name: "off"}}}
	count := make(map[string]int)
	for i := range 10000 {
		count[e.Assign("search", fmt.Sprint("device-", i))]++
	}
	// Four standard deviations of a binomial distribution are 120.
	if n := count["new"]; n < 880 || n > 1120 || count["off"] > 0 {
		t.Errorf("variants of 10000 subjects: %v, want about 1000 new and none off", count)
	}
	for _, subject := range []string{"", "a b", "é", strings.Repeat("a", 257)} {
		if got := e.Assign("search", subject); got != "old" {
			t.Errorf("Assign(%.10q) = %q, want the control", subject, got)
		}
	}
}
