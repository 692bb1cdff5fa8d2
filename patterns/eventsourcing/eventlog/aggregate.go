package eventlog

import (
	"context"
	"errors"
	"iter"
)

// Fold applies the events to the state, one after the other, and returns the
// new state and the version of the last event, 0 if there was none. It stops at
// the first error and returns what it has.
//
//	cart, version, err := eventlog.Fold(log.Load(ctx, "cart-7", 0), Cart{}, Cart.Apply)
func Fold[S any](events iter.Seq2[Event, error], state S, apply func(S, Event) S) (S, int64, error) {
	var version int64
	for e, err := range events {
		if err != nil {
			return state, version, err
		}
		state, version = apply(state, e), e.Version
	}
	return state, version, nil
}

// Aggregate is the state of type S of a kind of streams, with the rules for
// reaching and changing it. The zero S is the state of a stream without events.
//
// With Every set it keeps snapshots, so that a long stream is not read from its
// beginning each time. They are in the bucket of large payloads, as the table
// of events takes events only, and cost a GET on each load and a PUT on each
// Every events; they pay for streams that are much longer than Every.
//
// A snapshot is sealed with the keys of all subjects whose personal data was
// read for it. Once one of them is forgotten it cannot be opened, and the state
// comes from the events again.
type Aggregate[S any] struct {
	// Log is where the events are. Required.
	Log *Log
	// Apply returns the state after an event. Required. It must not fail or
	// look elsewhere: the event has happened. It ignores an event whose payload
	// it does not know, and reads personal fields of a forgotten subject as
	// zero.
	Apply func(S, Event) S

	// Every is how many events lie between snapshots; S must be written and read
	// by encoding/json without loss. The function needs s3:GetObject and
	// s3:PutObject on snapshots/*, and s3:ListBucket, as S3 otherwise refuses to
	// say that a snapshot does not exist. Default: 0, no snapshots.
	Every int
	// Name tells the snapshots of this kind of state from others of the same
	// streams. Needed with Every: 1 to 100 characters of a stream's name.
	Name string
	// Schema is the version of S and Apply. Raise it when either changes;
	// snapshots of another one are ignored. Default: 0.
	Schema int
	// SnapshotFailed is told of a snapshot that could not be kept. What the
	// snapshot was taken of is recorded all the same. Default: nothing is told.
	SnapshotFailed func(stream string, err error)
}

// Load returns the stream's state and version, 0 for a stream without events.
func (a *Aggregate[S]) Load(ctx context.Context, stream string) (S, int64, error) {
	f, err := a.load(ctx, stream)
	return f.state, f.version, err
}

// Update loads the stream's state, has decide say which events follow, and
// appends them. When somebody else was faster, it begins again, until the
// context ends. It returns the recorded events.
//
// Decide judges a command by the state: it returns an error, which Update
// returns as it is, or events, or neither if there is nothing to do, as when
// the command comes a second time. It can be called several times and must have
// no effect of its own.
func (a *Aggregate[S]) Update(ctx context.Context, stream string, decide func(S) ([]Event, error)) ([]Event, error) {
	for attempt := 1; ; attempt++ {
		f, err := a.load(ctx, stream)
		if err != nil {
			return nil, err
		}
		events, err := decide(f.state)
		if err != nil {
			return nil, err
		}
		before := f.version
		recorded, err := a.Log.Append(ctx, stream, before, events...)
		if errors.Is(err, ErrConflict) && pause(ctx, min(attempt, attempts)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range recorded {
			a.step(f, e)
		}
		if a.Every > 0 && f.version/int64(a.Every) > before/int64(a.Every) {
			if err := a.keep(ctx, stream, f); err != nil && a.SnapshotFailed != nil {
				a.SnapshotFailed(stream, err)
			}
		}
		return recorded, nil
	}
}

// fold is a state on its way.
type fold[S any] struct {
	state    S
	version  int64
	subjects map[string]bool // whose personal data the state holds, or would if it could be read
}

func (a *Aggregate[S]) load(ctx context.Context, stream string) (*fold[S], error) {
	f, err := a.restore(ctx, stream)
	if err != nil {
		return f, err
	}
	for e, err := range a.Log.Load(ctx, stream, f.version+1) {
		if err != nil {
			return f, err
		}
		a.step(f, e)
	}
	return f, nil
}

func (a *Aggregate[S]) step(f *fold[S], e Event) {
	f.state, f.version = a.Apply(f.state, e), e.Version
	if hasSealed(e.Data) && !e.Forgotten {
		f.subjects[e.Subject] = true
	}
}
