package asl

import (
	"iter"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/jsonpath"
)

// A QueryLanguage is how states select and transform data.
type QueryLanguage string

// The query languages. A state machine that names none uses JSONPath.
const (
	JSONPath QueryLanguage = "JSONPath"
	JSONata  QueryLanguage = "JSONata"
)

// A Type is the kind of a state.
type Type string

// The types of states.
const (
	Task     Type = "Task"
	Pass     Type = "Pass"
	Choice   Type = "Choice"
	Wait     Type = "Wait"
	Succeed  Type = "Succeed"
	Fail     Type = "Fail"
	Parallel Type = "Parallel"
	Map      Type = "Map"
)

// A Machine is a state machine: a whole definition, a branch of a Parallel
// state or the item processor of a Map state. It is immutable and safe for
// concurrent use.
type Machine struct {
	// Comment is the definition's own description.
	Comment string
	// StartAt is the name of the first state.
	StartAt string
	// QueryLanguage is what states use that name no language of their own.
	QueryLanguage QueryLanguage
	// Timeout is how long an execution may take; 0 means no limit.
	Timeout time.Duration
	// States are the states by name, without those of nested machines.
	States map[string]*State

	names  []string // of States, in the order of the definition
	owner  string   // the Map or Parallel state that has this machine inside
	digest string   // of the definition; empty for a machine inside a state
}

// A State is one state of a machine.
type State struct {
	// Name is unique in the whole definition.
	Name string
	// Type is the kind of the state.
	Type Type
	// Comment is the state's own description.
	Comment string
	// QueryLanguage is the language this state uses.
	QueryLanguage QueryLanguage
	// Resource is what a Task state calls: an ARN.
	Resource string
	// Next is the state that follows, empty for a state that ends its machine
	// and for Choice.
	Next string
	// End reports whether the state ends its machine.
	End bool
	// Retry are the retriers, in the order they are tried.
	Retry []Retrier
	// Catch are the catchers, in the order they are tried.
	Catch []Catcher
	// Choices are the rules of a Choice state.
	Choices []Rule
	// Default is where a Choice state goes when no rule applies.
	Default string
	// Branches are the machines of a Parallel state.
	Branches []*Machine
	// Processor is the machine a Map state runs for each item.
	Processor *Machine
	// Distributed reports whether a Map state runs each item as an execution
	// of its own.
	Distributed bool
	// Express reports whether those executions are Express workflows.
	Express bool

	inputPath, outputPath, resultPath *pathField
	parameters, resultSelector        value
	arguments, output, result         value
	credentials                       value
	assign                            value
	timeout, heartbeat                value
	seconds, timestamp                value
	errorName, cause                  value
	items, itemSelector               value
	itemsPath                         *pathField
	maxConcurrency                    value
	toleratedCount, toleratedPercent  value
	label                             string
	reader                            *itemReader
	batcher                           *itemBatcher
	writer                            *resultWriter
}

// A Retrier says which errors of a state are retried and when.
type Retrier struct {
	// ErrorEquals are the error names the retrier handles.
	ErrorEquals []string
	// Interval is the delay before the first retry; default 1 second.
	Interval time.Duration
	// MaxAttempts is the number of retries; default 3, and 0 means none.
	MaxAttempts int
	// BackoffRate multiplies the delay after each retry; default 2.
	BackoffRate float64
	// MaxDelay is the longest delay; 0 means no limit.
	MaxDelay time.Duration
	// Jitter reports whether the delay is chosen at random between 0 and what
	// it would be otherwise (JitterStrategy FULL).
	Jitter bool
}

// A Catcher says where a state goes when it fails.
type Catcher struct {
	// ErrorEquals are the error names the catcher handles.
	ErrorEquals []string
	// Next is the state that follows.
	Next string

	resultPath *pathField
	output     value
	assign     value
}

// A Rule is one way out of a Choice state.
type Rule struct {
	// Next is the state that follows when the rule applies.
	Next string

	condition value // JSONata
	test      test  // JSONPath
	output    value
	assign    value
}

// A pathField is a field such as InputPath: a path, or null for "nothing".
type pathField struct {
	null bool
	path jsonpath.Path
}

// A value is a field whose value is known only when the state runs: JSON with
// JSONata in it, a payload template, or the path of the field's Path variant.
type value struct {
	set  bool
	json any
	path *jsonpath.Path
	call *jsonpath.Call
}

// All yields the states of the machine and of every machine nested in it, each
// before those inside it, in the order of the definition.
func (m *Machine) All() iter.Seq[*State] {
	return func(yield func(*State) bool) { m.all(yield) }
}

func (m *Machine) all(yield func(*State) bool) bool {
	for _, name := range m.names {
		s := m.States[name]
		if !yield(s) {
			return false
		}
		for _, nested := range s.machines() {
			if !nested.all(yield) {
				return false
			}
		}
	}
	return true
}

// machines returns the state's branches or its processor.
func (s *State) machines() []*Machine {
	if s.Processor != nil {
		return []*Machine{s.Processor}
	}
	return s.Branches
}

// targets yields the names of the states that can follow s, with the field
// that names each.
func (s *State) targets() iter.Seq2[string, string] {
	return func(yield func(field, name string) bool) {
		if s.Next != "" && !yield("Next", s.Next) {
			return
		}
		for i, r := range s.Choices {
			if r.Next != "" && !yield(at("Choices", i, "Next"), r.Next) {
				return
			}
		}
		if s.Default != "" && !yield("Default", s.Default) {
			return
		}
		for i, c := range s.Catch {
			if c.Next != "" && !yield(at("Catch", i, "Next"), c.Next) {
				return
			}
		}
	}
}
