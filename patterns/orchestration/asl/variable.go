package asl

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/jsonata"
)

// isIdentifier reports whether a name is a Unicode identifier (UAX #31) of at
// most 80 characters, the syntax of variables.
func isIdentifier(name string) bool {
	for i, r := range name {
		start := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r)
		if !start && (i == 0 || !unicode.IsDigit(r) && !unicode.In(r, unicode.Mn, unicode.Mc, unicode.Pc)) {
			return false
		}
	}
	return name != "" && utf8.RuneCountInString(name) <= maxName
}

// assigned yields what a state assigns, by where it goes next. The edge "" is
// every way out but the catchers and rules.
func (s *State) assigned() map[string][]string {
	edges := map[string][]string{}
	add := func(target string, v value) {
		if fields, ok := v.json.(map[string]any); ok {
			for key := range fields {
				edges[target] = append(edges[target], variableName(key, s.QueryLanguage))
			}
		}
	}
	add("", s.assign)
	for i, r := range s.Choices {
		add(at("Choices", i, "Next"), r.assign)
	}
	for i, c := range s.Catch {
		add(at("Catch", i, "Next"), c.assign)
	}
	return edges
}

// variables checks that states read only variables that a state before them
// may have assigned, and that no inner machine hides an outer variable.
func (c *checker) variables(m *Machine, outer map[string]string) {
	scope := maps.Clone(outer)
	if scope == nil {
		scope = map[string]string{}
	}
	own := map[string]string{}
	for _, name := range m.names {
		s := m.States[name]
		for _, names := range s.assigned() {
			for _, v := range names {
				own[v] = name
				if by, ok := outer[v]; ok {
					c.problem(name, "Assign."+v, "state %q outside of this machine assigns $%s too; names are unique across nested machines", by, v)
				}
			}
		}
	}
	maps.Copy(scope, own)
	before := m.assignedBefore()
	for _, u := range c.uses {
		if u.machine != m {
			continue
		}
		_, isOuter := outer[u.variable]
		by, isOwn := own[u.variable]
		switch {
		case isOuter:
		case !isOwn:
			hint := suggestion(u.variable, slices.Collect(maps.Keys(scope)))
			c.problem(u.state, u.field, "$%s is not a variable: no state assigns it here or outside%s", u.variable, hint)
		case !before[u.state][u.variable]:
			c.problem(u.state, u.field, "$%s has no value yet: state %q assigns it, which never runs before this state", u.variable, by)
		}
	}
	for _, name := range m.names {
		s := m.States[name]
		visible := maps.Clone(outer)
		if visible == nil {
			visible = map[string]string{}
		}
		for v, by := range own {
			visible[v] = by
		}
		if s.Distributed {
			// Executions of their own see no variables of the one that starts them.
			visible = nil
		}
		for _, nested := range s.machines() {
			c.variables(nested, visible)
		}
	}
}

// assignedBefore returns, for each state, the variables that some way from
// StartAt to it assigns.
func (m *Machine) assignedBefore() map[string]map[string]bool {
	before := map[string]map[string]bool{}
	pending := []string{m.StartAt}
	if m.States[m.StartAt] != nil {
		before[m.StartAt] = map[string]bool{}
	}
	for len(pending) > 0 {
		s := m.States[pending[0]]
		pending = pending[1:]
		if s == nil {
			continue
		}
		edges := s.assigned()
		for field, target := range s.targets() {
			after := maps.Clone(before[s.Name])
			edge := field
			if field == "Next" || field == "Default" {
				edge = ""
			}
			for _, v := range edges[edge] {
				after[v] = true
			}
			known, seen := before[target]
			grown := !seen
			if known == nil {
				known = map[string]bool{}
				before[target] = known
			}
			for v := range after {
				if !known[v] {
					known[v], grown = true, true
				}
			}
			if grown {
				pending = append(pending, target)
			}
		}
	}
	for _, name := range m.names {
		if before[name] == nil {
			// Nothing leads here, which is reported already.
			before[name] = m.everything()
		}
	}
	return before
}

func (m *Machine) everything() map[string]bool {
	all := map[string]bool{}
	for _, s := range m.States {
		for _, names := range s.assigned() {
			for _, v := range names {
				all[v] = true
			}
		}
	}
	return all
}

// builtins are the functions that every expression can call.
var builtins = func() map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(`sum count max min average string substring substringBefore substringAfter
		lowercase uppercase length trim pad match contains replace split join formatNumber formatBase formatInteger
		parseInteger number floor ceil round abs sqrt power random boolean not map zip filter single reduce sift keys
		lookup append exists spread merge reverse each error assert type sort shuffle distinct base64encode
		base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl toMillis fromMillis clone now millis
		partition range hash uuid parse`) {
		set[name] = true
	}
	return set
}()

// An inspection walks through the syntax tree of one expression.
type inspection struct {
	checker *checker
	reader  *reader
	field   string
	said    map[string]bool
}

