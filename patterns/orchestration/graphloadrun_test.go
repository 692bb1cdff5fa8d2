package orchestration_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/functions/graphload/loader"
	"github.com/serverless-go/cdk/functions/graphload/loadertest"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/neptune"
	"github.com/serverless-go/cdk/patterns/orchestration/neptune/neptunetest"
	"github.com/serverless-go/cdk/test/cdktest"
)

// graphWorld is what the synthesized workflow runs against: the real handler,
// a bucket in memory, Athena scripted and Neptune's double.
type graphWorld struct {
	t       *testing.T
	machine *asl.Machine
	server  *neptunetest.Server
	bucket  *loadertest.Bucket
	handler *loader.Handler
	queries []string
	// athena, unless nil, fails the query.
	athena func(query string) error
	tasks  map[string]asl.Handler
}

// rowsOf are the rows that Athena unloads, by what the query has in it.
var rowsOf = map[string]string{
	"FROM customers": `{"id":7,"name":"Ada","joined":"2026-01-31"}` + "\n" + `{"id":8,"name":null}`,
	"FROM products":  `{"sku":"7","price":9.5}`,
	"FROM insights":  `{"customer":7,"sku":"7","pieces":3}`,
}

var unloaded = regexp.MustCompile(`^UNLOAD \((?s)(.*)\n\) TO 's3://InsightsFiles[0-9A-F]+/(.*)' WITH \(format = 'JSON', compression = 'GZIP'\)$`)

// graphMachines are the synthesized workflows, by whether they are those of
// Neptune Analytics.
var graphMachines = map[bool]*asl.Machine{}

func graphMachine(t *testing.T, analytics bool) *asl.Machine {
	if graphMachines[analytics] == nil {
		stack := cdktest.NewStack(t)
		p := insights(orchestration.NewDataLake(stack, "Lake", nil))
		if analytics {
			p.Analytics = orchestration.NewNeptuneAnalytics(stack, "Graph", nil)
		}
		p.LoadTimeout, p.PollInterval = 2*time.Hour, 5*time.Minute
		orchestration.NewGraphLoad(stack, "Insights", p)
		graphMachines[analytics] = machine(t, cdktest.Synth(t, stack), "InsightsWorkflow")
	}
	return graphMachines[analytics]
}

func newGraphWorld(t *testing.T, analytics bool) *graphWorld {
	w := &graphWorld{t: t, machine: graphMachine(t, analytics),
		server: neptunetest.New(t), bucket: &loadertest.Bucket{Page: 2}}
	signed := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return w.server.Credentials, nil })
	w.handler = &loader.Handler{Objects: w.bucket, Bucket: "files", Role: "arn:aws:iam::123456789012:role/loader"}
	if analytics {
		w.server.Service = "neptune-graph"
		w.handler.Graph = &neptune.Graph{Endpoint: w.server.URL, Region: w.server.Region, Credentials: signed}
	} else {
		cluster := &neptune.Cluster{Endpoint: w.server.URL, Region: w.server.Region, Credentials: signed}
		w.handler.Graph, w.handler.Cluster = cluster, cluster
	}
	w.server.Answer = w.answer
	w.tasks = map[string]asl.Handler{
		"arn:aws:states:::lambda:invoke":                   asl.Lambda(w.handler.Handle),
		"arn:aws:states:::athena:startQueryExecution.sync": w.unload,
	}
	return w
}

// unload does what Athena does: it writes rows into a folder that must be
// empty.
func (w *graphWorld) unload(_ context.Context, task *asl.PendingTask) (any, error) {
	arguments := task.Arguments.(map[string]any)
	sql := arguments["QueryString"].(string)
	w.queries = append(w.queries, sql)
	parts := unloaded.FindStringSubmatch(sql)
	if parts == nil || len(arguments["ClientRequestToken"].(string)) != 64 || arguments["WorkGroup"] == "" {
		w.t.Errorf("Athena cannot run %v", arguments)
		return nil, &asl.Error{Name: "Athena.InvalidRequestException"}
	}
	if keys := w.bucket.Keys(parts[2]); len(keys) > 0 {
		return nil, &asl.Error{Name: "States.TaskFailed", Cause: "HIVE_PATH_ALREADY_EXISTS: " + keys[0]}
	}
	for table, rows := range rowsOf {
		if strings.Contains(parts[1], table) {
			for i, row := range strings.Split(rows, "\n") {
				w.bucket.Put(fmt.Sprintf("%s2026_%d.gz", parts[2], i), loadertest.Compressed(row+"\n"))
			}
		}
	}
	if w.athena != nil {
		if err := w.athena(sql); err != nil { // after writing, as Athena leaves what it wrote
			return nil, err
		}
	}
	return map[string]any{"QueryExecution": map[string]any{"Status": map[string]any{"State": "SUCCEEDED"}}}, nil
}

