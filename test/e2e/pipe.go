package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pipe is an EventBridge pipe from a table's stream to a target.
type pipe struct {
	d             *Deployment
	id, arn, name string
	role          string
	table         *table
	sourceARN     string
	source        streamParameters
	filter        filter
	target        targetParameters
	targetARN     string
	sink          sink
	// quiet is when the last look that found nothing began, in Unix
	// nanoseconds: what was written before it has been read.
	quiet  atomic.Int64
	mu     sync.Mutex
	failed []json.RawMessage
}

type streamParameters struct {
	BatchSize                 int
	MaximumRetryAttempts      *int
	MaximumRecordAgeInSeconds *int
	OnPartialBatchItemFailure string
	DeadLetterConfig          struct{ Arn string }
}

type targetParameters struct {
	InputTemplate                 *string
	EventBridgeEventBusParameters struct {
		DetailType, Source, Time string
		Resources                []string
	}
	SqsQueueParameters struct {
		MessageGroupID         string `json:"MessageGroupId"`
		MessageDeduplicationID string `json:"MessageDeduplicationId"`
	}
}

func (d *Deployment) makePipes(context.Context) error {
	for id := range d.All("AWS::Pipes::Pipe") {
		if err := d.makePipe(id); err != nil {
			return fmt.Errorf("pipe %s: %w", id, err)
		}
	}
	return nil
}

