package rules

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Template holds the words of an alert in one language. Its texts take a part
// of ICU's MessageFormat
// (https://unicode-org.github.io/icu/userguide/format_parse/messages/): {name}
// for a variable, {count, plural, one {# reading} other {# readings}} for a
// number, and a quote before a brace that stands for itself: '{.
//
// The variables are locality, kind, time (of the window's start, local), count,
// level (1 is the first) and alert (the id), and the Values of the locality.
type Template struct {
	// Subject is the e-mail's subject, cut at 99 characters.
	Subject string `json:"subject"`
	// Text is the message.
	Text string `json:"text"`
	// Short is what an SMS says, in one line, cut at 400 characters.
	//
	// Default: the Subject.
	Short string `json:"short,omitempty"`
}

// parts yields the texts that are set, in a fixed order.
func (t Template) parts() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_ = yield("Subject", t.Subject) && yield("Text", t.Text) && (t.Short == "" || yield("Short", t.Short))
	}
}

// builtin are the variables that every message has.
var builtin = []string{"alert", "count", "kind", "level", "locality", "time"}

var variable = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

// Message is an alert in words.
type Message struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Short   string `json:"short"`
}

// Alert is what a message is about.
type Alert struct {
	ID       string
	Locality string // its code
	Kind     string
	Start    time.Time // of the window
	Count    int       // readings so far
	Level    int       // 1 is the first
}

// Message writes the alert in each of the locality's languages. The subject is
// in the first one.
func (r *Rules) Message(a Alert) (Message, error) {
	l, ok := r.Localities[a.Locality]
	if !ok {
		return Message{}, fmt.Errorf("rules: no locality %q", a.Locality)
	}
	zone, err := time.LoadLocation(l.Zone)
	if err != nil {
		return Message{}, err
	}
	values := maps.Clone(l.Values)
	if values == nil {
		values = map[string]string{}
	}
	values["alert"], values["kind"], values["locality"] = a.ID, a.Kind, l.Name
	values["count"], values["level"] = strconv.Itoa(a.Count), strconv.Itoa(a.Level)
	values["time"] = a.Start.In(zone).Format("2006-01-02 15:04 MST")

	var texts, shorts []string
	var subject string
	for _, t := range r.templates(a.Kind, l) {
		var out [3]string
		for i, text := range []string{t.Subject, t.Text, cmp.Or(t.Short, t.Subject)} {
			m, err := parse(text)
			if err == nil {
				out[i], err = m.render(language.Make(t.tag), values)
			}
			if err != nil {
				return Message{}, fmt.Errorf("rules: %s in %s: %w", a.Kind, t.tag, err)
			}
		}
		subject = cmp.Or(subject, oneLine(out[0], 99))
		texts, shorts = append(texts, out[1]), append(shorts, oneLine(out[2], 400))
	}
	if len(texts) == 0 {
		return Message{}, fmt.Errorf("rules: no template for %q", a.Kind)
	}
	return Message{Subject: subject, Text: strings.Join(texts, "\n\n"), Short: strings.Join(shorts, " / ")}, nil
}

type tagged struct {
	Template
	tag string
}

// templates returns the templates in the locality's languages, each once.
func (r *Rules) templates(kind string, l Locality) []tagged {
	var all []tagged
	languages := l.Languages
	if len(languages) == 0 {
		languages = []string{r.Language}
	}
	for _, tag := range languages {
		found, ok := Lookup(tag, r.Templates[kind])
		if !ok {
			found, ok = Lookup(r.Language, r.Templates[kind])
		}
		if ok && !slices.ContainsFunc(all, func(t tagged) bool { return t.tag == found }) {
			all = append(all, tagged{r.Templates[kind][found], found})
		}
	}
	return all
}

// Lookup finds the best tag for a language by RFC 4647, section 3.4: it takes
// subtags off the end until there is one, "zh-Hant-TW", "zh-Hant", "zh".
func Lookup[T any](tag string, available map[string]T) (string, bool) {
	for wanted := tag; wanted != ""; {
		// Sorted, so that "EN" and "en" beside each other are no lottery.
		for _, have := range slices.Sorted(maps.Keys(available)) {
			if strings.EqualFold(have, wanted) {
				return have, true
			}
		}
		wanted = wanted[:max(strings.LastIndexByte(wanted, '-'), 0)]
		// A singleton ("x", "u") introduces what follows and goes with it.
		if i := strings.LastIndexByte(wanted, '-'); i >= 0 && i == len(wanted)-2 {
			wanted = wanted[:i]
		}
	}
	return "", false
}

// message is a parsed text.
type message []node

// node is literal text, a variable, or a plural of a variable.
type node struct {
	text  string
	name  string
	forms map[string]message // of a plural, by form
	hash  bool               // stands for the number in a plural's form
}

// parse reads a text.
func parse(text string) (message, error) {
	p := parser{rest: text}
	m, err := p.message(false)
	if err == nil && p.rest != "" {
		err = errors.New("a '}' opens nothing; write '} for the character")
	}
	return m, err
}

type parser struct{ rest string }

