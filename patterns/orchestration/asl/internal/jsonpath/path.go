// Package jsonpath selects parts of JSON data the way JSONPath states of the
// Amazon States Language do: paths into a document, the reference paths that
// also say where to put a value, and the intrinsic functions (States.Format and
// its kin) that take paths as arguments.
//
// The dialect is that of the Java library Jayway JsonPath, which the language's
// specification names: a path that can select several values yields a list,
// any other path yields the value or fails.
package jsonpath

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Roots is what the first symbol of a path can mean.
type Roots struct {
	// Input is "$".
	Input any
	// Context is "$$", the context object.
	Context any
	// Variables are "$name".
	Variables map[string]any
}

// A Path is a compiled path. The zero value is "$".
type Path struct {
	text     string
	context  bool
	variable string
	segments []segment
}

// A segment selects from each of the values before it.
type segment struct {
	descend   bool // ".." before the selector
	selectors []selector
}

// A selector is one of: a name, an index, a slice, a wildcard, a filter.
type selector struct {
	kind   kind
	name   string
	index  int
	bounds [3]*int
	filter condition
}

type kind uint8

const (
	name kind = iota
	index
	slice
	wildcard
	filter
)

// String returns the path as it was written.
func (p Path) String() string {
	if p.text == "" {
		return "$"
	}
	return p.text
}

// Variable returns the name of the variable the path starts at, "" if none.
func (p Path) Variable() string { return p.variable }

// Definite reports whether the path selects one value at most.
func (p Path) Definite() bool {
	for _, s := range p.segments {
		if s.descend || len(s.selectors) != 1 || s.selectors[0].kind > index {
			return false
		}
	}
	return true
}

// Reference reports whether the path is a reference path: one that names a
// single place in a document, as ResultPath needs.
func (p Path) Reference() bool {
	return p.variable == "" && !p.context && p.Definite()
}

// Select returns the value at the path: a list of all matches for a path that
// is not definite. The error says what is missing.
func (p Path) Select(r Roots) (any, error) {
	root := r.Input
	if p.context {
		root = r.Context
	}
	if p.variable != "" {
		v, ok := r.Variables[p.variable]
		if !ok {
			return nil, fmt.Errorf("the path %q starts at the variable $%s, which has no value", p, p.variable)
		}
		root = v
	}
	found := []any{root}
	for _, s := range p.segments {
		if found = s.apply(found, root); len(found) > maxFound {
			return nil, fmt.Errorf("the path %q selects more than %d values", p, maxFound)
		}
	}
	if !p.Definite() {
		return found, nil
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the path %q selects nothing in the data", p)
	}
	return found[0], nil
}

// maxFound bounds what a path selects: each ".." can multiply the values.
const maxFound = 100_000

func (s segment) apply(from []any, root any) []any {
	found := []any{}
	for _, v := range from {
		if len(found) > maxFound {
			break
		}
		if s.descend {
			walk(v, func(v any) { found = s.collect(found, v, root) })
		} else {
			found = s.collect(found, v, root)
		}
	}
	return found
}

func (s segment) collect(found []any, v, root any) []any {
	for _, sel := range s.selectors {
		found = sel.collect(found, v, root)
	}
	return found
}

// walk visits v and everything below it, objects in the order of their keys.
func walk(v any, visit func(any)) {
	visit(v)
	for _, c := range children(v) {
		walk(c, visit)
	}
}

func children(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case map[string]any:
		values := make([]any, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			values = append(values, v[k])
		}
		return values
	}
	return nil
}

func (s selector) collect(found []any, v, root any) []any {
	switch s.kind {
	case name:
		if object, ok := v.(map[string]any); ok {
			if field, ok := object[s.name]; ok {
				return append(found, field)
			}
		}
	case index:
		if list, ok := v.([]any); ok {
			i := s.index
			if i < 0 {
				i += len(list)
			}
			if i >= 0 && i < len(list) {
				return append(found, list[i])
			}
		}
	case slice:
		if list, ok := v.([]any); ok {
			return append(found, cut(list, s.bounds)...)
		}
	case wildcard:
		return append(found, children(v)...)
	case filter:
		candidates, ok := v.([]any)
		if !ok {
			candidates = []any{v}
		}
		for _, c := range candidates {
			if s.filter.holds(c, root) {
				found = append(found, c)
			}
		}
	}
	return found
}

