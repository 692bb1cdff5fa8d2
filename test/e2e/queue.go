package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// queue is an SQS queue.
type queue struct {
	d             *Deployment
	id, arn, name string
	url           string // the engine's
	fifo          bool
	visibility    time.Duration
	redriveTarget string // ARN of the dead-letter queue, "" without one
	maxReceives   int
	consumed      bool // an event source mapping empties it
	endless       atomic.Pointer[EndlessError]
}

// leastReceives is how often a message may be received where no queue says it.
const leastReceives = 5

type queueProps struct {
	FifoQueue                 bool
	ContentBasedDeduplication bool
	VisibilityTimeout         *int
	DelaySeconds              int
	MaximumMessageSize        int
	KmsMasterKeyID            string `json:"KmsMasterKeyId"`
	RedrivePolicy             *struct {
		Target      string `json:"deadLetterTargetArn"`
		MaxReceives int    `json:"maxReceiveCount"`
	}
}

func (d *Deployment) makeQueues(ctx context.Context) error {
	made := map[string]queueProps{}
	for id := range d.All("AWS::SQS::Queue") {
		var props queueProps
		if err := d.properties(id, &props); err != nil {
			return err
		}
		name, err := d.name(id)
		if err != nil {
			return err
		}
		q := &queue{d: d, id: id, name: name, arn: d.arn("sqs", name), fifo: props.FifoQueue, visibility: 30 * time.Second}
		attributes := map[string]string{}
		if v := props.VisibilityTimeout; v != nil {
			q.visibility = time.Duration(*v) * time.Second
			attributes["VisibilityTimeout"] = strconv.Itoa(*v)
		}
		if props.DelaySeconds > 0 {
			attributes["DelaySeconds"] = strconv.Itoa(d.seconds(time.Duration(props.DelaySeconds) * time.Second))
		}
		if props.MaximumMessageSize > 0 {
			attributes["MaximumMessageSize"] = strconv.Itoa(props.MaximumMessageSize)
		}
		if q.fifo {
			attributes["FifoQueue"] = "true"
			attributes["ContentBasedDeduplication"] = strconv.FormatBool(props.ContentBasedDeduplication)
		}
		var out struct {
			QueueURL string `json:"QueueUrl"`
		}
		if err := d.callJSON(ctx, d.options.Fauxqs, "AmazonSQS.CreateQueue", map[string]any{"QueueName": name, "Attributes": attributes}, &out); err != nil {
			return fmt.Errorf("queue %s: %w", id, err)
		}
		q.url = out.QueueURL
		d.queues[q.arn] = q
		d.encrypt(q.arn, props.KmsMasterKeyID)
		made[q.arn] = props
	}
	d.mostReceives = leastReceives
	// The dead-letter queues exist only now.
	for arn, props := range made {
		if props.RedrivePolicy == nil {
			continue
		}
		q := d.queues[arn]
		dead := d.queues[props.RedrivePolicy.Target]
		if dead == nil {
			return fmt.Errorf("queue %s: its dead-letter queue %s is not in the template", q.id, props.RedrivePolicy.Target)
		}
		if dead.fifo != q.fifo {
			return fmt.Errorf("queue %s: its dead-letter queue %s must be FIFO too, or neither", q.id, dead.id)
		}
		q.redriveTarget, q.maxReceives = dead.arn, props.RedrivePolicy.MaxReceives
		d.mostReceives = max(d.mostReceives, q.maxReceives)
		policy, _ := json.Marshal(map[string]any{"deadLetterTargetArn": d.engineARN(dead.name), "maxReceiveCount": q.maxReceives})
		if err := d.callJSON(ctx, d.options.Fauxqs, "AmazonSQS.SetQueueAttributes",
			map[string]any{"QueueUrl": q.url, "Attributes": map[string]string{"RedrivePolicy": string(policy)}}, nil); err != nil {
			return fmt.Errorf("queue %s: %w", q.id, err)
		}
	}
	return nil
}

