// Package home keeps every stream of an eventually consistent global table in
// one region, its home, so that no event is lost.
//
// Such a table takes writes in all regions. Each region checks a condition,
// the INSERT of an event among them, against what it has itself, and of two
// writes of one item the later wins everywhere. Two regions that append to the
// same stream at once are therefore both told that they succeeded, and one of
// the events vanishes. It cannot happen when a stream is appended to in one
// region only.
//
//	homes, region, err := home.FromEnv()
//	...
//	guard := home.Guard[eventlog.Event]{Region: region, Homes: homes, Here: log.Append}
//	_, err = guard.Append(ctx, "eu/patient-7", version, events...)
//
// [Guard.Append] has the signature of eventlog's Log.Append. The policies of
// the table's replicas, which edge.GlobalStore makes, refuse the same appends:
// the guard says where to go instead, and can go there.
//
// # Moving a home
//
// When the home of a prefix changes, events that the old home took last may
// not have reached the new one. Deploy the prefix as [Closed] to all regions,
// wait until ReplicationLatency has come down and the new region has the old
// one's last events, then deploy the new home. A region that is lost cannot be
// told to close: its streams stay closed until it is back or its loss is
// accepted.
//
// Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html.
package home

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// Closed is the home of streams that take no events, because they are being
// moved.
const Closed = "closed"

// Map says in which region each stream is at home.
type Map struct {
	// Prefixes maps the beginning of a stream's name to a region or Closed.
	// The longest that fits decides.
	Prefixes map[string]string `json:"prefixes,omitempty"`
	// Default is the home of streams that no prefix fits.
	//
	// Default: they have none, and cannot be appended to.
	Default string `json:"default,omitempty"`
}

// Of returns the stream's home, which may be Closed, or the empty string if it
// has none.
func (m Map) Of(stream string) string {
	home, longest := m.Default, -1
	for prefix, region := range m.Prefixes {
		if len(prefix) > longest && strings.HasPrefix(stream, prefix) {
			home, longest = region, len(prefix)
		}
	}
	return home
}

// FromEnv returns the map that the construct gave to the function, and the
// region that the function runs in.
func FromEnv() (Map, string, error) {
	text, region := os.Getenv(schema.EnvStoreHomes), os.Getenv("AWS_REGION")
	if text == "" || region == "" {
		return Map{}, "", fmt.Errorf("home: environment variables %s and AWS_REGION must be set; call GlobalStore.Connect for the function", schema.EnvStoreHomes)
	}
	var m Map
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return Map{}, "", fmt.Errorf("home: environment variable %s: %w", schema.EnvStoreHomes, err)
	}
	return m, region, nil
}

// ErrNotHere is what an append in the wrong region can be tested for.
var ErrNotHere = errors.New("home: the stream is not at home in this region")

// NotHereError is [Guard.Append]'s when the stream is not at home in the
// guard's region. Nothing was appended.
type NotHereError struct {
	Stream string
	Region string // of the guard
	Home   string // a region, Closed, or empty where the stream has none
}

// Error says where the stream is at home.
func (e *NotHereError) Error() string {
	switch e.Home {
	case "":
		return fmt.Sprintf("home: stream %q has no home: no prefix fits and there is no default", e.Stream)
	case Closed:
		return fmt.Sprintf("home: stream %q is closed while it moves to another region; try again later", e.Stream)
	}
	return fmt.Sprintf("home: stream %q is at home in %s, not in %s", e.Stream, e.Home, e.Region)
}

// Is reports whether target is ErrNotHere.
func (e *NotHereError) Is(target error) bool { return target == ErrNotHere }

// Append appends events of type E, as eventlog's Log.Append does.
type Append[E any] func(ctx context.Context, stream string, expected int64, events ...E) ([]E, error)

// Forward has another region append the events, through its API for one, and
// returns what that recorded. It must keep the events' ids on every attempt: an
// answer lost on its way may be of an append that took place.
type Forward[E any] func(ctx context.Context, region, stream string, expected int64, events []E) ([]E, error)

// Guard appends to streams that are at home in its region. All fields but
// Forward are required.
type Guard[E any] struct {
	Region  string
	Homes   Map
	Here    Append[E]
	Forward Forward[E] // Default: an append elsewhere is refused
}

// Append appends to a stream that is at home here, and forwards or refuses, by
// a NotHereError, what is for another one.
func (g Guard[E]) Append(ctx context.Context, stream string, expected int64, events ...E) ([]E, error) {
	home := g.Homes.Of(stream)
	switch {
	case home == g.Region && home != "":
		return g.Here(ctx, stream, expected, events...)
	case home == "" || home == Closed || g.Forward == nil:
		return nil, &NotHereError{Stream: stream, Region: g.Region, Home: home}
	}
	return g.Forward(ctx, home, stream, expected, events)
}