// message reads up to a closing brace or the end.
func (p *parser) message(inPlural bool) (message, error) {
	var m message
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			m = append(m, node{text: literal.String()})
			literal.Reset()
		}
	}
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == '\'' && len(p.rest) > 1 && strings.IndexByte("{}#'", p.rest[1]) >= 0:
			literal.WriteByte(p.rest[1])
			p.rest = p.rest[2:]
			continue
		case c == '}':
			flush()
			return m, nil
		case c == '{':
			flush()
			p.rest = p.rest[1:]
			n, err := p.argument()
			if err != nil {
				return nil, err
			}
			m = append(m, n)
			continue
		case c == '#' && inPlural:
			flush()
			m = append(m, node{hash: true})
		default:
			literal.WriteByte(c)
		}
		p.rest = p.rest[1:]
	}
	flush()
	return m, nil
}

// argument reads what is between braces, the closing one included.
func (p *parser) argument() (node, error) {
	end := strings.IndexAny(p.rest, ",}")
	if end < 0 {
		return node{}, errors.New("a '{' is not closed")
	}
	n := node{name: strings.TrimSpace(p.rest[:end])}
	if !variable.MatchString(n.name) {
		return n, fmt.Errorf("%q is no variable", n.name)
	}
	closed := p.rest[end] == '}'
	p.rest = p.rest[end+1:]
	if closed {
		return n, nil
	}
	kind, rest, ok := strings.Cut(p.rest, ",")
	if !ok || strings.TrimSpace(kind) != "plural" {
		return n, fmt.Errorf("{%s, ...} is no plural", n.name)
	}
	if n.name != "count" && n.name != "level" {
		return n, fmt.Errorf("{%s} is no number", n.name)
	}
	n.forms = map[string]message{}
	for p.rest = strings.TrimSpace(rest); ; p.rest = strings.TrimSpace(p.rest) {
		if strings.HasPrefix(p.rest, "}") {
			p.rest = p.rest[1:]
			return n, nil
		}
		form, rest, ok := strings.Cut(p.rest, "{")
		form = strings.TrimSpace(form)
		if _, known := formOf[form]; !ok || !known {
			return n, fmt.Errorf("%q is no plural form", form)
		}
		if _, twice := n.forms[form]; twice {
			return n, fmt.Errorf("the form %q is there twice", form)
		}
		p.rest = rest
		m, err := p.message(true)
		if err != nil {
			return n, err
		}
		if p.rest == "" {
			return n, errors.New("a '{' is not closed")
		}
		p.rest = p.rest[1:]
		n.forms[form] = m
	}
}

// formOf are the plural categories of CLDR
// (https://cldr.unicode.org/index/cldr-spec/plural-rules).
var formOf = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other,
}

// form returns the category of a whole number in the language.
func form(tag language.Tag, n int) string {
	got := plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0)
	for name, f := range formOf {
		if f == got {
			return name
		}
	}
	return "other"
}

// complete tells which form of a plural the language needs and lacks. The
// first 201 numbers show every category that whole numbers fall into.
func (m message) complete(tag language.Tag) error {
	for _, n := range m {
		if n.forms == nil {
			continue
		}
		needed := map[string]bool{"other": true}
		for i := range 201 {
			needed[form(tag, i)] = true
		}
		for _, name := range slices.Sorted(maps.Keys(needed)) {
			if _, ok := n.forms[name]; !ok {
				return fmt.Errorf("the plural of {%s} lacks the form %q, which %s has", n.name, name, tag)
			}
		}
		for _, f := range n.forms {
			if err := f.complete(tag); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m message) variables() []string {
	var all []string
	for _, n := range m {
		if n.name != "" {
			all = append(all, n.name)
		}
		for _, f := range slices.Sorted(maps.Keys(n.forms)) {
			all = append(all, n.forms[f].variables()...)
		}
	}
	return all
}

func (m message) render(tag language.Tag, values map[string]string) (string, error) {
	var b strings.Builder
	err := m.write(&b, tag, values, "")
	return b.String(), err
}

func (m message) write(b *strings.Builder, tag language.Tag, values map[string]string, number string) error {
	for _, n := range m {
		switch {
		case n.hash:
			b.WriteString(number)
		case n.name == "":
			b.WriteString(n.text)
		default:
			value, ok := values[n.name]
			if !ok {
				return fmt.Errorf("no value for {%s}", n.name)
			}
			if n.forms == nil {
				b.WriteString(oneLine(value, 200))
				continue
			}
			count, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			chosen, ok := n.forms[form(tag, count)]
			if !ok {
				chosen = n.forms["other"]
			}
			if err := chosen.write(b, tag, values, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// oneLine makes a text safe to stand in another one: no line breaks, which
// would forge a header or a second message, no control characters, none of the
// invisible ones that turn the direction of the text, and not too long.
func oneLine(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, c := range s {
		switch {
		case n == most:
			return b.String()
		case unicode.IsSpace(c) || unicode.IsControl(c):
			c = ' '
		case unicode.Is(unicode.Bidi_Control, c) || c == unicode.ReplacementChar:
			continue
		}
		b.WriteRune(c)
		n++
	}
	return b.String()
}