func cut(list []any, bounds [3]*int) []any {
	from, to, step := 0, len(list), 1
	place := func(at *int, unset int) int {
		if at == nil {
			return unset
		}
		i := *at
		if i < 0 {
			i += len(list)
		}
		return max(0, min(i, len(list)))
	}
	from, to = place(bounds[0], from), place(bounds[1], to)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	var found []any
	for ; from < to; from += min(step, len(list)) {
		found = append(found, list[from])
	}
	return found
}

// Put returns a copy of the document with the value at the path, making the
// objects on the way that are missing. It never changes the document itself.
func (p Path) Put(document, value any) (any, error) {
	if !p.Reference() {
		return nil, fmt.Errorf("%q is not a reference path: it must name one place, such as $.order.total", p)
	}
	return p.put(document, value, p.segments)
}

func (p Path) put(at, value any, rest []segment) (any, error) {
	if len(rest) == 0 {
		return value, nil
	}
	sel := rest[0].selectors[0]
	switch node := at.(type) {
	case map[string]any:
		if sel.kind != name {
			return nil, fmt.Errorf("the path %q indexes an object: [%d]", p, sel.index)
		}
		below, ok := node[sel.name]
		if !ok || below == nil {
			below = map[string]any{}
		}
		changed, err := p.put(below, value, rest[1:])
		if err != nil {
			return nil, err
		}
		object := maps.Clone(node)
		if object == nil {
			object = map[string]any{}
		}
		object[sel.name] = changed
		return object, nil
	case []any:
		if sel.kind != index || sel.index < 0 || sel.index >= len(node) {
			return nil, fmt.Errorf("the path %q names no element of a list of %d", p, len(node))
		}
		changed, err := p.put(node[sel.index], value, rest[1:])
		if err != nil {
			return nil, err
		}
		list := slices.Clone(node)
		list[sel.index] = changed
		return list, nil
	}
	return nil, fmt.Errorf("the path %q leads through a value that is neither an object nor a list", p)
}

// Compile reads a path. It starts with "$", "$$" or, where the language allows
// variables, "$name".
func Compile(text string) (Path, error) {
	p := &parser{text: text}
	path, err := p.path()
	if err == nil && p.at < len(text) {
		err = p.errorf("unexpected %q", text[p.at:])
	}
	if err != nil {
		return Path{}, err
	}
	return path, nil
}

type parser struct {
	text  string
	at    int
	depth int
}