func (d *Deployment) makePipe(id string) error {
	var props struct {
		RoleArn, Source, Target, Enrichment, DesiredState string
		SourceParameters                                  struct {
			FilterCriteria           filterCriteria
			DynamoDBStreamParameters *streamParameters
		}
		TargetParameters targetParameters
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	if props.DesiredState == "STOPPED" {
		return nil
	}
	if props.SourceParameters.DynamoDBStreamParameters == nil || props.Enrichment != "" {
		return errors.New("only pipes from a DynamoDB stream without enrichment are supported")
	}
	name, err := d.name(id)
	if err != nil {
		return err
	}
	p := &pipe{
		d: d, id: id, name: name, arn: d.arn("pipes", "pipe/"+name), role: props.RoleArn, sourceARN: props.Source, targetARN: props.Target,
		source: *props.SourceParameters.DynamoDBStreamParameters, target: props.TargetParameters,
	}
	if p.source.BatchSize == 0 {
		p.source.BatchSize = 100
	}
	tableARN, _, _ := strings.Cut(props.Source, "/stream/")
	if p.table = d.tables[tableARN]; p.table == nil || p.table.stream == "" {
		return fmt.Errorf("the source %s is no stream of a table in the template", props.Source)
	}
	if p.filter, err = props.SourceParameters.FilterCriteria.compile(); err != nil {
		return err
	}
	if p.sink, err = d.sink(props.Target); err != nil {
		return err
	}
	if err := d.iam.trusts(p.role, "pipes.amazonaws.com", p.arn); err != nil {
		return err
	}
	for _, action := range []string{"dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"} {
		if err := d.iam.check(asRole(p.role), action, props.Source, nil); err != nil {
			return err
		}
	}
	if err := d.iam.checkKey(asRole(p.role), tableARN, "kms:Decrypt"); err != nil {
		return err
	}
	d.pipes[p.arn] = p
	d.spawn(p.run)
	return nil
}

// drained reports whether all that was written before the time has been read.
func (p *pipe) drained(t time.Time) bool { return p.quiet.Load() > t.UnixNano() }

// pollInterval is the pause after a look at the stream that found nothing.
const pollInterval = 50 * time.Millisecond

// run reads the stream until the deployment is closed.
func (p *pipe) run() {
	r := &streamReader{p: p, done: map[string]bool{}, iterators: map[string]string{}, last: map[string]string{}}
	for p.d.ctx.Err() == nil {
		start := time.Now()
		quiet, err := r.poll()
		if err != nil && p.d.ctx.Err() == nil {
			p.d.drop("pipe "+p.id, fmt.Errorf("read the stream: %w", err), nil)
		}
		if err == nil && quiet {
			p.quiet.Store(start.UnixNano())
		}
		if err != nil || quiet {
			select {
			case <-p.d.ctx.Done():
			case <-time.After(pollInterval):
			}
		}
	}
}

// streamReader reads the shards of a table's stream in their order, parents
// first, which keeps the order of an item's records.
type streamReader struct {
	p         *pipe
	shards    []shard
	described time.Time
	done      map[string]bool   // shards read to their end
	iterators map[string]string // of the others
	last      map[string]string // sequence number of the last record read
}

type shard struct {
	ID     string `json:"ShardId"`
	Parent string `json:"ParentShardId"`
}

// call calls an operation of DynamoDB Streams.
func (r *streamReader) call(operation string, in, out any) error {
	return r.p.d.callJSON(r.p.d.ctx, r.p.d.options.DynamoDB, "DynamoDBStreams_20120810."+operation, in, out)
}

// describe looks for new shards, which DynamoDB opens every few hours.
func (r *streamReader) describe() error {
	if time.Since(r.described) < time.Second {
		return nil
	}
	var shards []shard
	for in := map[string]string{"StreamArn": r.p.table.stream}; ; {
		var out struct {
			StreamDescription struct {
				Shards []shard
				Last   string `json:"LastEvaluatedShardId"`
			}
		}
		if err := r.call("DescribeStream", in, &out); err != nil {
			return err
		}
		shards = append(shards, out.StreamDescription.Shards...)
		if out.StreamDescription.Last == "" {
			r.shards, r.described = shards, time.Now()
			return nil
		}
		in["ExclusiveStartShardId"] = out.StreamDescription.Last
	}
}

// poll looks once at every shard that may have records; it reports true when
// none had.
func (r *streamReader) poll() (quiet bool, err error) {
	if err := r.describe(); err != nil {
		return false, err
	}
	quiet = len(r.shards) > 0
	for _, s := range r.shards {
		waiting := !r.done[s.Parent] && slices.ContainsFunc(r.shards, func(o shard) bool { return o.ID == s.Parent })
		if r.done[s.ID] || waiting {
			quiet = quiet && !waiting
			continue
		}
		read, err := r.read(s.ID)
		if err != nil {
			return false, err
		}
		quiet = quiet && !read
	}
	return quiet, nil
}

// read reads what a shard has, up to the API's limit of 1,000 records, and
// reports whether there may be more to look at.
func (r *streamReader) read(shardID string) (bool, error) {
	if r.iterators[shardID] == "" {
		// What is deployed here starts empty, so LATEST and TRIM_HORIZON are
		// one; only the start of reading would lose records to LATEST.
		in := map[string]string{"StreamArn": r.p.table.stream, "ShardId": shardID, "ShardIteratorType": "TRIM_HORIZON"}
		if last := r.last[shardID]; last != "" {
			in["ShardIteratorType"], in["SequenceNumber"] = "AFTER_SEQUENCE_NUMBER", last
		}
		var out struct{ ShardIterator string }
		if err := r.call("GetShardIterator", in, &out); err != nil {
			return false, err
		}
		r.iterators[shardID] = out.ShardIterator
	}
	var out struct {
		NextShardIterator string
		Records           []map[string]any
	}
	err := r.call("GetRecords", map[string]any{"ShardIterator": r.iterators[shardID], "Limit": 1000}, &out)
	var failed *ServiceError
	if errors.As(err, &failed) && (failed.Code == "TrimmedDataAccessException" || failed.Code == "ExpiredIteratorException") {
		// The engine says so of an iterator into a shard that was empty, once
		// other tables have written.
		delete(r.iterators, shardID)
		return true, nil
	} else if err != nil {
		return false, err
	}
	if len(out.Records) > 0 {
		end := r.p.d.begin("pipe " + r.p.id)
		for batch := range slices.Chunk(out.Records, r.p.source.BatchSize) {
			r.p.process(shardID, batch)
		}
		last, _ := lookup(out.Records[len(out.Records)-1], "$.dynamodb.SequenceNumber")
		r.last[shardID], _ = last.(string)
		end()
	}
	r.iterators[shardID] = out.NextShardIterator
	if out.NextShardIterator == "" {
		r.done[shardID], r.described = true, time.Time{} // its children are next
		return true, nil
	}
	return len(out.Records) > 0, nil
}

// pipeRecord is a stream's record on its way.
type pipeRecord struct {
	source map[string]any
	item   delivery
	err    error
}

// process filters records and sends them in order.
func (p *pipe) process(shardID string, records []map[string]any) {
	var batch []*pipeRecord
	for _, r := range records {
		r["eventSource"], r["awsRegion"], r["eventSourceARN"] = "aws:dynamodb", p.d.region, p.sourceARN
		if !p.filter.match(r) {
			continue
		}
		item, err := p.item(r)
		batch = append(batch, &pipeRecord{r, item, err})
	}
	for chunk := range slices.Chunk(batch, 10) {
		p.deliver(shardID, chunk)
		if p.d.faults.hit("DuplicateRecords", p.d.faults.DuplicateRecords) {
			p.deliver(shardID, chunk)
		}
	}
}

// deliver sends a batch until it succeeds or its retries are used up; then it
// goes to the dead-letter queue. With bisection a failed batch is halved first.
func (p *pipe) deliver(shardID string, batch []*pipeRecord) {
	bisect := p.source.OnPartialBatchItemFailure == "AUTOMATIC_BISECT"
	waited := time.Duration(0)
	for attempt := 0; ; attempt++ {
		err := p.send(batch)
		if err == nil || p.d.ctx.Err() != nil {
			return
		}
		if bisect && len(batch) > 1 {
			p.deliver(shardID, batch[:len(batch)/2])
			p.deliver(shardID, batch[len(batch)/2:])
			return
		}
		retries, age := p.source.MaximumRetryAttempts, p.source.MaximumRecordAgeInSeconds
		if retries != nil && *retries >= 0 && attempt >= *retries || age != nil && *age >= 0 && waited >= time.Duration(*age)*time.Second {
			p.giveUp(shardID, batch, err)
			return
		}
		pause := backoff(attempt+1, time.Second, time.Minute)
		waited += pause
		if !p.d.wait(pause) {
			return
		}
	}
}

func (p *pipe) send(batch []*pipeRecord) error {
	var items []delivery
	for _, r := range batch {
		if r.err != nil {
			return r.err
		}
		items = append(items, r.item)
	}
	return errors.Join(p.sink.deliver(p.d.ctx, asRole(p.role), items)...)
}

// giveUp writes where the batch stood in the stream to the dead-letter queue,
// as pipes do for stream sources: the records themselves are not in it.
func (p *pipe) giveUp(shardID string, batch []*pipeRecord, cause error) {
	sequence := func(r *pipeRecord) any {
		v, _ := lookup(r.source, "$.dynamodb.SequenceNumber")
		return v
	}
	p.mu.Lock()
	for _, r := range batch {
		document, _ := json.Marshal(r.source)
		p.failed = append(p.failed, document)
	}
	p.mu.Unlock()
	body, _ := json.Marshal(map[string]any{
		"context": map[string]any{
			"partnerResourceArn": p.arn, "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 1, "errorMessage": cause.Error(),
		},
		"version": "1.0", "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		"DDBStreamBatchInfo": map[string]any{
			"shardId": shardID, "startSequenceNumber": sequence(batch[0]), "endSequenceNumber": sequence(batch[len(batch)-1]),
			"batchSize": len(batch), "streamArn": p.sourceARN,
		},
	})
	p.d.deadLetter("pipe "+p.id, p.source.DeadLetterConfig.Arn, asRole(p.role), delivery{payload: body, group: shardID, dedup: p.d.newID()}, cause)
}

