// Package reading is what a reading says: as a client sends it, as it travels
// within its jurisdiction, and as it is recorded.
package reading

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

const (
	// MaxAge is how old a reading may be when it is sent: a client keeps it while
	// its region is down.
	MaxAge = 7 * 24 * time.Hour
	// ahead is how far a client's clock may go before ours.
	ahead = 10 * time.Minute
)

// Sent is a reading as a client sends it.
type Sent struct {
	// ID is the client's own name for the reading, the same when it is sent again.
	ID       string    `json:"id"`
	Locality string    `json:"locality"`
	Kind     string    `json:"kind"`
	TakenAt  time.Time `json:"takenAt"`
	// Value is what was measured, such as degrees Celsius; null if nothing was.
	Value *float64 `json:"value"`
	// Person is the sender's reference for the person, who is the sender if it is
	// empty. It is not kept, but for a hash of it.
	Person string `json:"person"`
	// Contact is how to reach the person, empty if not told.
	Contact string `json:"contact"`
}

// Taken is a reading that was taken in. It is the event in the store, too,
// where the tagged fields are sealed with the person's key.
type Taken struct {
	// Person is a pseudonym.
	Person   string    `json:"person" eventlog:"subject"`
	Contact  string    `json:"contact,omitempty" eventlog:"personal"`
	Value    *float64  `json:"value,omitempty" eventlog:"personal"`
	Locality string    `json:"locality"`
	Kind     string    `json:"kind"`
	TakenAt  time.Time `json:"takenAt"`
	// Region is the one that took the reading in.
	Region string `json:"region"`
}

// Nobody is the person of readings of who was forgotten.
const Nobody = "nobody"

// Registry returns the type of the event.
func Registry() *eventlog.Registry {
	return eventlog.NewRegistry(eventlog.Type[Taken](healthwatch.ReadingTaken, 1))
}

// Stream returns the stream of a reading. Each has its own: nothing that a
// reading says depends on another one, so none waits for another.
func Stream(id string) string { return "reading-" + id }

var (
	idSyntax      = regexp.MustCompile(`^[!-~]{1,128}$`)
	contactSyntax = regexp.MustCompile(`^[^\x00-\x1f\x7f]{0,254}$`)
)

// Take checks what a caller sent at a time, and returns the reading and its id.
// Its error is an *api.Problem that names every field that is wrong.
func Take(s Sent, caller, region string, plan healthwatch.Plan, now time.Time) (string, Taken, error) {
	p := &api.Problem{Status: 422, Detail: "The body has fields that are not allowed as they are."}
	require := func(ok bool, field, want string) {
		if !ok {
			p.Errors = append(p.Errors, api.Field(field, want))
		}
	}
	require(idSyntax.MatchString(s.ID), "id", "must have 1 to 128 visible ASCII characters and no spaces; a UUID is best")
	_, known := plan.Thresholds[s.Locality]
	require(known, "locality", fmt.Sprintf("must be a locality of %q; readings of another jurisdiction are taken in there", plan.Jurisdiction))
	require(slices.Contains(plan.Kinds, s.Kind), "kind", fmt.Sprintf("must be one of %q", plan.Kinds))
	require(!s.TakenAt.Before(now.Add(-MaxAge)) && !s.TakenAt.After(now.Add(ahead)), "takenAt", "must be a time of the last seven days, RFC 3339")
	require(s.Value == nil || math.Abs(*s.Value) <= 1e6, "value", "must be a number of at most a million, or null")
	require(contactSyntax.MatchString(s.Person), "person", "must have at most 254 characters, none of them a control character")
	require(contactSyntax.MatchString(s.Contact), "contact", "must have at most 254 characters, none of them a control character")
	if len(p.Errors) > 0 {
		return "", Taken{}, p
	}
	t := Taken{Person: caller, Contact: s.Contact, Value: s.Value, Locality: s.Locality, Kind: s.Kind, TakenAt: s.TakenAt.UTC(), Region: region}
	if s.Person != "" {
		t.Person = api.Pseudonym(caller, s.Person)
	}
	// Of two callers who name their readings alike, none takes the other's place.
	return api.Digest(caller, s.ID), t, nil
}
