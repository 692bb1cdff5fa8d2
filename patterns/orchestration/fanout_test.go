package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

// guarded is S3 behind the permissions of a state machine's role: what the role
// may not do fails, as it would at AWS.
type guarded struct {
	asl.Objects
	t        testing.TB
	policies []*iam.Policy
	sizes    bool // the interpreter reads listed objects only to learn their sizes, which S3 lists
}

func (g *guarded) ask(action, bucket, key string, context iam.Context) error {
	arn := "arn:aws:s3:::" + strings.ToLower(bucket)
	if key != "" {
		arn += "/" + key
	}
	decision := iam.Evaluate(iam.Request{
		Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:role/workflow"},
		Action:    action, Resource: arn, Context: context,
	}, iam.Policies{Identity: g.policies})
	if !decision.Allowed {
		return &asl.Error{Name: "S3.AccessDenied", Cause: action + " on " + arn}
	}
	return nil
}

func (g *guarded) Object(ctx context.Context, bucket, key string) ([]byte, error) {
	if err := g.ask("s3:GetObject", bucket, key, nil); err != nil && !g.sizes {
		return nil, err
	}
	return g.Objects.Object(ctx, bucket, key)
}

func (g *guarded) Keys(ctx context.Context, bucket, prefix string) iter.Seq2[string, error] {
	if err := g.ask("s3:ListBucket", bucket, "", iam.Context{"s3:prefix": {prefix}}); err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	return g.Objects.Keys(ctx, bucket, prefix)
}

func (g *guarded) Put(ctx context.Context, bucket, key string, content []byte) error {
	if err := g.ask("s3:PutObject", bucket, key, nil); err != nil {
		return err
	}
	return g.Objects.Put(ctx, bucket, key, content)
}

// fanned is a deployed fan out and where it works.
type fanned struct {
	t       *testing.T
	machine *asl.Machine
	store   *guarded
	worked  []string // items, as JSON, that were worked on
	fail    map[string]bool
}