// maxNesting bounds recursion in filters and functions.
const maxNesting = 64

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%q is not a valid path at offset %d: %s", p.text, p.at, fmt.Sprintf(format, args...))
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) take(prefix string) bool {
	if strings.HasPrefix(p.text[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

func (p *parser) space() {
	for p.peek() == ' ' || p.peek() == '\t' || p.peek() == '\n' || p.peek() == '\r' {
		p.at++
	}
}

// path reads a path at the current place and leaves what follows it.
func (p *parser) path() (Path, error) {
	start := p.at
	if !p.take("$") {
		return Path{}, p.errorf("a path starts with $")
	}
	path := Path{}
	if p.take("$") {
		path.context = true
	} else if isName(p.peek(), true) {
		path.variable = p.identifier()
	}
	segments, err := p.segments()
	if err != nil {
		return Path{}, err
	}
	path.segments = segments
	path.text = p.text[start:p.at]
	return path, nil
}

func (p *parser) segments() ([]segment, error) {
	var segments []segment
	for {
		var s segment
		switch {
		case p.take(".."):
			s.descend = true
			if p.peek() != '[' {
				sel, err := p.member()
				if err != nil {
					return nil, err
				}
				s.selectors = []selector{sel}
				break
			}
			sels, err := p.brackets()
			if err != nil {
				return nil, err
			}
			s.selectors = sels
		case p.take("."):
			if p.peek() == '[' {
				sels, err := p.brackets()
				if err != nil {
					return nil, err
				}
				s.selectors = sels
				break
			}
			sel, err := p.member()
			if err != nil {
				return nil, err
			}
			s.selectors = []selector{sel}
		case p.peek() == '[':
			sels, err := p.brackets()
			if err != nil {
				return nil, err
			}
			s.selectors = sels
		default:
			return segments, nil
		}
		segments = append(segments, s)
	}
}

func (p *parser) member() (selector, error) {
	if p.take("*") {
		return selector{kind: wildcard}, nil
	}
	word := p.identifier()
	if word == "" {
		return selector{}, p.errorf("a field's name is missing after the dot")
	}
	if p.peek() == '(' {
		return selector{}, p.errorf("%s() is a function, which paths do not have", word)
	}
	return selector{name: word}, nil
}

func (p *parser) identifier() string {
	start := p.at
	for isName(p.peek(), false) {
		p.at++
	}
	return p.text[start:p.at]
}

// isName reports whether c can stand in a field's name outside quotes. Bytes
// above ASCII belong to letters of other alphabets.
func isName(c byte, first bool) bool {
	switch {
	case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= 0x80:
		return true
	case c == '-', c >= '0' && c <= '9':
		return !first
	}
	return false
}

func (p *parser) brackets() ([]selector, error) {
	p.at++ // the caller has seen the bracket
	var sels []selector
	for {
		p.space()
		sel, err := p.bracketed()
		if err != nil {
			return nil, err
		}
		sels = append(sels, sel)
		p.space()
		if p.take("]") {
			return sels, nil
		}
		if !p.take(",") {
			return nil, p.errorf("a comma or ] is missing")
		}
	}
}

func (p *parser) bracketed() (selector, error) {
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		text, err := p.quoted()
		return selector{name: text}, err
	case p.take("*"):
		return selector{kind: wildcard}, nil
	case p.take("?"):
		p.space()
		if !p.take("(") {
			return selector{}, p.errorf("a filter is written [?(...)]")
		}
		f, err := p.or()
		if err != nil {
			return selector{}, err
		}
		p.space()
		if !p.take(")") {
			return selector{}, p.errorf("the filter's ) is missing")
		}
		return selector{kind: filter, filter: f}, nil
	}
	var bounds [3]*int
	colons := 0
	for {
		p.space()
		if c := p.peek(); c == '-' || c >= '0' && c <= '9' {
			n, err := p.integer()
			if err != nil {
				return selector{}, err
			}
			bounds[colons] = &n
		}
		p.space()
		if colons < 2 && p.take(":") {
			colons++
			continue
		}
		break
	}
	switch {
	case colons > 0:
		if bounds[2] != nil && *bounds[2] <= 0 {
			return selector{}, p.errorf("a slice's step must be greater than 0")
		}
		return selector{kind: slice, bounds: bounds}, nil
	case bounds[0] == nil:
		return selector{}, p.errorf("brackets hold an index, a quoted name, * or a filter")
	}
	return selector{kind: index, index: *bounds[0]}, nil
}

func (p *parser) integer() (int, error) {
	start := p.at
	p.take("-")
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	n, err := strconv.Atoi(p.text[start:p.at])
	if err != nil {
		return 0, p.errorf("%q is not an index", p.text[start:p.at])
	}
	return n, nil
}

func (p *parser) quoted() (string, error) {
	quote := p.peek()
	p.at++
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == quote:
			return b.String(), nil
		case c == '\\' && p.at < len(p.text):
			b.WriteByte(p.text[p.at])
			p.at++
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorf("the closing %c is missing", quote)
}
