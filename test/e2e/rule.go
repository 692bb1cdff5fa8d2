package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/test/e2e/eventpattern"
)

// rule is a rule of an event bus.
type rule struct {
	d       *Deployment
	id, arn string
	name    string
	bus     *bus
	pattern *eventpattern.Pattern // nil for a schedule
	targets []*target
}

// matched is an event on a bus, in the three forms that rules and targets need.
type matched struct {
	event    Event
	document []byte
	decoded  any
}

// target is one target of a rule.
type target struct {
	rule    *rule
	props   targetProps
	sink    sink
	from    caller
	retries int
	work    *backlog[*targetEvent]
}

type targetProps struct {
	ID               string `json:"Id"`
	Arn, RoleArn     string
	Input            *string
	InputPath        string
	InputTransformer *inputTransformer
	DeadLetterConfig struct{ Arn string }
	RetryPolicy      struct{ MaximumRetryAttempts, MaximumEventAgeInSeconds *int }
	SqsParameters    struct {
		MessageGroupID string `json:"MessageGroupId"`
	}
}

type targetEvent struct {
	*matched
	attempts int
	waited   time.Duration // in the template's time
	end      func()
}

func (d *Deployment) makeRule(id string) error {
	var props struct {
		EventBusName, State string
		EventPattern        json.RawMessage
		Targets             []targetProps
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	if props.State == "DISABLED" {
		return nil
	}
	b := d.busNamed(props.EventBusName)
	if b == nil {
		return fmt.Errorf("the bus %s is not in the template", props.EventBusName)
	}
	name, err := d.name(id)
	if err != nil {
		return err
	}
	arn, err := d.attribute(id, "Arn")
	if err != nil {
		return err
	}
	r := &rule{d: d, id: id, name: name, arn: arn.(string), bus: b}
	if props.EventPattern != nil {
		if r.pattern, err = compilePattern(props.EventPattern); err != nil {
			return err
		}
	}
	for _, p := range props.Targets {
		t := &target{rule: r, props: p, retries: 185, work: newBacklog[*targetEvent]()}
		if n := p.RetryPolicy.MaximumRetryAttempts; n != nil {
			t.retries = *n
		}
		if t.sink, err = d.sink(p.Arn); err != nil {
			return fmt.Errorf("target %s: %w", p.ID, err)
		}
		t.from = asService("events.amazonaws.com", r.arn)
		if p.RoleArn != "" {
			if err := d.iam.trusts(p.RoleArn, "events.amazonaws.com", r.arn); err != nil {
				return fmt.Errorf("target %s: %w", p.ID, err)
			}
			t.from = asRole(p.RoleArn)
		}
		r.targets = append(r.targets, t)
		d.spawn(t.run)
	}
	b.rules = append(b.rules, r)
	return nil
}

func (r *rule) matches(event any, only []string) bool {
	if len(only) > 0 && !slices.Contains(only, r.arn) {
		return false
	}
	return r.pattern != nil && r.pattern.Match(event)
}

func (r *rule) trigger(m *matched) {
	r.count("MatchedEvents", 1)
	r.count("TriggeredRules", 1)
	for _, t := range r.targets {
		times := 1
		if r.d.faults.hit("DuplicateEvents", r.d.faults.DuplicateEvents) {
			times = 2
		}
		for range times {
			t.work.put(&targetEvent{matched: m, end: r.d.begin("rule " + r.id)})
		}
	}
}

// count adds to a metric of the rule, under the dimensions EventBridge gives
// it.
func (r *rule) count(metric string, n float64) {
	r.d.metrics.add("AWS/Events", metric, n, "RuleName", r.name)
	r.d.metrics.add("AWS/Events", metric, n, "EventBusName", r.bus.name, "RuleName", r.name)
}

func (t *target) run() {
	for {
		batch := t.work.take(t.rule.d.ctx, 100)
		if len(batch) == 0 {
			return
		}
		if t.rule.d.faults.hit("Reorder", t.rule.d.faults.Reorder) {
			shuffle(t.rule.d.faults, batch)
		}
		for chunk := range slices.Chunk(batch, 10) {
			t.send(chunk)
		}
	}
}

func (t *target) send(batch []*targetEvent) {
	var items []delivery
	var sent []*targetEvent
	for _, e := range batch {
		item, err := t.item(e.matched)
		if err != nil {
			t.giveUp(e, err)
			continue
		}
		items, sent = append(items, item), append(sent, e)
	}
	if len(items) == 0 {
		return
	}
	for i, err := range t.sink.deliver(t.rule.d.ctx, t.from, items) {
		e := sent[i]
		switch {
		case err == nil:
			t.rule.count("Invocations", 1)
			e.end()
		case isDenied(err) || e.attempts >= t.retries || t.tooOld(e):
			t.giveUp(e, err)
		default:
			e.attempts++
			pause := backoff(e.attempts, time.Second, 15*time.Minute)
			e.waited += pause
			t.rule.d.spawn(func() {
				if t.rule.d.wait(pause) {
					t.work.put(e)
				}
			})
		}
	}
}

func (t *target) tooOld(e *targetEvent) bool {
	age := t.props.RetryPolicy.MaximumEventAgeInSeconds
	return age != nil && e.waited >= time.Duration(*age)*time.Second
}

// item is what the target gets of an event.
func (t *target) item(m *matched) (delivery, error) {
	item := delivery{payload: m.document, group: t.props.SqsParameters.MessageGroupID}
	if strings.HasPrefix(item.group, "$.") {
		v, _ := lookup(m.decoded, item.group)
		item.group = fmt.Sprint(v)
	}
	switch {
	case t.props.Input != nil:
		item.payload = []byte(*t.props.Input)
	case t.props.InputPath != "":
		v, ok := lookup(m.decoded, t.props.InputPath)
		if !ok {
			return item, fmt.Errorf("the event has no %s", t.props.InputPath)
		}
		item.payload, _ = json.Marshal(v)
	case t.props.InputTransformer != nil:
		var err error
		if item.payload, err = t.props.InputTransformer.apply(m.decoded, t.rule.name, t.rule.arn); err != nil {
			return item, err
		}
	default:
		item.event = &m.event // another bus gets the event itself
	}
	return item, nil
}

func (t *target) giveUp(e *targetEvent, cause error) {
	defer e.end()
	t.rule.count("FailedInvocations", 1)
	code := "SDK_CLIENT_ERROR"
	if isDenied(cause) {
		code = "NO_PERMISSIONS"
	}
	if t.props.DeadLetterConfig.Arn != "" {
		t.rule.count("InvocationsSentToDlq", 1)
	}
	t.rule.d.deadLetter("rule "+t.rule.id+" to target "+t.props.ID, t.props.DeadLetterConfig.Arn, asService("events.amazonaws.com", t.rule.arn), delivery{
		payload: e.document,
		attributes: map[string]string{
			"RULE_ARN": t.rule.arn, "TARGET_ARN": t.props.Arn, "ERROR_CODE": code, "ERROR_MESSAGE": cause.Error(),
			"RETRY_ATTEMPTS": fmt.Sprint(e.attempts),
		},
		group: "dead-letters", dedup: e.event.ID,
	}, cause)
}

// Fire triggers a scheduled rule once. The prefix is that of its logical id.
func (d *Deployment) Fire(prefix string) error {
	id, err := d.Find("AWS::Events::Rule", prefix)
	if err != nil {
		return err
	}
	for _, b := range d.buses {
		for _, r := range b.rules {
			if r.id == id && r.pattern == nil {
				m, err := d.published(Event{DetailType: "Scheduled Event", Source: "aws.events", Resources: []string{r.arn}, Detail: json.RawMessage("{}")})
				if err != nil {
					return err
				}
				r.trigger(m)
				return nil
			}
		}
	}
	return fmt.Errorf("rule %s has no schedule, or is disabled", id)
}
