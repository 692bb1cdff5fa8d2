package asl

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Parse reads a definition in the Amazon States Language and checks it. The
// error of an invalid definition is of type Problems and lists everything that
// is wrong: what the service would refuse on creation, and what would fail on
// every execution, such as a variable that no state assigns.
func Parse(definition []byte) (*Machine, error) {
	c := &checker{}
	m := c.parse(definition)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	sum := sha256.Sum256(definition)
	m.digest = hex.EncodeToString(sum[:8])
	return m, nil
}

// MustParse is like Parse but panics if the definition is not valid. It makes
// tests and variables of packages short.
func MustParse(definition string) *Machine {
	m, err := Parse([]byte(definition))
	if err != nil {
		panic("asl: " + err.Error())
	}
	return m
}

// Check returns what is wrong with a definition, nil if nothing is.
func Check(definition []byte) Problems {
	var problems Problems
	if _, err := Parse(definition); err != nil {
		errors.As(err, &problems)
	}
	return problems
}

// Limits of a definition, from "Service quotas" and "Amazon States Language"
// in the AWS Step Functions Developer Guide.
const (
	maxDefinition = 1024 * 1024
	maxName       = 80
	maxSeconds    = 99_999_999
)

// A checker collects the problems of one definition.
type checker struct {
	problems Problems
	names    map[string]string // state name -> the machine that has it, for people
	uses     []use
	current  *Machine
}

// A use is a place where a state reads a variable.
type use struct {
	machine      *Machine
	state, field string
	variable     string
}

