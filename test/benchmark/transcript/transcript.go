// Package transcript turns what a CDK app in Go asks of jsii into a program in
// plain JavaScript that does the same without jsii, call for call. What both
// make is the same, so that what they take can be compared.
package transcript

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Options say what the program does besides what it was made from.
type Options struct {
	// Name is a text of the trace, such as a stack's name, in whose place the
	// program writes Prefix and the number of the copy. Without it, the program
	// makes one copy.
	Name, Prefix string
	// Lean leaves out to read what nobody uses, and to read again.
	Lean bool
}

// JavaScript returns the program for the trace of an app, which is what the app
// prints with JSII_DEBUG=1. The program's argument is how many copies it makes
// of all that the app made before it synthesized.
func JavaScript(traced []byte, o Options) (string, error) {
	calls, _, err := newTrace(traced).calls()
	if err != nil {
		return "", err
	}
	p := &program{
		Options: o, main: &function{}, marker: token,
		objects: map[string]place{}, strings: map[string]place{}, numbers: map[float64]place{},
		markers: map[string][]string{}, ours: map[string]*goObject{}, modules: map[string]map[string]bool{},
	}
	if o.Name != "" {
		lower := strings.ToLower(o.Name)
		p.marker = regexp.MustCompile(token.String() + "|" + regexp.QuoteMeta(o.Name) + "|" + regexp.QuoteMeta(lower))
	}
	if err := p.transcribe(p.main, calls); err != nil {
		return "", err
	}
	if o.Lean {
		p.prune()
	}
	return p.text()
}

// program is what is known while the trace is read.
type program struct {
	Options
	main       *function
	objects    map[string]place    // by jsii's id
	strings    map[string]place    // answers that are others in another run or copy
	numbers    map[float64]place   // tokens that are numbers
	marker     *regexp.Regexp      // what is another: a token or the copy's name
	markers    map[string][]string // by a marker, the answers that hold it
	ours       map[string]*goObject
	modules    map[string]map[string]bool // of each, what is used of it
	statements []*statement               // of all functions, as they ran
	variables  int
}

// function is the main program, a part of it, or how Go once answered a call.
type function struct {
	params []*variable
	body   []*statement
	result string // what it returns, as JSON, if it does nothing else
}

// statement is a call.
type statement struct {
	in        *function
	call      *call
	code      string // without what it assigns to
	result    *variable
	uses      []*variable
	object    *goObject // that it makes
	removable bool      // if nobody uses its result
}

// variable holds what a call returned.
type variable struct {
	number int
	made   bool // it holds an object that Go made, not one that it read
	home   *function
	users  []*statement
}

func (v *variable) name() string { return "v" + strconv.Itoa(v.number) }

// shared reports whether a function uses it that does not set it.
func (v *variable) shared() bool {
	return slices.ContainsFunc(v.users, func(s *statement) bool { return s.in != v.home })
}

// place is where the program has a value: in the variable, or somewhere in it.
type place struct {
	*variable
	path string
}

// goObject is an object that Go implements, in part or whole.
type goObject struct{ members []*member }

// member is a method or a property of a goObject.
type member struct {
	override
	calls []*function // one for each time that the CDK called it
}

func (p *program) transcribe(in *function, calls []*call) error {
	for _, c := range calls {
		if err := p.statement(in, c); err != nil {
			return fmt.Errorf("%s %s%s.%s%s: %w", c.API, c.FQN, c.Object.ID, c.Method, c.Property, err)
		}
	}
	return nil
}

// question is a static method that only reads.
var question = regexp.MustCompile(`^(is[A-Z]|of$)`)

// statement transcribes a call.
func (p *program) statement(in *function, c *call) error {
	s := &statement{in: in, call: c}
	w := &writer{program: p, statement: s}
	switch c.API {
	case "create":
		s.code = w.create()
	case "get":
		s.code = w.object(c.Object.ID) + "." + c.Property
		s.removable = true
	case "sget":
		s.code = w.class(c.FQN) + "." + c.Property
		s.removable = true
	case "set":
		s.code = w.object(c.Object.ID) + "." + c.Property + " = " + w.value(c.Value)
	case "sset":
		s.code = w.class(c.FQN) + "." + c.Property + " = " + w.value(c.Value)
	case "invoke":
		s.code = w.object(c.Object.ID) + "." + c.Method + "(" + w.args(c.Args) + ")"
	case "sinvoke":
		s.code = w.class(c.FQN) + "." + c.Method + "(" + w.args(c.Args) + ")"
		s.removable = question.MatchString(c.Method)
	case "", "load", "del", "naming", "stats": // what jsii does for itself
		return nil
	default:
		return errors.New("no such call in plain JavaScript")
	}
	s.removable = s.removable && !c.failed
	if err := errors.Join(w.problems...); err != nil {
		return err
	}
	for _, g := range c.callbacks {
		if err := p.answer(g); err != nil {
			return err
		}
	}
	if c.result != nil && !c.failed {
		s.result = p.variable(in)
		s.result.made = c.API == "create"
		p.learn(place{s.result, ""}, c.result)
	}
	p.add(s)
	return nil
}

