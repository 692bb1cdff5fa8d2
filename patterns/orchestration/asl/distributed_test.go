package asl_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// distributed returns a distributed Map state with the given fields. Its
// executions return their input, and fail when it is "bad".
func distributed(t *testing.T, fields string) *asl.Machine {
	t.Helper()
	return one(t, "JSONata", "Each", `{"Type": "Map", `+fields+`, "End": true, "Label": "Items", "ItemProcessor": {
		"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Look", "States": {
			"Look": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 'bad' %}", "Next": "Refuse"}], "Default": "Keep"},
			"Refuse": {"Type": "Fail", "Error": "Bad.Item", "Cause": "it is bad"},
			"Keep": {"Type": "Succeed"}}}}`)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestItemReader(t *testing.T) {
	objects := asl.Objects{
		"data/list.json":       `[1, {"a": 2}, "three"]`,
		"data/nested.json":     `{"orders": {"open": [7, 8]}}`,
		"data/object.json":     `{"b": 2, "a": 1}`,
		"data/rows.csv":        "id,name\n1,Ana\n2,\"Bo, Jr\"\n3\n",
		"data/bare.csv":        "1|Ana\n2|Bo\n",
		"data/lines.jsonl":     "{\"n\": 1}\n\n{\"n\": 2}\n",
		"data/in/a.txt":        "aa",
		"data/in/b.txt":        "b",
		"data/out/c.txt":       "c",
		"data/inv.json":        `{"destinationBucket": "arn:aws:s3:::inventory", "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size", "files": [{"key": "one.csv.gz"}, {"key": "two.csv"}]}`,
		"inventory/one.csv.gz": zipped(t, "data,x,1\ndata,y,2\n"),
		"inventory/two.csv":    "data,z,3\n",
		"data/athena.csv":      "s3://inventory/part.jsonl\n",
		"inventory/part.jsonl": `{"q": 1}`,
		"data/torn.json":       `[1, 2`,
	}
	get := func(key, config string) string {
		return fmt.Sprintf(`"ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": %s, "Arguments": {"Bucket": "data", "Key": %q}}`, config, key)
	}
	list := func(prefix, config string) string {
		return fmt.Sprintf(`"ItemReader": {"Resource": "arn:aws:states:::s3:listObjectsV2", "ReaderConfig": %s, "Arguments": {"Bucket": "data", "Prefix": %q}}`, config, prefix)
	}
	for _, test := range []struct{ name, fields, want string }{
		{"JSON", get("list.json", `{"InputType": "JSON"}`), `[1, {"a": 2}, "three"]`},
		{"JSON with a limit", get("list.json", `{"InputType": "JSON", "MaxItems": 2}`), `[1, {"a": 2}]`},
		{"JSON with a computed limit", get("list.json", `{"InputType": "JSON", "MaxItems": "{% $states.input.max %}"}`), `[1]`},
		{"JSON with a pointer", get("nested.json", `{"InputType": "JSON", "ItemsPointer": "/orders/open"}`), `[7, 8]`},
		{"JSON object", get("object.json", `{"InputType": "JSON"}`), `[{"Key": "a", "Value": 1}, {"Key": "b", "Value": 2}]`},
		{"CSV", get("rows.csv", `{"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}`),
			`[{"id": "1", "name": "Ana"}, {"id": "2", "name": "Bo, Jr"}, {"id": "3", "name": ""}]`},
		{"CSV with given headers", get("bare.csv", `{"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["id", "name"], "CSVDelimiter": "PIPE"}`),
			`[{"id": "1", "name": "Ana"}, {"id": "2", "name": "Bo"}]`},
		{"JSONL", get("lines.jsonl", `{"InputType": "JSONL"}`), `[{"n": 1}, {"n": 2}]`},
		{"inventory", get("inv.json", `{"InputType": "MANIFEST", "ManifestType": "S3_INVENTORY"}`),
			`[{"Bucket": "data", "Key": "x", "Size": "1"}, {"Bucket": "data", "Key": "y", "Size": "2"}, {"Bucket": "data", "Key": "z", "Size": "3"}]`},
		{"Athena manifest", get("athena.csv", `{"InputType": "MANIFEST", "ManifestType": "ATHENA_DATA"}`), `[{"q": 1}]`},
		{"objects", list("in/", `{}`), `[{"Key": "in/a.txt", "Size": 2}, {"Key": "in/b.txt", "Size": 1}]`},
		{"objects with a limit", list("", `{"MaxItems": 1}`), `[{"Key": "athena.csv", "Size": 26}]`},
		{"objects' contents", list("lines", `{"InputType": "JSONL", "Transformation": "LOAD_AND_FLATTEN"}`), `[{"n": 1}, {"n": 2}]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := run(t, &asl.Interpreter{Objects: objects}, distributed(t, test.fields), map[string]any{"max": 1})
			var want any
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			wantOutput(t, x, want)
		})
	}
	for _, test := range []struct{ name, fields, cause string }{
		{"missing object", get("none.json", `{"InputType": "JSON"}`), `bucket "data" has no object "none.json"`},
		{"torn object", get("torn.json", `{"InputType": "JSON"}`), "read items from data/torn.json"},
		{"pointer to nowhere", get("nested.json", `{"InputType": "JSON", "ItemsPointer": "/orders/open/9"}`), "ItemsPointer /orders/open/9 leads nowhere"},
		{"scalar", get("nested.json", `{"InputType": "JSON", "ItemsPointer": "/orders/open/0"}`), "must be an array or an object"},
		{"parquet", get("list.json", `{"InputType": "PARQUET"}`), "bind the reader's resource to a handler"},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := run(t, &asl.Interpreter{Objects: objects}, distributed(t, test.fields), nil)
			wantError(t, x, asl.ErrorItemReaderFailed, test.cause)
		})
	}
	t.Run("handler", func(t *testing.T) {
		in := tasks("Each", func(_ ctx, task *asl.PendingTask) (any, error) {
			return []any{task.Reader.InputType, task.Reader.MaxItems}, nil
		})
		x := run(t, in, distributed(t, get("list.parquet", `{"InputType": "PARQUET", "MaxItems": 9}`)), nil)
		wantOutput(t, x, []any{"PARQUET", 9.0})
	})
}

func TestItemBatcher(t *testing.T) {
	for _, test := range []struct{ name, batcher, want string }{
		{"items", `{"MaxItemsPerBatch": 2}`, `[{"Items": ["aaa", "bbb"]}, {"Items": ["ccc", "ddd"]}, {"Items": ["eee"]}]`},
		{"bytes", `{"MaxInputBytesPerBatch": 30}`, `[{"Items": ["aaa", "bbb", "ccc"]}, {"Items": ["ddd", "eee"]}]`},
		{"both", `{"MaxItemsPerBatch": 4, "MaxInputBytesPerBatch": 24}`, `[{"Items": ["aaa", "bbb"]}, {"Items": ["ccc", "ddd"]}, {"Items": ["eee"]}]`},
		{"input", `{"MaxItemsPerBatch": 5, "BatchInput": {"run": "{% $states.context.Execution.Name %}"}}`,
			`[{"Items": ["aaa", "bbb", "ccc", "ddd", "eee"], "BatchInput": {"run": "execution"}}]`},
		{"computed", `{"MaxItemsPerBatch": "{% $states.input.n %}"}`, `[{"Items": ["aaa", "bbb", "ccc", "ddd"]}, {"Items": ["eee"]}]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := distributed(t, `"Items": ["aaa", "bbb", "ccc", "ddd", "eee"], "ItemBatcher": `+test.batcher)
			var want any
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			wantOutput(t, run(t, &asl.Interpreter{}, m, map[string]any{"n": 4}), want)
		})
	}
}

