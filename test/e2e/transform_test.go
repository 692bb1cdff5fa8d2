package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	var v any
	if err := json.Unmarshal([]byte(`{"a": {"b": [{"c": 1}, {"d e": null}]}, "x-y": "z"}`), &v); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, want string
		found      bool
	}{
		{"$.a.b[0].c", "1", true},
		{"$.a.b[1]['d e']", "null", true},
		{"$.x-y", `"z"`, true},
		{"$", `{"a":{"b":[{"c":1},{"d e":null}]},"x-y":"z"}`, true},
		{"$.a.c", "", false},
		{"$.a.b[2]", "", false},
		{"$.a.b[x]", "", false},
		{"$.a.b[0", "", false},
		{"$['a", "", false},
		{"$a", "", false},
		{"a.b", "", false},
		{"$.x-y.z", "", false},
	} {
		got, found := lookup(v, c.path)
		text, _ := json.Marshal(got)
		if found != c.found || found && string(text) != c.want {
			t.Errorf("lookup(%s) = %s, %v; want %s, %v", c.path, text, found, c.want, c.found)
		}
	}
}

func TestFill(t *testing.T) {
	values := map[string]any{"s": `say "hi"`, "n": 1.5, "o": map[string]any{"k": "v"}, "e": ""}
	for _, c := range []struct{ template, want string }{
		{`{"a": <s>, "b": <n>, "c": <o>, "d": <e>}`, `{"a": "say \"hi\"", "b": 1.5, "c": {"k":"v"}, "d": ""}`},
		{`{"a": "it is <s> and <n> and <o>"}`, `{"a": "it is say \"hi\" and 1.5 and {\"k\":\"v\"}"}`},
		{`{"a": "\"<e>\""}`, `{"a": "\"\""}`},
		{`{"a": <missing>}`, `{"a": }`},
		{`free <s>, <n>`, `free say "hi", 1.5`},
		{`"<n>"`, `"1.5"`},
		{`static`, `static`},
	} {
		got, err := fill(c.template, func(name string) (any, bool) { v, ok := values[name]; return v, ok })
		if err != nil || got != c.want {
			t.Errorf("fill(%s) = %s, %v; want %s", c.template, got, err, c.want)
		}
	}
	if _, err := fill(`{"a": <s`, nil); err == nil {
		t.Error("a variable that is never closed was taken")
	}
}

func TestInputTransformer(t *testing.T) {
	var event any
	if err := json.Unmarshal([]byte(`{"time": "T", "detail": {"name": "Spike"}}`), &event); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ template, want string }{
		{`"<name> went off, says <aws.events.rule-name>"`, `"Spike went off, says R"`},
		{`{"rule": <aws.events.rule-arn>, "at": <aws.events.event.ingestion-time>}`, `{"rule": "arn:r", "at": "T"}`},
		{`{"all": <aws.events.event>}`, `{"all": {"detail":{"name":"Spike"},"time":"T"}}`},
		{`{"lost": <nothing>}`, ""},
	} {
		transformer := inputTransformer{map[string]string{"name": "$.detail.name", "nothing": "$.nothing"}, c.template}
		got, err := transformer.apply(event, "R", "arn:r")
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %s, %v; want %s", c.template, got, err, c.want)
		}
	}
}

func TestMatchRoute(t *testing.T) {
	for _, c := range []struct {
		key, method, path string
		want              string // variables, "-" for no match
	}{
		{"POST /carts", "POST", "/carts", ""},
		{"POST /carts", "GET", "/carts", "-"},
		{"ANY /carts", "GET", "/carts", ""},
		{"POST /carts/{id}/items", "POST", "/carts/a%2Fb/items", "id=a/b"},
		{"POST /carts/{id}", "POST", "/carts/", "-"},
		{"POST /carts/{id}", "POST", "/carts/a/b", "-"},
		{"GET /{proxy+}", "GET", "/a/b/c", "proxy=a/b/c"},
		{"$default", "GET", "/anything", ""},
	} {
		variables, _, ok := matchRoute(c.key, c.method, c.path)
		var got []string
		for name, value := range variables {
			got = append(got, name+"="+value)
		}
		text := strings.Join(got, ",")
		if !ok {
			text = "-"
		}
		if text != c.want {
			t.Errorf("%s for %s %s: %q, want %q", c.key, c.method, c.path, text, c.want)
		}
	}
	d := &Deployment{routes: []*route{
		{id: "any", api: "a", key: "$default"}, {id: "greedy", api: "a", key: "ANY /carts/{rest+}"},
		{id: "one", api: "a", key: "GET /carts/{id}"}, {id: "literal", api: "a", key: "GET /carts/mine"}, {id: "other", api: "b", key: "GET /carts/mine"},
	}}
	for path, want := range map[string]string{"/carts/mine": "literal", "/carts/1": "one", "/carts/1/items": "greedy", "/": "any"} {
		if r, _ := d.route("a", "GET", path); r == nil || r.id != want {
			t.Errorf("GET %s goes to %v, want %s", path, r, want)
		}
	}
}