var counted = regexp.MustCompile("^MATCH .*:`(\\w+)`.* WHERE x.load = \\$load RETURN count\\(x\\) AS n$")

// answer counts in the files what a graph that loaded them would count.
func (w *graphWorld) answer(query string, parameters map[string]any) ([]map[string]any, error) {
	name := counted.FindStringSubmatch(query)
	if name == nil {
		return []map[string]any{{"count(c)": 1}}, nil
	}
	ids := map[string]bool{}
	for _, key := range w.bucket.Keys("loads/" + parameters["load"].(string) + "/csv/") {
		text, err := w.bucket.Text(key)
		if err != nil {
			return nil, err
		}
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			return nil, err
		}
		for _, r := range records[1:] {
			if slices.Contains(r[1:4:4], name[1]) && r[len(r)-1] == parameters["load"] {
				ids[r[0]] = true
			}
		}
	}
	return []map[string]any{{"n": len(ids)}}, nil
}

func (w *graphWorld) interpreter(name string) *asl.Interpreter {
	return &asl.Interpreter{Tasks: w.tasks, Options: asl.StartOptions{Name: name, StateMachine: "Insights"}}
}

func (w *graphWorld) run() *asl.Execution { return w.runAs("monday") }

func (w *graphWorld) runAs(name string) *asl.Execution {
	w.t.Helper()
	x, err := w.interpreter(name).Run(w.t.Context(), w.machine, map[string]any{})
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

func (w *graphWorld) redrive(x *asl.Execution) { w.t.Helper(); w.redriveAt(x, x.Now()) }

func (w *graphWorld) redriveAt(x *asl.Execution, now time.Time) {
	w.t.Helper()
	if err := x.Redrive(now); err != nil {
		w.t.Fatal(err)
	}
	if err := w.interpreter("monday").Continue(w.t.Context(), x); err != nil {
		w.t.Fatal(err)
	}
}

func (w *graphWorld) modes() (modes []string) {
	for _, l := range w.server.Loads() {
		modes = append(modes, strings.Join(l.Modes, "+"))
	}
	return modes
}

func (w *graphWorld) expect(x *asl.Execution, name string, modes ...string) {
	w.t.Helper()
	got := ""
	if err, ok := x.Err().(*asl.Error); ok && err != nil {
		got = err.Name
	}
	if got != name {
		w.t.Errorf("failed with %v, want %q\n%s", x.Err(), name, x)
	}
	if name == "" {
		var out struct{ Rows int }
		if err := x.Decode(&out); err != nil || x.Status() != asl.Succeeded || out.Rows != 4 {
			w.t.Errorf("%s with %d rows, %v, want a success with 4\n%s", x.Status(), out.Rows, err, x)
		}
	}
	if diff := cmp.Diff(modes, w.modes()); diff != "" {
		w.t.Errorf("loads: %s", diff)
	}
}

func TestGraphLoadRuns(t *testing.T) {
	w := newGraphWorld(t, false)
	w.server.Run(neptunetest.Steps("LOAD_NOT_STARTED", "LOAD_IN_QUEUE", "LOAD_IN_PROGRESS", "LOAD_COMPLETED")...)
	x := w.run()
	w.expect(x, "", "NEW")
	if want := "Name the load -> Unload the tables -> Set out -> Start -> Pause -> Poll -> Loaded? -> Pause -> Poll -> Loaded?" +
		" -> Pause -> Poll -> Loaded? -> Pause -> Poll -> Loaded? -> Verify"; x.String() != want {
		t.Errorf("got %s", x)
	}
	var out struct {
		Load string
		Rows int
	}
	if err := x.Decode(&out); err != nil || len(out.Load) != 32 || out.Rows != 4 {
		t.Errorf("got %+v, %v", out, err)
	}
	load := w.server.Loads()[0].Request
	if want := "s3://files/loads/" + out.Load + "/csv/"; load["source"] != want || load["format"] != "csv" {
		t.Errorf("loaded %v, want %s", load, want)
	}
	files := map[string]string{}
	for _, key := range w.bucket.Keys("loads/" + out.Load + "/csv/") {
		text, err := w.bucket.Text(key)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(key, "loads/"+out.Load+"/csv/")] = strings.ReplaceAll(text, out.Load, "RUN")
	}
	if diff := cmp.Diff(map[string]string{
		"000-2026_0.gz-0000.csv.gz": "~id,~label,joined:Date(single),name:String(single),load:String(single)\nCustomer/7,Customer,2026-01-31T00:00:00Z,Ada,RUN\n",
		"000-2026_1.gz-0000.csv.gz": "~id,~label,joined:Date(single),name:String(single),load:String(single)\nCustomer/8,Customer,,,RUN\n",
		"001-2026_0.gz-0000.csv.gz": "~id,~label,price:Double(single),load:String(single)\nProduct/7,Product,9.5,RUN\n",
		"002-2026_0.gz-0000.csv.gz": "~id,~from,~to,~label,pieces:Long,load:String\nBOUGHT/Customer/7>Product/7,Customer/7,Product/7,BOUGHT,3,RUN\n",
	}, files); diff != "" {
		t.Error(diff)
	}
	if again := newGraphWorld(t, false).runAs("tuesday"); cmp.Equal(again.Output(), x.Output()) {
		t.Error("two executions have the same load")
	}
	if again := newGraphWorld(t, false).run(); !cmp.Equal(again.Output(), x.Output()) {
		t.Errorf("the same execution has another load: %v, %v", again.Output(), x.Output())
	}
}

