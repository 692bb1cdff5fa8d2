package eventlog

import (
	"time"

	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Event is a fact in a stream. To append one, set Payload; every other field
// is filled in, and only ID, Time and Subject are taken from the caller when
// they are set.
type Event struct {
	// Stream is the stream that the event belongs to.
	Stream string
	// Version is the event's number in its stream: 1 for the first, no gaps.
	Version int64
	// ID identifies the event in all streams. Default: a UUID, see
	// Options.NewID and WithCommand.
	ID string
	// Type is the name under which the payload's Go type is registered.
	Type string
	// TypeVersion is the version of the payload as it was recorded. Payload is
	// of the newest version, whatever this says.
	TypeVersion int
	// Time is when the event was recorded, UTC. Default: now.
	Time time.Time
	// Causation is the id of the command or event that caused this one, empty
	// if unknown. See WithCommand and WithCause.
	Causation string
	// Correlation is shared by all events of one business transaction. Default:
	// the cause's, or the command's id, or the event's own.
	Correlation string
	// Hops counts the events between this one and the outside world: 0 for an
	// event that a command caused, one more for each reaction since.
	Hops int
	// Origin names the reaction that appended the event, empty for a command.
	Origin string
	// Subject is the pseudonym of the person whose key seals the personal
	// fields: 1 to 100 characters of A-Z a-z 0-9 and . _ : / = + -, so that no
	// e-mail address fits. It stays readable for ever. Default: the value of
	// the payload's field tagged eventlog:"subject".
	Subject string

	// Payload is what happened: a value, not a pointer, of the type registered
	// for Type. It is nil where the registry does not know the type.
	Payload any
	// Data is the payload as recorded, JSON with the personal fields sealed.
	// Append ignores it.
	Data []byte
	// Ref is the key of the payload's object in S3, empty for an inline
	// payload.
	Ref string

	// Replay names the replay that the event comes from, empty for live
	// traffic. A handler with effects outside (mail, payments) must not act on
	// an event that is replayed.
	Replay string
	// Forgotten reports that the subject was forgotten: the payload's personal
	// fields are zero.
	Forgotten bool
	// Sealed reports that the Log has no access to the subjects' keys: the
	// payload's personal fields are zero though the subject is not forgotten.
	Sealed bool
}

// Of returns an event to append with the payload. A payload is a value of a
// registered type or a pointer to one.
func Of(payload any) Event { return Event{Payload: payload} }

// Position returns the event's place in the store, "stream#version".
func (e Event) Position() string { return schema.PositionOf(e.Stream, e.Version) }

// SubjectForgotten is the payload of the event that Forget appends. A
// projection that holds data of the subject deletes it on this event.
type SubjectForgotten struct {
	// Subject is the subject that was forgotten.
	Subject string `json:"subject" eventlog:"subject"`
}

// timeLayout has a fixed width, so that times sort as strings.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// envelope returns the event as it travels: with its data, or where they are.
func (e Event) envelope() schema.Envelope {
	if e.Ref != "" {
		e.Data = nil
	}
	return schema.Envelope{
		Stream: e.Stream, Version: e.Version, Position: e.Position(),
		ID: e.ID, Type: e.Type, TypeVersion: e.TypeVersion, Time: e.Time.Format(timeLayout),
		Causation: e.Causation, Correlation: e.Correlation, Hops: e.Hops, Origin: e.Origin,
		Subject: e.Subject, Data: e.Data, Ref: e.Ref,
	}
}

// eventOf returns the event in an envelope, without its payload.
func eventOf(v schema.Envelope) (Event, error) {
	e := Event{
		Stream: v.Stream, Version: v.Version,
		ID: v.ID, Type: v.Type, TypeVersion: v.TypeVersion,
		Causation: v.Causation, Correlation: v.Correlation, Hops: v.Hops, Origin: v.Origin,
		Subject: v.Subject, Data: v.Data, Ref: v.Ref,
	}
	err := checkName("stream", v.Stream)
	switch {
	case err != nil:
	case v.Version < 1:
		err = wrong("version", v.Version, "1 or more")
	case v.ID == "":
		err = wrong("id", v.ID, "not empty")
	case v.Type == "":
		err = wrong("type", v.Type, "not empty")
	case v.TypeVersion < 1:
		err = wrong("typeVersion", v.TypeVersion, "1 or more")
	case v.Hops < 0:
		err = wrong("hops", v.Hops, "0 or more")
	case (len(v.Data) == 0) == (v.Ref == ""):
		err = wrong("data and ref", v.Ref, "exactly one of them")
	default:
		if e.Time, err = time.Parse(time.RFC3339Nano, v.Time); err != nil {
			err = wrong("time", v.Time, "a time in RFC 3339")
		}
		e.Time = e.Time.UTC()
	}
	if err != nil {
		return e, e.codecError(err)
	}
	return e, nil
}
