package jsonpath

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/digest"
	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/uuid"
)

// A Call is a compiled call of an intrinsic function.
type Call struct {
	text string
	root argument
}

// An argument is a literal, a path or a nested call.
type argument struct {
	literal  any
	path     *Path
	function *function
	args     []argument
}

// maxCalls is how many intrinsic functions one field may hold.
const maxCalls = 10

// maxText is how many characters hashing and Base64 accept.
const maxText = 10_000

// IsCall reports whether the text is meant to be an intrinsic function.
func IsCall(text string) bool { return strings.HasPrefix(text, "States.") }

// CompileCall reads a call such as States.Format('{} items', $.count).
func CompileCall(text string) (Call, error) {
	p := &parser{text: text}
	calls := 0
	a, err := p.argument(&calls)
	if err == nil {
		p.space()
		switch {
		case p.at < len(text):
			err = p.callError("unexpected %q", text[p.at:])
		case a.function == nil:
			err = p.callError("it is not a function")
		}
	}
	if err != nil {
		return Call{}, err
	}
	return Call{text: text, root: a}, nil
}

// Paths returns the paths among the call's arguments.
func (c Call) Paths() []Path { return c.root.paths(nil) }

func (a argument) paths(found []Path) []Path {
	if a.path != nil {
		found = append(found, *a.path)
	}
	for _, b := range a.args {
		found = b.paths(found)
	}
	return found
}

// Eval calls the function. Random numbers and UUIDs come from r.
func (c Call) Eval(roots Roots, r *rand.Rand) (any, error) {
	return c.root.eval(roots, r)
}

func (a argument) eval(roots Roots, r *rand.Rand) (any, error) {
	switch {
	case a.path != nil:
		return a.path.Select(roots)
	case a.function == nil:
		return a.literal, nil
	}
	values := make([]any, len(a.args))
	for i, b := range a.args {
		v, err := b.eval(roots, r)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	v, err := a.function.call(values, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.function.name, err)
	}
	return v, nil
}

func (p *parser) callError(format string, args ...any) error {
	return fmt.Errorf("%q is not a valid intrinsic function at offset %d: %s", p.text, p.at, fmt.Sprintf(format, args...))
}

func (p *parser) argument(calls *int) (argument, error) {
	p.space()
	switch {
	case p.peek() == '$':
		path, err := p.path()
		return argument{path: &path}, err
	case p.peek() == '\'':
		text, err := p.quotedArgument()
		return argument{literal: text}, err
	case p.take("true"):
		return argument{literal: true}, nil
	case p.take("false"):
		return argument{literal: false}, nil
	case p.take("null"):
		return argument{}, nil
	case !IsCall(p.text[p.at:]):
		n, err := p.number()
		return argument{literal: n}, err
	}
	if *calls++; *calls > maxCalls {
		return argument{}, p.callError("a field may hold at most %d functions", maxCalls)
	}
	start := p.at
	for c := p.peek(); c == '.' || isName(c, false); c = p.peek() {
		p.at++
	}
	word := p.text[start:p.at]
	f, ok := functions[word]
	if !ok {
		return argument{}, p.callError("%s is not one of %s", word, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	}
	f.name = word
	a := argument{function: &f}
	if !p.take("(") {
		return argument{}, p.callError("%s needs its arguments in parentheses", word)
	}
	for p.space(); !p.take(")"); p.space() {
		if len(a.args) > 0 && !p.take(",") {
			return argument{}, p.callError("a comma or ) is missing")
		}
		b, err := p.argument(calls)
		if err != nil {
			return argument{}, err
		}
		a.args = append(a.args, b)
	}
	if n := len(a.args); n < f.min || n > f.max {
		return argument{}, p.callError("%s takes %s", word, f.arity())
	}
	return a, nil
}

// quotedArgument reads a string. A backslash stays before { and }, so that
// States.Format can tell \{ from {.
func (p *parser) quotedArgument() (string, error) {
	p.at++
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '\'':
			return b.String(), nil
		case c == '\\' && p.at < len(p.text):
			if escaped := p.text[p.at]; escaped == '{' || escaped == '}' {
				b.WriteByte('\\')
			}
			b.WriteByte(p.text[p.at])
			p.at++
		default:
			b.WriteByte(c)
		}
	}
	return "", p.callError("the closing ' is missing")
}

