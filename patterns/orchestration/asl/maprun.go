package asl

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// inlineConcurrency is how many iterations of an inline Map state run at once
// at most; a distributed one runs up to distributedConcurrency.
const (
	inlineConcurrency      = 40
	distributedConcurrency = 10_000
)

// A mapRun is the progress of a Map state.
type mapRun struct {
	ARN         string           `json:"arn,omitempty"`
	Items       []any            `json:"items"`
	Keys        []string         `json:"keys,omitempty"`   // when the items are an object's values
	Inputs      []any            `json:"inputs,omitempty"` // of the children, when items are batched
	Sizes       []int            `json:"sizes,omitempty"`  // items of each batch
	Children    int              `json:"children"`         // how many there will be
	Next        int              `json:"next"`             // the next child to start
	Results     []any            `json:"results"`
	Lost        []*thread        `json:"lost,omitempty"` // failed children, for redrive
	LostItems   int              `json:"lostItems,omitempty"`
	Concurrency int              `json:"concurrency"`
	MaxCount    *float64         `json:"maxCount,omitempty"`
	MaxPercent  *float64         `json:"maxPercent,omitempty"`
	Records     []map[string]any `json:"records,omitempty"` // of ended child executions
	Files       []file           `json:"files,omitempty"`   // still to be written
	Written     map[string]any   `json:"written,omitempty"` // the output once they are
}

// A file is what a ResultWriter puts into a bucket.
type file struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Body   string `json:"body"`
}

// beginMap finds the items of a Map state.
func (x *Execution) beginMap(t *thread, e *env) {
	s := t.state()
	run := &mapRun{}
	if err := run.limits(s, e); err != nil {
		x.fail(t, err)
		return
	}
	if s.Distributed {
		run.ARN = fmt.Sprintf("%s/%s:%s", strings.Replace(x.rec.MachineID, ":stateMachine:", ":mapRun:", 1), s.mapLabel(), x.uuid())
	}
	t.Map = run
	if s.reader != nil {
		x.startReader(t, e)
		return
	}
	var items any
	var err *Error
	if e.language == JSONata {
		items, err = e.or(s.items, e.data)
	} else {
		items, err = e.selected("ItemsPath", s.itemsPath, e.data)
	}
	if err != nil {
		x.fail(t, err)
		return
	}
	x.startMap(t, e, items)
}

func (s *State) mapLabel() string {
	if s.label != "" {
		return s.label
	}
	return strings.ReplaceAll(s.Name, " ", "")
}

func (m *mapRun) limits(s *State, e *env) *Error {
	limit := inlineConcurrency
	if s.Distributed {
		limit = distributedConcurrency
	}
	m.Concurrency = limit
	if s.maxConcurrency.set {
		n, err := e.number("MaxConcurrency", s.maxConcurrency, span{0, math.MaxInt32, true})
		if err != nil {
			return err
		}
		if n > 0 {
			m.Concurrency = min(int(n), limit)
		}
	}
	if s.toleratedCount.set {
		n, err := e.number("ToleratedFailureCount", s.toleratedCount, span{0, math.MaxInt32, true})
		if err != nil {
			return err
		}
		m.MaxCount = &n
	}
	if s.toleratedPercent.set {
		n, err := e.number("ToleratedFailurePercentage", s.toleratedPercent, span{0, 100, false})
		if err != nil {
			return err
		}
		m.MaxPercent = &n
	}
	return nil
}

// startReader asks for the items of a distributed Map state.
func (x *Execution) startReader(t *thread, e *env) {
	r := t.state().reader
	task := x.newTask(t, r.resource)
	arguments, err := e.or(r.arguments, map[string]any{})
	config := r.config
	if err == nil && r.maxItems.set {
		var n float64
		n, err = e.number("ReaderConfig.MaxItems", r.maxItems, span{1, 100_000_000, true})
		config.MaxItems = int(n)
	}
	if err != nil {
		x.fail(t, err)
		return
	}
	task.Arguments, task.Reader = arguments, &config
	t.Phase, t.Task = reading, task
}

