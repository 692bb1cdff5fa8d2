package jsonata

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// published are the examples that AWS publishes for each function in its
// language service, npm's amazon-states-language-service@1.16.1
// (out/asl-utils/utils/jsonata/functions.js). Left out are those whose result
// is random, is the current time, or depends on data that is not shown.
var published = []struct{ expression, result string }{
	{`$string(5)`, `"5"`},
	{`[1..5].$string()`, `["1","2","3","4","5"]`},
	{`$length("Hello World")`, `11`},
	{`$substring("Hello World", 3)`, `"lo World"`},
	{`$substring("Hello World", 3, 5)`, `"lo Wo"`},
	{`$substring("Hello World", -4)`, `"orld"`},
	{`$substring("Hello World", -4, 2)`, `"or"`},
	{`$substringBefore("Hello World", " ")`, `"Hello"`},
	{`$substringAfter("Hello World", " ")`, `"World"`},
	{`$uppercase("Hello World")`, `"HELLO WORLD"`},
	{`$lowercase("Hello World")`, `"hello world"`},
	{`$pad("foo", 5)`, `"foo  "`},
	{`$pad("foo", -5)`, `"  foo"`},
	{`$pad("foo", -5, "#")`, `"##foo"`},
	{`$formatBase(35, 2) ~> $pad(-8, '0')`, `"00100011"`},
	{`$contains("abracadabra", "bra")`, `true`},
	{`$contains("abracadabra", /a.*a/)`, `true`},
	{`$contains("abracadabra", /ar.*a/)`, `false`},
	{`$contains("Hello World", /wo/)`, `false`},
	{`$contains("Hello World", /wo/i)`, `true`},
	{`$split("so many words", " ")`, `["so","many","words"]`},
	{`$split("so many words", " ", 2)`, `["so","many"]`},
	{`$split("too much, punctuation. hard; to read", /[ ,.;]+/)`, `["too","much","punctuation","hard","to","read"]`},
	{`$join(['a','b','c'])`, `"abc"`},
	{`$split("too much, punctuation. hard; to read", /[ ,.;]+/, 3) ~> $join(', ')`, `"too, much, punctuation"`},
	{`$base64encode("abc:def")`, `"YWJjOmRlZg=="`},
	{`$base64decode("YWJjOmRlZg==")`, `"abc:def"`},
	{`$encodeUrlComponent("?x=test")`, `"%3Fx%3Dtest"`},
	{`$encodeUrl("https://mozilla.org/?x=шеллы")`, `"https://mozilla.org/?x=%D1%88%D0%B5%D0%BB%D0%BB%D1%8B"`},
	{`$decodeUrlComponent("%3Fx%3Dtest")`, `"?x=test"`},
	{`$decodeUrl("https://mozilla.org/?x=%D1%88%D0%B5%D0%BB%D0%BB%D1%8B")`, `"https://mozilla.org/?x=шеллы"`},
	{`$number("5")`, `5`},
	{`["1", "2", "3", "4", "5"].$number()`, `[1,2,3,4,5]`},
	{`$abs(5)`, `5`},
	{`$abs(-5)`, `5`},
	{`$floor(5)`, `5`},
	{`$floor(5.3)`, `5`},
	{`$floor(5.8)`, `5`},
	{`$floor(-5.3)`, `-6`},
	{`$ceil(5)`, `5`},
	{`$ceil(5.3)`, `6`},
	{`$ceil(5.8)`, `6`},
	{`$ceil(-5.3)`, `-5`},
	{`$round(123.456)`, `123`},
	{`$round(123.456, 2)`, `123.46`},
	{`$round(123.456, -1)`, `120`},
	{`$round(123.456, -2)`, `100`},
	{`$round(11.5)`, `12`},
	{`$round(12.5)`, `12`},
	{`$round(125, -1)`, `120`},
	{`$power(2, 8)`, `256`},
	{`$power(2, 0.5)`, `1.414213562373`},
	{`$power(2, -2)`, `0.25`},
	{`$sqrt(4)`, `2`},
	{`$sqrt(2)`, `1.414213562373`},
	{`$formatNumber(12345.6, '#,###.00')`, `"12,345.60"`},
	{`$formatNumber(1234.5678, "00.000e0")`, `"12.346e2"`},
	{`$formatNumber(34.555, "#0.00;(#0.00)")`, `"34.56"`},
	{`$formatNumber(-34.555, "#0.00;(#0.00)")`, `"(34.56)"`},
	{`$formatNumber(0.14, "01%")`, `"14%"`},
	{`$formatNumber(0.14, "###pm", {"per-mille": "pm"})`, `"140pm"`},
	{`$formatNumber(1234.5678, "①①.①①①e①", {"zero-digit": "\u245f"})`, `"①②.③④⑥e②"`},
	{`$formatBase(100, 2)`, `"1100100"`},
	{`$formatBase(2555, 16)`, `"9fb"`},
	{`$formatInteger(2789, 'w')`, `"two thousand, seven hundred and eighty-nine"`},
	{`$formatInteger(1999, 'I')`, `"MCMXCIX"`},
	{`$parseInteger("twelve thousand, four hundred and seventy-six", 'w')`, `12476`},
	{`$parseInteger('12,345,678', '#,##0')`, `12345678`},
	{`$sum([5,1,3,7,4])`, `20`},
	{`$max([5,1,3,7,4])`, `7`},
	{`$min([5,1,3,7,4])`, `1`},
	{`$average([5,1,3,7,4])`, `4`},
	{`$count([1,2,3,1])`, `4`},
	{`$append([1,2,3], [4,5,6])`, `[1,2,3,4,5,6]`},
	{`$append([1,2,3], 4)`, `[1,2,3,4]`},
	{`$append("Hello", "World")`, `["Hello","World"]`},
	{`$reverse(["Hello", "World"])`, `["World","Hello"]`},
	{`[1..5] ~> $reverse()`, `[5,4,3,2,1]`},
	{`$distinct([1,2,3,3,4,3,5])`, `[1,2,3,4,5]`},
	{`$zip([1,2,3], [4,5,6])`, `[[1,4],[2,5],[3,6]]`},
	{`$zip([1,2,3],[4,5],[7,8,9])`, `[[1,4,7],[2,5,8]]`},
	{`$fromMillis(1510067557121)`, `"2017-11-07T15:12:37.121Z"`},
	{`$fromMillis(1510067557121, '[M01]/[D01]/[Y0001] [h#1]:[m01][P]')`, `"11/07/2017 3:12pm"`},
	{`$fromMillis(1510067557121, '[H01]:[m01]:[s01] [z]', '-0500')`, `"10:12:37 GMT-05:00"`},
	{`$toMillis("2017-11-07T15:07:54.972Z")`, `1510067274972`},
	{`$map([1..5], $string)`, `["1","2","3","4","5"]`},
	{`$partition([1, 2, 3, 4, 5], 2)`, `[[1,2],[3,4],[5]]`},
	{`$partition([1, 2, 3, 4, 5], 1)`, `[[1],[2],[3],[4],[5]]`},
	{`$partition([1, 2, 3, 4, 5], 5)`, `[[1,2,3,4,5]]`},
	{`$partition([1, 2, 3, 4, 5], 6)`, `[[1,2,3,4,5]]`},
	{`$partition([], 2)`, `[]`},
	{`$range(0, 10, 1)`, `[0,1,2,3,4,5,6,7,8,9,10]`},
	{`$range(1, -5, -1)`, `[1,0,-1,-2,-3,-4,-5]`},
	{`$range(1, 9, 3)`, `[1,4,7]`},
	{`$range(1, 1, 2)`, `[1]`},
	{`$range(1, 9, 0)`, `[]`},
	// Taken from the Developer Guide, States.Hash: the language service shows 39 digits.
	{`$hash("input data", "SHA-1")`, `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
	{`$parse('{"foo": "bar"}')`, `{"foo":"bar"}`},
}

func TestPublishedExamples(t *testing.T) {
	// AWS shows 13 digits of irrational numbers.
	digits := cmpopts.EquateApprox(0, 1e-12)
	for _, test := range published {
		var want any
		if err := json.Unmarshal([]byte(test.result), &want); err != nil {
			t.Fatal(err)
		}
		got, err := Eval(test.expression, Env{Bindings: []byte(`{}`)})
		if err != nil {
			t.Errorf("%s: %v", test.expression, err)
			continue
		}
		if diff := cmp.Diff(want, got, digits); diff != "" {
			t.Errorf("%s (-AWS +got):\n%s", test.expression, diff)
		}
	}
}

// TestRandom checks what AWS says about $random: 0 <= n < 1, and the same for
// the same seed.
func TestRandom(t *testing.T) {
	eval := func(expression string) float64 {
		v, err := Eval(expression, Env{Bindings: []byte(`{}`)})
		n, ok := v.(float64)
		if err != nil || !ok || n < 0 || n >= 1 || math.IsNaN(n) {
			t.Fatalf("%s = %v, %v", expression, v, err)
		}
		return n
	}
	if a, b := eval("$random(80)"), eval("$random(80)"); a != b {
		t.Errorf("the same seed gave %v and %v", a, b)
	}
	if a, b := eval("$random(80)"), eval("$random(81)"); a == b {
		t.Errorf("two seeds gave %v", a)
	}
	if a, b := eval("$random()"), eval("$random()"); a == b {
		t.Errorf("two calls without seed gave %v", a)
	}
}
