package api

import (
	"cmp"
	"encoding/json"
)

// A KeyValue is a parameter or an annotation.
type KeyValue struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// value returns the value of the first pair with the key.
func value(pairs []KeyValue, key string) any {
	for _, p := range pairs {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// A Package holds actions.
type Package struct {
	Name        string     `json:"name,omitempty"`
	Annotations []KeyValue `json:"annotations,omitzero"`
	Parameters  []KeyValue `json:"parameters,omitzero"`
	Actions     []Member   `json:"actions,omitempty"` // in answers only
}

// A Member is an action as its package lists it.
type Member struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// An Action is code that OpenWhisk runs, or a sequence of other actions.
type Action struct {
	Name        string     `json:"name,omitempty"`
	Exec        Exec       `json:"exec"`
	Annotations []KeyValue `json:"annotations,omitzero"`
	Parameters  []KeyValue `json:"parameters,omitzero"`
	Limits      *Limits    `json:"limits,omitempty"`
}

// Exec is what an action runs.
type Exec struct {
	// Kind is the runtime, such as "go:1.20", or "sequence".
	Kind string `json:"kind"`
	// Code is the archive of the action, in base64.
	Code string `json:"code,omitempty"`
	// Main is the function that is run, where the runtime needs one.
	Main string `json:"main,omitempty"`
	// Components are the full names of a sequence's actions.
	Components []string `json:"components,omitempty"`
}

// Limits are what one activation of an action may use.
type Limits struct {
	Timeout int `json:"timeout,omitempty"` // milliseconds; default 60,000
	Memory  int `json:"memory,omitempty"`  // megabytes; default 256
}

// filled returns the limits with OpenWhisk's defaults, which it would take from
// the action that is replaced.
func (l Limits) filled() *Limits {
	return &Limits{Timeout: cmp.Or(l.Timeout, 60_000), Memory: cmp.Or(l.Memory, 256)}
}

// A Trigger is a named channel of events.
type Trigger struct {
	Name        string     `json:"name,omitempty"`
	Annotations []KeyValue `json:"annotations,omitzero"`
	Parameters  []KeyValue `json:"parameters,omitzero"`
}

// A Rule invokes an action for each event of a trigger. Both are full names.
type Rule struct {
	Name        string
	Trigger     string
	Action      string
	Status      string // in answers only
	Annotations []KeyValue
}

type rulePut struct {
	Name        string     `json:"name"`
	Trigger     string     `json:"trigger"`
	Action      string     `json:"action"`
	Annotations []KeyValue `json:"annotations,omitzero"`
}

func (r *Rule) put() rulePut { return rulePut{r.Name, r.Trigger, r.Action, r.Annotations} }

// UnmarshalJSON reads a rule as OpenWhisk answers it, with its trigger and
// action in parts.
func (r *Rule) UnmarshalJSON(data []byte) error {
	type part struct {
		Path string `json:"path"`
		Name string `json:"name"`
	}
	var answer struct {
		Name        string     `json:"name"`
		Trigger     part       `json:"trigger"`
		Action      part       `json:"action"`
		Status      string     `json:"status"`
		Annotations []KeyValue `json:"annotations"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return err
	}
	full := func(p part) string { return "/" + p.Path + "/" + p.Name }
	*r = Rule{answer.Name, full(answer.Trigger), full(answer.Action), answer.Status, answer.Annotations}
	return nil
}

// An Activation is the record of one invocation.
type Activation struct {
	ID       string   `json:"activationId"`
	Name     string   `json:"name"`
	Cause    string   `json:"cause"`
	Logs     []string `json:"logs"`
	Response struct {
		Status  string          `json:"status"`
		Success bool            `json:"success"`
		Result  json.RawMessage `json:"result"`
	} `json:"response"`
}