func (x *Execution) read(t *thread, a *answer) {
	if a.Error != nil {
		x.fail(t, errorf(ErrorItemReaderFailed, "%v", a.Error))
		return
	}
	e := x.env(t)
	input, err := e.selected("InputPath", t.state().inputPath, t.Input)
	if err != nil {
		x.fail(t, err)
		return
	}
	e.data = input
	x.startMap(t, e, a.Output)
}

// startMap takes the items and lets join start the children.
func (x *Execution) startMap(t *thread, e *env, items any) {
	s, run := t.state(), t.Map
	switch items := items.(type) {
	case []any:
		run.Items = items
	case map[string]any:
		run.Keys = slices.Sorted(maps.Keys(items))
		for _, key := range run.Keys {
			run.Items = append(run.Items, items[key])
		}
	default:
		x.fail(t, errorf(e.typeError(), "the items of Map state %q must be an array or an object, not %s", s.Name, kindOf(items)))
		return
	}
	run.Children = len(run.Items)
	if s.batcher != nil {
		if err := x.batch(t, e); err != nil {
			x.fail(t, err)
			return
		}
	}
	run.Results = make([]any, run.Children)
	t.Phase = forking
}

// item is Map.Item of the context object.
func (m *mapRun) item(i int) map[string]any {
	item := map[string]any{"Index": float64(i), "Value": m.Items[i]}
	if m.Keys != nil {
		item["Key"] = m.Keys[i]
	}
	return item
}

// itemInput is what ItemSelector makes of an item.
func (x *Execution) itemInput(t *thread, e *env, i int) (any, *Error) {
	item := *e
	item.bindings = nil
	item.context = maps.Clone(e.context)
	item.context["Map"] = map[string]any{"Item": t.Map.item(i)}
	item.states = map[string]any{"input": t.Input, "context": item.context}
	return item.or(t.state().itemSelector, t.Map.Items[i])
}

// batch groups the items for the children.
func (x *Execution) batch(t *thread, e *env) *Error {
	b, run := t.state().batcher, t.Map
	maxItems, maxBytes := float64(len(run.Items)), float64(MaxDataSize)
	var err *Error
	if b.maxItems.set {
		if maxItems, err = e.number("MaxItemsPerBatch", b.maxItems, span{1, math.MaxInt32, true}); err != nil {
			return err
		}
	}
	if b.maxBytes.set {
		if maxBytes, err = e.number("MaxInputBytesPerBatch", b.maxBytes, span{1, MaxDataSize, true}); err != nil {
			return err
		}
	}
	input, err := e.or(b.input, nil)
	if err != nil {
		return err
	}
	wrap := func(items []any) map[string]any {
		batch := map[string]any{"Items": items}
		if b.input.set {
			batch["BatchInput"] = input
		}
		return batch
	}
	var batch []any
	flush := func() {
		if len(batch) > 0 {
			run.Inputs = append(run.Inputs, wrap(batch))
			run.Sizes = append(run.Sizes, len(batch))
			batch = nil
		}
	}
	for i := range run.Items {
		item, err := x.itemInput(t, e, i)
		if err != nil {
			return err
		}
		if len(batch) > 0 && (float64(len(batch)) >= maxItems || float64(dataSize(wrap(append(batch, item)))) > maxBytes) {
			flush()
		}
		batch = append(batch, item)
	}
	flush()
	run.Children = len(run.Inputs)
	return nil
}

// startChild starts the next iteration.
func (x *Execution) startChild(t *thread, e *env) *Error {
	s, run := t.state(), t.Map
	i := run.Next
	c := &thread{Index: i, State: s.Processor.StartAt, Status: Running, Phase: entering, machine: s.Processor, parent: t}
	if run.Inputs != nil {
		c.Input = run.Inputs[i]
	} else {
		input, err := x.itemInput(t, e, i)
		if err != nil {
			return err
		}
		c.Input, c.Item = input, run.item(i)
	}
	if s.Distributed {
		name := x.uuid()
		id := strings.Replace(x.rec.MachineID, ":stateMachine:", ":execution:", 1) + "/" + s.mapLabel() + ":" + name
		c.Child = &child{ID: id, Name: name, Started: x.rec.Now, Input: c.Input}
	}
	run.Next++
	t.Children = append(t.Children, c)
	x.count(t, 1)
	return nil
}

