package openwhisk_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/openwhisktest"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/testdata/shop"
)

const module = "github.com/serverless-go/cdk"

// build builds an action for this machine, once for all tests.
func build(t *testing.T, pkg, dir string) string {
	t.Helper()
	file := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return file
}

// functions maps the functions of the test's workflows to actions.
func functions(names ...string) map[string]string {
	m := map[string]string{}
	for _, name := range names {
		m[name] = "/_/shop/" + name
	}
	return m
}

// handlers are the same functions for the interpreter.
func handlers() map[string]asl.Handler {
	s := new(shop.Shop)
	return map[string]asl.Handler{
		"reserve": asl.Lambda(s.Reserve), "charge": asl.Lambda(s.Charge), "pack": asl.Lambda(s.Pack),
		"audit": asl.Lambda(s.Audit), "undo": asl.Lambda(s.Undo), "price": asl.Lambda(s.Price),
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A shopfront is a namespace with the functions and one workflow.
type shopfront struct {
	server *openwhisktest.Server
	client *api.Client
}

func client(t *testing.T, server *openwhisktest.Server) *api.Client {
	t.Helper()
	key, err := api.ParseKey(openwhisktest.Auth)
	if err != nil {
		t.Fatal(err)
	}
	return &api.Client{Host: server.URL, Key: key, Backoff: time.Millisecond}
}

// deploy deploys the workflow with its functions through a bundle.
func deploy(t *testing.T, server *openwhisktest.Server, w *openwhisk.Workflow, conductor, action string, limit int) *shopfront {
	t.Helper()
	d := &api.Deployment{Package: "shop", Workflow: "workflow"}
	b := &openwhisk.Bundle{Deployment: d, Workflow: w, Executables: map[string]string{"workflow": conductor}}
	for _, name := range shop.Names {
		d.Actions = append(d.Actions, api.Spec{Name: name, Kind: "go:1.20", Archive: name + ".zip"})
		b.Executables[name] = action
	}
	if components, ok := w.Sequence(); ok {
		d.Actions = append(d.Actions, api.Spec{Name: "workflow", Kind: "sequence", Components: components})
	} else {
		d.Actions = append(d.Actions, api.Spec{Name: "workflow", Kind: "go:1.20", Archive: "workflow.zip", Conductor: true, Limits: api.Limits{Timeout: limit}})
	}
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	c := client(t, server)
	deployer := api.Deployer{Client: c, Owner: t.Name()}
	if err := deployer.Apply(t.Context(), d, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return &shopfront{server, c}
}

// run runs the workflow and returns its result and the states it visited.
func (f *shopfront) run(t *testing.T, input any) (name string, result map[string]any, visits []*asl.Visit) {
	t.Helper()
	body, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	activation, err := f.client.Invoke(t.Context(), "shop", "workflow", json.RawMessage(body))
	var answer *api.Error
	if errors.As(err, &answer) && answer.Status == 502 {
		// The action answered with an error: its record is the newest.
		all := f.server.Activations()
		data, _ := json.Marshal(all[len(all)-1])
		activation = new(api.Activation)
		err = json.Unmarshal(data, activation)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(activation.Response.Result, &result); err != nil {
		t.Fatal(err)
	}
	for _, a := range f.server.Activations() {
		if a["cause"] != activation.ID {
			continue
		}
		if name == "" {
			name = a["activationId"].(string)
		}
		for _, line := range a["logs"].([]string) {
			var record struct {
				Visit *asl.Visit `json:"visit"`
			}
			if json.Unmarshal([]byte(line), &record) == nil && record.Visit != nil {
				visits = append(visits, record.Visit)
			}
		}
	}
	return name, result, visits
}

// TestSameAsInterpreter runs workflows as action binaries behind the double of
// OpenWhisk, and in the interpreter, and compares every state. The second
// conductor has so little time that it must suspend itself to wait.
func TestSameAsInterpreter(t *testing.T) {
	bin := t.TempDir()
	conductor := build(t, module+"/functions/openwhiskconductor", bin)
	action := build(t, module+"/patterns/orchestration/openwhisk/testdata/shop/action", bin)
	type object = map[string]any
	for _, test := range []struct {
		file      string
		limit     int // of the conductor, in ms
		functions []string
		inputs    map[string]object
	}{
		{"order.asl.json", 0, []string{"reserve", "charge", "pack", "audit", "undo"}, map[string]object{
			"shipped":  {"id": "1", "card": "visa", "items": []any{"book", 7, "broken", object{"kind": "lamp"}}},
			"empty":    {"id": "2", "items": []any{}},
			"retried":  {"id": "3", "busy": 2, "items": []any{"book"}},
			"busy":     {"id": "4", "busy": 9, "items": []any{"book"}},
			"declined": {"id": "5", "card": "declined", "items": []any{"book"}},
			"both":     {"id": "6", "card": "declined", "busy": 1, "items": []any{"book"}},
		}},
		{"shipping.asl.json", 5500, []string{"reserve", "pack", "undo"}, map[string]object{
			"packed": {"id": "1", "items": []any{"book", "glass bowl"}},
			"later":  {"id": "2", "busy": 2, "items": []any{"book"}},
			"broken": {"id": "3", "items": []any{"book", "broken", "lamp"}},
		}},
		{"saga.asl.json", 0, []string{"price", "reserve", "charge", "undo"}, map[string]object{
			"booked":      {"id": "1", "items": []any{1, 2, 3}},
			"compensated": {"id": "2", "card": "declined", "items": []any{1}},
			"retried":     {"id": "3", "busy": 1, "items": []any{1}},
			"first step":  {"id": "4", "busy": 9, "items": []any{1}},
		}},
	} {
		t.Run(strings.TrimSuffix(test.file, ".asl.json"), func(t *testing.T) {
			t.Parallel()
			w, err := openwhisk.Translate(read(t, test.file), functions(test.functions...))
			if err != nil {
				t.Fatal(err)
			}
			w.Trace = true
			front := deploy(t, openwhisktest.New(t), w, conductor, action, test.limit)
			machine, err := asl.Parse(w.Definition)
			if err != nil {
				t.Fatal(err)
			}
			for name, input := range test.inputs {
				t.Run(name, func(t *testing.T) { same(t, front, machine, input) })
			}
		})
	}
}

// same runs the workflow both ways.
func same(t *testing.T, front *shopfront, machine *asl.Machine, input any) {
	execution, result, visits := front.run(t, input)
	in := asl.Interpreter{Tasks: handlers(), Options: asl.StartOptions{Name: execution, StateMachine: "workflow"}}
	x, err := in.Run(t.Context(), machine, input)
	if err != nil {
		t.Fatal(err)
	}
	var want any = x.Output()
	if object, ok := want.(map[string]any); !ok || object["error"] != nil {
		want = map[string]any{"$value": want}
	}
	var failure *asl.Error
	if errors.As(x.Err(), &failure) {
		want = map[string]any{"error": map[string]any{"errorType": failure.Name, "errorMessage": failure.Cause}}
	}
	if diff := cmp.Diff(want, any(result)); diff != "" {
		t.Errorf("result (-interpreter +conductor):\n%s", diff)
	}
	if diff := cmp.Diff(x.Trace(), visits, cmpopts.IgnoreFields(asl.Visit{}, "Entered", "Exited")); diff != "" {
		t.Errorf("states (-interpreter +conductor):\n%s", diff)
	}
	if len(visits) < 2 {
		t.Errorf("only %d states were visited: %s", len(visits), x)
	}
}

// TestNativeSequence runs a linear workflow as a sequence of OpenWhisk.
func TestNativeSequence(t *testing.T) {
	action := build(t, module+"/patterns/orchestration/openwhisk/testdata/shop/action", t.TempDir())
	w, err := openwhisk.Translate(read(t, "linear.asl.json"), functions("price", "audit", "pack"))
	if err != nil {
		t.Fatal(err)
	}
	components, ok := w.Sequence()
	if want := []string{"/_/shop/price", "/_/shop/audit", "/_/shop/pack"}; !ok || !cmp.Equal(want, components) {
		t.Fatalf("sequence %v, %v; want %v", components, ok, want)
	}
	front := deploy(t, openwhisktest.New(t), w, "", action, 0)
	machine, err := asl.Parse(w.Definition)
	if err != nil {
		t.Fatal(err)
	}
	input := map[string]any{"id": "1", "items": []any{"book"}}
	_, result, _ := front.run(t, input)
	x, err := (&asl.Interpreter{Tasks: handlers()}).Run(t.Context(), machine, input)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"$value": x.Output()}, result); diff != "" {
		t.Errorf("result (-interpreter +sequence):\n%s", diff)
	}
}

// TestTriggerStartsWorkflow fires a trigger that was deployed with the workflow.
func TestTriggerStartsWorkflow(t *testing.T) {
	action := build(t, module+"/patterns/orchestration/openwhisk/testdata/shop/action", t.TempDir())
	server := openwhisktest.New(t)
	w, err := openwhisk.Translate(read(t, "linear.asl.json"), functions("price", "audit", "pack"))
	if err != nil {
		t.Fatal(err)
	}
	deploy(t, server, w, "", action, 0)
	d := &api.Deployment{Package: "shop", Workflow: "workflow", Triggers: []api.Event{{Name: "orders", Parameters: map[string]any{"items": []any{1, 2}}}}}
	for _, name := range shop.Names {
		d.Actions = append(d.Actions, api.Spec{Name: name, Kind: "go:1.20", Archive: name})
	}
	components, _ := w.Sequence()
	d.Actions = append(d.Actions, api.Spec{Name: "workflow", Kind: "sequence", Components: components})
	files := os.DirFS(archives(t, d, action))
	if err := (&api.Deployer{Client: client(t, server), Owner: t.Name()}).Apply(t.Context(), d, files); err != nil {
		t.Fatal(err)
	}
	if err := fire(t, server, "shop.orders", `{"id": "7"}`); err != nil {
		t.Fatal(err)
	}
	server.Wait()
	all := server.Activations()
	if len(all) != 4 {
		t.Fatalf("%d activations, want those of the sequence and its three actions", len(all))
	}
	want := map[string]any{"id": "7", "items": []any{1.0, 2.0}, "total": 20.0}
	if diff := cmp.Diff(want, all[0]["response"].(map[string]any)["result"]); diff != "" {
		t.Errorf("the first action returned (-want +got):\n%s", diff)
	}
}

func archives(t *testing.T, d *api.Deployment, executable string) string {
	t.Helper()
	dir := t.TempDir()
	b := &openwhisk.Bundle{Deployment: d, Executables: map[string]string{}}
	for _, spec := range d.Actions {
		b.Executables[spec.Name] = executable
	}
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fire fires a trigger, which the client has no need to.
func fire(t *testing.T, server *openwhisktest.Server, name, event string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		server.URL+"/api/v1/namespaces/_/triggers/"+name, strings.NewReader(event))
	if err != nil {
		return err
	}
	user, password, _ := strings.Cut(openwhisktest.Auth, ":")
	request.SetBasicAuth(user, password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return errors.New(response.Status)
	}
	return nil
}