func TestToleratedFailures(t *testing.T) {
	for _, test := range []struct {
		name, fields, items string
		tolerated           bool
	}{
		{"none", ``, `["a", "bad"]`, false},
		{"count", `"ToleratedFailureCount": 1,`, `["a", "bad"]`, true},
		{"count exceeded", `"ToleratedFailureCount": 1,`, `["bad", "bad", "c"]`, false},
		{"percentage", `"ToleratedFailurePercentage": 50,`, `["a", "bad"]`, true},
		{"percentage exceeded", `"ToleratedFailurePercentage": 49,`, `["a", "bad"]`, false},
		{"either exceeded", `"ToleratedFailurePercentage": 100, "ToleratedFailureCount": 1,`, `["bad", "bad", "c"]`, false},
		{"computed", `"ToleratedFailureCount": "{% $states.input.n %}",`, `["bad", "bad", "c"]`, true},
		{"in batches", `"ItemBatcher": {"MaxItemsPerBatch": 2}, "ToleratedFailureCount": 1,`, `["a", "b"]`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := run(t, &asl.Interpreter{}, distributed(t, test.fields+`"Items": `+test.items), map[string]any{"n": 2})
			if !test.tolerated {
				wantError(t, x, asl.ErrorExceedToleratedFailureThreshold, "Bad.Item")
				return
			}
			if x.Status() != asl.Succeeded {
				t.Fatalf("%s is %s: %v", x, x.Status(), x.Err())
			}
			for _, result := range x.Output().([]any) {
				r, failed := result.(map[string]any)
				if failed && r["Status"] != nil && (r["Status"] != "FAILED" || r["Error"] != "Bad.Item" || r["Cause"] != "it is bad") {
					t.Errorf("a failed item gives %v", r)
				}
			}
		})
	}
}