// joinMap collects ended iterations and starts new ones.
func (x *Execution) joinMap(t *thread) bool {
	s, run := t.state(), t.Map
	moved := false
	live := t.Children[:0:0]
	for _, c := range t.Children {
		switch c.Status {
		case Running:
			live = append(live, c)
			continue
		case Succeeded:
			run.Results[c.Index] = c.Output
		default:
			run.Lost = append(run.Lost, c)
			run.LostItems += run.size(c.Index)
		}
		moved = true
		if s.Distributed {
			run.record(x, c)
		}
	}
	t.Children = live
	if err := run.failed(s); err != nil {
		x.fail(t, err)
		return true
	}
	var e *env
	for len(t.Children) < run.Concurrency && run.Next < run.Children && t.Status == Running {
		if e == nil {
			e = x.env(t)
			data, err := e.selected("InputPath", s.inputPath, t.Input)
			if err != nil {
				x.fail(t, err)
				return true
			}
			e.data = data
		}
		if err := x.startChild(t, e); err != nil {
			x.fail(t, err)
			return true
		}
		moved = true
	}
	if t.Status != Running {
		return true
	}
	if len(t.Children) == 0 && run.Next == run.Children {
		x.endMap(t)
		return true
	}
	return moved
}

func (m *mapRun) size(i int) int {
	if m.Sizes != nil {
		return m.Sizes[i]
	}
	return 1
}

// failed returns the error of a run with too many failed items.
func (m *mapRun) failed(s *State) *Error {
	if len(m.Lost) == 0 {
		return nil
	}
	if !s.Distributed {
		return m.Lost[0].Error
	}
	count, percent := m.MaxCount, m.MaxPercent
	if count == nil && percent == nil {
		count = new(float64)
	}
	share := 100 * float64(m.LostItems) / float64(len(m.Items))
	if count != nil && float64(m.LostItems) > *count || percent != nil && share > *percent {
		return errorf(ErrorExceedToleratedFailureThreshold,
			"%d of %d items failed, more than state %q tolerates; the first failed with %v", m.LostItems, len(m.Items), s.Name, m.Lost[0].Error)
	}
	return nil
}

// record notes how a child execution ended, as its result is exported.
func (m *mapRun) record(x *Execution, c *thread) {
	status := c.Status
	r := map[string]any{
		"ExecutionArn":    c.Child.ID,
		"Name":            c.Child.Name,
		"StateMachineArn": x.rec.MachineID + "/" + c.parent.state().mapLabel(),
		"Input":           compactJSON(c.Child.Input),
		"InputDetails":    map[string]any{"Included": true},
		"StartDate":       stamp(c.Child.Started),
		"StopDate":        stamp(c.Child.Stopped),
		"Status":          string(status),
		"RedriveCount":    float64(x.rec.Redrives),
		"RedriveStatus":   "REDRIVABLE",
	}
	if status == Succeeded {
		r["Output"], r["OutputDetails"] = compactJSON(c.Output), map[string]any{"Included": true}
		r["RedriveStatus"], r["RedriveStatusReason"] = "NOT_REDRIVABLE", "Execution is SUCCEEDED and cannot be redriven"
	} else {
		r["Error"], r["Cause"] = c.Error.Name, c.Error.Cause
	}
	m.Records = append(m.Records, map[string]any{"index": float64(c.Index), "record": r})
}

func compactJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

// results are the outputs of the children as the writer's Transformation wants
// them. A child that failed stands in them with its record.
func (m *mapRun) results(transformation string) []any {
	records := make([]any, m.Children)
	failed := make([]bool, m.Children)
	for _, r := range m.Records {
		i := int(r["index"].(float64))
		record := r["record"].(map[string]any)
		records[i], failed[i] = record, record["Status"] != string(Succeeded)
	}
	if transformation == "NONE" {
		return records
	}
	out := []any{}
	for i, result := range m.Results {
		list, isList := result.([]any)
		switch {
		case failed[i]:
			out = append(out, records[i])
		case transformation == "FLATTEN" && isList:
			out = append(out, list...)
		default:
			out = append(out, result)
		}
	}
	return out
}