type function struct {
	name     string
	min, max int
	call     func(args []any, r *rand.Rand) (any, error)
}

func (f function) arity() string {
	switch {
	case f.max == math.MaxInt:
		return fmt.Sprintf("%d or more arguments", f.min)
	case f.min == f.max && f.min == 1:
		return "1 argument"
	case f.min == f.max:
		return fmt.Sprintf("%d arguments", f.min)
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

var functions = map[string]function{
	"States.Format":         {min: 1, max: math.MaxInt, call: format},
	"States.StringToJson":   {min: 1, max: 1, call: stringToJSON},
	"States.JsonToString":   {min: 1, max: 1, call: jsonToString},
	"States.Array":          {min: 0, max: math.MaxInt, call: func(args []any, _ *rand.Rand) (any, error) { return args, nil }},
	"States.ArrayPartition": {min: 2, max: 2, call: arrayPartition},
	"States.ArrayContains":  {min: 2, max: 2, call: arrayContains},
	"States.ArrayRange":     {min: 3, max: 3, call: arrayRange},
	"States.ArrayGetItem":   {min: 2, max: 2, call: arrayGetItem},
	"States.ArrayLength":    {min: 1, max: 1, call: arrayLength},
	"States.ArrayUnique":    {min: 1, max: 1, call: arrayUnique},
	"States.Base64Encode":   {min: 1, max: 1, call: base64Encode},
	"States.Base64Decode":   {min: 1, max: 1, call: base64Decode},
	"States.Hash":           {min: 2, max: 2, call: hash},
	"States.JsonMerge":      {min: 3, max: 3, call: jsonMerge},
	"States.MathRandom":     {min: 2, max: 3, call: mathRandom},
	"States.MathAdd":        {min: 2, max: 2, call: mathAdd},
	"States.StringSplit":    {min: 2, max: 2, call: stringSplit},
	"States.UUID":           {min: 0, max: 0, call: func(_ []any, r *rand.Rand) (any, error) { return uuid.New(r), nil }},
}

func format(args []any, _ *rand.Rand) (any, error) {
	template, err := text(args[0], "the template")
	if err != nil {
		return nil, err
	}
	values := args[1:]
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c == '\\' && i+1 < len(template):
			i++
			b.WriteByte(template[i])
		case c == '{' && strings.HasPrefix(template[i:], "{}"):
			if len(values) == 0 {
				return nil, fmt.Errorf("the template %q has more {} than there are values", template)
			}
			b.WriteString(shown(values[0]))
			values = values[1:]
			i++
		default:
			b.WriteByte(c)
		}
	}
	if len(values) > 0 {
		return nil, fmt.Errorf("the template %q has fewer {} than there are values", template)
	}
	return b.String(), nil
}

func shown(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return encode(v)
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func stringToJSON(args []any, _ *rand.Rand) (any, error) {
	s, err := text(args[0], "the argument")
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return nil, fmt.Errorf("the text is not JSON: %w", err)
	}
	return v, nil
}

func jsonToString(args []any, _ *rand.Rand) (any, error) { return encode(args[0]), nil }

