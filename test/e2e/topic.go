package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// topic is an SNS topic.
type topic struct {
	d         *Deployment
	id, arn   string
	engine    string // the engine's ARN
	functions []string
	mu        sync.Mutex
	published []string
}

func (d *Deployment) makeTopics(ctx context.Context) error {
	for id := range d.All("AWS::SNS::Topic") {
		var props struct {
			KmsMasterKeyID string `json:"KmsMasterKeyId"`
		}
		if err := d.properties(id, &props); err != nil {
			return err
		}
		name, err := d.name(id)
		if err != nil {
			return err
		}
		var out struct {
			TopicArn string `xml:"CreateTopicResult>TopicArn"`
		}
		if err := d.callForm(ctx, d.options.Fauxqs, "sns", url.Values{"Action": {"CreateTopic"}, "Name": {name}, "Version": {"2010-03-31"}}, &out); err != nil {
			return fmt.Errorf("topic %s: %w", id, err)
		}
		t := &topic{d: d, id: id, arn: d.arn("sns", name), engine: out.TopicArn}
		d.topics[t.arn] = t
		d.encrypt(t.arn, props.KmsMasterKeyID)
	}
	for id := range d.All("AWS::SNS::Subscription") {
		if err := d.subscribe(ctx, id); err != nil {
			return fmt.Errorf("subscription %s: %w", id, err)
		}
	}
	return nil
}

func (d *Deployment) subscribe(ctx context.Context, id string) error {
	var props struct {
		TopicArn, Protocol, Endpoint string
		RawMessageDelivery           bool
		FilterPolicy                 json.RawMessage
		FilterPolicyScope            string
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	t := d.topics[props.TopicArn]
	if t == nil {
		return fmt.Errorf("the topic %s is not in the template", props.TopicArn)
	}
	switch props.Protocol {
	case "sqs":
		q := d.queues[props.Endpoint]
		if q == nil {
			return fmt.Errorf("the queue %s is not in the template", props.Endpoint)
		}
		from := asService("sns.amazonaws.com", t.arn)
		if err := d.iam.check(from, "sqs:SendMessage", q.arn, nil); err != nil {
			return err
		}
		if err := d.iam.checkKey(from, q.arn, "kms:GenerateDataKey", "kms:Decrypt"); err != nil {
			return err
		}
		form := url.Values{"Action": {"Subscribe"}, "Version": {"2010-03-31"}, "TopicArn": {t.engine}, "Protocol": {"sqs"}, "Endpoint": {d.engineARN(q.name)}}
		attributes := map[string]string{"FilterPolicy": string(props.FilterPolicy), "FilterPolicyScope": props.FilterPolicyScope}
		if props.RawMessageDelivery {
			attributes["RawMessageDelivery"] = "true"
		}
		i := 0
		for name, value := range attributes {
			if value != "" {
				i++
				form.Set(fmt.Sprintf("Attributes.entry.%d.key", i), name)
				form.Set(fmt.Sprintf("Attributes.entry.%d.value", i), value)
			}
		}
		return d.callForm(ctx, d.options.Fauxqs, "sns", form, nil)
	case "lambda":
		if props.FilterPolicy != nil {
			return fmt.Errorf("a filter policy of a function's subscription is not supported")
		}
		t.functions = append(t.functions, props.Endpoint)
	}
	// E-mail and HTTP leave the system; Published shows what they would get.
	return nil
}

// deliver implements sink.
func (t *topic) deliver(ctx context.Context, from caller, items []delivery) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		err := t.d.iam.check(from, "sns:Publish", t.arn, nil)
		if err == nil {
			err = t.d.iam.checkKey(from, t.arn, "kms:GenerateDataKey", "kms:Decrypt")
		}
		if err == nil {
			err = t.d.callForm(ctx, t.d.options.Fauxqs, "sns", url.Values{
				"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {t.engine}, "Message": {string(item.payload)},
			}, nil)
		}
		if err != nil {
			errs[i] = fmt.Errorf("topic %s: %w", t.id, err)
			continue
		}
		t.accept(string(item.payload), "")
	}
	return errs
}

// accept notes a message and hands it to the subscribed functions; the engine
// has handed it to the queues.
func (t *topic) accept(text, subject string) {
	t.mu.Lock()
	t.published = append(t.published, text)
	t.mu.Unlock()
	t.d.touch()
	for _, arn := range t.functions {
		event, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{
			"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": t.arn + ":harness",
			"Sns": map[string]any{
				"Type": "Notification", "MessageId": t.d.newID(), "TopicArn": t.arn, "Subject": subject, "Message": text,
				"Timestamp": time.Now().UTC().Format(time.RFC3339Nano),
			},
		}}})
		sink, err := t.d.sink(arn)
		if err == nil {
			err = sink.deliver(t.d.ctx, asService("sns.amazonaws.com", t.arn), []delivery{{payload: event}})[0]
		}
		if err != nil {
			t.d.drop("topic "+t.id, err, event)
		}
	}
}

// Published returns the messages that a topic accepted.
func (d *Deployment) Published(prefix string) ([]string, error) {
	id, err := d.Find("AWS::SNS::Topic", prefix)
	if err != nil {
		return nil, err
	}
	arn, err := d.attribute(id, "Arn")
	if err != nil {
		return nil, err
	}
	t := d.topics[arn.(string)]
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.published...), nil
}