// endMap finishes a Map state whose children have all ended.
func (x *Execution) endMap(t *thread) {
	s, run := t.state(), t.Map
	switch w := s.writer; {
	case !s.Distributed:
		x.finish(t, run.Results)
	case w == nil:
		x.finish(t, run.results("COMPACT"))
	case w.resource == "":
		x.finish(t, run.results(w.transformation))
	default:
		x.export(t)
	}
}

// export prepares the files of a ResultWriter and starts to write them.
func (x *Execution) export(t *thread) {
	s, run := t.state(), t.Map
	e := x.env(t)
	data, err := e.selected("InputPath", s.inputPath, t.Input)
	var arguments any
	if err == nil {
		e.data = data
		arguments, err = e.or(s.writer.arguments, map[string]any{})
	}
	if err != nil {
		x.fail(t, err)
		return
	}
	fields, _ := arguments.(map[string]any)
	bucket, _ := fields["Bucket"].(string)
	prefix, _ := fields["Prefix"].(string)
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	prefix += run.ARN[strings.LastIndexByte(run.ARN, ':')+1:] + "/"

	transformation := s.writer.transformation
	if transformation == "" {
		transformation = "NONE"
	}
	extension := ".json"
	if s.writer.outputType == "JSONL" {
		extension = ".jsonl"
	}
	var succeeded, failed []any
	for _, result := range run.results(transformation) {
		if r, ok := result.(map[string]any); ok && r["Status"] == string(Failed) {
			failed = append(failed, result)
		} else {
			succeeded = append(succeeded, result)
		}
	}
	listed := map[string]any{"FAILED": []any{}, "PENDING": []any{}, "SUCCEEDED": []any{}}
	for _, group := range []struct {
		name    string
		results []any
	}{{"SUCCEEDED", succeeded}, {"FAILED", failed}} {
		if len(group.results) == 0 {
			continue
		}
		f := file{Bucket: bucket, Key: prefix + group.name + "_0" + extension, Body: lines(group.results, extension)}
		run.Files = append(run.Files, f)
		listed[group.name] = []any{map[string]any{"Key": f.Key, "Size": float64(len(f.Body))}}
	}
	manifest := map[string]any{"DestinationBucket": bucket, "MapRunArn": run.ARN, "ResultFiles": listed}
	run.Files = append(run.Files, file{Bucket: bucket, Key: prefix + "manifest.json", Body: compactJSON(manifest)})
	run.Written = map[string]any{
		"MapRunArn":           run.ARN,
		"ResultWriterDetails": map[string]any{"Bucket": bucket, "Key": prefix + "manifest.json"},
	}
	x.write(t)
}

func lines(results []any, extension string) string {
	if extension == ".json" {
		return compactJSON(results)
	}
	var b strings.Builder
	for _, r := range results {
		b.WriteString(compactJSON(r))
		b.WriteByte('\n')
	}
	return b.String()
}

// write starts to put the next file.
func (x *Execution) write(t *thread) {
	f := t.Map.Files[0]
	task := x.newTask(t, t.state().writer.resource)
	task.Arguments = map[string]any{"Bucket": f.Bucket, "Key": f.Key, "Body": f.Body}
	t.Phase, t.Task = writing, task
}

func (x *Execution) written(t *thread, a *answer) {
	if a.Error != nil {
		x.fail(t, errorf(ErrorResultWriterFailed, "%v", a.Error))
		return
	}
	if t.Map.Files = t.Map.Files[1:]; len(t.Map.Files) > 0 {
		x.write(t)
		return
	}
	x.finish(t, t.Map.Written)
}

// revive gives the failed children back to the thread, for a redrive.
func (m *mapRun) revive(t *thread) {
	if m.Results == nil {
		return // the items were never read
	}
	t.Phase = forking
	t.Children = append(t.Children, m.Lost...)
	slices.SortFunc(t.Children, func(a, b *thread) int { return a.Index - b.Index })
	m.Lost, m.LostItems, m.Files, m.Written = nil, 0, nil, nil
	m.Records = slices.DeleteFunc(m.Records, func(r map[string]any) bool {
		return r["record"].(map[string]any)["Status"] != string(Succeeded)
	})
	for _, c := range t.Children {
		if c.Child != nil {
			c.Child.Stopped = time.Time{}
		}
	}
}