// TestGraphLoadStatuses ends a load with every documented status. What failed
// for good succeeds when it is redriven.
func TestGraphLoadStatuses(t *testing.T) {
	failures := map[string]string{
		"LOAD_CANCELLED_BY_USER":                           "LoadCancelledError",
		"LOAD_CANCELLED_DUE_TO_ERRORS":                     "LoadFailedError",
		"LOAD_FAILED":                                      "LoadFailedError",
		"LOAD_S3_ACCESS_DENIED_ERROR":                      "LoadAccessDeniedError",
		"LOAD_DATA_FAILED_DUE_TO_FEED_MODIFIED_OR_DELETED": "LoadChangedError",
		"LOAD_FAILED_BECAUSE_DEPENDENCY_NOT_SATISFIED":     "LoadFailedError",
		"LOAD_FAILED_INVALID_REQUEST":                      "LoadFailedError",
		"LOAD_OF_THE_FUTURE":                               "LoadFailedError",
	}
	resumed := []string{"LOAD_UNEXPECTED_ERROR", "LOAD_S3_READ_ERROR", "LOAD_DATA_DEADLOCK", "LOAD_COMMITTED_W_WRITE_CONFLICTS"}
	running := []string{"LOAD_NOT_STARTED", "LOAD_IN_QUEUE", "LOAD_IN_PROGRESS"}
	for _, status := range append(neptunetest.Statuses[:len(neptunetest.Statuses):len(neptunetest.Statuses)], "LOAD_OF_THE_FUTURE") {
		t.Run(status, func(t *testing.T) {
			w := newGraphWorld(t, false)
			switch {
			case slices.Contains(running, status):
				w.server.Run(neptunetest.Steps(status, status, "LOAD_COMPLETED")...)
				w.expect(w.run(), "", "NEW")
			case slices.Contains(resumed, status):
				w.server.Run(neptunetest.Steps("LOAD_IN_PROGRESS", status)...)
				w.expect(w.run(), "", "NEW+RESUME")
			case status == "LOAD_COMPLETED":
				w.server.Run(neptunetest.Steps(status)...)
				w.expect(w.run(), "", "NEW")
			default:
				w.server.Run(neptunetest.Steps("LOAD_IN_PROGRESS", status)...)
				x := w.run()
				w.expect(x, failures[status], "NEW")
				w.redrive(x)
				w.expect(x, "", "NEW+RESUME")
				if len(w.queries) != 3 {
					t.Errorf("%d queries, want 3: what was unloaded is unloaded again", len(w.queries))
				}
			}
		})
	}
}

func TestGraphLoadFailedFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		step  neptunetest.Step
		want  string
		modes string
		cause string
	}{
		"pass":   {neptunetest.Step{Status: "LOAD_FAILED", Feeds: []string{"LOAD_S3_READ_ERROR", "LOAD_DATA_DEADLOCK"}}, "", "NEW+RESUME", ""},
		"stay":   {neptunetest.Step{Status: "LOAD_FAILED", Feeds: []string{"LOAD_S3_READ_ERROR", "LOAD_FAILED"}}, "LoadFailedError", "NEW", "0.csv.gz, row 2: EXAMPLE_ERROR"},
		"denied": {neptunetest.Step{Status: "LOAD_FAILED", Feeds: []string{"LOAD_S3_ACCESS_DENIED_ERROR"}}, "LoadAccessDeniedError", "NEW", "0.csv.gz LOAD_S3_ACCESS_DENIED_ERROR"},
		"strange": {neptunetest.Step{Status: "LOAD_CANCELLED_DUE_TO_ERRORS", Feeds: []string{"LOAD_COMPLETED"}},
			"LoadFailedError", "NEW", "LOAD_CANCELLED_DUE_TO_ERRORS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGraphWorld(t, false)
			w.server.Run(tt.step)
			x := w.run()
			w.expect(x, tt.want, tt.modes)
			if tt.cause != "" && !strings.Contains(x.Err().Error(), tt.cause) {
				t.Errorf("the cause %v does not tell %s", x.Err(), tt.cause)
			}
		})
	}
}

func TestGraphLoadExhaustsResumes(t *testing.T) {
	w := newGraphWorld(t, false)
	for range 4 {
		w.server.Run(neptunetest.Steps("LOAD_DATA_DEADLOCK")...)
	}
	x := w.run()
	w.expect(x, "LoadFailedError", "NEW+RESUME+RESUME+RESUME")
	w.redrive(x)
	w.expect(x, "", "NEW+RESUME+RESUME+RESUME+RESUME")
}

func TestGraphLoadTimesOut(t *testing.T) {
	w := newGraphWorld(t, false)
	w.server.Run(neptunetest.Steps("LOAD_IN_PROGRESS")...)
	x := w.run()
	w.expect(x, "LoadTimeoutError", "NEW")
	if n := len(x.Visits("Cancel")); n != 1 {
		t.Errorf("cancelled %d times", n)
	}
	w.redrive(x)
	w.expect(x, "", "NEW+RESUME")
}

// TestGraphLoadFunctionHangs lets each call of the function hang, once and for
// good.
func TestGraphLoadFunctionHangs(t *testing.T) {
	for _, state := range []string{"Write", "Start", "Poll", "Verify"} {
		w := newGraphWorld(t, false)
		honest := w.tasks["arn:aws:states:::lambda:invoke"]
		hangs := 1
		w.tasks[state] = func(ctx context.Context, task *asl.PendingTask) (any, error) {
			if hangs--; hangs >= 0 {
				return asl.Script(asl.Hang())(ctx, task)
			}
			return honest(ctx, task)
		}
		w.expect(w.run(), "", "NEW")

		w = newGraphWorld(t, false)
		w.tasks[state] = asl.Script(asl.Hang())
		x := w.run()
		if err, ok := x.Err().(*asl.Error); !ok || err.Name != "States.Timeout" {
			t.Errorf("%s hung, and the execution failed with %v", state, x.Err())
		}
		delete(w.tasks, state)
		w.redrive(x)
		w.expect(x, "", "NEW")
	}
}

// TestGraphLoadLosesAnswers starts a load whose id does not arrive.
func TestGraphLoadLosesAnswers(t *testing.T) {
	w := newGraphWorld(t, false)
	w.server.Lose("POST", "/loader")
	w.server.Fail("GET", "/loader/", 500, "InternalFailureException")
	x := w.run()
	w.expect(x, "", "NEW")

	w = newGraphWorld(t, false)
	w.server.Run(neptunetest.Steps("LOAD_FAILED")...)
	w.server.Lose("POST", "/loader") // ended before anybody looked
	x = w.run()
	w.expect(x, "LoadFailedError", "NEW")
	w.server.Lose("POST", "/loader")
	w.redrive(x)
	w.expect(x, "", "NEW+RESUME")
}

