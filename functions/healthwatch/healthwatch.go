// Package healthwatch holds the names that the stacks of the health watch and
// the functions in them must agree on: routes, event types, keys of the tables,
// environment variables. It imports the standard library only.
//
// What the functions do lies in the packages below this one:
//
//   - reading: what a reading says, and its event in the store
//   - intake: takes readings in, and answers when they are durable
//   - apply: records each reading and counts it once
//   - counts: the counts of a locality, and what leaves the jurisdiction of them
//   - watch: tells of a locality with unusually many readings
//   - report: tells the other regions the counts
//   - desk: answers questions, and acknowledges alerts
package healthwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The routes of a regional API, as an HTTP API of API Gateway keys them. The
// first one belongs to the function readings, the others to healthdesk.
const (
	RouteTake        = "POST /readings"
	RouteLocality    = "GET /localities/{locality}"
	RouteCounts      = "GET /counts"
	RouteAcknowledge = "POST /acknowledgements"
)

// DeskRoutes returns the routes of the function healthdesk.
func DeskRoutes() []string { return []string{RouteLocality, RouteCounts, RouteAcknowledge} }

// LocalityParameter is the path parameter that holds a locality's code.
const LocalityParameter = "locality"

// OAuth scopes that tokens need. Callers that sign with AWS credentials need
// execute-api:Invoke on the route instead.
const (
	TakeScope        = "readings:write"
	CountsScope      = "counts:read"
	AcknowledgeScope = "alerts:acknowledge"
)

// Scopes returns the scopes that routes need.
func Scopes() map[string]string {
	return map[string]string{RouteTake: TakeScope, RouteLocality: CountsScope, RouteCounts: CountsScope, RouteAcknowledge: AcknowledgeScope}
}

// Audience is the audience of the functions' internal tokens.
const Audience = "healthwatch"

// What travels on the local bus.
const (
	// Source is who puts a reading on the bus through the global endpoint, which
	// replicates it, or in a jurisdiction of one region.
	Source = "healthwatch.readings"
	// StandbySource is who puts a reading on the bus of the standby alone. A rule
	// forwards it to the primary region; it is another source, so that nothing
	// that comes from there is sent back.
	StandbySource = "healthwatch.standby"
	// WatchSource is who puts spikes there.
	WatchSource = "healthwatch.watch"
	// ReadingTaken is the detail type of a reading, and the type of its event in
	// the store.
	ReadingTaken = "ReadingTaken"
	// LocalitySpike is the detail type of the event that a locality has unusually
	// many readings of a kind in a window.
	LocalitySpike = "LocalitySpike"
)

// The table of counts has one item for each shard of a locality, window and
// kind.
const (
	CountPK    = "pk"  // the locality
	CountSK    = "sk"  // the window's start, the kind, and the shard
	CountTTL   = "ttl" // seconds since 1970
	CountTotal = "total"
	CountHere  = "here" // of the total, what this region took in itself
)

// Window is how long readings of one locality and kind are counted together.
const Window = time.Hour

// Environment variables of the functions, beside those of the patterns.
const (
	EnvPlan        = "HEALTHWATCH_PLAN"        // a Plan in JSON
	EnvBus         = "HEALTHWATCH_BUS"         // the local bus
	EnvEndpoint    = "HEALTHWATCH_ENDPOINT"    // id of the global endpoint; empty for the bus of the region
	EnvSource      = "HEALTHWATCH_SOURCE"      // Source or StandbySource
	EnvCounts      = "HEALTHWATCH_COUNTS"      // the table of counts
	EnvWorld       = "HEALTHWATCH_WORLD"       // the global table of counts
	EnvAcknowledge = "HEALTHWATCH_ACKNOWLEDGE" // name of the function that acknowledges
)

// Plan says what a jurisdiction looks at.
type Plan struct {
	Jurisdiction string   `json:"jurisdiction"`
	Kinds        []string `json:"kinds"`
	// Thresholds are, by locality, how many readings of a kind in a window are
	// normal at any time.
	Thresholds map[string]int `json:"thresholds"`
}

// MaxPlan is how many bytes a plan takes in a function's environment, which
// holds 4 KB in all.
const MaxPlan = 3000

// String returns the plan for the environment.
func (p Plan) String() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(b)
}

// ParsePlan reads a plan from the environment's value.
func ParsePlan(value string) (Plan, error) {
	var p Plan
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return p, fmt.Errorf("%s: %w", EnvPlan, err)
	}
	if p.Jurisdiction == "" || len(p.Kinds) == 0 || len(p.Thresholds) == 0 {
		return p, errors.New(EnvPlan + " must have a jurisdiction, kinds and thresholds")
	}
	return p, nil
}