// answer transcribes how Go answered a call.
func (p *program) answer(g *callOfGo) error {
	f := &function{}
	for _, arg := range g.args {
		v := p.variable(f)
		f.params = append(f.params, v)
		p.learn(place{v, ""}, arg)
	}
	if err := p.transcribe(f, g.calls); err != nil {
		return err
	}
	s := &statement{in: f, call: &call{}}
	w := &writer{program: p, statement: s}
	if g.failure != "" {
		s.code = "throw new Error(" + quote(g.failure) + ")"
	} else {
		s.code = "return " + w.value(g.result)
		if len(g.calls) == 0 {
			result, err := json.Marshal(g.result)
			if err != nil {
				return err
			}
			f.result = string(result)
		}
	}
	if err := errors.Join(w.problems...); err != nil {
		return err
	}
	p.add(s)
	if object := p.ours[g.object]; object != nil {
		for _, m := range object.members {
			if m.override == g.member {
				m.calls = append(m.calls, f)
				return nil
			}
		}
	}
	return fmt.Errorf("the CDK called %s%s of %s, which is not Go's", g.member.Method, g.member.Property, g.object)
}

func (p *program) add(s *statement) {
	s.in.body = append(s.in.body, s)
	p.statements = append(p.statements, s)
	for _, v := range s.uses {
		v.users = append(v.users, s)
	}
}

func (p *program) variable(in *function) *variable {
	p.variables++
	return &variable{number: p.variables, home: in}
}

// token is how the CDK writes a value that it does not know yet into a string.
var token = regexp.MustCompile(`[$#]\{Token\[[^\]]*\]\}`)

// tokens are below any number that is meant.
const tokens = -1e288

// learn notes where the objects and the tokens of an answer are.
func (p *program) learn(at place, value any) {
	switch value := value.(type) {
	case map[string]any:
		if id, ok := value["$jsii.byref"].(string); ok {
			if known := p.objects[id]; known.variable == nil || !known.made {
				note(p, p.objects, id, at)
			}
			return
		}
		if inner, ok := value["$jsii.map"].(map[string]any); ok {
			value = inner
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			p.learn(place{at.variable, at.path + "[" + quote(key) + "]"}, value[key])
		}
	case []any:
		for i, element := range value {
			p.learn(place{at.variable, fmt.Sprintf("%s[%d]", at.path, i)}, element)
		}
	case string:
		p.learnText(at, value)
		if p.Name != "" && !token.MatchString(value) {
			p.learnText(place{at.variable, at.path + ".toLowerCase()"}, strings.ToLower(value)) // as names of databases are
		}
	case float64:
		if value < tokens {
			note(p, p.numbers, value, at)
		}
	}
}

func (p *program) learnText(at place, value string) {
	markers := p.marker.FindAllString(value, -1)
	if len(markers) == 0 {
		return
	}
	if _, known := p.strings[value]; !known {
		for _, m := range markers {
			p.markers[m] = append(p.markers[m], value)
		}
	}
	note(p, p.strings, value, at)
}

// note takes the latest place, which is the one that Go uses if it reads a value
// again, or the first, so that reading again can be left out.
func note[K comparable](p *program, places map[K]place, key K, at place) {
	if _, known := places[key]; !known || !p.Lean {
		places[key] = at
	}
}

// writer writes the code of a statement.
type writer struct {
	*program
	*statement
	problems []error
}

func (w *writer) fail(format string, args ...any) string {
	w.problems = append(w.problems, fmt.Errorf(format, args...))
	return ""
}

// read is the code that reads a place.
func (w *writer) read(at place) string {
	w.uses = append(w.uses, at.variable)
	return at.name() + at.path
}

func (w *writer) object(id string) string {
	at, ok := w.objects[id]
	if !ok {
		return w.fail("no call returned the object %s", id)
	}
	return w.read(at)
}

// class is the code for a class or an enum.
func (w *writer) class(fqn string) string {
	module, name, _ := strings.Cut(fqn, ".")
	namespace, _, _ := strings.Cut(name, ".")
	if w.modules[module] == nil {
		w.modules[module] = map[string]bool{}
	}
	w.modules[module][namespace] = true
	return name
}

