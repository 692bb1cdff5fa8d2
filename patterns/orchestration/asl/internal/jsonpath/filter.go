package jsonpath

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// A condition is a filter: what stands in [?( )].
type condition interface {
	holds(current, root any) bool
}

type (
	either  struct{ a, b condition }
	both    struct{ a, b condition }
	negated struct{ c condition }
	exists  struct{ o operand }
	compare struct {
		op   string
		a, b operand
	}
	match struct {
		o  operand
		re *regexp.Regexp
	}
)

func (c either) holds(v, root any) bool  { return c.a.holds(v, root) || c.b.holds(v, root) }
func (c both) holds(v, root any) bool    { return c.a.holds(v, root) && c.b.holds(v, root) }
func (c negated) holds(v, root any) bool { return !c.c.holds(v, root) }

func (c exists) holds(v, root any) bool {
	_, ok := c.o.value(v, root)
	return ok
}

func (c match) holds(v, root any) bool {
	value, _ := c.o.value(v, root)
	text, ok := value.(string)
	return ok && c.re.MatchString(text)
}

func (c compare) holds(v, root any) bool {
	a, okA := c.a.value(v, root)
	b, okB := c.b.value(v, root)
	switch c.op {
	case "==":
		return okA == okB && reflect.DeepEqual(a, b)
	case "!=":
		return okA != okB || !reflect.DeepEqual(a, b)
	case "in", "nin":
		list, _ := b.([]any)
		found := false
		for _, e := range list {
			found = found || reflect.DeepEqual(a, e)
		}
		return okA && found == (c.op == "in")
	}
	if !okA || !okB {
		return false
	}
	order, ok := compareValues(a, b)
	if !ok {
		return false
	}
	switch c.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func compareValues(a, b any) (int, bool) {
	if x, ok := a.(float64); ok {
		y, ok := b.(float64)
		switch {
		case !ok:
			return 0, false
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	x, okX := a.(string)
	y, okY := b.(string)
	return strings.Compare(x, y), okX && okY
}

// An operand is a literal, or a path from the current value (@) or the root.
type operand struct {
	literal  any
	relative bool
	rooted   bool
	segments []segment
}

func (o operand) value(current, root any) (any, bool) {
	if !o.relative && !o.rooted {
		return o.literal, true
	}
	from := current
	if o.rooted {
		from = root
	}
	found := []any{from}
	for _, s := range o.segments {
		found = s.apply(found, root)
	}
	if !(Path{segments: o.segments}).Definite() {
		return found, len(found) > 0
	}
	if len(found) == 0 {
		return nil, false
	}
	return found[0], true
}

func (p *parser) or() (condition, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.errorf("the filter is nested more than %d deep", maxNesting)
	}
	defer func() { p.depth-- }()
	a, err := p.and()
	for err == nil {
		p.space()
		if !p.take("||") {
			return a, nil
		}
		var b condition
		b, err = p.and()
		a = either{a, b}
	}
	return nil, err
}

func (p *parser) and() (condition, error) {
	a, err := p.term()
	for err == nil {
		p.space()
		if !p.take("&&") {
			return a, nil
		}
		var b condition
		b, err = p.term()
		a = both{a, b}
	}
	return nil, err
}

func (p *parser) term() (condition, error) {
	p.space()
	switch {
	case strings.HasPrefix(p.text[p.at:], "!") && !strings.HasPrefix(p.text[p.at:], "!="):
		p.at++
		if p.depth++; p.depth > maxNesting {
			return nil, p.errorf("the filter is nested more than %d deep", maxNesting)
		}
		defer func() { p.depth-- }()
		c, err := p.term()
		return negated{c}, err
	case p.take("("):
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.take(")") {
			return nil, p.errorf("a ) is missing in the filter")
		}
		return c, nil
	}
	a, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.space()
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">", "nin ", "in "} {
		if p.take(op) {
			p.space()
			b, err := p.operand()
			return compare{strings.TrimSpace(op), a, b}, err
		}
	}
	if p.take("=~") {
		p.space()
		return p.regexp(a)
	}
	return exists{a}, nil
}

func (p *parser) regexp(o operand) (condition, error) {
	if !p.take("/") {
		return nil, p.errorf("=~ needs a /regular expression/")
	}
	end := strings.IndexByte(p.text[p.at:], '/')
	if end < 0 {
		return nil, p.errorf("the regular expression's closing / is missing")
	}
	source := p.text[p.at : p.at+end]
	p.at += end + 1
	if p.take("i") {
		source = "(?i)" + source
	}
	re, err := regexp.Compile("^(?:" + source + ")$")
	if err != nil {
		return nil, p.errorf("%v", err)
	}
	return match{o, re}, nil
}

func (p *parser) operand() (operand, error) {
	p.space()
	switch c := p.peek(); {
	case c == '@' || c == '$':
		p.at++
		segments, err := p.segments()
		return operand{relative: c == '@', rooted: c == '$', segments: segments}, err
	case c == '\'' || c == '"':
		text, err := p.quoted()
		return operand{literal: text}, err
	case c == '[':
		return p.list()
	case p.take("true"):
		return operand{literal: true}, nil
	case p.take("false"):
		return operand{literal: false}, nil
	case p.take("null"):
		return operand{}, nil
	}
	n, err := p.number()
	return operand{literal: n}, err
}

func (p *parser) list() (operand, error) {
	if p.depth++; p.depth > maxNesting {
		return operand{}, p.errorf("the filter is nested more than %d deep", maxNesting)
	}
	defer func() { p.depth-- }()
	p.at++
	values := []any{}
	for p.space(); !p.take("]"); p.space() {
		o, err := p.operand()
		if err != nil {
			return operand{}, err
		}
		values = append(values, o.literal)
		p.space()
		if !p.take(",") && p.peek() != ']' {
			return operand{}, p.errorf("a comma or ] is missing")
		}
	}
	return operand{literal: values}, nil
}

func (p *parser) number() (float64, error) {
	start := p.at
	for c := p.peek(); c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E' || c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	n, err := strconv.ParseFloat(p.text[start:p.at], 64)
	if err != nil {
		return 0, p.errorf("a value is expected: a path, a number, a quoted string, true, false or null")
	}
	return n, nil
}