// TestChildExecution checks that each item of a distributed Map state runs as
// an execution of its own.
func TestChildExecution(t *testing.T) {
	m := parse(t, `{"QueryLanguage": "JSONata", "StartAt": "Set", "States": {
		"Set": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "Each"},
		"Each": {"Type": "Map", "Items": [5, 6], "End": true, "ItemSelector": {"v": "{% $states.context.Map.Item.Value + $outer %}"}, "ItemProcessor": {
			"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "Own", "States": {
				"Own": {"Type": "Pass", "Assign": {"outer2": "{% $states.input.v %}"}, "Next": "Tell"},
				"Tell": {"Type": "Succeed", "Output": {"in": "{% $states.context.Execution.Input %}", "name": "{% $states.context.Execution.Name %}", "own": "{% $outer2 %}"}}}}}}}`)
	x := run(t, &asl.Interpreter{}, m, nil)
	out := x.Output().([]any)
	first, second := out[0].(map[string]any), out[1].(map[string]any)
	if first["name"] == second["name"] || first["name"] == "execution" {
		t.Errorf("the executions are named %v and %v", first["name"], second["name"])
	}
	if diff := cmp.Diff(map[string]any{"v": 6.0}, first["in"]); diff != "" || first["own"] != 6.0 {
		t.Errorf("the first execution tells %v", first)
	}
}

