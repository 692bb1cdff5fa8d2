package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/serverless-go/cdk/test/e2e/eventpattern"
)

// archive keeps the events of a bus.
type archive struct {
	id      string
	bus     *bus
	pattern *eventpattern.Pattern // nil: all
	mu      sync.Mutex
	events  []Event
}

func (d *Deployment) makeArchive(id string) error {
	var props struct {
		SourceArn, State string
		EventPattern     json.RawMessage
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	b := d.buses[props.SourceArn]
	if b == nil {
		return fmt.Errorf("the bus %s is not in the template", props.SourceArn)
	}
	a := &archive{id: id, bus: b}
	if props.EventPattern != nil {
		var err error
		if a.pattern, err = compilePattern(props.EventPattern); err != nil {
			return err
		}
	}
	b.archives = append(b.archives, a)
	return nil
}

func (a *archive) keep(m *matched) {
	if a.pattern != nil && !a.pattern.Match(m.decoded) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, m.event)
}

func (d *Deployment) archive(prefix string) (*archive, error) {
	id, err := d.Find("AWS::Events::Archive", prefix)
	if err != nil {
		return nil, err
	}
	for _, b := range d.buses {
		for _, a := range b.archives {
			if a.id == id {
				return a, nil
			}
		}
	}
	return nil, fmt.Errorf("archive %s was not made", id)
}

// Archived returns the events that an archive of a bus keeps.
func (d *Deployment) Archived(prefix string) ([]Event, error) {
	a, err := d.archive(prefix)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events), nil
}

// Replay publishes an archive's events again, in no order, under the name of
// the replay, to the rules of the given logical ids' prefixes or to all.
func (d *Deployment) Replay(prefix, name string, rules ...string) error {
	a, err := d.archive(prefix)
	if err != nil {
		return err
	}
	var only []string
	for _, r := range rules {
		id, err := d.Find("AWS::Events::Rule", r)
		if err != nil {
			return err
		}
		arn, err := d.attribute(id, "Arn")
		if err != nil {
			return err
		}
		only = append(only, arn.(string))
	}
	events, err := d.Archived(prefix)
	if err != nil {
		return err
	}
	shuffle(d.faults, events)
	for _, e := range events {
		e.ReplayName = name
		if err := a.bus.publish(e, only); err != nil {
			return err
		}
	}
	return nil
}