// item makes what the target gets of a record.
func (p *pipe) item(record map[string]any) (delivery, error) {
	var item delivery
	if p.target.InputTemplate == nil {
		var err error
		if item.payload, err = json.Marshal(record); err != nil {
			return item, err
		}
	} else {
		text, err := fill(*p.target.InputTemplate, func(variable string) (any, bool) {
			switch variable {
			case "aws.pipes.pipe-arn":
				return p.arn, true
			case "aws.pipes.pipe-name":
				return p.name, true
			case "aws.pipes.source-arn":
				return p.sourceARN, true
			case "aws.pipes.target-arn":
				return p.targetARN, true
			case "aws.pipes.event.ingestion-time":
				return time.Now().UTC().Format(time.RFC3339Nano), true
			case "aws.pipes.event", "aws.pipes.event.json":
				return record, true
			}
			return lookup(record, variable)
		})
		if err != nil {
			return item, err
		}
		if strings.ContainsAny(text[:min(len(text), 1)], "{[") && !json.Valid([]byte(text)) {
			return item, fmt.Errorf("the input template made invalid JSON: %.200s", text)
		}
		item.payload = []byte(text)
	}
	// A parameter that starts with $. is a path into the record.
	value := func(parameter string) string {
		if strings.HasPrefix(parameter, "$.") {
			v, _ := lookup(record, parameter)
			text, _ := v.(string)
			return text
		}
		return parameter
	}
	item.group, item.dedup = value(p.target.SqsQueueParameters.MessageGroupID), value(p.target.SqsQueueParameters.MessageDeduplicationID)
	if _, ok := p.sink.(*bus); ok {
		to := p.target.EventBridgeEventBusParameters
		item.event = &Event{DetailType: value(to.DetailType), Source: value(to.Source), Time: value(to.Time), Detail: item.payload}
		if item.event.DetailType == "" {
			item.event.DetailType = "Event from aws:dynamodb"
		}
		if item.event.Source == "" {
			item.event.Source = "Pipe " + p.name
		}
		for _, r := range to.Resources {
			item.event.Resources = append(item.event.Resources, value(r))
		}
	}
	return item, nil
}

// Failed returns the stream's records that a pipe gave up, which its
// dead-letter queue only points to.
func (d *Deployment) Failed(prefix string) ([]json.RawMessage, error) {
	id, err := d.Find("AWS::Pipes::Pipe", prefix)
	if err != nil {
		return nil, err
	}
	for _, p := range d.pipes {
		if p.id == id {
			p.mu.Lock()
			defer p.mu.Unlock()
			return slices.Clone(p.failed), nil
		}
	}
	return nil, fmt.Errorf("pipe %s is stopped", id)
}