func TestResultWriter(t *testing.T) {
	objects := asl.Objects{}
	m := distributed(t, `"Items": ["a", "bad", ["b", "c"]], "ToleratedFailureCount": 1, "ResultWriter": {
		"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "results", "Prefix": "runs"}}`)
	x := run(t, &asl.Interpreter{Objects: objects}, m, nil)
	if x.Status() != asl.Succeeded {
		t.Fatalf("%s is %s: %v", x, x.Status(), x.Err())
	}
	out := x.Output().(map[string]any)
	arn := out["MapRunArn"].(string)
	if !strings.HasPrefix(arn, "arn:aws:states:us-east-1:123456789012:mapRun:machine/Items:") {
		t.Errorf("the map run is %s", arn)
	}
	folder := "runs/" + arn[strings.LastIndex(arn, ":")+1:] + "/"
	details := out["ResultWriterDetails"].(map[string]any)
	if details["Bucket"] != "results" || details["Key"] != folder+"manifest.json" {
		t.Errorf("the results lie in %v", details)
	}
	read := func(name string) any {
		var v any
		if err := json.Unmarshal([]byte(objects["results/"+folder+name]), &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v
	}
	wantManifest := map[string]any{"DestinationBucket": "results", "MapRunArn": arn, "ResultFiles": map[string]any{
		"PENDING":   []any{},
		"SUCCEEDED": []any{map[string]any{"Key": folder + "SUCCEEDED_0.json", "Size": float64(len(objects["results/"+folder+"SUCCEEDED_0.json"]))}},
		"FAILED":    []any{map[string]any{"Key": folder + "FAILED_0.json", "Size": float64(len(objects["results/"+folder+"FAILED_0.json"]))}},
	}}
	if diff := cmp.Diff(wantManifest, read("manifest.json")); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	volatile := cmpopts.IgnoreMapEntries(func(key string, _ any) bool { return key == "ExecutionArn" || key == "Name" })
	const start = "2000-01-01T00:00:00.000Z"
	wantFailed := []any{map[string]any{
		"Status": "FAILED", "Error": "Bad.Item", "Cause": "it is bad", "Input": `"bad"`, "InputDetails": map[string]any{"Included": true},
		"StartDate": start, "StopDate": start, "RedriveCount": 0.0, "RedriveStatus": "REDRIVABLE",
		"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:machine/Items",
	}}
	if diff := cmp.Diff(wantFailed, read("FAILED_0.json"), volatile); diff != "" {
		t.Errorf("failed items (-want +got):\n%s", diff)
	}
	succeeded := read("SUCCEEDED_0.json").([]any)
	if len(succeeded) != 2 || succeeded[1].(map[string]any)["Output"] != `["b","c"]` {
		t.Errorf("succeeded items are %v", succeeded)
	}
}

func TestWriterConfig(t *testing.T) {
	for _, test := range []struct {
		config string
		want   any
	}{
		{`{"Transformation": "COMPACT"}`, []any{"a", []any{"b", "c"}}},
		{`{"Transformation": "FLATTEN"}`, []any{"a", "b", "c"}},
	} {
		m := distributed(t, `"Items": ["a", ["b", "c"]], "ResultWriter": {"WriterConfig": `+test.config+`}`)
		wantOutput(t, run(t, &asl.Interpreter{}, m, nil), test.want)
	}
	m := distributed(t, `"Items": ["a"], "ResultWriter": {"WriterConfig": {"Transformation": "NONE"}}`)
	out := run(t, &asl.Interpreter{}, m, nil).Output().([]any)
	if r := out[0].(map[string]any); r["Status"] != "SUCCEEDED" || r["Output"] != `"a"` {
		t.Errorf("the record is %v", r)
	}

	objects := asl.Objects{}
	m = distributed(t, `"Items": ["a", "b"], "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "r"},
		"WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}}`)
	run(t, &asl.Interpreter{Objects: objects}, m, nil)
	found := ""
	for name, content := range objects {
		if strings.HasSuffix(name, "/SUCCEEDED_0.jsonl") {
			found = content
		}
	}
	if found != "\"a\"\n\"b\"\n" {
		t.Errorf("the JSONL file holds %q", found)
	}
}

// TestDistributedRetry checks that a retried Map state starts from nothing.
func TestDistributedRetry(t *testing.T) {
	m := one(t, "JSONata", "Each", `{"Type": "Map", "Items": [1, 2], "End": true, "Retry": [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"]}],
		"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Work", "States": {
			"Work": {"Type": "Task", "Resource": "`+lambda+`", "End": true}}}}`)
	calls := 0
	x := run(t, tasks("Work", failing(1, &calls)), m, nil)
	wantOutput(t, x, []any{"ok", "ok"})
	if calls != 4 {
		t.Errorf("the task was called %d times, want 4", calls)
	}
}