func (c *checker) problem(state, field, format string, args ...any) {
	c.problems = append(c.problems, Problem{State: state, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) use(state, field, variable string) {
	c.uses = append(c.uses, use{c.current, state, field, variable})
}

func (c *checker) parse(definition []byte) *Machine {
	if len(definition) > maxDefinition {
		c.problem("", "", "the definition has %d bytes; Step Functions accepts %d", len(definition), maxDefinition)
		return nil
	}
	if !utf8.Valid(definition) {
		c.problem("", "", "the definition is not UTF-8")
		return nil
	}
	v, err := decode(definition)
	if err != nil {
		c.problem("", "", "the definition is not JSON: %v", err)
		return nil
	}
	o, ok := v.(*object)
	if !ok {
		c.problem("", "", "the definition must be an object, not %s", kindOf(v))
		return nil
	}
	c.names = map[string]string{}
	m := c.machine(o, "", "", JSONPath, nil)
	c.variables(m, nil)
	return m
}

// machine reads a state machine: the definition itself, or one nested in the
// field of a state. The extra function reads fields only such a machine has.
func (c *checker) machine(o *object, state, prefix string, language QueryLanguage, extra func(*reader)) *Machine {
	r := c.reader(o, state, prefix, language)
	m := &Machine{Comment: r.text("Comment"), QueryLanguage: language, States: map[string]*State{}, owner: state}
	outer := c.current
	c.current = m
	defer func() { c.current = outer }()

	if l := r.oneOf("QueryLanguage", string(JSONPath), string(JSONata)); l != "" {
		m.QueryLanguage = QueryLanguage(l)
	}
	known := []string{"Comment", "QueryLanguage", "StartAt", "States"}
	if state == "" {
		known = append(known, "Version", "TimeoutSeconds")
		if v := r.text("Version"); v != "" && v != "1.0" {
			r.problem("Version", "must be \"1.0\", not %q", v)
		}
		m.Timeout = seconds(r.number("TimeoutSeconds", span{1, maxSeconds, true}, 0))
	}
	if extra != nil {
		extra(r)
	}
	m.StartAt = r.required("StartAt", "it names the first state")
	v, ok := r.take("States")
	states, isObject := v.(*object)
	switch {
	case !ok:
		r.problem("States", "is missing: it holds the states by name")
	case !isObject:
		r.problem("States", "must be an object, not %s", kindOf(v))
	case len(states.keys) == 0:
		r.problem("States", "must hold at least one state")
	default:
		for _, name := range states.repeated {
			c.problem(name, "", "%s has two states of this name; only one of them would count", machineName(state, prefix))
		}
		for _, name := range states.keys {
			m.names = append(m.names, name)
			m.States[name] = c.state(name, states.fields[name], m, machineName(state, prefix))
		}
		c.transitions(m, r)
	}
	r.rest("a state machine", known...)
	return m
}

func machineName(state, prefix string) string {
	if state == "" {
		return "the state machine"
	}
	return fmt.Sprintf("the state machine in %s of %q", strings.TrimSuffix(prefix, "."), state)
}

// Which fields a state of each type may have. The value is the only query
// language that has the field, empty for both.
var (
	flowFields    = map[string]QueryLanguage{"Next": "", "End": ""}
	assignFields  = map[string]QueryLanguage{"Assign": ""}
	inoutFields   = map[string]QueryLanguage{"InputPath": JSONPath, "OutputPath": JSONPath, "Output": JSONata}
	resultFields  = map[string]QueryLanguage{"ResultPath": JSONPath, "ResultSelector": JSONPath}
	errorFields   = map[string]QueryLanguage{"Retry": "", "Catch": ""}
	timeoutFields = map[string]QueryLanguage{
		"TimeoutSeconds": "", "TimeoutSecondsPath": JSONPath,
		"HeartbeatSeconds": "", "HeartbeatSecondsPath": JSONPath,
	}
	mapFields = map[string]QueryLanguage{
		"ItemProcessor": "", "Iterator": "", "Items": JSONata, "ItemsPath": JSONPath,
		"ItemSelector": "", "Parameters": JSONPath, "ItemReader": "", "ItemBatcher": "", "ResultWriter": "",
		"MaxConcurrency": "", "MaxConcurrencyPath": JSONPath, "Label": "",
		"ToleratedFailureCount": "", "ToleratedFailureCountPath": JSONPath,
		"ToleratedFailurePercentage": "", "ToleratedFailurePercentagePath": JSONPath,
	}
	commonFields = map[string]QueryLanguage{"Type": "", "Comment": "", "QueryLanguage": ""}
)

var stateFields = map[Type]map[string]QueryLanguage{
	Task: union(flowFields, assignFields, inoutFields, resultFields, errorFields, timeoutFields,
		map[string]QueryLanguage{"Resource": "", "Parameters": JSONPath, "Arguments": JSONata, "Credentials": ""}),
	Pass: union(flowFields, assignFields, inoutFields,
		map[string]QueryLanguage{"Parameters": JSONPath, "Result": JSONPath, "ResultPath": JSONPath}),
	Choice: union(assignFields, inoutFields, map[string]QueryLanguage{"Choices": "", "Default": ""}),
	Wait: union(flowFields, assignFields, inoutFields, map[string]QueryLanguage{
		"Seconds": "", "SecondsPath": JSONPath, "Timestamp": "", "TimestampPath": JSONPath}),
	Succeed: union(inoutFields),
	Fail: union(map[string]QueryLanguage{
		"Error": "", "ErrorPath": JSONPath, "Cause": "", "CausePath": JSONPath}),
	Parallel: union(flowFields, assignFields, inoutFields, resultFields, errorFields,
		map[string]QueryLanguage{"Branches": "", "Parameters": JSONPath, "Arguments": JSONata}),
	Map: union(flowFields, assignFields, inoutFields, resultFields, errorFields, mapFields),
}

func union(sets ...map[string]QueryLanguage) map[string]QueryLanguage {
	all := maps.Clone(commonFields)
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

// instead says what to write in place of a field of the other language.
var instead = map[string]string{
	"InputPath": "$states.input in Arguments or Output", "OutputPath": "Output", "Parameters": "Arguments",
	"ResultPath": "Output", "ResultSelector": "Output", "Result": "Output", "ItemsPath": "Items",
	"Arguments": "Parameters", "Output": "ResultSelector, ResultPath or OutputPath", "Items": "ItemsPath",
	"Condition": "Variable and a comparison", "Variable": "Condition",
}

func (c *checker) state(name string, v any, m *Machine, where string) *State {
	s := &State{Name: name, QueryLanguage: m.QueryLanguage}
	if other, ok := c.names[name]; ok {
		c.problem(name, "", "%s and %s both have a state of this name; names are unique in the whole definition", other, where)
	}
	c.names[name] = where
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
		c.problem(name, "", "a state's name has 1 to %d characters, not %d", maxName, n)
	}
	o, ok := v.(*object)
	if !ok {
		c.problem(name, "", "a state must be an object, not %s", kindOf(v))
		return s
	}
	r := c.reader(o, name, "", m.QueryLanguage)
	if l := r.oneOf("QueryLanguage", string(JSONPath), string(JSONata)); l != "" {
		s.QueryLanguage = QueryLanguage(l)
		r.language = s.QueryLanguage
		if m.QueryLanguage == JSONata && s.QueryLanguage == JSONPath {
			r.problem("QueryLanguage", "the state machine uses JSONata, which its states cannot leave: remove the field, or make JSONPath the machine's language")
		}
	}
	s.Comment = r.text("Comment")
	s.Type = Type(r.required("Type", "one of Task, Pass, Choice, Wait, Succeed, Fail, Parallel, Map"))
	fields, ok := stateFields[s.Type]
	if !ok {
		if s.Type != "" {
			r.problem("Type", "must be one of Task, Pass, Choice, Wait, Succeed, Fail, Parallel, Map, not %q", s.Type)
		}
		return s
	}
	r.typ = s.Type
	r.allow(fields, "a "+string(s.Type)+" state")
	if _, ok := fields["Next"]; ok {
		c.flow(s, r)
	}
	c.inout(s, r)
	switch s.Type {
	case Task:
		c.task(s, r)
	case Pass:
		if r.has("Result") && s.QueryLanguage == JSONPath {
			s.result = r.constant("Result")
		}
	case Choice:
		c.choices(s, r)
	case Wait:
		c.wait(s, r)
	case Fail:
		s.errorName = r.message("Error")
		s.cause = r.message("Cause")
	case Parallel:
		c.branches(s, r)
	case Map:
		c.iteration(s, r)
	}
	return s
}

// allow reports the fields that a state cannot have.
func (r *reader) allow(fields map[string]QueryLanguage, what string) {
	for _, key := range r.object.keys {
		language, ok := fields[key]
		switch {
		case !ok:
			r.problem(key, "%s has no such field%s", what, suggestion(key, slices.Collect(maps.Keys(fields))))
		case language != "" && language != r.language:
			hint := "remove it"
			if use, ok := instead[key]; ok {
				hint = "use " + use
			} else if base, ok := strings.CutSuffix(key, "Path"); ok {
				hint = fmt.Sprintf("use %s with an expression in {%% %%}", base)
			}
			r.problem(key, "is a %s field, but the state uses %s: %s", language, r.language, hint)
		}
	}
}

func (c *checker) flow(s *State, r *reader) {
	s.End = r.boolean("End")
	s.Next = r.text("Next")
	switch next, end := r.has("Next"), r.has("End"); {
	case next && end:
		r.problem("End", "cannot stand beside Next: keep one")
	case end && !s.End:
		if _, ok := r.object.fields["End"].(bool); ok {
			r.problem("End", "must be true: name the next state in Next instead")
		}
	case !next && !end:
		r.problem("Next", "is missing: name the next state, or set End to true")
	}
}

func (c *checker) inout(s *State, r *reader) {
	if r.language == JSONPath {
		s.inputPath, s.outputPath, s.resultPath = r.path("InputPath"), r.path("OutputPath"), r.reference("ResultPath")
		s.parameters, s.resultSelector = r.template("Parameters"), r.selector("ResultSelector")
	} else {
		s.arguments, s.output = r.template("Arguments"), r.template("Output")
	}
	s.assign = r.assignment("Assign")
	if s.Type == Task || s.Type == Parallel || s.Type == Map {
		c.retriers(s, r)
		c.catchers(s, r)
	}
}

// selector reads ResultSelector.
func (r *reader) selector(field string) value {
	if v, ok := r.object.fields[field]; ok {
		if _, ok := v.(*object); !ok {
			r.problem(field, "must be an object, not %s", kindOf(v))
		}
	}
	return r.template(field)
}

// assignment reads the variables that a state sets.
func (r *reader) assignment(field string) value {
	v, ok := r.object.fields[field]
	if !ok {
		return value{}
	}
	o, ok := v.(*object)
	if !ok {
		r.take(field)
		r.problem(field, "must be an object of variables, not %s", kindOf(v))
		return value{}
	}
	for _, key := range o.keys {
		name := variableName(key, r.language)
		switch {
		case name == "states":
			r.problem(field+"."+key, "$states is reserved: choose another name")
		case !isIdentifier(name):
			r.problem(field+"."+key, "%q is not a variable's name: a letter, then letters, digits and _, at most %d", name, maxName)
		}
	}
	return r.template(field)
}

func variableName(key string, language QueryLanguage) string {
	if language == JSONPath {
		return strings.TrimSuffix(key, ".$")
	}
	return key
}

func (c *checker) retriers(s *State, r *reader) {
	for i, o := range r.objects("Retry") {
		o.allow(map[string]QueryLanguage{"ErrorEquals": "", "IntervalSeconds": "", "MaxAttempts": "",
			"BackoffRate": "", "MaxDelaySeconds": "", "JitterStrategy": "", "Comment": ""}, "a retrier")
		t := Retrier{ErrorEquals: c.errorEquals(o, i, len(r.object.fields["Retry"].([]any)))}
		t.Interval = seconds(o.number("IntervalSeconds", span{1, maxSeconds, true}, 1))
		t.MaxAttempts = int(o.number("MaxAttempts", span{0, maxSeconds, true}, 3))
		t.BackoffRate = o.number("BackoffRate", span{1, math.Inf(1), false}, 2)
		t.MaxDelay = seconds(o.number("MaxDelaySeconds", span{1, 31_622_399, true}, 0))
		t.Jitter = o.oneOf("JitterStrategy", "FULL", "NONE") == "FULL"
		if t.MaxDelay > 0 && t.MaxDelay < t.Interval {
			o.problem("MaxDelaySeconds", "must not be smaller than IntervalSeconds, %v", t.Interval.Seconds())
		}
		s.Retry = append(s.Retry, t)
	}
}

func (c *checker) catchers(s *State, r *reader) {
	for i, o := range r.objects("Catch") {
		o.allow(map[string]QueryLanguage{"ErrorEquals": "", "Next": "", "ResultPath": JSONPath,
			"Output": JSONata, "Assign": "", "Comment": ""}, "a catcher")
		t := Catcher{ErrorEquals: c.errorEquals(o, i, len(r.object.fields["Catch"].([]any)))}
		t.Next = o.required("Next", "it names the state that handles the error")
		if o.language == JSONPath {
			t.resultPath = o.reference("ResultPath")
		} else {
			t.output = o.template("Output")
		}
		t.assign = o.assignment("Assign")
		s.Catch = append(s.Catch, t)
	}
}

func (c *checker) errorEquals(r *reader, i, of int) []string {
	names := r.texts("ErrorEquals")
	if list, ok := r.object.fields["ErrorEquals"].([]any); len(list) == 0 {
		if ok || !r.has("ErrorEquals") {
			r.problem("ErrorEquals", "must name at least one error, such as %s", ErrorAll)
		}
	}
	for _, name := range names {
		switch {
		case name == ErrorAll && len(names) > 1:
			r.problem("ErrorEquals", "%s must stand alone", ErrorAll)
		case name == ErrorAll && i < of-1:
			r.problem("ErrorEquals", "%s must come last: what follows it can never apply", ErrorAll)
		case name == ErrorRuntime:
			r.problem("ErrorEquals", "%s cannot be retried or caught", ErrorRuntime)
		case strings.HasPrefix(name, "States.") && !slices.Contains(reservedErrors, name):
			// Step Functions lets states fail with names like this, though the
			// specification reserves them; a near miss is a slip all the same.
			if best := closest(name, reservedErrors, 2); best != "" {
				r.problem("ErrorEquals", "%q is not an error of the language; do you mean %s?", name, best)
			}
		}
	}
	return names
}

// objects reads a field that is an array of objects.
func (r *reader) objects(field string) []*reader {
	v, ok := r.take(field)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.problem(field, "must be an array of objects, not %s", kindOf(v))
		return nil
	}
	var readers []*reader
	for i, e := range list {
		o, ok := e.(*object)
		if !ok {
			r.problem(at(field, i, ""), "must be an object, not %s", kindOf(e))
			continue
		}
		nested := r.checker.reader(o, r.state, r.place(at(field, i, "")+"."), r.language)
		nested.typ = r.typ
		readers = append(readers, nested)
	}
	return readers
}

func (c *checker) task(s *State, r *reader) {
	s.Resource = r.required("Resource", "it is the ARN of what the state calls")
	if s.Resource != "" && !strings.HasPrefix(s.Resource, "arn:") && !strings.Contains(s.Resource, "${") {
		r.problem("Resource", "must be an ARN such as arn:aws:states:::lambda:invoke, not %q", s.Resource)
	}
	allowed := span{1, maxSeconds, true}
	s.timeout = r.quantity("TimeoutSeconds", allowed)
	s.heartbeat = r.quantity("HeartbeatSeconds", allowed)
	timeout, okT := s.timeout.json.(float64)
	heartbeat, okH := s.heartbeat.json.(float64)
	if okT && okH && heartbeat >= timeout {
		r.problem("HeartbeatSeconds", "must be smaller than TimeoutSeconds, %v", timeout)
	}
	s.credentials = r.template("Credentials")
}

func (c *checker) wait(s *State, r *reader) {
	var given []string
	for _, f := range []string{"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} {
		if r.has(f) {
			given = append(given, f)
		}
	}
	switch len(given) {
	case 0:
		r.problem("Seconds", "is missing: say how long to wait in Seconds or until when in Timestamp")
	case 1:
	default:
		r.problem(given[1], "cannot stand beside %s: keep one", given[0])
		return
	}
	s.seconds = r.quantity("Seconds", span{0, maxSeconds, true})
	s.timestamp = r.computed("Timestamp")
	if text, ok := s.timestamp.json.(string); s.timestamp.json != nil && !isExpression(text) {
		if _, err := time.Parse(time.RFC3339, text); !ok || err != nil {
			r.problem("Timestamp", "must be a time of RFC 3339 such as 2026-08-18T17:33:00Z, not %s", kindOf(s.timestamp.json))
		}
	}
}

// message reads Error or Cause of a Fail state.
func (r *reader) message(field string) value {
	v := r.computed(field)
	if v.set && v.json != nil {
		if _, ok := v.json.(string); !ok {
			r.problem(field, "must be a string, not %s", kindOf(v.json))
		}
	}
	return v
}

func (c *checker) branches(s *State, r *reader) {
	list := r.objects("Branches")
	if len(list) == 0 && (!r.has("Branches") || isArray(r.object.fields["Branches"])) {
		r.problem("Branches", "must hold at least one state machine")
	}
	for i, o := range list {
		s.Branches = append(s.Branches, c.machine(o.object, s.Name, at("Branches", i, "")+".", c.current.QueryLanguage, nil))
	}
}

func isArray(v any) bool {
	_, ok := v.([]any)
	return ok
}

// transitions checks that states lead to states of the same machine and that
// each can be reached.
func (c *checker) transitions(m *Machine, r *reader) {
	if m.StartAt != "" && m.States[m.StartAt] == nil {
		r.problem("StartAt", "names no state of the machine: %q%s", m.StartAt, suggestion(m.StartAt, m.names))
	}
	terminal := false
	for _, name := range m.names {
		s := m.States[name]
		terminal = terminal || s.End || s.Type == Succeed || s.Type == Fail || stateFields[s.Type] == nil
		for field, target := range s.targets() {
			if m.States[target] == nil {
				hint := suggestion(target, m.names)
				if where, ok := c.names[target]; ok {
					hint = fmt.Sprintf("; %s has it, but a state cannot lead out of its own machine or into another", where)
				}
				c.problem(name, field, "names no state of the machine: %q%s", target, hint)
			}
		}
	}
	if !terminal {
		r.problem("States", "no state ends the machine: one must be Succeed, Fail or have End")
	}
	reached := m.reachable()
	for _, name := range m.names {
		if !reached[name] {
			c.problem(name, "", "no state leads here: remove it, or name it in a Next, Default, Choices or Catch")
		}
	}
}

// reachable returns the states that an execution can enter.
func (m *Machine) reachable() map[string]bool {
	reached := map[string]bool{}
	pending := []string{m.StartAt}
	for len(pending) > 0 {
		name := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		s := m.States[name]
		if s == nil || reached[name] {
			continue
		}
		reached[name] = true
		for _, target := range s.targets() {
			pending = append(pending, target)
		}
	}
	if m.States[m.StartAt] == nil {
		// The wrong StartAt has been reported; every state would repeat it.
		for _, name := range m.names {
			reached[name] = true
		}
	}
	return reached
}
