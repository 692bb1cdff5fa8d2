package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/serverless-go/cdk/test/e2e/eventpattern"
	"github.com/serverless-go/cdk/test/iam"
)

// Event is an event on an EventBridge bus.
type Event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	ReplayName string          `json:"replay-name,omitempty"`
	Detail     json.RawMessage `json:"detail"`
}

// maxEvent is the most bytes of an event that a bus takes, the smallest quota
// in any region.
const maxEvent = 256 << 10

// bus is an event bus with its rules and archives.
type bus struct {
	d         *Deployment
	arn, name string
	rules     []*rule
	archives  []*archive
}

func (d *Deployment) makeBuses(context.Context) error {
	add := func(name, key string) error {
		b := &bus{d: d, name: name, arn: d.arn("events", "event-bus/"+name)}
		d.buses[b.arn] = b
		d.encrypt(b.arn, key)
		return d.iam.checkKey(asService("events.amazonaws.com", b.arn), b.arn, "kms:GenerateDataKey", "kms:Decrypt")
	}
	if err := add("default", ""); err != nil {
		return err
	}
	for id := range d.All("AWS::Events::EventBus") {
		var props struct{ KmsKeyIdentifier string }
		if err := d.properties(id, &props); err != nil {
			return err
		}
		name, err := d.name(id)
		if err != nil {
			return err
		}
		if err := add(name, props.KmsKeyIdentifier); err != nil {
			return fmt.Errorf("event bus %s: %w", id, err)
		}
	}
	for id := range d.All("AWS::Events::Archive") {
		if err := d.makeArchive(id); err != nil {
			return fmt.Errorf("archive %s: %w", id, err)
		}
	}
	for id := range d.All("AWS::Events::Rule") {
		if err := d.makeRule(id); err != nil {
			return fmt.Errorf("rule %s: %w", id, err)
		}
	}
	return nil
}

// busNamed returns the bus of a name or ARN; the empty name is the default's.
func (d *Deployment) busNamed(name string) *bus {
	name = name[strings.LastIndex(name, "/")+1:]
	if name == "" {
		name = "default"
	}
	return d.buses[d.arn("events", "event-bus/"+name)]
}

// put publishes an event for a caller.
func (b *bus) put(from caller, e Event) error {
	if err := b.d.iam.check(from, "events:PutEvents", b.arn, iam.Context{
		"events:detail-type": {e.DetailType}, "events:source": {e.Source},
	}); err != nil {
		return err
	}
	var detail map[string]any
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return fmt.Errorf("MalformedDetail: the detail is no JSON object: %w", err)
	}
	if n := len(e.Detail) + len(e.Source) + len(e.DetailType); n > maxEvent {
		return fmt.Errorf("the event has %d bytes; a bus takes %d", n, maxEvent)
	}
	return b.publish(e, nil)
}

// published completes an event as the bus does.
func (d *Deployment) published(e Event) (*matched, error) {
	if e.ID == "" {
		e.ID = d.newID()
	}
	if e.Time == "" {
		e.Time = time.Now().UTC().Format(time.RFC3339)
	}
	e.Version, e.Account, e.Region = "0", d.account, d.region
	if e.Resources == nil {
		e.Resources = []string{}
	}
	document, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	m := &matched{event: e, document: document}
	return m, json.Unmarshal(document, &m.decoded)
}

// publish archives an event and matches it against the rules, or those of the
// ARNs only.
func (b *bus) publish(e Event, only []string) error {
	m, err := b.d.published(e)
	if err != nil {
		return err
	}
	b.d.touch()
	if e.ReplayName == "" {
		for _, a := range b.archives {
			a.keep(m)
		}
	}
	for _, r := range b.rules {
		if r.matches(m.decoded, only) {
			r.trigger(m)
		}
	}
	return nil
}

// deliver implements sink: for pipes, for rules of other buses, and for
// functions' destinations.
func (b *bus) deliver(_ context.Context, from caller, items []delivery) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		e := item.event
		if e == nil {
			e = &Event{Source: "lambda", DetailType: "Lambda Function Invocation Result", Detail: item.payload}
		}
		errs[i] = b.put(from, *e)
	}
	return errs
}

// Publish puts an event on a bus, as somebody with every permission. The prefix
// is that of the bus's logical id; empty for the default bus.
func (d *Deployment) Publish(prefix string, e Event) error {
	if prefix == "" {
		return d.busNamed("").publish(e, nil)
	}
	id, err := d.Find("AWS::Events::EventBus", prefix)
	if err != nil {
		return err
	}
	name, err := d.name(id)
	if err != nil {
		return err
	}
	return d.busNamed(name).publish(e, nil)
}

// compilePattern compiles a pattern that the template gives as an object, or
// as text.
func compilePattern(document json.RawMessage) (*eventpattern.Pattern, error) {
	var text string
	if json.Unmarshal(document, &text) == nil {
		document = json.RawMessage(text)
	}
	return eventpattern.Compile(document)
}