func arrayPartition(args []any, _ *rand.Rand) (any, error) {
	list, err := array(args[0])
	if err != nil {
		return nil, err
	}
	size, err := integer(args[1], "the chunk size")
	if err != nil {
		return nil, err
	}
	if size <= 0 {
		return nil, fmt.Errorf("the chunk size must be greater than 0, not %d", size)
	}
	chunks := []any{}
	for chunk := range slices.Chunk(list, size) {
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}

func arrayContains(args []any, _ *rand.Rand) (any, error) {
	list, err := array(args[0])
	if err != nil {
		return nil, err
	}
	return slices.ContainsFunc(list, func(v any) bool { return reflect.DeepEqual(v, args[1]) }), nil
}

func arrayRange(args []any, _ *rand.Rand) (any, error) {
	var n [3]int
	for i, what := range []string{"the first value", "the last value", "the step"} {
		var err error
		if n[i], err = integer(args[i], what); err != nil {
			return nil, err
		}
	}
	first, last, step := n[0], n[1], n[2]
	if step == 0 {
		return nil, fmt.Errorf("the step must not be 0")
	}
	if (last-first)/step+1 > 1000 {
		return nil, fmt.Errorf("the range has more than 1000 values")
	}
	values := []any{}
	for v := first; step > 0 && v <= last || step < 0 && v >= last; v += step {
		values = append(values, float64(v))
	}
	return values, nil
}

func arrayGetItem(args []any, _ *rand.Rand) (any, error) {
	list, err := array(args[0])
	if err != nil {
		return nil, err
	}
	i, err := integer(args[1], "the index")
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= len(list) {
		return nil, fmt.Errorf("the index %d is not in an array of %d", i, len(list))
	}
	return list[i], nil
}

func arrayLength(args []any, _ *rand.Rand) (any, error) {
	list, err := array(args[0])
	return float64(len(list)), err
}

func arrayUnique(args []any, _ *rand.Rand) (any, error) {
	list, err := array(args[0])
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	unique := []any{}
	for _, v := range list {
		key := encode(v)
		if !seen[key] {
			seen[key] = true
			unique = append(unique, v)
		}
	}
	return unique, nil
}

func base64Encode(args []any, _ *rand.Rand) (any, error) {
	s, err := shortText(args[0])
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString([]byte(s)), nil
}

func base64Decode(args []any, _ *rand.Rand) (any, error) {
	s, err := shortText(args[0])
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("the text is not Base64: %w", err)
	}
	return string(data), nil
}

func hash(args []any, _ *rand.Rand) (any, error) {
	s := shown(args[0])
	if len(s) > maxText {
		return nil, fmt.Errorf("the text has %d characters, more than %d", len(s), maxText)
	}
	algorithm, err := text(args[1], "the algorithm")
	if err != nil {
		return nil, err
	}
	return digest.Sum(s, algorithm)
}

func jsonMerge(args []any, _ *rand.Rand) (any, error) {
	a, okA := args[0].(map[string]any)
	b, okB := args[1].(map[string]any)
	if !okA || !okB {
		return nil, fmt.Errorf("the first two arguments must be objects")
	}
	if args[2] != false {
		return nil, fmt.Errorf("only shallow merging is supported: the third argument must be false")
	}
	merged := maps.Clone(a)
	maps.Copy(merged, b)
	return merged, nil
}

func mathRandom(args []any, r *rand.Rand) (any, error) {
	first, err := integer(args[0], "the first value")
	if err != nil {
		return nil, err
	}
	last, err := integer(args[1], "the last value")
	if err != nil {
		return nil, err
	}
	if last <= first {
		return nil, fmt.Errorf("the last value, %d, must be greater than the first, %d", last, first)
	}
	if len(args) == 3 {
		seed, err := integer(args[2], "the seed")
		if err != nil {
			return nil, err
		}
		r = rand.New(rand.NewPCG(uint64(seed), 0))
	}
	return float64(first + r.IntN(last-first)), nil
}

func mathAdd(args []any, _ *rand.Rand) (any, error) {
	a, err := integer(args[0], "the first number")
	if err != nil {
		return nil, err
	}
	b, err := integer(args[1], "the second number")
	return float64(a + b), err
}

// stringSplit splits at each character of the second argument and leaves out
// empty parts, as the service does.
func stringSplit(args []any, _ *rand.Rand) (any, error) {
	s, err := text(args[0], "the text")
	if err != nil {
		return nil, err
	}
	separators, err := text(args[1], "the separator")
	if err != nil {
		return nil, err
	}
	parts := []any{}
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		parts = append(parts, part)
	}
	return parts, nil
}

func text(v any, what string) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s must be a string, not %s", what, encode(v))
	}
	return s, nil
}

func shortText(v any) (string, error) {
	s, err := text(v, "the argument")
	if err == nil && len(s) > maxText {
		err = fmt.Errorf("the text has %d characters, more than %d", len(s), maxText)
	}
	return s, err
}

func array(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("the first argument must be an array, not %s", encode(v))
	}
	return list, nil
}

// integer accepts any number and rounds it, as the service does.
func integer(v any, what string) (int, error) {
	n, ok := v.(float64)
	if !ok || math.Abs(n) > math.MaxInt32 {
		return 0, fmt.Errorf("%s must be an integer of 32 bits, not %s", what, strconv.Quote(encode(v)))
	}
	return int(math.Round(n)), nil
}
