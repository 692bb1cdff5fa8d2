package asl

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/jsonpath"
)

// A test is the condition of a JSONPath rule: a comparison of a variable, or a
// combination of tests.
type test struct {
	operator string // And, Or, Not, or a comparison without "Path"
	tests    []test
	variable jsonpath.Path
	literal  any
	path     *jsonpath.Path
}

// comparisons maps each comparison to the type of what it compares with.
var comparisons = map[string]string{
	"BooleanEquals": "boolean",
	"StringEquals":  "string", "StringLessThan": "string", "StringGreaterThan": "string",
	"StringLessThanEquals": "string", "StringGreaterThanEquals": "string",
	"NumericEquals": "number", "NumericLessThan": "number", "NumericGreaterThan": "number",
	"NumericLessThanEquals": "number", "NumericGreaterThanEquals": "number",
	"TimestampEquals": "timestamp", "TimestampLessThan": "timestamp", "TimestampGreaterThan": "timestamp",
	"TimestampLessThanEquals": "timestamp", "TimestampGreaterThanEquals": "timestamp",
}

// literals are the comparisons that have no variant with a path.
var literals = map[string]string{
	"StringMatches": "string", "IsNull": "boolean", "IsPresent": "boolean", "IsNumeric": "boolean",
	"IsString": "boolean", "IsBoolean": "boolean", "IsTimestamp": "boolean",
}

// maxRuleDepth bounds how deep And, Or and Not may be nested.
const maxRuleDepth = 50

func (c *checker) choices(s *State, r *reader) {
	s.Default = r.text("Default")
	list := r.objects("Choices")
	if len(list) == 0 && (!r.has("Choices") || isArray(r.object.fields["Choices"])) {
		r.problem("Choices", "must hold at least one rule")
	}
	for _, o := range list {
		rule := Rule{Next: o.required("Next", "it names the state that follows when the rule applies")}
		rule.assign = o.assignment("Assign")
		o.text("Comment")
		if s.QueryLanguage == JSONata {
			c.condition(&rule, o)
		} else {
			o.foreign("Condition", "Output")
			rule.test = o.test(0)
		}
		o.rest("a rule", append(slices.Collect(maps.Keys(comparisons)), "Variable", "Condition", "Next", "Assign", "Output", "And", "Or", "Not")...)
		s.Choices = append(s.Choices, rule)
	}
}

func (c *checker) condition(rule *Rule, o *reader) {
	for _, key := range o.object.keys {
		if key == "Variable" || key == "And" || key == "Or" || key == "Not" || isComparison(key) {
			o.foreign(key)
		}
	}
	rule.output = o.template("Output")
	v, ok := o.object.fields["Condition"]
	rule.condition = o.template("Condition")
	_, isBool := v.(bool)
	switch {
	case !ok:
		o.problem("Condition", "is missing: an expression in {%% %%} that is true when the rule applies")
	case !isBool && !isExpression(v):
		o.problem("Condition", "must be true, false or an expression in {%% %%}, not %s", kindOf(v))
	}
}

// foreign reports fields of the other query language.
func (r *reader) foreign(fields ...string) {
	for _, f := range fields {
		if _, ok := r.take(f); !ok {
			continue
		}
		other, hint := JSONPath, "Condition"
		if r.language == JSONPath {
			other, hint = JSONata, instead[f]
		}
		r.problem(f, "is a %s field, but the state uses %s: use %s", other, r.language, hint)
	}
}

func isComparison(key string) bool {
	_, a := comparisons[strings.TrimSuffix(key, "Path")]
	_, b := literals[key]
	return a || b
}

// test reads the condition of a rule, or of one inside And, Or or Not.
func (r *reader) test(depth int) test {
	var operators []string
	for _, key := range r.object.keys {
		if key == "And" || key == "Or" || key == "Not" || isComparison(key) {
			operators = append(operators, key)
		}
	}
	if depth > maxRuleDepth {
		r.problem("", "rules are nested more than %d deep", maxRuleDepth)
		return test{}
	}
	switch len(operators) {
	case 0:
		r.problem("Variable", "the rule compares nothing: add a comparison such as StringEquals")
		r.take("Variable")
		return test{}
	case 1:
	default:
		r.problem(operators[1], "cannot stand beside %s: a rule has one comparison; combine rules with And or Or", operators[0])
	}
	for _, op := range operators[1:] {
		r.take(op)
	}
	op := operators[0]
	t := test{operator: op}
	switch op {
	case "And", "Or":
		nested := r.objects(op)
		if len(nested) == 0 && isArray(r.object.fields[op]) {
			r.problem(op, "must hold at least one rule")
		}
		for _, o := range nested {
			t.tests = append(t.tests, o.nestedTest(depth+1))
		}
	case "Not":
		if o := r.nested(op); o != nil {
			t.tests = append(t.tests, o.nestedTest(depth+1))
		}
	default:
		r.comparison(&t)
		return t
	}
	if r.has("Variable") {
		r.take("Variable")
		r.problem("Variable", "cannot stand beside %s: put it into the rules inside", op)
	}
	return t
}