// fan deploys a fan out over the bucket "Lake" and gives it the objects.
func fan(t *testing.T, objects map[string]string, maps func(stack awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap) *fanned {
	t.Helper()
	stack := cdktest.NewStack(t)
	lake := awss3.NewBucket(stack, jsii.String("Lake"), nil)
	orchestration.NewFanOut(stack, "Fan", &orchestration.FanOutProps{Maps: maps(stack, lake)})
	return deploy(t, cdktest.Synth(t, stack), objects)
}

func deploy(t *testing.T, template cdktest.Template, objects map[string]string) *fanned {
	t.Helper()
	f := &fanned{t: t, machine: machine(t, template, "Fan"), store: &guarded{Objects: asl.Objects{}, t: t, policies: iam.NewSynthesized(t, template, "123456789012", "eu-west-1").Role("Fan").Policies}, fail: map[string]bool{}}
	for _, bucket := range template.Resources("AWS::S3::Bucket") {
		if strings.HasPrefix(bucket.ID, "Lake") {
			for key, content := range objects {
				f.store.Objects[bucket.ID+"/"+key] = strings.ReplaceAll(content, "LAKE", bucket.ID)
			}
		}
	}
	return f
}

func (f *fanned) interpreter(tasks map[string]asl.Handler) *asl.Interpreter {
	all := map[string]asl.Handler{"arn:aws:states:::lambda:invoke": asl.Lambda(func(_ context.Context, item any) (any, error) {
		b, err := json.Marshal(item)
		if err != nil {
			return nil, err
		}
		f.worked = append(f.worked, string(b))
		if f.fail[string(b)] {
			return nil, &asl.Error{Name: "Bad", Cause: string(b)}
		}
		return item, nil
	})}
	for name, h := range tasks {
		all[name] = h
	}
	return &asl.Interpreter{Tasks: all, Objects: f.store, Options: asl.StartOptions{Name: "run-1"}}
}

func (f *fanned) run(input any) *asl.Execution {
	f.t.Helper()
	x, err := f.interpreter(nil).Run(f.t.Context(), f.machine, input)
	if err != nil {
		f.t.Fatal(err)
	}
	return x
}

// Every form of items is read, with no more permissions than the role has.
func TestFanOutReads(t *testing.T) {
	inventory := map[string]string{
		"inventory/lake/2026/manifest.json": `{"destinationBucket": "arn:aws:s3:::LAKE", "fileFormat": "CSV", "fileSchema": "Bucket, Key", "files": [{"key": "inventory/lake/data/1.csv"}]}`,
		"inventory/lake/data/1.csv":         "lake,a\nlake,b\n",
	}
	for name, tt := range map[string]struct {
		items   orchestration.Items
		objects map[string]string
		input   any
		want    []string
	}{
		"JSON": {orchestration.Items{Key: "orders.json", Format: orchestration.FormatJSON},
			map[string]string{"orders.json": `[1, {"a": 2}]`}, nil, []string{`1`, `{"a":2}`}},
		"JSON at a pointer": {orchestration.Items{Key: "{% $states.input.key %}", Within: "in/", Format: orchestration.FormatJSON, Pointer: "/orders", Most: 2},
			map[string]string{"in/1.json": `{"orders": [1, 2, 3]}`}, map[string]any{"key": "in/1.json"}, []string{`1`, `2`}},
		"JSON lines": {orchestration.Items{Key: "orders.jsonl", Format: orchestration.FormatJSONL},
			map[string]string{"orders.jsonl": "1\n\n\"x\"\n"}, nil, []string{`1`, `"x"`}},
		"CSV": {orchestration.Items{Key: "orders.csv", Format: orchestration.FormatCSV},
			map[string]string{"orders.csv": "id,n\na,1\nb,2\n"}, nil, []string{`{"id":"a","n":"1"}`, `{"id":"b","n":"2"}`}},
		"CSV with headers": {orchestration.Items{Key: "orders.csv", Format: orchestration.FormatCSV, Headers: []string{"id"}, Delimiter: "PIPE"},
			map[string]string{"orders.csv": "a\nb\n"}, nil, []string{`{"id":"a"}`, `{"id":"b"}`}},
		"inventory": {orchestration.Items{Key: "inventory/lake/2026/manifest.json", Within: "inventory/lake/", Format: orchestration.FormatInventory},
			inventory, nil, []string{`{"Bucket":"lake","Key":"a"}`, `{"Bucket":"lake","Key":"b"}`}},
		"objects": {orchestration.Items{Prefix: "in/"},
			map[string]string{"in/1": "abc", "out/1": "x"}, nil, []string{`{"Key":"in/1","Size":3}`}},
		"all objects": {orchestration.Items{}, map[string]string{"1": "", "2": ""}, nil, []string{`{"Key":"1","Size":0}`, `{"Key":"2","Size":0}`}},
		"what is in objects": {orchestration.Items{Prefix: "{% $states.input %}", Within: "in/", Format: orchestration.FormatJSON},
			map[string]string{"in/a/1": "[1,2]", "in/a/2": "[3]", "in/b/1": "[4]"}, "in/a/", []string{`1`, `2`, `3`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := fan(t, tt.objects, func(stack awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap {
				items := tt.items
				items.Bucket = lake
				return []orchestration.DistributedMap{{Label: "Orders", Items: items, Function: handler(stack, "Worker")}}
			})
			f.store.sizes = tt.items.Format == ""
			x := f.run(tt.input)
			if x.Status() != asl.Succeeded {
				t.Fatalf("%s: %v", x, x.Err())
			}
			if diff := cmp.Diff(tt.want, f.worked); diff != "" {
				t.Errorf("worked on (-want +got):\n%s", diff)
			}
		})
	}
}

// The role may not read what is outside of Within.
func TestFanOutReadsNothingElse(t *testing.T) {
	objects := map[string]string{"in/1": "[1]", "secret": "2",
		"inventory/manifest.json": `{"destinationBucket": "LAKE", "fileFormat": "CSV", "fileSchema": "Key", "files": [{"key": "secret"}]}`}
	for key, items := range map[string]orchestration.Items{
		"secret":                  {Key: "{% $states.input %}", Within: "in/", Format: orchestration.FormatJSON},
		"sec":                     {Prefix: "{% $states.input %}", Within: "in/"},
		"inventory/manifest.json": {Key: "{% $states.input %}", Within: "inventory/", Format: orchestration.FormatInventory},
	} {
		f := fan(t, objects, func(stack awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap {
			items.Bucket = lake
			return []orchestration.DistributedMap{{Label: "Orders", Items: items, Function: handler(stack, "Worker")}}
		})
		x := f.run(key)
		if x.Err() == nil || !strings.Contains(x.Err().Error(), "S3.AccessDenied") || f.worked != nil {
			t.Errorf("%s: %v after work on %v", key, x.Err(), f.worked)
		}
	}
}

// Parquet is read by Step Functions, for which a handler stands: a file, or
// those of an inventory.
func TestFanOutParquet(t *testing.T) {
	for name, tt := range map[string]struct {
		items    orchestration.Items
		resource string
		want     asl.ItemReader
	}{
		"inventory": {orchestration.Items{Prefix: "inventory/lake/data/", Format: orchestration.FormatParquet},
			"arn:aws:states:::s3:listObjectsV2", asl.ItemReader{InputType: "PARQUET", Transformation: "LOAD_AND_FLATTEN"}},
		"file": {orchestration.Items{Key: "1.parquet", Format: orchestration.FormatParquet},
			"arn:aws:states:::s3:getObject", asl.ItemReader{InputType: "PARQUET"}},
	} {
		f := fan(t, nil, func(stack awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap {
			tt.items.Bucket = lake
			return []orchestration.DistributedMap{{Label: "Orders", Items: tt.items, Function: handler(stack, "Worker")}}
		})
		in := f.interpreter(map[string]asl.Handler{tt.resource: func(_ context.Context, task *asl.PendingTask) (any, error) {
			if diff := cmp.Diff(tt.want, *task.Reader); diff != "" {
				t.Errorf("%s: the reader (-want +got):\n%s", name, diff)
			}
			return []any{map[string]any{"key": "a"}}, nil
		}})
		x, err := in.Run(t.Context(), f.machine, nil)
		if err != nil || x.Status() != asl.Succeeded || !slices.Equal(f.worked, []string{`{"key":"a"}`}) {
			t.Errorf("%s: %v, %s, worked on %v", name, err, x, f.worked)
		}
	}
}

func numbers(n int) map[string]string {
	var all []int
	for i := range n {
		all = append(all, i)
	}
	b, _ := json.Marshal(all)
	return map[string]string{"n.json": string(b)}
}

// The results are in the bucket, where the output says.
func TestFanOutWritesResults(t *testing.T) {
	f := fan(t, numbers(5), func(stack awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap {
		return []orchestration.DistributedMap{{
			Label: "Numbers", Items: orchestration.Items{Bucket: lake, Key: "n.json", Format: orchestration.FormatJSON},
			Function: handler(stack, "Worker"), BatchSize: 2, ToleratedPercentage: 50, ResultPrefix: "done/",
			Selector: map[string]any{"n": "{% $states.context.Map.Item.Value %}"},
		}}
	})
	f.fail[`{"Items":[{"n":2},{"n":3}]}`] = true
	x := f.run(nil)
	if want := []string{`{"Items":[{"n":0},{"n":1}]}`, `{"Items":[{"n":2},{"n":3}]}`, `{"Items":[{"n":4}]}`}; !slices.Equal(f.worked, want) {
		t.Errorf("worked on %v, want %v", f.worked, want)
	}
	var out map[string]struct{ ResultWriterDetails struct{ Bucket, Key string } }
	if err := x.Decode(&out); err != nil {
		t.Fatalf("%s: %v, %v", x, err, x.Err())
	}
	at := out["Numbers"].ResultWriterDetails
	if !strings.HasPrefix(at.Key, "done/") {
		t.Fatalf("the results are at %+v", at)
	}
	var manifest struct {
		ResultFiles map[string][]struct{ Key string }
	}
	if err := json.Unmarshal([]byte(f.store.Objects[at.Bucket+"/"+at.Key]), &manifest); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]int{"SUCCEEDED": 2, "FAILED": 1, "PENDING": 0} {
		var records []map[string]any
		for _, file := range manifest.ResultFiles[state] {
			var more []map[string]any
			if err := json.Unmarshal([]byte(f.store.Objects[at.Bucket+"/"+file.Key]), &more); err != nil {
				t.Fatal(err)
			}
			records = append(records, more...)
		}
		if len(records) != want {
			t.Errorf("%d children are in the files of %s, want %d", len(records), state, want)
		}
	}
}

// More failures than are tolerated fail the map; a redrive runs only what
// failed or was not begun.
func TestFanOutToleratesAndRedrives(t *testing.T) {
	for tolerated, wantFailed := range map[int]bool{0: true, 1: true, 2: false} {
		f := fan(t, numbers(6), func(stack awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap {
			return []orchestration.DistributedMap{{
				Label: "Numbers", Items: orchestration.Items{Bucket: lake, Key: "n.json", Format: orchestration.FormatJSON},
				Function: handler(stack, "Worker"), ToleratedFailures: tolerated, MaxConcurrency: 2,
			}}
		})
		f.fail["1"], f.fail["3"] = true, true
		x := f.run(nil)
		if wantFailed != (x.Status() == asl.Failed) {
			t.Errorf("%d tolerated: %s %v", tolerated, x.Status(), x.Err())
		}
		if !wantFailed {
			continue
		}
		if failure, ok := x.Err().(*asl.Error); !ok || failure.Name != asl.ErrorExceedToleratedFailureThreshold {
			t.Errorf("%d tolerated: it failed with %v", tolerated, x.Err())
		}
		before := f.worked
		f.worked, f.fail = nil, nil
		redrive(t, f, x)
		if all := slices.Sorted(slices.Values(append(succeeded(before, "1", "3"), f.worked...))); !slices.Equal(all, []string{"0", "1", "2", "3", "4", "5"}) {
			t.Errorf("%d tolerated: worked on %v, and after the redrive on %v: some twice, or not at all", tolerated, before, f.worked)
		}
	}
}

func succeeded(worked []string, failed ...string) []string {
	return slices.DeleteFunc(slices.Clone(worked), func(item string) bool { return slices.Contains(failed, item) })
}

func redrive(t *testing.T, f *fanned, x *asl.Execution) {
	t.Helper()
	if err := x.Redrive(x.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := f.interpreter(nil).Continue(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if x.Status() != asl.Succeeded {
		t.Fatalf("after the redrive: %s: %v", x, x.Err())
	}
}

// Maps in branches of a Parallel: when one fails the other is stopped, and a
// redrive finishes both, nothing twice that was done.
func TestFanOutInParallel(t *testing.T) {
	f := fan(t, map[string]string{"a.json": `["a0","a1","a2"]`, "b.json": `["b0","b1","b2"]`},
		func(stack awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap {
			of := func(label string) orchestration.DistributedMap {
				return orchestration.DistributedMap{Label: label, MaxConcurrency: 1, Function: handler(stack, "Worker"+label),
					Items: orchestration.Items{Bucket: lake, Key: strings.ToLower(label) + ".json", Format: orchestration.FormatJSON}}
			}
			return []orchestration.DistributedMap{of("A"), of("B")}
		})
	f.fail[`"a1"`] = true
	x := f.run(nil)
	if x.Status() != asl.Failed || len(f.worked) >= 6 {
		t.Fatalf("%s after work on %v", x.Status(), f.worked)
	}
	before := f.worked
	f.fail = nil
	f.worked = nil
	redrive(t, f, x)
	all := append(succeeded(before, `"a1"`), f.worked...)
	slices.Sort(all)
	// A child that ran when the map was stopped is begun again.
	if all = slices.Compact(all); !slices.Equal(all, []string{`"a0"`, `"a1"`, `"a2"`, `"b0"`, `"b1"`, `"b2"`}) {
		t.Errorf("worked on %v, then on %v", before, f.worked)
	}
	for _, done := range []string{`"a0"`} {
		if slices.Contains(f.worked, done) {
			t.Errorf("%s was done again", done)
		}
	}
	var out map[string]struct{ ResultWriterDetails struct{ Key string } }
	if err := x.Decode(&out); err != nil || !strings.HasPrefix(out["A"].ResultWriterDetails.Key, "A/") || !strings.HasPrefix(out["B"].ResultWriterDetails.Key, "B/") {
		t.Errorf("the output is %v, %v", x.Output(), err)
	}
}

// A map in somebody's own Parallel, in a branch of a Parallel: the workflow
// finds it and may run, watch, stop and redrive its children, and no others.
func TestDistributedMapNested(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := awss3.NewBucket(stack, jsii.String("Lake"), nil)
	m := &orchestration.DistributedMap{Label: "Deep", Express: true, Function: handler(stack, "Worker"), Results: lake,
		Items: orchestration.Items{Bucket: lake, Key: "n.json", Format: orchestration.FormatJSON}}
	state := m.State(stack)
	state["End"] = true
	branch := func(states map[string]any, start string) map[string]any {
		return map[string]any{"StartAt": start, "States": states}
	}
	inner := map[string]any{"Type": "Parallel", "End": true, "Branches": []any{branch(map[string]any{"Map": state}, "Map")}}
	other := map[string]any{"Type": "Pass", "End": true}
	orchestration.NewWorkflow(stack, "Fan", &orchestration.WorkflowProps{
		Definition: branch(map[string]any{"Outer": map[string]any{"Type": "Parallel", "End": true, "Branches": []any{
			branch(map[string]any{"Inner": inner}, "Inner"), branch(map[string]any{"Other": other}, "Other")}}}, "Outer"),
		Allow: m.Allow(),
	})
	template := cdktest.Synth(t, stack)
	f := deploy(t, template, numbers(2))
	if x := f.run(nil); x.Status() != asl.Succeeded || len(f.worked) != 2 {
		t.Errorf("%s: %v", x, x.Err())
	}
	name := template.One(t, "AWS::StepFunctions::StateMachine", nil).ID
	for action, resources := range map[string]map[string]bool{
		"states:StartExecution":    {"stateMachine:" + name: true, "stateMachine:Other": false},
		"states:DescribeExecution": {"execution:" + name + ".Name/Deep:1": true, "execution:" + name + ".Name:1": true, "execution:Other:1": false},
		"states:StopExecution":     {"execution:" + name + ".Name/Deep:1": true},
		"states:RedriveExecution":  {"execution:" + name + ".Name/Deep:1": true, "execution:" + name + ".Name/Other:1": false, "execution:" + name + ".Name:1": false},
	} {
		for resource, want := range resources {
			resource = "arn:aws:states:eu-west-1:123456789012:" + resource
			got := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:role/workflow"}, Action: action, Resource: resource},
				iam.Policies{Identity: f.store.policies})
			if got.Allowed != want {
				t.Errorf("%s on %s is allowed: %v, want %v", action, resource, got.Allowed, want)
			}
		}
	}
}

func TestDistributedMapProcessor(t *testing.T) {
	f := fan(t, numbers(2), func(_ awscdk.Stack, lake awss3.IBucket) []orchestration.DistributedMap {
		return []orchestration.DistributedMap{{
			Label: "Numbers", Items: orchestration.Items{Bucket: lake, Key: "n.json", Format: orchestration.FormatJSON},
			Processor: map[string]any{"StartAt": "Double", "States": map[string]any{
				"Double": map[string]any{"Type": "Pass", "Output": "{% $states.input * 2 %}", "End": true}}},
		}}
	})
	x := f.run(nil)
	if x.Status() != asl.Succeeded {
		t.Fatal(x.Err())
	}
	found := false
	for key, content := range f.store.Objects {
		found = found || strings.Contains(key, "SUCCEEDED") && strings.Contains(content, `"Output":"2"`)
	}
	if !found {
		t.Errorf("no result says that 2 * 1 is 2: %v", f.store.Objects)
	}
}

// everything is a fan out with everything.
func everything(stack awscdk.Stack) *orchestration.FanOutProps {
	key := awskms.NewKey(stack, jsii.String("Key"), nil)
	lake := awss3.NewBucket(stack, jsii.String("Lake"), &awss3.BucketProps{EncryptionKey: key})
	own := awss3.NewBucket(stack, jsii.String("Own"), nil)
	fn := handler(stack, "Worker")
	return &orchestration.FanOutProps{
		Maps: []orchestration.DistributedMap{
			{
				Label: "Orders", Function: fn, BatchSize: 100, BatchBytes: 1000, Express: true, MaxConcurrency: 500,
				ToleratedFailures: 3, ToleratedPercentage: 5, Results: own, ResultPrefix: "orders",
				Items: orchestration.Items{Bucket: lake, Key: "{% $states.input.key %}", Within: "orders/", Format: orchestration.FormatCSV,
					Headers: []string{"id", "total"}, Delimiter: "TAB", Most: 1_000_000},
				Selector: map[string]any{"order": "{% $states.context.Map.Item.Value %}"},
				Retry:    orchestration.Retry{Never: []string{"Wrong"}},
			},
			{Label: "Photos", Function: fn, Items: orchestration.Items{Bucket: lake, Prefix: "photos/"}},
		},
		Workflow: orchestration.WorkflowProps{EncryptionKey: key, Alias: "live", Timeout: time.Hour},
	}
}

func TestFanOutDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := awss3.NewBucket(stack, jsii.String("Lake"), nil)
	orchestration.NewFanOut(stack, "Fan", &orchestration.FanOutProps{Maps: []orchestration.DistributedMap{{
		Label: "Orders", Function: handler(stack, "Worker"), Items: orchestration.Items{Bucket: lake, Key: "orders.json", Format: orchestration.FormatJSON}}}})
	cdktest.Golden(t, stack)
}

func TestFanOutEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	f := orchestration.NewFanOut(stack, "Fan", everything(stack))
	caller := handler(stack, "Caller")
	f.GrantStart(caller)
	f.GrantRead(caller)
	f.GrantRedrive(caller)
	if f.Results() == nil || f.Workflow().Alias() == nil {
		t.Error("the fan out lacks a bucket or the alias")
	}
	cdktest.Golden(t, stack)
}

func TestFanOutIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, orchestration.NewFanOut(stack, "Fan", everything(stack)))
}

func TestFanOutRejects(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*orchestration.FanOutProps)
		want   []string
	}{
		"nothing":  {func(p *orchestration.FanOutProps) { p.Maps = nil }, []string{"Test/Fan", "Maps is empty"}},
		"twice":    {func(p *orchestration.FanOutProps) { p.Maps = append(p.Maps, p.Maps[0]) }, []string{"Maps[1].Label", "no other map"}},
		"label":    {func(p *orchestration.FanOutProps) { p.Maps[0].Label = "a b" }, []string{`Maps[0].Label is "a b"`}},
		"bucket":   {func(p *orchestration.FanOutProps) { p.Maps[0].Items = orchestration.Items{} }, []string{"Maps[0].Items.Bucket is not set"}},
		"format":   {func(p *orchestration.FanOutProps) { p.Maps[0].Items.Format = "XML" }, []string{`Format is "XML"`}},
		"both":     {func(p *orchestration.FanOutProps) { p.Maps[0].Items.Prefix = "x" }, []string{"Items.Key and Prefix is both or none"}},
		"unformed": {func(p *orchestration.FanOutProps) { p.Maps[0].Items.Format = "" }, []string{"Items.Format", "the object's format"}},
		"anywhere": {func(p *orchestration.FanOutProps) { p.Maps[0].Items.Key = "{% $states.input %}" }, []string{"Items.Within", "must not name any other object"}},
		"manifest": {func(p *orchestration.FanOutProps) { p.Maps[0].Items.Format = orchestration.FormatInventory }, []string{"Items.Within"}},
		"options": {func(p *orchestration.FanOutProps) {
			p.Maps[0].Items.Headers, p.Maps[0].Items.Delimiter, p.Maps[0].Items.Pointer = []string{"a"}, ";", "orders"
		}, []string{"Headers and Delimiter is set without FormatCSV", `Delimiter is ";"`, `Pointer is "orders"`}},
		"numbers": {func(p *orchestration.FanOutProps) {
			m := &p.Maps[0]
			m.BatchSize, m.BatchBytes, m.MaxConcurrency, m.ToleratedFailures, m.ToleratedPercentage, m.ResultPrefix = -1, 1<<20, 20_000, -1, 101, "/x"
		}, []string{"BatchSize is -1", "BatchBytes is", "MaxConcurrency is 20000", "ToleratedFailures is -1", "ToleratedPercentage is 101", "ResultPrefix"}},
		"no function": {func(p *orchestration.FanOutProps) { p.Maps[0].Function = nil }, []string{"Function and Processor is both or none"}},
		"workflow": {func(p *orchestration.FanOutProps) { p.Workflow = orchestration.WorkflowProps{Express: true, File: "x"} },
			[]string{"Workflow is set with a definition", "Workflow.Express is true"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			lake := awss3.NewBucket(stack, jsii.String("Lake"), nil)
			p := &orchestration.FanOutProps{Maps: []orchestration.DistributedMap{{Label: "Orders", Function: handler(stack, "Worker"),
				Items: orchestration.Items{Bucket: lake, Key: "n.json", Format: orchestration.FormatJSON}}}}
			tt.change(p)
			cdktest.Rejects(t, func() { orchestration.NewFanOut(stack, "Fan", p) }, tt.want...)
		})
	}
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { (&orchestration.DistributedMap{Label: "Deep"}).State(stack) }, "Test/Deep", "Items.Bucket is not set", "Results is not set")
	pass := fmt.Sprintf(`{"StartAt": "A", "States": {"A": %[1]s, "B": %[1]s}}`, `{"Type": "Map", "Label": "Same", "Items": [1], "End": true,
		"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "X", "States": {"X": {"Type": "Pass", "End": true}}}}`)
	var same map[string]any
	if err := json.Unmarshal([]byte(strings.NewReplacer(`"A": {"Type"`, `"A": {"Next": "B", "Type"`).Replace(pass)), &same); err != nil {
		t.Fatal(err)
	}
	states := same["States"].(map[string]any)
	delete(states["A"].(map[string]any), "End")
	states["B"].(map[string]any)["ItemProcessor"].(map[string]any)["StartAt"] = "Y"
	states["B"].(map[string]any)["ItemProcessor"].(map[string]any)["States"] = map[string]any{"Y": map[string]any{"Type": "Pass", "End": true}}
	cdktest.Rejects(t, func() { orchestration.NewWorkflow(stack, "Twice", &orchestration.WorkflowProps{Definition: same}) },
		"Label", `"Same" names two Distributed Maps`)
}