// engineARN is the name that fauxqs gives a queue: it knows one account only.
func (d *Deployment) engineARN(name string) string {
	return fmt.Sprintf("arn:aws:sqs:%s:000000000000:%s", d.region, name)
}

// seconds scales a waiting time that an engine counts in whole seconds.
func (d *Deployment) seconds(t time.Duration) int {
	return int(math.Ceil(t.Seconds() / d.options.Speed))
}

// message is one received from a queue, in the shape of the SQS API.
type message struct {
	MessageID         string `json:"MessageId"`
	ReceiptHandle     string
	Body              string
	MD5OfBody         string
	Attributes        map[string]string
	MessageAttributes map[string]struct{ StringValue, DataType string }
}

// receive takes up to 10 messages, waiting a second for the first.
func (q *queue) receive(ctx context.Context, max int) ([]message, error) {
	var out struct{ Messages []message }
	err := q.d.callJSON(ctx, q.d.options.Fauxqs, "AmazonSQS.ReceiveMessage", map[string]any{
		"QueueUrl": q.url, "MaxNumberOfMessages": min(max, 10), "WaitTimeSeconds": 1,
		"AttributeNames": []string{"All"}, "MessageAttributeNames": []string{"All"},
	}, &out)
	return out.Messages, err
}

// EndlessError tells of a message that is received again and again, with nothing
// in the template that would end it.
type EndlessError struct {
	Queue    string // its logical id
	Body     string
	Received int
	Limit    int // the most often that the template lets a message be received
}

// Error names the queue and how often its message was received.
func (e *EndlessError) Error() string {
	return fmt.Sprintf("queue %s: a message was received %d times, and the template allows %d: %.200s", e.Queue, e.Received, e.Limit, e.Body)
}

// noteEndless notes a message that was received more often than the queue's
// redrive policy allows or, where it has none, any other in the template.
func (q *queue) noteEndless(messages []message) {
	limit := q.maxReceives
	if limit == 0 {
		limit = q.d.mostReceives
	}
	for _, m := range messages {
		if n, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"]); n > limit {
			q.endless.CompareAndSwap(nil, &EndlessError{q.id, m.Body, n, limit})
		}
	}
}

func (q *queue) delete(ctx context.Context, messages []message) error {
	return q.batch(ctx, "DeleteMessageBatch", messages, func(m message) map[string]any { return map[string]any{"ReceiptHandle": m.ReceiptHandle} })
}

// release makes messages visible again after the wait.
func (q *queue) release(ctx context.Context, messages []message, wait int) error {
	return q.batch(ctx, "ChangeMessageVisibilityBatch", messages, func(m message) map[string]any {
		return map[string]any{"ReceiptHandle": m.ReceiptHandle, "VisibilityTimeout": wait}
	})
}

