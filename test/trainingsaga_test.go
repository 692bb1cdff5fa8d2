package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
)

// sagaMachine returns the saga that the training's stack deploys. What is only
// known at deployment is its reference, such as "CapacityFunctionD9DE2EFA".
func sagaMachine(t *testing.T) *asl.Machine {
	t.Helper()
	template := cdktest.Synth(t, stacks.NewTraining(cdktest.NewApp(t), "Training", nil).Stack())
	for _, r := range template.Resources("AWS::StepFunctions::StateMachine") {
		if !strings.HasPrefix(r.ID, "Saga") {
			continue
		}
		m, err := asl.Parse([]byte(cdktest.Deployed(t, r.Properties["DefinitionString"])))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	t.Fatal("the stack has no saga")
	return nil
}

// account keeps the books of the instances: what is booked, by booking.
type account struct {
	booked map[string]int
	log    []string
	lost   bool // the answer to a booking gets lost
}

func (a *account) handle(_ context.Context, r training.CapacityRequest) (*training.CapacityAnswer, error) {
	a.log = append(a.log, r.Op)
	if r.Op == training.OpRelease {
		delete(a.booked, r.Booking)
		return &training.CapacityAnswer{Booking: r.Booking}, nil
	}
	used := 0
	for _, units := range a.booked {
		used += units
	}
	if used+r.Units > r.Limit {
		return nil, &training.CapacityError{Pool: r.Pool, Problem: "full"}
	}
	a.booked[r.Booking] = r.Units
	if a.lost {
		return nil, errors.New("the answer is lost")
	}
	return &training.CapacityAnswer{Booking: r.Booking, Units: r.Units}, nil
}

// Whatever happens, in the end nothing is booked that the saga booked, and the
// graph is loaded only from a training that succeeded.
func TestTrainingSaga(t *testing.T) {
	m := sagaMachine(t)
	done := asl.Return(map[string]any{"Status": "SUCCEEDED", "Output": map[string]any{}})
	for name, tt := range map[string]struct {
		others      int // instances that others have booked
		lost        bool
		train, load asl.Result
		failed      string // the step; "" for none
		log         []string
	}{
		"succeeds":        {0, false, done, done, "", []string{"book", "release"}},
		"training fails":  {0, false, asl.Throw("States.TaskFailed", `{"Error": "MetricError"}`), done, "Train", []string{"book", "release"}},
		"approval denied": {1, false, asl.Throw("States.TaskFailed", `{"Error": "ApprovalDenied"}`), done, "Train", []string{"book", "release"}},
		"training hangs":  {0, false, asl.Hang(), done, "Train", []string{"book", "release"}},
		"load fails":      {0, false, done, asl.Throw("States.TaskFailed", "no graph"), "Load graph", []string{"book", "release", "release"}},
		"booking is lost": {0, true, done, done, "Book capacity", []string{"book", "release"}},
		"never any free":  {2, false, done, done, "Book capacity", append(strings.Fields(strings.Repeat("book ", 25)), "release")},
	} {
		t.Run(name, func(t *testing.T) {
			a := &account{booked: map[string]int{"others": tt.others}, lost: tt.lost}
			var started []string
			start := func(result asl.Result) asl.Handler {
				return func(_ context.Context, task *asl.PendingTask) (any, error) {
					in := task.Arguments.(map[string]any)
					started = append(started, fmt.Sprint(in["Name"], " ", in["Input"].(map[string]any)["manifest"]))
					return result, nil
				}
			}
			capacity := asl.Lambda(a.handle)
			in := asl.Interpreter{
				Tasks: map[string]asl.Handler{"Book capacity": capacity, "Release capacity": capacity, "Undo Book capacity": capacity,
					"Train": start(tt.train), "Load graph": start(tt.load)},
				Options: asl.StartOptions{Name: "run-7"},
			}
			x, err := in.Run(context.Background(), m, map[string]any{"manifest": "raw/carts/manifest.json"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]int{"others": tt.others}, a.booked); diff != "" {
				t.Errorf("booked in the end: %s", diff)
			}
			if diff := cmp.Diff(tt.log, a.log); diff != "" {
				t.Errorf("bookings and releases: %s", diff)
			}
			for _, s := range started {
				if s != "run-7 raw/carts/manifest.json" {
					t.Errorf("started %q", s)
				}
			}
			if tt.failed == "" {
				if x.Status() != asl.Succeeded {
					t.Errorf("%v: %s", x.Err(), x)
				}
				return
			}
			if x.Status() != asl.Failed || !strings.Contains(x.Err().Error(), tt.failed) {
				t.Errorf("got %v, want a failure of %s: %s", x.Err(), tt.failed, x)
			}
			if loaded := len(x.Visits("Load graph")) > 0; loaded != (tt.failed == "Load graph") {
				t.Errorf("the graph was loaded: %s", x)
			}
		})
	}
}

// A cart of which it is not known yet whether it was abandoned is one to predict
// for, and none to learn from or to be judged by.
func TestTrainingKeepsTheUnknownApart(t *testing.T) {
	template := cdktest.Synth(t, stacks.NewTraining(cdktest.NewApp(t), "Training", nil).Stack())
	definition := ""
	for _, r := range template.Resources("AWS::StepFunctions::StateMachine") {
		if strings.HasPrefix(r.ID, "Abandonment") {
			definition = fmt.Sprint(r.Properties["DefinitionString"])
		}
	}
	for query, want := range map[string]string{
		"trainingQuery": " WHERE abandoned IS NOT NULL AND ", "evaluationQuery": " WHERE abandoned IS NOT NULL AND ", "batchQuery": " WHERE abandoned IS NULL",
	} {
		got := regexp.MustCompile(`"` + query + `":"(\\.|[^"\\])*"`).FindString(definition)
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want one with %q", got, want)
		}
	}
}

// Nothing in a row says when it was written: the script must not choose among
// those of a cart as they happen to come.
func TestTrainingScriptDoesNotChooseRows(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "stacks", "training", "transform.py"))
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`dropDuplicates\([^)]`).Match(script) {
		t.Error("the script keeps any row of a cart, and drops the others")
	}
	check, merge := strings.Index(string(script), "HAVING count(*) > 1"), strings.Index(string(script), "MERGE INTO")
	if check < 0 || check > merge {
		t.Error("the script does not look for carts with more than one row before it merges")
	}
}

// The workflow passes the arguments that the transform's script reads.
func TestTrainingPassesWhatTheScriptReads(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "stacks", "training", "transform.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "getResolvedOptions(sys.argv, [")
	list, _, _ = strings.Cut(list, "]")
	read := regexp.MustCompile(`\w+`).FindAllString(list, -1)
	if len(read) < 3 {
		t.Fatalf("the script reads %v", read)
	}
	template := cdktest.Synth(t, stacks.NewTraining(cdktest.NewApp(t), "Training", nil).Stack())
	var definition string
	for _, r := range template.Resources("AWS::StepFunctions::StateMachine") {
		if strings.HasPrefix(r.ID, "Abandonment") {
			definition = fmt.Sprint(r.Properties["DefinitionString"])
		}
	}
	for _, argument := range read {
		if !strings.Contains(definition, `"--`+argument+`":`) {
			t.Errorf("the workflow does not pass --%s", argument)
		}
	}
}
