package transcript

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// partSize is how many statements of the main program stand in a function, so
// that V8 gets functions of a size that people write.
const partSize = 200

// text writes the program: the app; a function that makes all the app holds, in
// parts; its calls; and the synthesis.
func (p *program) text() (string, error) {
	body := p.main.body
	first := slices.IndexFunc(body, func(s *statement) bool {
		return s.call.API == "create" && s.call.FQN == "aws-cdk-lib.App"
	})
	if first < 0 {
		return "", errors.New("the trace makes no app")
	}
	app := body[first].call.id()
	last := slices.IndexFunc(body, func(s *statement) bool {
		return s.call.API == "invoke" && s.call.Method == "synth" && s.call.Object.ID == app
	})
	if last < 0 {
		return "", errors.New("the trace does not synthesize the app")
	}
	parts := p.split(body[first+1 : last])
	for _, s := range body[last:] {
		for _, v := range s.uses {
			if v.home != p.main {
				return "", fmt.Errorf("%s: a copy's, but used after all are made", s.code)
			}
		}
	}

	w := &strings.Builder{}
	fmt.Fprintln(w, "'use strict';")
	for _, module := range slices.Sorted(maps.Keys(p.modules)) {
		names := slices.Sorted(maps.Keys(p.modules[module]))
		fmt.Fprintf(w, "const { %s } = require(%s);\n", strings.Join(names, ", "), quote(module))
	}
	fmt.Fprintln(w, "const next = (calls) => (calls.length > 1 ? calls.shift() : calls[0]);")
	p.lines(w, body[:first+1])
	fmt.Fprintln(w, "function copy(name) {")
	if shared := p.shared(); len(shared) > 0 {
		fmt.Fprintf(w, "let %s;\n", strings.Join(shared, ", "))
	}
	for i, part := range parts {
		fmt.Fprintf(w, "const part%d = () => {\n", i+1)
		p.lines(w, part.body)
		fmt.Fprintln(w, "};")
	}
	for i := range parts {
		fmt.Fprintf(w, "part%d();\n", i+1)
	}
	fmt.Fprintln(w, "}")
	fmt.Fprintf(w, "for (let i = 1; i <= Number(process.argv[2]); i++) copy(%s + i);\n", quote(p.Prefix))
	p.lines(w, body[last:])
	return w.String(), nil
}

// split moves the statements from the main program to functions of their own.
func (p *program) split(body []*statement) []*function {
	var parts []*function
	for body := range slices.Chunk(body, partSize) {
		part := &function{body: body}
		for _, s := range body {
			s.in = part
			if s.result != nil {
				s.result.home = part
			}
		}
		parts = append(parts, part)
	}
	return parts
}

// shared returns the variables that stand outside the functions of a copy.
func (p *program) shared() []string {
	var names []string
	for _, s := range p.statements {
		if v := s.result; v != nil && v.home != p.main && v.shared() {
			names = append(names, v.name())
		}
	}
	return names
}

func (p *program) lines(w *strings.Builder, body []*statement) {
	for _, s := range body {
		if v := s.result; v != nil && len(v.users) > 0 {
			if v.home == p.main || !v.shared() {
				w.WriteString("const ")
			}
			w.WriteString(v.name() + " = ")
		}
		before, after := "", ";\n"
		if s.call.failed { // and Go went on
			before, after = "try { ", "; } catch {}\n"
		}
		w.WriteString(before)
		if s.call.API == "create" {
			p.creation(w, s)
		} else {
			w.WriteString(s.code)
		}
		w.WriteString(after)
	}
}

// creation writes how an object is made, with what it has of Go's.
func (p *program) creation(w *strings.Builder, s *statement) {
	if s.object == nil {
		w.WriteString("new " + s.code)
		return
	}
	class, args, derived := strings.Cut(s.code, "(")
	end := ","
	if derived {
		fmt.Fprintf(w, "new (class extends %s ", class)
		end = ""
	}
	w.WriteString("{\n")
	for _, m := range s.object.members {
		p.member(w, m)
		w.WriteString(end + "\n")
	}
	w.WriteString("}")
	if derived {
		w.WriteString(")(" + args)
	}
}

// member writes a method or a property. An answer that Go gave several times in
// turn, and for which it called nothing, is written once.
func (p *program) member(w *strings.Builder, m *member) {
	calls := slices.CompactFunc(slices.Clone(m.calls), func(a, b *function) bool {
		return a.result != "" && a.result == b.result
	})
	name, args := m.Method, "...args"
	if m.Property != "" {
		name, args = "get "+m.Property, ""
	}
	switch len(calls) {
	case 0: // the app must not need what Go was not asked for
		fmt.Fprintf(w, "%s() { throw new Error('Go has no answer'); }", name)
	case 1:
		fmt.Fprintf(w, "%s(%s) {\n", name, parameters(calls[0]))
		p.lines(w, calls[0].body)
		w.WriteString("}")
	default:
		fmt.Fprintf(w, "%s(%s) { return next(this.%sAnswers ??= [", name, args, cmp.Or(m.Method, m.Property))
		for _, f := range calls {
			fmt.Fprintf(w, "(%s) => {\n", parameters(f))
			p.lines(w, f.body)
			w.WriteString("}, ")
		}
		fmt.Fprintf(w, "])(%s); }", args)
	}
}

func parameters(f *function) string {
	names := make([]string, len(f.params))
	for i, v := range f.params {
		names[i] = v.name()
	}
	return strings.Join(names, ", ")
}
