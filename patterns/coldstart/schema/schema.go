// Package schema holds what the cold-start constructs and the code running in
// Lambda must agree on: the payload that keeps a function warm and its answer,
// and the properties of the custom resource that prepares a new version.
//
// It imports the standard library only, so that both sides can import it.
package schema

import (
	"bytes"
	"encoding/json"
	"time"
)

// PingKey is the one member of a ping's payload. No real event has it alone.
const PingKey = "coldstart.ping"

// Ping asks an environment to prove that it is there, without running its
// handler.
type Ping struct {
	// Hold is how long the environment stays busy, in milliseconds, so that a
	// ping sent at the same time reaches another environment.
	Hold int `json:"hold"`
}

// Payload returns the ping as the payload of an invocation.
func (p Ping) Payload() []byte {
	b, err := json.Marshal(map[string]Ping{PingKey: p})
	if err != nil {
		panic(err) // a struct of one int always marshals
	}
	return b
}

// HoldTime returns Hold as a duration, 0 for a negative one.
func (p Ping) HoldTime() time.Duration { return time.Duration(max(0, p.Hold)) * time.Millisecond }

// maxPing is longer than any ping, whatever white space a workflow adds.
const maxPing = 256

// ParsePing returns the ping in a payload, and whether it is one. It looks at
// no more of a real event than is needed to see that it is none.
func ParsePing(payload []byte) (Ping, bool) {
	if len(payload) > maxPing || !bytes.Contains(payload, []byte(PingKey)) {
		return Ping{}, false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(payload, &members) != nil || len(members) != 1 {
		return Ping{}, false
	}
	var p *Ping
	if json.Unmarshal(members[PingKey], &p) != nil || p == nil {
		return Ping{}, false
	}
	return *p, true
}

// Pong answers a Ping.
type Pong struct {
	// Instance names the environment: it is the name of its log stream.
	Instance string `json:"instance"`
	// Cold reports whether the ping started the environment: it was its first
	// invocation and the environment was neither provisioned nor restored from
	// a snapshot.
	Cold bool `json:"cold"`
	// Invocation counts the environment's invocations, this one included.
	Invocation int64 `json:"invocation"`
}

// Properties of the custom resources that run around a deployment.
const (
	Operation    = "Operation"    // one of the Op constants
	FunctionName = "FunctionName" // the function's name
	Version      = "Version"      // the version that was published
	Concurrency  = "Concurrency"  // OpPreWarm: invocations at the same time
	Payload      = "Payload"      // OpPreWarm: their event, JSON
	Keep         = "Keep"         // OpPrune: how many versions are kept
)

// The operations of those custom resources.
const (
	OpPreWarm = "prewarm" // invoke the version; fail if it cannot start
	OpPrune   = "prune"   // delete old versions that no alias needs
)
