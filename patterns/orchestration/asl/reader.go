package asl

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/jsonata"
	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/jsonpath"
)

// A reader takes the fields out of one object of a definition and notes what
// is wrong with them.
type reader struct {
	checker  *checker
	state    string
	prefix   string
	language QueryLanguage
	typ      Type
	object   *object
	used     map[string]bool
}

func (c *checker) reader(o *object, state, prefix string, language QueryLanguage) *reader {
	r := &reader{checker: c, state: state, prefix: prefix, language: language, object: o, used: map[string]bool{}}
	for _, key := range o.repeated {
		r.problem(key, "the field occurs more than once; only one of them would count")
	}
	return r
}

// nested reads an object inside this one.
func (r *reader) nested(field string) *reader {
	v, ok := r.take(field)
	if !ok {
		return nil
	}
	o, ok := v.(*object)
	if !ok {
		r.problem(field, "must be an object, not %s", kindOf(v))
		return nil
	}
	nested := r.checker.reader(o, r.state, r.place(field)+".", r.language)
	nested.typ = r.typ
	return nested
}

// place is the field's place in the state.
func (r *reader) place(field string) string { return r.prefix + field }

func (r *reader) problem(field, format string, args ...any) {
	r.checker.problem(r.state, r.place(field), format, args...)
}

func (r *reader) has(field string) bool {
	_, ok := r.object.fields[field]
	return ok
}

func (r *reader) take(field string) (any, bool) {
	r.used[field] = true
	v, ok := r.object.fields[field]
	return v, ok
}

// rest reports the fields nobody asked for.
func (r *reader) rest(what string, known ...string) {
	for _, key := range r.object.keys {
		if !r.used[key] {
			r.problem(key, "%s has no such field%s", what, suggestion(key, known))
		}
	}
}

// suggestion names the known word that is closest to a wrong one.
func suggestion(word string, known []string) string {
	best := closest(word, known, max(2, len(word)/2))
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; do you mean %s?", best)
}

// closest returns the known word that fewest edits lead to, "" if none does in
// the given number.
func closest(word string, known []string, edits int) string {
	best, distance := "", edits+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := editDistance(strings.ToLower(word), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}

func (r *reader) text(field string) string {
	v, ok := r.take(field)
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		r.problem(field, "must be a string, not %s", kindOf(v))
	}
	return s
}

func (r *reader) required(field, why string) string {
	if !r.has(field) {
		r.problem(field, "is missing: %s", why)
		return ""
	}
	s := r.text(field)
	if v, ok := r.object.fields[field].(string); ok && v == "" {
		r.problem(field, "must not be empty: %s", why)
	}
	return s
}

func (r *reader) oneOf(field string, allowed ...string) string {
	if !r.has(field) {
		return ""
	}
	s := r.text(field)
	if _, ok := r.object.fields[field].(string); ok && !slices.Contains(allowed, s) {
		r.problem(field, "must be one of %s, not %q", strings.Join(allowed, ", "), s)
	}
	return s
}

func (r *reader) boolean(field string) bool {
	v, ok := r.take(field)
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		r.problem(field, "must be true or false, not %s", kindOf(v))
	}
	return b
}

func (r *reader) texts(field string) []string {
	v, ok := r.take(field)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.problem(field, "must be an array of strings, not %s", kindOf(v))
		return nil
	}
	var texts []string
	for i, e := range list {
		s, ok := e.(string)
		if !ok {
			r.problem(fmt.Sprintf("%s[%d]", field, i), "must be a string, not %s", kindOf(e))
			continue
		}
		texts = append(texts, s)
	}
	return texts
}

// A span is the numbers a field accepts.
type span struct {
	min, max float64
	integer  bool
}

func (s span) String() string {
	what := "a number"
	if s.integer {
		what = "an integer"
	}
	switch {
	case math.IsInf(s.max, 1):
		return fmt.Sprintf("%s of %.0f or more", what, s.min)
	default:
		return fmt.Sprintf("%s from %.0f to %.0f", what, s.min, s.max)
	}
}

func (s span) check(v any) error {
	n, ok := v.(float64)
	if !ok || n < s.min || n > s.max || s.integer && n != math.Trunc(n) {
		return fmt.Errorf("must be %s, not %s", s, strings.TrimPrefix(kindOf(v), "the number "))
	}
	return nil
}

// number reads a field that must be a literal number.
func (r *reader) number(field string, allowed span, unset float64) float64 {
	v, ok := r.take(field)
	if !ok {
		return unset
	}
	if err := allowed.check(v); err != nil {
		r.problem(field, "%v", err)
		return unset
	}
	return v.(float64)
}

// quantity reads a number that a state may compute: a literal, in JSONata
// states an expression, in JSONPath states the path in the field's variant.
func (r *reader) quantity(field string, allowed span) value {
	v := r.computed(field)
	if v.set && v.path == nil && v.call == nil && !isExpression(v.json) {
		if err := allowed.check(v.json); err != nil {
			r.problem(field, "%v", err)
		}
	}
	return v
}

