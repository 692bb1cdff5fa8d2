package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// mapping is an event source mapping from a queue to a function.
type mapping struct {
	d           *Deployment
	id          string
	queue       *queue
	function    *function
	functionARN string
	batchSize   int
	window      time.Duration
	partial     bool // the function reports the items that failed
	filter      filter
}

func (d *Deployment) makeMappings(context.Context) error {
	for id := range d.All("AWS::Lambda::EventSourceMapping") {
		if err := d.makeMapping(id); err != nil {
			return fmt.Errorf("event source mapping %s: %w", id, err)
		}
	}
	return nil
}

func (d *Deployment) makeMapping(id string) error {
	var props struct {
		EventSourceArn, FunctionName   string
		BatchSize                      int
		MaximumBatchingWindowInSeconds int
		Enabled                        *bool
		FunctionResponseTypes          []string
		FilterCriteria                 filterCriteria
		ScalingConfig                  struct{ MaximumConcurrency int }
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	if props.Enabled != nil && !*props.Enabled {
		return nil
	}
	m := &mapping{
		d: d, id: id, functionARN: d.iam.functionARN(props.FunctionName), batchSize: max(props.BatchSize, 1),
		window:  time.Duration(props.MaximumBatchingWindowInSeconds) * time.Second,
		partial: slices.Contains(props.FunctionResponseTypes, "ReportBatchItemFailures"),
	}
	if props.BatchSize == 0 {
		m.batchSize = 10
	}
	if m.queue = d.queues[props.EventSourceArn]; m.queue == nil {
		return fmt.Errorf("the source %s is no queue in the template", props.EventSourceArn)
	}
	if m.function, _ = d.function(m.functionARN); m.function == nil {
		return fmt.Errorf("the function %s is not in the template", props.FunctionName)
	}
	if m.queue.visibility < m.function.timeout {
		return fmt.Errorf("the queue's visibility time-out %v is less than the function's time-out %v", m.queue.visibility, m.function.timeout)
	}
	var err error
	if m.filter, err = props.FilterCriteria.compile(); err != nil {
		return err
	}
	from := asRole(m.function.role)
	for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
		if err := d.iam.check(from, action, m.queue.arn, nil); err != nil {
			return err
		}
	}
	if err := d.iam.checkKey(from, m.queue.arn, "kms:Decrypt"); err != nil {
		return err
	}
	m.queue.consumed = true
	d.mappings = append(d.mappings, m)
	pollers := cap(m.function.slots)
	if n := props.ScalingConfig.MaximumConcurrency; n > 0 {
		pollers = min(pollers, n)
	}
	for range pollers {
		d.spawn(m.poll)
	}
	return nil
}

func (m *mapping) poll() {
	for m.d.ctx.Err() == nil {
		batch, err := m.collect()
		if err != nil {
			if m.d.ctx.Err() != nil {
				return
			}
			m.d.drop("event source mapping "+m.id, err, nil)
			time.Sleep(pollInterval)
		}
		m.queue.noteEndless(batch)
		if len(batch) > 0 {
			end := m.d.begin("event source mapping " + m.id)
			if err := m.handle(batch); err != nil && m.d.ctx.Err() == nil {
				m.d.drop("event source mapping "+m.id, err, nil)
			}
			end()
		}
	}
}

// collect receives messages until the batch is full, the queue has no more or
// the batching window ends.
func (m *mapping) collect() ([]message, error) {
	batch, err := m.queue.receive(m.d.ctx, m.batchSize)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	deadline := time.Now().Add(m.d.scaled(m.window))
	for len(batch) < m.batchSize && (len(batch)%10 == 0 || time.Now().Before(deadline)) {
		more, err := m.queue.receive(m.d.ctx, m.batchSize-len(batch))
		if err != nil || len(more) == 0 {
			break // what was received is handled, whatever came after it
		}
		batch = append(batch, more...)
	}
	return batch, nil
}

// handle invokes the function with a batch, deletes what succeeded and lets
// the rest become visible again.
func (m *mapping) handle(batch []message) error {
	ctx := m.d.ctx
	var records []map[string]any
	var rejected, passed []message
	for _, message := range batch {
		record := m.record(message)
		if len(m.filter) > 0 && !m.filter.match(withBody(record)) {
			rejected = append(rejected, message)
			continue
		}
		records, passed = append(records, record), append(passed, message)
	}
	if err := m.queue.delete(ctx, rejected); err != nil || len(passed) == 0 {
		return err
	}
	payload, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		return err
	}
	failed, failure := m.invoke(payload, passed)
	if len(failed) == 0 && m.d.faults.hit("DuplicateMessages", m.d.faults.DuplicateMessages) {
		failed, failure = m.invoke(payload, passed)
	}
	var done, again []message
	for _, message := range passed {
		if failed[message.MessageID] {
			again = append(again, message)
		} else {
			done = append(done, message)
		}
	}
	if err := m.queue.delete(ctx, done); err != nil {
		return err
	}
	if len(again) == 0 {
		return nil
	}
	// In reverse, for the engine puts each at the front of its group.
	slices.Reverse(again)
	// What a message collides with gets its turn meanwhile, however fast the rest is.
	pause := max(m.function.retryPause(failure, m.queue.visibility), 250*time.Millisecond)
	if pause >= time.Second {
		return m.queue.release(ctx, again, int(math.Ceil(pause.Seconds())))
	}
	// The engine counts in whole seconds. Until then the messages stay hidden, as
	// they have been since they were received.
	end := m.d.begin("event source mapping " + m.id)
	m.d.spawn(func() {
		defer end()
		if !m.d.sleep(pause) {
			return
		}
		if err := m.queue.release(ctx, again, 0); err != nil && ctx.Err() == nil {
			m.d.drop("event source mapping "+m.id, err, nil)
		}
	})
	return nil
}

// invoke returns the ids of the messages that failed, and the error if the
// invocation did.
func (m *mapping) invoke(payload []byte, batch []message) (map[string]bool, error) {
	all := map[string]bool{}
	for _, message := range batch {
		all[message.MessageID] = true
	}
	answer, err := m.function.invoke(m.d.ctx, m.functionARN, payload)
	if err != nil {
		return all, err
	}
	if !m.partial {
		return nil, nil
	}
	var response struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(answer) > 0 && json.Unmarshal(answer, &response) != nil {
		return all, nil
	}
	failed := map[string]bool{}
	for _, f := range response.Failures {
		if !all[f.ID] {
			return all, nil // Lambda takes an unknown id for a failure of the whole batch
		}
		failed[f.ID] = true
	}
	return failed, nil
}

// record is a message as the function gets it.
func (m *mapping) record(message message) map[string]any {
	attributes := map[string]any{}
	for name, a := range message.MessageAttributes {
		attributes[name] = map[string]any{"stringValue": a.StringValue, "dataType": a.DataType}
	}
	return map[string]any{
		"messageId": message.MessageID, "receiptHandle": message.ReceiptHandle, "body": message.Body, "md5OfBody": message.MD5OfBody,
		"attributes": message.Attributes, "messageAttributes": attributes,
		"eventSource": "aws:sqs", "eventSourceARN": m.queue.arn, "awsRegion": m.d.region,
	}
}