func (q *queue) batch(ctx context.Context, operation string, messages []message, entry func(message) map[string]any) error {
	for len(messages) > 0 {
		n := min(10, len(messages))
		var entries []map[string]any
		for i, m := range messages[:n] {
			e := entry(m)
			e["Id"] = strconv.Itoa(i)
			entries = append(entries, e)
		}
		if err := q.d.callJSON(ctx, q.d.options.Fauxqs, "AmazonSQS."+operation, map[string]any{"QueueUrl": q.url, "Entries": entries}, nil); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

// deliver implements sink.
func (q *queue) deliver(ctx context.Context, from caller, items []delivery) []error {
	errs := make([]error, len(items))
	err := q.d.iam.check(from, "sqs:SendMessage", q.arn, nil)
	if err == nil {
		err = q.d.iam.checkKey(from, q.arn, "kms:GenerateDataKey", "kms:Decrypt")
	}
	if err == nil && len(items) > 10 {
		panic("e2e: more than 10 messages in a batch")
	}
	if err == nil {
		var entries []map[string]any
		for i, item := range items {
			e := map[string]any{"Id": strconv.Itoa(i), "MessageBody": string(item.payload)}
			if q.fifo {
				e["MessageGroupId"] = item.group
				if item.dedup != "" {
					e["MessageDeduplicationId"] = item.dedup
				}
			}
			if len(item.attributes) > 0 {
				attributes := map[string]any{}
				for name, value := range item.attributes {
					attributes[name] = map[string]string{"DataType": "String", "StringValue": value}
				}
				e["MessageAttributes"] = attributes
			}
			entries = append(entries, e)
		}
		var out struct {
			Failed []struct{ ID, Code, Message string }
		}
		err = q.d.callJSON(ctx, q.d.options.Fauxqs, "AmazonSQS.SendMessageBatch", map[string]any{"QueueUrl": q.url, "Entries": entries}, &out)
		for _, f := range out.Failed {
			if i, parse := strconv.Atoi(f.ID); parse == nil {
				errs[i] = &ServiceError{"AmazonSQS.SendMessageBatch", 400, f.Code, f.Message}
			}
		}
		q.d.touch()
	}
	if err != nil {
		for i := range errs {
			errs[i] = fmt.Errorf("queue %s: %w", q.id, err)
		}
	}
	return errs
}

// depth returns how many messages wait, visible or not.
func (q *queue) depth(ctx context.Context) (visible, hidden int, err error) {
	var out struct{ Attributes map[string]string }
	err = q.d.callJSON(ctx, q.d.options.Fauxqs, "AmazonSQS.GetQueueAttributes",
		map[string]any{"QueueUrl": q.url, "AttributeNames": []string{"All"}}, &out)
	visible, _ = strconv.Atoi(out.Attributes["ApproximateNumberOfMessages"])
	for _, name := range []string{"ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"} {
		n, _ := strconv.Atoi(out.Attributes[name])
		hidden += n
	}
	return visible, hidden, err
}

// Messages takes the messages out of a queue, such as a dead-letter queue, and
// returns their bodies. The prefix is that of the queue's logical id.
func (d *Deployment) Messages(ctx context.Context, prefix string) ([]string, error) {
	q, err := d.queue(prefix)
	if err != nil {
		return nil, err
	}
	var bodies []string
	for {
		visible, _, err := q.depth(ctx)
		if err != nil || visible == 0 {
			return bodies, err
		}
		messages, err := q.receive(ctx, 10)
		if err != nil {
			return bodies, err
		}
		for _, m := range messages {
			bodies = append(bodies, m.Body)
		}
		if err := q.delete(ctx, messages); err != nil {
			return bodies, err
		}
	}
}

// Send puts messages into a queue, as somebody with every permission.
func (d *Deployment) Send(ctx context.Context, prefix string, group string, bodies ...string) error {
	q, err := d.queue(prefix)
	if err != nil {
		return err
	}
	for i, body := range bodies {
		in := map[string]any{"QueueUrl": q.url, "MessageBody": body}
		if q.fifo {
			in["MessageGroupId"], in["MessageDeduplicationId"] = group, fmt.Sprintf("%s-%d-%d", group, i, time.Now().UnixNano())
		}
		if err := d.callJSON(ctx, d.options.Fauxqs, "AmazonSQS.SendMessage", in, nil); err != nil {
			return err
		}
	}
	d.touch()
	return nil
}

func (d *Deployment) queue(prefix string) (*queue, error) {
	id, err := d.Find("AWS::SQS::Queue", prefix)
	if err != nil {
		return nil, err
	}
	for _, q := range d.queues {
		if q.id == id {
			return q, nil
		}
	}
	return nil, fmt.Errorf("queue %s was not made", id)
}

// queueOf returns the queue of a URL, ours or the engine's.
func (d *Deployment) queueOf(url string) *queue {
	return d.queues[d.arn("sqs", url[strings.LastIndex(url, "/")+1:])]
}
