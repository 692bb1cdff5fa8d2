package jsonata

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestEval(t *testing.T) {
	env := Env{
		Bindings: []byte(`{"x":3,"a":[1,2,3,4],"states":{"input":{"list":[{"n":1},{"n":2}],"s":"a"}}}`),
		Now:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for _, test := range []struct{ expr, want, fail string }{
		{expr: `1+1`, want: `2`},
		{expr: `$x*2`, want: `6`},
		{expr: `$states.input.list[n=2]`, want: `{"n":2}`},
		{expr: `$states.input.list.n`, want: `[1,2]`},
		{expr: `$states.input.none`, fail: ErrUndefined.Message},
		{expr: `$now()`, want: `"2026-01-02T03:04:05.000Z"`},
		{expr: `$partition($a, 3)`, want: `[[1,2,3],[4]]`},
		{expr: `$range(0, 10, 2)`, want: `[0,2,4,6,8,10]`},
		{expr: `$range(3, 1, -1)`, want: `[3,2,1]`},
		{expr: `$range(1, 2000)`, fail: `$range makes at most 1000 elements`},
		{expr: `$parse('{"a":[1]}').a`, want: `[1]`},
		{expr: `$hash('input data', 'SHA-1')`, want: `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
		{expr: `$random(7) = $random(7)`, want: `true`},
		{expr: `$length($uuid())`, want: `36`},
		{expr: `$eval('1')`, fail: `$eval is not supported by Step Functions: use $parse`},
		{expr: `function($x){$x}`, fail: `the expression returned a function, which JSON cannot represent`},
		{expr: `{"f": $sum}`, fail: `the expression returned a function, which JSON cannot represent`},
		{expr: `$x + 'a'`, fail: `T2002: The right side of the "+" operator must evaluate to a number`},
		{expr: `$x +`, fail: `S0207: Unexpected end of expression`},
		{expr: `$x ?? 1`, fail: `S0211: The symbol "?" cannot be used as a unary operator`},
	} {
		got, err := Eval(test.expr, env)
		var failure *Error
		if errors.As(err, &failure) {
			if failure.Error() != test.fail {
				t.Errorf("%s: error %q, want %q", test.expr, failure, test.fail)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.expr, err)
			continue
		}
		if text, _ := json.Marshal(got); string(text) != test.want {
			t.Errorf("%s = %s, want %s %s", test.expr, text, test.want, test.fail)
		}
	}
}

// TestEvalEndless checks that an expression without end is stopped, and that
// the evaluations after it are not harmed.
func TestEvalEndless(t *testing.T) {
	env := Env{Bindings: []byte(`{}`), Timeout: 100 * time.Millisecond}
	for _, expression := range []string{
		`($f := function(){ $f() }; $f())`,
		`($f := function($n){ 1 + $f($n + 1) }; $f(0))`,
		`$replace('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab', /(?=(a+)+c)/, '')`,
	} {
		_, err := Eval(expression, env)
		var failure *Error
		if !errors.As(err, &failure) {
			t.Errorf("%s: %v, want an *Error", expression, err)
		}
		if v, err := Eval(`1 + 1`, env); v != 2.0 {
			t.Errorf("after %s: 1 + 1 = %v, %v", expression, v, err)
		}
	}
}