// create is the code for an object but for its members in Go.
func (w *writer) create() string {
	if len(w.call.Overrides) > 0 {
		w.statement.object = &goObject{}
		for _, o := range w.call.Overrides {
			w.statement.object.members = append(w.statement.object.members, &member{override: o})
		}
		w.ours[w.call.id()] = w.statement.object
	}
	if w.call.FQN == "Object" {
		return ""
	}
	return w.class(w.call.FQN) + "(" + w.args(w.call.Args) + ")"
}

// args leaves out at the end what is not given.
func (w *writer) args(values []any) string {
	for len(values) > 0 && values[len(values)-1] == nil {
		values = values[:len(values)-1]
	}
	return w.list(values)
}

func (w *writer) list(values []any) string {
	code := make([]string, len(values))
	for i, value := range values {
		code[i] = w.value(value)
	}
	return strings.Join(code, ", ")
}

func (w *writer) value(value any) string {
	switch value := value.(type) {
	case nil:
		return "undefined" // to jsii they are one
	case bool:
		return strconv.FormatBool(value)
	case float64:
		if at, ok := w.numbers[value]; ok {
			return w.read(at)
		}
		if value < tokens {
			return w.fail("no call returned the token %v", value)
		}
		return strconv.FormatFloat(value, 'g', -1, 64)
	case string:
		return w.text(value)
	case []any:
		return "[" + w.list(value) + "]"
	case map[string]any:
		return w.record(value)
	default:
		return w.fail("a value of type %T", value)
	}
}

// record is the code for what jsii writes as an object of JSON.
func (w *writer) record(value map[string]any) string {
	if id, ok := value["$jsii.byref"].(string); ok {
		return w.object(id)
	}
	if enum, ok := value["$jsii.enum"].(string); ok {
		at := strings.LastIndex(enum, "/")
		return w.class(enum[:at]) + "." + enum[at+1:]
	}
	if date, ok := value["$jsii.date"].(string); ok {
		return "new Date(" + quote(date) + ")"
	}
	if inner, ok := value["$jsii.map"].(map[string]any); ok {
		value = inner
	} else if inner, ok := value["$jsii.struct"].(map[string]any); ok {
		value, _ = inner["data"].(map[string]any)
	}
	var code []string
	for _, key := range slices.Sorted(maps.Keys(value)) { // as Go sends them
		if value[key] == nil {
			continue
		}
		name := w.text(key)
		if name != quote(key) {
			name = "[" + name + "]"
		}
		code = append(code, name+": "+w.value(value[key]))
	}
	return "{" + strings.Join(code, ", ") + "}"
}

// text is the code for a string, with the variables for the tokens in it: the
// program's own have other numbers.
func (w *writer) text(s string) string {
	var code []string
	for s != "" {
		from, to, expression := len(s), len(s), ""
		if at := w.marker.FindStringIndex(s); at != nil {
			from, to, expression = w.answered(s, at[0], at[1])
		}
		if from > 0 {
			code = append(code, quote(s[:from]))
		}
		if expression != "" {
			code = append(code, expression)
		}
		s = s[to:]
	}
	if len(code) == 0 {
		return `""`
	}
	return strings.Join(code, " + ")
}

// answered finds the longest answer in s whose first marker is the one at
// s[from:to]. If only an answer that is not in s has that token, the code takes
// it from there.
func (w *writer) answered(s string, from, to int) (start, end int, code string) {
	marker := s[from:to]
	longest, start := "", from
	for _, answer := range w.markers[marker] {
		before := w.marker.FindStringIndex(answer)[0]
		if len(answer) > len(longest) && before <= from && strings.HasPrefix(s[from-before:], answer) {
			longest, start = answer, from-before
		}
	}
	switch {
	case longest != "":
		return start, start + len(longest), w.read(w.strings[longest])
	case marker == w.Name:
		return from, to, "name"
	case marker == strings.ToLower(w.Name):
		return from, to, "name.toLowerCase()"
	case len(w.markers[marker]) == 0:
		return from, to, w.fail("no call returned the token %s", marker)
	}
	answer := w.markers[marker][0]
	n := slices.Index(token.FindAllString(answer, -1), marker)
	return from, to, fmt.Sprintf("%s.match(/%s/g)[%d]", w.read(w.strings[answer]), token, n)
}

func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // no string fails
	}
	return strings.TrimSpace(b.String())
}

// prune takes away what only reads, if nobody uses what it read.
func (p *program) prune() {
	for _, s := range slices.Backward(p.statements) {
		if !s.removable || s.result != nil && len(s.result.users) > 0 {
			continue
		}
		itself := func(other *statement) bool { return other == s }
		s.in.body = slices.DeleteFunc(s.in.body, itself)
		for _, v := range s.uses {
			v.users = slices.DeleteFunc(v.users, itself)
		}
	}
}
