// Package ingest puts events through an EventBridge global endpoint and knows
// them again where they arrive, in whichever region and however often.
//
// Sources: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html,
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html,
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-ge-best-practices.html.
package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

const (
	// MaxEntries is how many events EventBridge takes in one request.
	MaxEntries = 10
	// MaxBytes is the size, in bytes, that the entries of a request stay below.
	MaxBytes = 256 << 10
	// MaxID is how many bytes an event's id has at most: it is a partition key of
	// the claims.
	MaxID = 2048
)

// API is what a Putter needs of an [eventbridge.Client].
type API interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// Event is one event to put.
type Event struct {
	// ID names the event for good: the same in every attempt, at most MaxID bytes.
	// Required.
	ID string
	// Source says who puts the event. Required.
	Source string
	// Type is the detail type. Required.
	Type string
	// Data is the JSON that the consumer gets. Required.
	Data json.RawMessage
}

// Message is the detail of an event on the bus.
type Message struct {
	// ID is the [Event]'s own id.
	ID string `json:"id"`
	// Data is the Event's data.
	Data json.RawMessage `json:"data"`
}

// Putter puts events on a bus, through a global endpoint.
type Putter struct {
	// API is the client, which signs with SigV4A when there is an EndpointID. Required.
	API API
	// EndpointID is the endpoint's id, such as abcde.veo.
	//
	// Default: none, the bus of the client's region.
	EndpointID string
	// Bus is the name of the bus. Required.
	Bus string
	// Attempts is how often an event is put at most.
	//
	// Default: 5.
	Attempts int
	// Backoff is the longest wait before the second attempt; each wait is random
	// and its bound doubles from one to the next, up to 20 s.
	//
	// Default: 100 milliseconds.
	Backoff time.Duration
}

// Rejection is an event that is not known to be accepted, and why. After a lost
// answer EventBridge may have it all the same: put it again under the same id.
type Rejection struct {
	Event Event
	Err   error
}

// RejectedError names the events that are not known to be accepted. All the
// others were.
type RejectedError struct {
	Rejections []Rejection
}

// Error says how many events were rejected, and why the first was.
func (e *RejectedError) Error() string {
	first := e.Rejections[0]
	return fmt.Sprintf("ingest: %d events not accepted, first %s: %v", len(e.Rejections), first.Event.ID, first.Err)
}

// Unwrap returns the reasons.
func (e *RejectedError) Unwrap() []error {
	errs := make([]error, len(e.Rejections))
	for i, r := range e.Rejections {
		errs[i] = r.Err
	}
	return errs
}

// OversizeError says that an event is too large for any request.
type OversizeError struct {
	ID   string
	Size int // in bytes
}

// Error says how large the event is.
func (e *OversizeError) Error() string {
	return fmt.Sprintf("ingest: event %s has %d bytes, allowed are less than %d", e.ID, e.Size, MaxBytes)
}

// EntryError is EventBridge's reason not to accept an entry.
type EntryError struct {
	Code, Message string
}

// Error gives the code and the message.
func (e *EntryError) Error() string { return "ingest: " + e.Code + ": " + e.Message }

// retryable says whether EventBridge may accept the same entry later: any code
// but those documented as final. Source:
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html.
func (e *EntryError) retryable() bool {
	switch e.Code {
	case "AccessDeniedException", "InvalidAccountIdException", "InvalidArgument", "MalformedDetail", "RedactionFailure",
		"NotAuthorizedForSourceException", "NotAuthorizedForDetailTypeException":
		return false
	}
	return true
}

type item struct {
	Event
	entry types.PutEventsRequestEntry
	size  int
}

// Put puts the events and returns nil when EventBridge accepted them all, or a
// [*RejectedError] with those that it did not.
func (p *Putter) Put(ctx context.Context, events ...Event) error {
	var rejected RejectedError
	var batch []item
	size := 0
	for _, e := range events {
		it, err := p.item(e)
		if err != nil {
			rejected.Rejections = append(rejected.Rejections, Rejection{e, err})
			continue
		}
		if len(batch) == MaxEntries || size+it.size >= MaxBytes {
			rejected.Rejections = append(rejected.Rejections, p.put(ctx, batch)...)
			batch, size = nil, 0
		}
		batch, size = append(batch, it), size+it.size
	}
	rejected.Rejections = append(rejected.Rejections, p.put(ctx, batch)...)
	if len(rejected.Rejections) > 0 {
		return &rejected
	}
	return nil
}

func (p *Putter) item(e Event) (item, error) {
	if e.ID == "" || e.Source == "" || e.Type == "" || len(e.Data) == 0 {
		return item{}, errors.New("ingest: an event needs ID, Source, Type and Data")
	}
	if len(e.ID) > MaxID {
		return item{}, fmt.Errorf("ingest: an id has %d bytes, allowed are %d", len(e.ID), MaxID)
	}
	detail, err := json.Marshal(Message{e.ID, e.Data})
	if err != nil {
		return item{}, fmt.Errorf("ingest: data of event %s: %w", e.ID, err)
	}
	size := len(e.Source) + len(e.Type) + len(detail)
	if size >= MaxBytes {
		return item{}, &OversizeError{e.ID, size}
	}
	return item{e, types.PutEventsRequestEntry{
		EventBusName: &p.Bus, Source: &e.Source, DetailType: &e.Type, Detail: aws.String(string(detail)),
	}, size}, nil
}

// put puts one batch until each event is accepted or given up.
func (p *Putter) put(ctx context.Context, batch []item) (rejected []Rejection) {
	bound := cmp.Or(p.Backoff, 100*time.Millisecond)
	for attempt := 1; len(batch) > 0; attempt++ {
		last := attempt >= cmp.Or(p.Attempts, 5)
		var again []item
		for i, err := range p.attempt(ctx, batch) {
			entry, isEntry := errors.AsType[*EntryError](err)
			switch {
			case err == nil:
			case last || ctx.Err() != nil || isEntry && !entry.retryable():
				rejected = append(rejected, Rejection{batch[i].Event, err})
			default:
				again = append(again, batch[i])
			}
		}
		batch = again
		if len(batch) > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(bound)):
			}
			bound = min(2*bound, 20*time.Second)
		}
	}
	return rejected
}

// attempt sends one request and returns what became of each event.
func (p *Putter) attempt(ctx context.Context, batch []item) []error {
	in := &eventbridge.PutEventsInput{}
	if p.EndpointID != "" {
		in.EndpointId = &p.EndpointID
	}
	for _, it := range batch {
		in.Entries = append(in.Entries, it.entry)
	}
	errs := make([]error, len(batch))
	out, err := p.API.PutEvents(ctx, in)
	if err == nil && len(out.Entries) != len(batch) {
		err = fmt.Errorf("ingest: %d results for %d entries", len(out.Entries), len(batch))
	}
	for i := range errs {
		switch {
		case err != nil:
			errs[i] = err
		case aws.ToString(out.Entries[i].EventId) == "":
			errs[i] = &EntryError{aws.ToString(out.Entries[i].ErrorCode), aws.ToString(out.Entries[i].ErrorMessage)}
		}
	}
	return errs
}