func TestGraphLoadRefused(t *testing.T) {
	w := newGraphWorld(t, false)
	w.server.Fail("POST", "/loader", 403, "AccessDeniedException")
	x := w.run()
	w.expect(x, "RefusedError")
	w.redriveAt(x, x.Now().Add(48*time.Hour)) // of which none counts as loading
	w.expect(x, "", "NEW")

	w = newGraphWorld(t, false)
	for range 9 {
		w.server.Fail("GET", "/loader", 429, "TooManyRequestsException")
	}
	w.expect(w.run(), "UnavailableError")
}

func TestGraphLoadUnloadFails(t *testing.T) {
	w := newGraphWorld(t, false)
	failed := false
	w.athena = func(query string) error {
		if !failed && strings.Contains(query, "FROM products") {
			failed = true
			return &asl.Error{Name: "States.TaskFailed", Cause: "EXCEEDED_MEMORY_LIMIT"}
		}
		return nil
	}
	x := w.run()
	w.expect(x, "States.TaskFailed")
	before := len(w.queries)
	w.redrive(x)
	w.expect(x, "", "NEW")
	if again := len(w.queries) - before; again < 1 || again > 2 {
		t.Errorf("%d queries after the redrive: the customers were unloaded again", again)
	}

	w = newGraphWorld(t, false)
	throttled := 0
	w.athena = func(string) error {
		if throttled++; throttled < 3 {
			return &asl.Error{Name: "Athena.TooManyRequestsException"}
		}
		return nil
	}
	w.expect(w.run(), "", "NEW")
}

func TestGraphLoadRejectsRows(t *testing.T) {
	w := newGraphWorld(t, false)
	customers := rowsOf["FROM customers"]
	t.Cleanup(func() { rowsOf["FROM customers"] = customers })
	rowsOf["FROM customers"] = `{"id":7,"name":"Ada","joined":"soon"}`
	x := w.run()
	w.expect(x, "RowError")
	if !strings.Contains(x.Err().Error(), "row 1: column joined is a text of 4 bytes, want a DATE") {
		t.Error(x.Err())
	}
}

// TestGraphLoadVerifies loads rows that are one node.
func TestGraphLoadVerifies(t *testing.T) {
	w := newGraphWorld(t, false)
	customers := rowsOf["FROM customers"]
	t.Cleanup(func() { rowsOf["FROM customers"] = customers })
	rowsOf["FROM customers"] = customers + "\n" + `{"id":8}`
	x := w.run()
	w.expect(x, "VerificationError", "NEW")
	if !strings.Contains(x.Err().Error(), "Customer gave 3 rows, but the graph holds 2") {
		t.Error(x.Err())
	}
	rowsOf["FROM customers"] = customers

	w = newGraphWorld(t, false)
	honest := w.server.Answer
	w.server.Answer = func(query string, parameters map[string]any) ([]map[string]any, error) {
		if strings.Contains(query, "count(c)") {
			return []map[string]any{{"count(c)": 0}}, nil
		}
		return honest(query, parameters)
	}
	x = w.run()
	w.expect(x, "VerificationError", "NEW")
	w.server.Answer = honest
	w.redrive(x)
	w.expect(x, "", "NEW")
}

// analyticsDouble is Neptune Analytics as Step Functions calls it.
type analyticsDouble struct {
	status  string   // of the graph
	imports []string // statuses of the next import, one a look; the last stays
	calls   []string
	started int
}

func (a *analyticsDouble) bind(tasks map[string]asl.Handler) {
	for _, action := range []string{"resetGraph", "getGraph", "startImportTask", "getImportTask", "cancelImportTask"} {
		tasks["arn:aws:states:::aws-sdk:neptunegraph:"+action] = func(_ context.Context, task *asl.PendingTask) (any, error) {
			a.calls = append(a.calls, action)
			return a.do(action, task.Arguments.(map[string]any))
		}
	}
}

