package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// delivery is one record on its way to a target.
type delivery struct {
	payload      []byte
	group, dedup string            // of a FIFO queue
	attributes   map[string]string // of a message
	event        *Event            // how a bus gets it, if the payload is an event's detail
}

// sink is what rules, pipes, topics and destinations deliver to. It takes up to
// 10 deliveries and returns an error for each, nil for those it accepted; a
// *DeniedError among them will not go away by trying again.
type sink interface {
	deliver(ctx context.Context, from caller, items []delivery) []error
}

// sink returns the target of an ARN.
func (d *Deployment) sink(arn string) (sink, error) {
	if f, qualifier := d.function(arn); f != nil {
		return &asyncInvoker{f, arn, qualifier}, nil
	}
	if s, ok := d.queues[arn]; ok {
		return s, nil
	}
	if s, ok := d.topics[arn]; ok {
		return s, nil
	}
	if s, ok := d.buses[arn]; ok {
		return s, nil
	}
	if s, ok := d.streams[arn]; ok {
		return s, nil
	}
	if s, ok := d.machines[arn]; ok {
		return s, nil
	}
	if s, ok := d.groups[strings.TrimSuffix(arn, ":*")]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("the target %s is not in the template, or of a kind that is not driven", arn)
}

// deadLetter sends what could not be delivered to a queue or topic.
func (d *Deployment) deadLetter(by, arn string, from caller, item delivery, cause error) {
	if arn == "" {
		d.drop(by, cause, item.payload)
		return
	}
	s, err := d.sink(arn)
	if err == nil {
		err = s.deliver(d.ctx, from, []delivery{item})[0]
	}
	if err != nil {
		d.drop(by, errors.Join(cause, fmt.Errorf("dead letter: %w", err)), item.payload)
	}
}

func isDenied(err error) bool {
	var denied *DeniedError
	return errors.As(err, &denied)
}