// computed reads a field and its Path variant.
func (r *reader) computed(field string) value {
	variant := field + "Path"
	if r.has(variant) && r.language == JSONPath {
		text := r.text(variant)
		if r.has(field) {
			r.problem(field, "cannot stand beside %s: keep one", variant)
			r.take(field)
		}
		v := r.pathOrCall(variant, text)
		switch {
		case v.call != nil && field != "Error" && field != "Cause":
			r.problem(variant, "must be a path, not an intrinsic function")
		case v.path != nil && !v.path.Definite():
			r.problem(variant, "%q selects a list: name one place, without wildcards, slices and filters", text)
		}
		return v
	}
	if !r.has(field) {
		return value{}
	}
	if r.language == JSONata {
		return r.template(field)
	}
	v, _ := r.take(field)
	return value{set: true, json: plain(v)}
}

func (r *reader) pathOrCall(field, text string) value {
	if jsonpath.IsCall(text) {
		call, err := jsonpath.CompileCall(text)
		if err != nil {
			r.problem(field, "%v", err)
		}
		for _, p := range call.Paths() {
			r.uses(field, p)
		}
		return value{set: true, call: &call}
	}
	path, err := jsonpath.Compile(text)
	if err != nil {
		r.problem(field, "%v", err)
	}
	r.uses(field, path)
	return value{set: true, path: &path}
}

// path reads a field such as InputPath, where null means "nothing".
func (r *reader) path(field string) *pathField {
	v, ok := r.take(field)
	if !ok {
		return nil
	}
	if v == nil {
		return &pathField{null: true}
	}
	text, ok := v.(string)
	if !ok {
		r.problem(field, "must be a path or null, not %s", kindOf(v))
		return nil
	}
	path, err := jsonpath.Compile(text)
	if err != nil {
		r.problem(field, "%v", err)
		return nil
	}
	r.uses(field, path)
	return &pathField{path: path}
}

// reference reads ResultPath.
func (r *reader) reference(field string) *pathField {
	p := r.path(field)
	if p != nil && !p.null && !p.path.Reference() {
		r.problem(field, "%q must name one place in the state's input, such as $.result: no variables, context object, wildcards, slices or filters", p.path)
		return nil
	}
	return p
}

// template reads JSON with expressions in it and checks each of them.
func (r *reader) template(field string) value {
	v, ok := r.take(field)
	if !ok {
		return value{}
	}
	r.walk(field, v)
	return r.constant(field)
}

// constant reads JSON as it stands.
func (r *reader) constant(field string) value {
	v, _ := r.take(field)
	json := plain(v)
	if n := dataSize(json); n > MaxDataSize {
		r.problem(field, "has %d bytes of JSON, more than a state may hand on: %d", n, MaxDataSize)
	}
	return value{set: true, json: json}
}

// walk checks the expressions in a value, however deep they are.
func (r *reader) walk(field string, v any) {
	switch v := v.(type) {
	case *object:
		for _, key := range v.repeated {
			r.problem(field+"."+key, "the field occurs more than once; only one of them would count")
		}
		for _, key := range v.keys {
			place := field + "." + key
			if r.language == JSONPath && strings.HasSuffix(key, ".$") {
				r.dynamic(place, v.fields[key])
				if _, ok := v.fields[strings.TrimSuffix(key, ".$")]; ok {
					r.problem(place, "the object has the field without .$ too: keep one")
				}
				continue
			}
			if r.language == JSONata && strings.HasSuffix(key, ".$") {
				if text, ok := v.fields[key].(string); ok && (strings.HasPrefix(text, "$") || jsonpath.IsCall(text)) {
					r.problem(place, "is JSONPath syntax, but the state uses JSONata: write %q with an expression in {%% %%}", strings.TrimSuffix(key, ".$"))
				}
			}
			r.walk(place, v.fields[key])
		}
	case []any:
		for i, e := range v {
			r.walk(fmt.Sprintf("%s[%d]", field, i), e)
		}
	case string:
		r.expression(field, v)
	}
}

// dynamic checks the value of a field whose name ends in ".$".
func (r *reader) dynamic(field string, v any) {
	text, ok := v.(string)
	switch {
	case !ok:
		r.problem(field, "a field whose name ends in .$ must be a path or an intrinsic function, not %s", kindOf(v))
	case !strings.HasPrefix(text, "$") && !jsonpath.IsCall(text):
		r.problem(field, "a field whose name ends in .$ must be a path that starts with $ or an intrinsic function, not %q", text)
	default:
		r.pathOrCall(field, text)
	}
}

// isExpression reports whether a value is a JSONata expression.
func isExpression(v any) bool {
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, "{%") && strings.HasSuffix(s, "%}") && len(s) >= 4
}

func expressionOf(s string) string { return s[2 : len(s)-2] }

// expression checks a string that may be a JSONata expression.
func (r *reader) expression(field, text string) {
	if r.language != JSONata {
		return
	}
	if !isExpression(text) {
		trimmed := strings.TrimSpace(text)
		if strings.HasPrefix(trimmed, "{%") || strings.HasSuffix(trimmed, "%}") {
			r.problem(field, "an expression starts with {%% and ends with %%}, without anything before or after it: %s", compact(text))
		}
		return
	}
	node, err := jsonata.Parse(expressionOf(text))
	if err != nil {
		r.problem(field, "%s is not valid JSONata: %v", compact(text), err)
		return
	}
	r.checker.inspect(r, field, node)
}

// uses notes a variable that a path starts at.
func (r *reader) uses(field string, p jsonpath.Path) {
	if p.Variable() != "" {
		r.checker.use(r.state, r.place(field), p.Variable())
	}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func at(field string, i int, rest string) string {
	if rest == "" {
		return fmt.Sprintf("%s[%d]", field, i)
	}
	return fmt.Sprintf("%s[%d].%s", field, i, rest)
}