func (a *analyticsDouble) do(action string, arguments map[string]any) (any, error) {
	conflict := &asl.Error{Name: "NeptuneGraph.ConflictException", Cause: "the graph is " + a.status}
	switch action {
	case "resetGraph":
		if a.status == "IMPORTING" || arguments["SkipSnapshot"] != false {
			return nil, conflict
		}
		a.status = "RESETTING"
	case "getGraph":
		now := a.status
		if a.status == "RESETTING" {
			a.status = "AVAILABLE" // and empty
		}
		return map[string]any{"Status": now}, nil
	case "startImportTask":
		if a.status != "AVAILABLE" || arguments["Format"] != "OPEN_CYPHER" || arguments["FailOnError"] != true ||
			!strings.HasPrefix(arguments["Source"].(string), "s3://InsightsFiles") {
			return nil, conflict
		}
		a.started++
		a.status = "IMPORTING"
		return map[string]any{"TaskId": fmt.Sprintf("t-%d", a.started)}, nil
	case "getImportTask":
		now := "SUCCEEDED"
		if len(a.imports) > 0 {
			now = a.imports[0]
			if len(a.imports) > 1 {
				a.imports = a.imports[1:]
			}
		}
		if now == "SUCCEEDED" || now == "FAILED" {
			a.status = "AVAILABLE"
		}
		return map[string]any{"Status": now, "StatusReason": "as the test asks"}, nil
	case "cancelImportTask":
		a.status, a.imports = "AVAILABLE", nil
	}
	return map[string]any{}, nil
}

func TestGraphLoadAnalyticsRuns(t *testing.T) {
	w, a := newGraphWorld(t, true), &analyticsDouble{status: "AVAILABLE",
		imports: []string{"INITIALIZING", "ANALYZING_DATA", "IMPORTING", "SUCCEEDED"}}
	a.bind(w.tasks)
	x := w.run()
	w.expect(x, "")
	if got, want := strings.Join(a.calls, " "), "resetGraph getGraph getGraph startImportTask getImportTask getImportTask getImportTask getImportTask"; got != want {
		t.Errorf("got %s", got)
	}
	key := w.bucket.Keys("loads/" + x.Output().(map[string]any)["load"].(string) + "/csv/002")[0]
	if text, err := w.bucket.Text(key); err != nil || !strings.HasPrefix(text, ":ID,:START_ID,:END_ID,:TYPE,pieces:Long,load:String\n") {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestGraphLoadAnalyticsFails(t *testing.T) {
	for name, tt := range map[string]struct {
		imports []string
		status  string
		fail    string // this action, once, for good
		want    string
	}{
		"import fails":   {imports: []string{"IMPORTING", "FAILED"}, status: "AVAILABLE", want: "LoadFailedError"},
		"cancelled":      {imports: []string{"CANCELLED"}, status: "AVAILABLE", want: "LoadCancelledError"},
		"import is late": {imports: []string{"IMPORTING"}, status: "AVAILABLE", want: "LoadTimeoutError"},
		"graph is late":  {status: "UPDATING", want: "LoadTimeoutError"},
		"graph failed":   {status: "FAILED", want: "LoadFailedError"},
		"reset denied":   {status: "AVAILABLE", fail: "resetGraph", want: "LoadFailedError"},
		"import denied":  {status: "AVAILABLE", fail: "startImportTask", want: "LoadFailedError"},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := newGraphWorld(t, true), &analyticsDouble{status: tt.status, imports: tt.imports}
			a.bind(w.tasks)
			honest := map[string]asl.Handler{}
			for action, h := range w.tasks {
				honest[action] = h
			}
			if tt.fail != "" {
				w.tasks["arn:aws:states:::aws-sdk:neptunegraph:"+tt.fail] = func(context.Context, *asl.PendingTask) (any, error) {
					return nil, &asl.Error{Name: "NeptuneGraph.AccessDeniedException", Cause: "not you"}
				}
			}
			if tt.status != "AVAILABLE" { // whatever is asked of it
				w.tasks["arn:aws:states:::aws-sdk:neptunegraph:getGraph"] = func(context.Context, *asl.PendingTask) (any, error) {
					return map[string]any{"Status": tt.status}, nil
				}
			}
			x := w.run()
			w.expect(x, tt.want)
			w.tasks, a.status, a.imports = honest, "AVAILABLE", nil
			w.redrive(x)
			w.expect(x, "")
			if len(w.queries) != 3 {
				t.Errorf("%d queries, want 3", len(w.queries))
			}
		})
	}
}