func (c *checker) inspect(r *reader, field string, n *jsonata.Node) {
	i := &inspection{checker: c, reader: r, field: field, said: map[string]bool{}}
	i.node(n, map[string]bool{}, false)
}

func (i *inspection) problem(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if !i.said[message] {
		i.said[message] = true
		i.reader.problem(i.field, "%s", message)
	}
}

// node checks one node. The locals are the names the expression itself
// defines; inside tells whether a path or predicate around the node gives "$"
// and field names something to refer to.
func (i *inspection) node(n *jsonata.Node, locals map[string]bool, inside bool) {
	switch n.Type {
	case "path":
		i.path(n, locals, inside)
		return
	case "variable":
		i.variable(n, locals, inside)
	case "name", "wildcard", "descendant", "parent":
		if !inside {
			i.problem("the expression starts at a field name, wildcard or parent, but there is no data around it: start at $states.input or a variable")
		}
	case "block":
		scope := maps.Clone(locals)
		for _, e := range n.List("expressions") {
			i.node(e, scope, inside)
		}
		i.after(n, scope)
		return
	case "bind":
		if rhs := n.Child("rhs"); rhs != nil {
			// A function may call itself by the name it is about to get.
			if lhs := n.Child("lhs"); lhs != nil {
				if name, ok := lhs.Value.(string); ok {
					if name == "states" {
						i.problem("$states is reserved: choose another name")
					}
					locals[name] = true
				}
			}
			i.node(rhs, locals, inside)
		}
		return
	case "lambda":
		scope := maps.Clone(locals)
		for _, a := range n.List("arguments") {
			if name, ok := a.Value.(string); ok {
				scope[name] = true
			}
		}
		if body := n.Child("body"); body != nil {
			i.node(body, scope, inside)
		}
		return
	case "transform":
		for _, field := range []string{"pattern", "update", "delete"} {
			if c := n.Child(field); c != nil {
				i.node(c, locals, true)
			}
		}
		return
	}
	for field, c := range n.Children() {
		switch field {
		case "predicate", "stages", "group":
		default:
			i.node(c, locals, inside)
		}
	}
	i.after(n, locals)
}

// after checks the predicates and the grouping that follow a node: in them,
// "$" is the node's value.
func (i *inspection) after(n *jsonata.Node, locals map[string]bool) {
	for _, field := range []string{"predicate", "stages"} {
		for _, c := range n.List(field) {
			if name, ok := c.Value.(string); ok && c.Type == "index" {
				locals[name] = true
			}
			if expr := c.Child("expr"); expr != nil {
				i.node(expr, locals, true)
			}
		}
	}
	if group := n.Child("group"); group != nil {
		for _, c := range group.List("lhs") {
			i.node(c, locals, true)
		}
	} else if group, ok := n.Fields["group"].(map[string]any); ok {
		for _, c := range (&jsonata.Node{Fields: group}).List("lhs") {
			i.node(c, locals, true)
		}
	}
}

func (i *inspection) path(n *jsonata.Node, locals map[string]bool, inside bool) {
	steps := n.List("steps")
	scope := maps.Clone(locals)
	for at, step := range steps {
		for _, field := range []string{"focus", "index"} {
			if name, ok := step.Fields[field].(string); ok {
				scope[name] = true
			}
		}
		i.node(step, scope, inside || at > 0)
		if at == 0 && len(steps) > 1 && step.Type == "variable" && step.Value == "states" && !locals["states"] {
			i.reserved(steps[1])
		}
	}
	i.after(n, scope)
}

// reserved checks the field of $states that an expression reads.
func (i *inspection) reserved(step *jsonata.Node) {
	name, _ := step.Value.(string)
	place := i.reader.place(i.field)
	root, _, _ := strings.Cut(strings.ReplaceAll(place, "[", "."), ".")
	caught := strings.HasPrefix(place, "Catch[")
	produces := root == "Output" || root == "Assign"
	switch name {
	case "input", "context":
	case "result":
		withResult := i.reader.typ == Task || i.reader.typ == Parallel || i.reader.typ == Map
		if !withResult || !produces {
			i.problem("$states.result exists only in Output and Assign of Task, Parallel and Map states")
		}
	case "errorOutput":
		if !caught {
			i.problem("$states.errorOutput exists only in Output and Assign of a catcher")
		}
	default:
		if step.Type == "name" {
			i.problem("$states has no field %q: it has input, context, result and errorOutput", name)
		}
	}
}

func (i *inspection) variable(n *jsonata.Node, locals map[string]bool, inside bool) {
	name, _ := n.Value.(string)
	switch {
	case name == "" || name == "$":
		if !inside || name == "$" {
			i.problem("$%s refers to nothing here: use $states.input or a variable", name)
		}
	case locals[name], builtins[name], name == "states":
	case name == "eval":
		i.problem("$eval is not supported by Step Functions: use $parse")
	default:
		i.checker.use(i.reader.state, i.reader.place(i.field), name)
	}
}
