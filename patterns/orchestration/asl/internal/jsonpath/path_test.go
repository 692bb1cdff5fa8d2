package jsonpath

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

const document = `{
	"store": {
		"book": [
			{"title": "A", "price": 8, "tags": ["x", "y"]},
			{"title": "B", "price": 12.5, "isbn": "0-1"},
			{"title": "C", "price": 9, "isbn": "0-2"}
		],
		"bicycle": {"color": "red", "price": 20, "on sale": true}
	},
	"limit": 10
}`

func TestSelect(t *testing.T) {
	roots := Roots{
		Input:     decode(t, document),
		Context:   decode(t, `{"Execution": {"Name": "run"}}`),
		Variables: map[string]any{"cart": decode(t, `{"lines": [{"n": 1}, {"n": 2}]}`), "número": 7.0},
	}
	for _, test := range []struct{ path, want string }{
		{"$.limit", `10`},
		{"$['limit']", `10`},
		{"$.store.book[1].title", `"B"`},
		{"$.store.book[-1].title", `"C"`},
		{"$.store.bicycle['on sale']", `true`},
		{`$.store.bicycle["color"]`, `"red"`},
		{"$.store.book[*].title", `["A","B","C"]`},
		{"$.store.book[0,2].title", `["A","C"]`},
		{"$.store.book[0:2].title", `["A","B"]`},
		{"$.store.book[:2].title", `["A","B"]`},
		{"$.store.book[1:].title", `["B","C"]`},
		{"$.store.book[-2:].title", `["B","C"]`},
		{"$.store.book[0:3:2].title", `["A","C"]`},
		{"$.store['book','bicycle'][0].title", `["A"]`},
		{"$..price", `[20,8,12.5,9]`},
		{"$..book[0].tags[1]", `["y"]`},
		{"$.store.*.color", `["red"]`},
		{"$.store.book[?(@.isbn)].title", `["B","C"]`},
		{"$.store.book[?(!@.isbn)].title", `["A"]`},
		{"$.store.book[?(@.price < 10)].title", `["A","C"]`},
		{"$.store.book[?(@.price < $.limit)].title", `["A","C"]`},
		{"$.store.book[?(@.price >= 9 && @.price <= 12.5)].title", `["B","C"]`},
		{"$.store.book[?(@.title == 'A' || @.title == \"C\")].title", `["A","C"]`},
		{"$.store.book[?(!(@.title == 'A'))].title", `["B","C"]`},
		{"$.store.book[?(@.title in ['A', 'B'])].title", `["A","B"]`},
		{"$.store.book[?(@.title nin ['A', 'B'])].title", `["C"]`},
		{"$.store.book[?(@.isbn =~ /0-[1]/)].title", `["B"]`},
		{"$.store.book[?(@.title =~ /a/i)].title", `["A"]`},
		{"$.store.book[?(@.title != 'A')].price", `[12.5,9]`},
		{"$.store.book[9:].title", `[]`},
		{"$$.Execution.Name", `"run"`},
		{"$cart.lines[1].n", `2`},
		{"$cart.lines[*].n", `[1,2]`},
		{"$número", `7`},
	} {
		p, err := Compile(test.path)
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		got, err := p.Select(roots)
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		if diff := cmp.Diff(decode(t, test.want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
		if p.String() != test.path {
			t.Errorf("the path %s reads %s", test.path, p)
		}
	}
}

func TestSelectNothing(t *testing.T) {
	roots := Roots{Input: decode(t, document)}
	for path, want := range map[string]string{
		"$.missing":           `the path "$.missing" selects nothing in the data`,
		"$.limit.deeper":      `the path "$.limit.deeper" selects nothing in the data`,
		"$.store.book[3]":     `the path "$.store.book[3]" selects nothing in the data`,
		"$unset.x":            `the path "$unset.x" starts at the variable $unset, which has no value`,
		"$$.Execution.Absent": `the path "$$.Execution.Absent" selects nothing in the data`,
	} {
		p, err := Compile(path)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Select(roots); err == nil || err.Error() != want {
			t.Errorf("%s = %v, %v; want the error %s", path, v, err, want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for path, want := range map[string]string{
		"":                          "a path starts with $",
		"a.b":                       "a path starts with $",
		"$.":                        "a field's name is missing",
		"$.a[":                      "brackets hold an index",
		"$.a[]":                     "brackets hold an index",
		"$.a[1":                     "a comma or ] is missing",
		"$.a['b":                    "the closing ' is missing",
		"$.a[?(@.b]":                "the filter's ) is missing",
		"$.a[?@.b]":                 "a filter is written [?(...)]",
		"$.a[?(@.b == )]":           "a value is expected",
		"$.a[?(@.b =~ /(/)]":        "missing closing )",
		"$.a b":                     `unexpected " b"`,
		"$.a.length()":              "length() is a function",
		"$.a[0:1:0]":                "a slice's step must be greater than 0",
		"$.a[99999999999999999999]": "is not an index",
		"$.a[?(" + strings.Repeat("(", 100) + "@" + strings.Repeat(")", 100) + ")]": "nested more than 64 deep",
	} {
		if _, err := Compile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
}

func TestPut(t *testing.T) {
	for _, test := range []struct{ path, in, want string }{
		{"$", `{"a": 1}`, `"new"`},
		{"$.b", `{"a": 1}`, `{"a": 1, "b": "new"}`},
		{"$.a", `{"a": 1}`, `{"a": "new"}`},
		{"$.x.y.z", `{"a": 1}`, `{"a": 1, "x": {"y": {"z": "new"}}}`},
		{"$.list[1]", `{"list": [1, 2]}`, `{"list": [1, "new"]}`},
		{"$['a b']", `{}`, `{"a b": "new"}`},
	} {
		p, err := Compile(test.path)
		if err != nil {
			t.Fatal(err)
		}
		in := decode(t, test.in)
		got, err := p.Put(in, "new")
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		if diff := cmp.Diff(decode(t, test.want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
		if diff := cmp.Diff(decode(t, test.in), in); diff != "" {
			t.Errorf("%s changed the document:\n%s", test.path, diff)
		}
	}
	for _, test := range []struct{ path, in string }{
		{"$.a.b", `{"a": 1}`},
		{"$.list[5]", `{"list": []}`},
		{"$.list.x", `{"list": []}`},
		{"$[0]", `{}`},
		{"$.a", `"text"`},
		{"$.a[*]", `{}`},
		{"$$.a", `{}`},
		{"$v.a", `{}`},
	} {
		p, err := Compile(test.path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Put(decode(t, test.in), 1); err == nil {
			t.Errorf("%s in %s = %v, want an error", test.path, test.in, got)
		}
	}
}

// TestPublishedFunctions has the examples of "Intrinsic functions for JSONPath
// states in Step Functions" in the AWS Step Functions Developer Guide.
func TestPublishedFunctions(t *testing.T) {
	for _, test := range []struct{ in, call, want string }{
		{`{"Id": 123456}`, `States.Array($.Id)`, `[123456]`},
		{`{"inputArray": [1,2,3,4,5,6,7,8,9]}`, `States.ArrayPartition($.inputArray,4)`, `[[1,2,3,4],[5,6,7,8],[9]]`},
		{`{"inputArray": [1,2,3,4,5,6,7,8,9], "lookingFor": 5}`, `States.ArrayContains($.inputArray, $.lookingFor)`, `true`},
		{`{}`, `States.ArrayRange(1, 9, 2)`, `[1,3,5,7,9]`},
		{`{"inputArray": [1,2,3,4,5,6,7,8,9], "index": 5}`, `States.ArrayGetItem($.inputArray, $.index)`, `6`},
		{`{"inputArray": [1,2,3,4,5,6,7,8,9]}`, `States.ArrayLength($.inputArray)`, `9`},
		{`{"inputArray": [1,2,3,3,3,3,3,3,4]}`, `States.ArrayUnique($.inputArray)`, `[1,2,3,4]`},
		{`{"input": "Data to encode"}`, `States.Base64Encode($.input)`, `"RGF0YSB0byBlbmNvZGU="`},
		{`{"base64": "RGF0YSB0byBlbmNvZGU="}`, `States.Base64Decode($.base64)`, `"Data to encode"`},
		{`{"Data": "input data", "Algorithm": "SHA-1"}`, `States.Hash($.Data, $.Algorithm)`, `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
		{`{"json1": {"a": {"a1": 1, "a2": 2}, "b": 2}, "json2": {"a": {"a3": 1, "a4": 2}, "c": 3}}`,
			`States.JsonMerge($.json1, $.json2, false)`, `{"a": {"a3": 1, "a4": 2}, "b": 2, "c": 3}`},
		{`{"escapedJsonString": "{\"foo\": \"bar\"}"}`, `States.StringToJson($.escapedJsonString)`, `{"foo": "bar"}`},
		{`{"unescapedJson": {"foo": "bar"}}`, `States.JsonToString($.unescapedJson)`, `"{\"foo\":\"bar\"}"`},
		{`{"value1": 111, "step": -1}`, `States.MathAdd($.value1, $.step)`, `110`},
		{`{"inputString": "1,2,3,4,5", "splitter": ","}`, `States.StringSplit($.inputString, $.splitter)`, `["1","2","3","4","5"]`},
		{`{"inputString": "This.is+a,test=string", "splitter": ".+,="}`, `States.StringSplit($.inputString, $.splitter)`, `["This","is","a","test","string"]`},
		{`{"name": "Arnav", "template": "Hello, my name is {}."}`, `States.Format('Hello, my name is {}.', $.name)`, `"Hello, my name is Arnav."`},
		{`{"name": "Arnav", "template": "Hello, my name is {}."}`, `States.Format($.template, $.name)`, `"Hello, my name is Arnav."`},
	} {
		call, err := CompileCall(test.call)
		if err != nil {
			t.Errorf("%s: %v", test.call, err)
			continue
		}
		got, err := call.Eval(Roots{Input: decode(t, test.in)}, rand.New(rand.NewPCG(1, 2)))
		if err != nil {
			t.Errorf("%s: %v", test.call, err)
			continue
		}
		if diff := cmp.Diff(decode(t, test.want), got); diff != "" {
			t.Errorf("%s (-AWS +got):\n%s", test.call, diff)
		}
	}
}

func TestRandomFunctions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eval := func(text string) any {
		call, err := CompileCall(text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := call.Eval(Roots{}, r)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for range 100 {
		if n := eval("States.MathRandom(1, 4)").(float64); n < 1 || n >= 4 || n != float64(int(n)) {
			t.Fatalf("MathRandom(1, 4) = %v", n)
		}
	}
	if a, b := eval("States.MathRandom(0, 1000000, 5)"), eval("States.MathRandom(0, 1000000, 5)"); a != b {
		t.Errorf("the same seed gave %v and %v", a, b)
	}
	id := eval("States.UUID()").(string)
	if len(id) != 36 || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("%s is not a version 4 UUID", id)
	}
	if id == eval("States.UUID()") {
		t.Error("two UUIDs are equal")
	}
}

func TestCallsThatFail(t *testing.T) {
	roots := Roots{Input: map[string]any{"s": "text", "n": 1.5, "long": strings.Repeat("x", 10_001)}}
	for call, want := range map[string]string{
		"States.Format('{} {}', 1)":                 "more {} than there are values",
		"States.Format('{}', 1, 2)":                 "fewer {} than there are values",
		"States.Format(1)":                          "the template must be a string, not 1",
		"States.StringToJson('{')":                  "the text is not JSON",
		"States.ArrayPartition($.s, 2)":             `the first argument must be an array, not "text"`,
		"States.ArrayPartition(States.Array(1), 0)": "the chunk size must be greater than 0, not 0",
		"States.ArrayRange(1, 5, 0)":                "the step must not be 0",
		"States.ArrayRange(0, 1000, 1)":             "more than 1000 values",
		"States.ArrayGetItem(States.Array(1), 1)":   "the index 1 is not in an array of 1",
		"States.Base64Decode('%')":                  "the text is not Base64",
		"States.Base64Encode($.long)":               "10001 characters, more than 10000",
		"States.Hash('a', 'SHA-3')":                 `hash algorithm "SHA-3" is not one of`,
		"States.JsonMerge($.s, $.s, false)":         "the first two arguments must be objects",
		"States.MathRandom(3, 3)":                   "must be greater than the first",
		"States.MathAdd('1', 2)":                    "the first number must be an integer",
		"States.StringSplit($.missing, ',')":        "selects nothing",
	} {
		c, err := CompileCall(call)
		if err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		if v, err := c.Eval(roots, rand.New(rand.NewPCG(1, 2))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, %v; want an error with %q", call, v, err, want)
		}
	}
}

func TestCompileCallRefuses(t *testing.T) {
	for call, want := range map[string]string{
		"States.Nope()":        "States.Nope is not one of States.Array, ",
		"States.Array":         "needs its arguments in parentheses",
		"States.Array(":        "a value is expected",
		"States.Array(1 2)":    "a comma or ) is missing",
		"States.Array(1) x":    `unexpected "x"`,
		"States.ArrayLength()": "States.ArrayLength takes 1 argument",
		"States.Hash('a')":     "States.Hash takes 2 arguments",
		"States.MathRandom(1)": "States.MathRandom takes 2 to 3 arguments",
		"States.Format()":      "States.Format takes 1 or more arguments",
		"States.Format('a":     "the closing ' is missing",
		"States.Format($.a[)":  "brackets hold an index",
		"States.Array(" + strings.Repeat("States.Array(", 10) + strings.Repeat(")", 11): "at most 10 functions",
	} {
		if _, err := CompileCall(call); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", call, err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"$.a[?(@.b == 'x' && !(@.c in [1,2]))].d[0:2:1]", "$$..*", "$v['a','b'][*]", "States.Format('{}', States.Array($.a, 1, null))", "$.a[?(@.b =~ /x/i)]"} {
		f.Add(seed)
	}
	var doc any
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		f.Fatal(err)
	}
	roots := Roots{Input: doc, Context: doc, Variables: map[string]any{"v": doc}}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := Compile(text); err == nil {
			_, _ = p.Select(roots)
			_, _ = p.Put(doc, 1.0)
			if again, err := Compile(p.String()); err != nil || again.String() != p.String() {
				t.Errorf("%q reads %q, which is %q, %v", text, p, again, err)
			}
		}
		if c, err := CompileCall(text); err == nil {
			_, _ = c.Eval(roots, rand.New(rand.NewPCG(1, 2)))
		}
	})
}