func (r *reader) nestedTest(depth int) test {
	t := r.test(depth)
	r.text("Comment")
	for _, f := range []string{"Next", "Assign"} {
		if r.has(f) {
			r.take(f)
			r.problem(f, "belongs to the outermost rule only")
		}
	}
	r.rest("a rule", slices.Collect(maps.Keys(comparisons))...)
	return t
}

func (r *reader) comparison(t *test) {
	if text := r.required("Variable", "it is the path of what the rule compares"); text != "" {
		path, err := jsonpath.Compile(text)
		if err != nil {
			r.problem("Variable", "%v", err)
		}
		r.uses("Variable", path)
		t.variable = path
	}
	key := t.operator
	if kind, ok := literals[key]; ok {
		t.literal = r.literal(key, kind)
		return
	}
	if base, ok := strings.CutSuffix(key, "Path"); ok {
		t.operator = base
		path, err := jsonpath.Compile(r.text(key))
		if err != nil {
			r.problem(key, "%v", err)
		}
		r.uses(key, path)
		t.path = &path
		return
	}
	t.literal = r.literal(key, comparisons[key])
}

func (r *reader) literal(field, kind string) any {
	v, _ := r.take(field)
	ok := false
	switch kind {
	case "boolean":
		_, ok = v.(bool)
	case "number":
		_, ok = v.(float64)
	case "string":
		_, ok = v.(string)
	case "timestamp":
		_, ok = timestamp(v)
		kind += " of RFC 3339 such as 2026-08-18T17:33:00Z"
	}
	if !ok {
		r.problem(field, "must be a %s, not %s", kind, kindOf(v))
	}
	return v
}

func timestamp(v any) (time.Time, bool) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}

// holds evaluates the test. A variable that is missing is an error, except for
// IsPresent.
func (t test) holds(e *env) (bool, *Error) {
	switch t.operator {
	case "And", "Or":
		for _, nested := range t.tests {
			ok, err := nested.holds(e)
			if err != nil || ok == (t.operator == "Or") {
				return ok, err
			}
		}
		return t.operator == "And", nil
	case "Not":
		ok, err := t.tests[0].holds(e)
		return !ok && err == nil, err
	}
	v, err := t.variable.Select(e.roots())
	if t.operator == "IsPresent" {
		return (err == nil) == (t.literal == true), nil
	}
	if err != nil {
		return false, errorf(ErrorRuntime, "Variable of a rule: %v", err)
	}
	other := t.literal
	if t.path != nil {
		if other, err = t.path.Select(e.roots()); err != nil {
			return false, errorf(ErrorRuntime, "%sPath of a rule: %v", t.operator, err)
		}
	}
	return t.compare(v, other), nil
}

func (t test) compare(v, other any) bool {
	is := false
	switch t.operator {
	case "IsNull":
		return (v == nil) == other
	case "IsNumeric":
		_, is = v.(float64)
		return is == other
	case "IsString":
		_, is = v.(string)
		return is == other
	case "IsBoolean":
		_, is = v.(bool)
		return is == other
	case "IsTimestamp":
		_, is = timestamp(v)
		return is == other
	case "StringMatches":
		text, ok := v.(string)
		pattern, _ := other.(string)
		return ok && glob(pattern, text)
	case "BooleanEquals":
		a, okA := v.(bool)
		b, okB := other.(bool)
		return okA && okB && a == b
	}
	order, ok := compare(comparisons[t.operator], v, other)
	if !ok {
		return false
	}
	switch _, relation := cutKind(t.operator); relation {
	case "LessThan":
		return order < 0
	case "LessThanEquals":
		return order <= 0
	case "GreaterThan":
		return order > 0
	case "GreaterThanEquals":
		return order >= 0
	}
	return order == 0
}

// cutKind splits "NumericLessThan" into "Numeric" and "LessThan".
func cutKind(operator string) (kind, relation string) {
	for _, kind := range []string{"String", "Numeric", "Timestamp"} {
		if relation, ok := strings.CutPrefix(operator, kind); ok {
			return kind, relation
		}
	}
	panic(fmt.Sprintf("asl: %s has no order", operator))
}

func compare(kind string, a, b any) (int, bool) {
	switch kind {
	case "string":
		x, okA := a.(string)
		y, okB := b.(string)
		return strings.Compare(x, y), okA && okB
	case "number":
		x, okA := a.(float64)
		y, okB := b.(float64)
		switch {
		case x < y:
			return -1, okA && okB
		case x > y:
			return 1, okA && okB
		}
		return 0, okA && okB
	}
	x, okA := timestamp(a)
	y, okB := timestamp(b)
	return x.Compare(y), okA && okB
}

// glob matches StringMatches: * stands for any characters, \* for an asterisk
// and \\ for a backslash.
func glob(pattern, text string) bool {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			part.WriteByte(pattern[i])
		case c == '*':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	last := part.String()
	if len(parts) == 0 {
		return text == last
	}
	text, ok := strings.CutPrefix(text, parts[0])
	for _, p := range parts[1:] {
		i := strings.Index(text, p)
		if !ok || i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return ok && strings.HasSuffix(text, last)
}
