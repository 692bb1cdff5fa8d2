package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/saga"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
	"github.com/serverless-go/cdk/test/cdktest"
)

// step is a step that can be undone.
func step(fn *function.Function, name string) orchestration.Step {
	return orchestration.Step{Name: name,
		Action:       &orchestration.Action{Function: fn},
		Compensation: &orchestration.Action{Function: fn}}
}

// final is a step that cannot be undone.
func final(fn *function.Function, name string) orchestration.Step {
	return orchestration.Step{Name: name, Action: &orchestration.Action{Function: fn}}
}

func parallel(name string, branches ...[]orchestration.Step) orchestration.Step {
	return orchestration.Step{Name: name, Parallel: branches}
}

// shapes are sagas of every structure: sequences, branches, branches in
// branches, at the start, in the middle and at the end.
func shapes(fn *function.Function) map[string][]orchestration.Step {
	s := func(names ...string) (all []orchestration.Step) {
		for _, name := range names {
			if base, ok := strings.CutSuffix(name, "!"); ok {
				all = append(all, final(fn, base))
			} else {
				all = append(all, step(fn, name))
			}
		}
		return
	}
	then := func(parts ...[]orchestration.Step) []orchestration.Step { return slices.Concat(parts...) }
	group := func(name string, branches ...[]orchestration.Step) []orchestration.Step {
		return []orchestration.Step{parallel(name, branches...)}
	}
	return map[string][]orchestration.Step{
		"One":      s("A"),
		"Final":    s("A!", "B!"),
		"Sequence": s("A", "B", "C", "D"),
		"Mixed":    s("A", "B!", "C", "D!"),
		"Fork":     group("P", s("A"), s("B")),
		"Middle":   then(s("A"), group("P", s("B", "C"), s("D", "E!")), s("F")),
		"Two":      then(group("P", s("A"), s("B")), group("Q", s("C"), s("D", "E"))),
		"Nested":   then(s("A"), group("P", then(s("B"), group("Q", s("C"), s("D")), s("E")), s("F")), s("G")),
		"Deep end": group("P", group("Q", s("A"), s("B", "C")), then(s("D!"), group("R", s("E"), s("F")))),
	}
}

// world is where a saga acts. It knows what was done and undone.
type world struct {
	fail      map[string]bool // actions that fail
	stuck     map[string]bool // compensations that fail
	acted     []string
	undone    []string
	effects   map[string]bool
	letters   []saga.DeadLetter
	exhausted map[string]int // attempts, by action or "undo action"
}

type (
	booking struct{ ID string }
	ticket  struct{ Of string }
)

type RefusedError struct{ step string }

func (e *RefusedError) Error() string { return e.step + " refuses" }

func newWorld() *world {
	return &world{fail: map[string]bool{}, stuck: map[string]bool{}, effects: map[string]bool{}, exhausted: map[string]int{}}
}

func (w *world) handle(_ context.Context, r saga.Request[booking, ticket]) (ticket, error) {
	if want := r.Saga + "/" + r.Step; r.Key != want {
		return ticket{}, fmt.Errorf("the key of %s is %s, want %s", r.Step, r.Key, want)
	}
	if r.Input.ID != "o-1" {
		return ticket{}, fmt.Errorf("%s got the input %v", r.Step, r.Input)
	}
	switch r.Operation {
	case saga.Act:
		w.exhausted[r.Step]++
		if w.fail[r.Step] {
			return ticket{}, &RefusedError{r.Step}
		}
		w.acted, w.effects[r.Step] = append(w.acted, r.Step), true
		return ticket{Of: r.Step}, nil
	default:
		w.exhausted["undo "+r.Step]++
		if w.stuck[r.Step] {
			return ticket{}, &RefusedError{r.Step}
		}
		if r.Result == nil || r.Result.Of != r.Step {
			return ticket{}, fmt.Errorf("the compensation of %s got the result %v", r.Step, r.Result)
		}
		w.undone = append(w.undone, r.Step)
		delete(w.effects, r.Step)
		return ticket{}, nil
	}
}

// interpreter runs sagas in the world.
func (w *world) interpreter(tasks map[string]asl.Handler) *asl.Interpreter {
	all := map[string]asl.Handler{
		"arn:aws:states:::lambda:invoke": asl.Lambda(w.handle),
		"arn:aws:states:::sqs:sendMessage": func(_ context.Context, t *asl.PendingTask) (any, error) {
			body, err := json.Marshal(t.Arguments.(map[string]any)["MessageBody"])
			if err != nil {
				return nil, err
			}
			var letter saga.DeadLetter
			if err := json.Unmarshal(body, &letter); err != nil {
				return nil, err
			}
			w.letters = append(w.letters, letter)
			return map[string]any{}, nil
		},
	}
	maps.Copy(all, tasks)
	return &asl.Interpreter{Tasks: all, Options: asl.StartOptions{Name: "run-1"}}
}

func (w *world) run(t *testing.T, m *asl.Machine) *asl.Execution {
	t.Helper()
	x, err := w.interpreter(nil).Run(t.Context(), m, booking{"o-1"})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// model is what a saga should do, said in another way: it runs the steps and
// returns which were done, in the order of the definition, and whether all.
func model(steps []orchestration.Step, fail map[string]bool) (done []orchestration.Step, ok bool) {
	for _, s := range steps {
		if s.Parallel == nil {
			if fail[s.Name] {
				return done, false
			}
			done = append(done, s)
			continue
		}
		all := true
		for _, branch := range s.Parallel {
			inner, ok := model(branch, fail)
			done, all = append(done, inner...), all && ok
		}
		if !all {
			return done, false
		}
	}
	return done, true
}

func leaves(steps []orchestration.Step) (names []string) {
	for _, s := range steps {
		if s.Parallel == nil {
			names = append(names, s.Name)
		}
		for _, branch := range s.Parallel {
			names = append(names, leaves(branch)...)
		}
	}
	return names
}

// compensable returns the names of the steps that can be undone, in reverse.
func compensable(done []orchestration.Step) (names []string) {
	for _, s := range slices.Backward(done) {
		if s.Compensation != nil {
			names = append(names, s.Name)
		}
	}
	return names
}

// synthesized returns the deployed machines of the named shapes, all for none.
func synthesized(t *testing.T, names ...string) (map[string][]orchestration.Step, map[string]*asl.Machine) {
	t.Helper()
	stack := cdktest.NewStack(t)
	all := shapes(handler(stack, "Booker"))
	if len(names) > 0 {
		maps.DeleteFunc(all, func(name string, _ []orchestration.Step) bool { return !slices.Contains(names, name) })
	}
	for name, steps := range all {
		orchestration.NewSaga(stack, name, &orchestration.SagaProps{Steps: steps})
	}
	template := cdktest.Synth(t, stack)
	machines := map[string]*asl.Machine{}
	for name := range all {
		machines[name] = machine(t, template, strings.ReplaceAll(name, " ", "")+"Workflow")
	}
	return all, machines
}

// The property of a saga: whichever actions fail, exactly those that were done
// are undone, in reverse, and nothing else happens.
func TestSagaUndoesWhatWasDone(t *testing.T) {
	all, machines := synthesized(t)
	for name, steps := range all {
		t.Run(name, func(t *testing.T) {
			names := leaves(steps)
			for bits := range 1 << len(names) {
				w := newWorld()
				for i, name := range names {
					w.fail[name] = bits&(1<<i) != 0
				}
				x := w.run(t, machines[name])
				done, ok := model(steps, w.fail)
				var want []string
				if !ok {
					want = compensable(done)
				}
				what := fmt.Sprintf("failing %05b: %s", bits, x)
				if diff := cmp.Diff(want, w.undone); diff != "" {
					t.Fatalf("%s: undone (-want +got):\n%s", what, diff)
				}
				if len(w.acted) != len(done) {
					t.Fatalf("%s: %v were done, want %d steps", what, w.acted, len(done))
				}
				for _, s := range done {
					if w.effects[s.Name] != (ok || s.Compensation == nil) {
						t.Fatalf("%s: the effect of %s is there: %v", what, s.Name, w.effects[s.Name])
					}
				}
				if ok != (x.Status() == asl.Succeeded) || len(w.letters) != 0 {
					t.Fatalf("%s: %s with %d dead letters", what, x.Status(), len(w.letters))
				}
				if ok {
					var outcome saga.Outcome
					if err := x.Decode(&outcome); err != nil || len(outcome.Results) != len(names) {
						t.Fatalf("%s: the outcome is %v, %v", what, x.Output(), err)
					}
					continue
				}
				state := compensated(t, x)
				if state.Failure == nil || !w.fail[state.Failure.Step] || state.Failure.Error != "RefusedError" {
					t.Fatalf("%s: the failure is %+v", what, state.Failure)
				}
				if diff := cmp.Diff(want, state.Undone); diff != "" {
					t.Fatalf("%s: undone, as told (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

// compensated returns the state that a compensated saga tells as its cause.
func compensated(t *testing.T, x *asl.Execution) (state saga.State) {
	t.Helper()
	failure, ok := x.Err().(*asl.Error)
	if !ok || failure.Name != saga.Compensated {
		t.Fatalf("%s: the saga ended with %v", x, x.Err())
	}
	if err := json.Unmarshal([]byte(failure.Cause), &state); err != nil {
		t.Fatalf("the cause %q is not a state: %v", failure.Cause, err)
	}
	return state
}

// A compensation that fails is retried, then reported with the whole state; the
// execution fails there, and a redrive undoes the rest, nothing twice.
func TestSagaStuckCompensation(t *testing.T) {
	all, machines := synthesized(t)
	for name, steps := range all {
		t.Run(name, func(t *testing.T) {
			names := leaves(steps)
			last := names[len(names)-1]
			done, _ := model(steps, map[string]bool{last: true})
			want := compensable(done)
			for i, stuck := range want {
				w := newWorld()
				w.fail[last], w.stuck[stuck] = true, true
				x := w.run(t, machines[name])
				if x.Status() != asl.Failed || x.Err().Error() != "RefusedError: "+stuck+" refuses" {
					t.Fatalf("stuck at %s: %s: %v", stuck, x, x.Err())
				}
				if got := w.exhausted["undo "+stuck]; got != 14 {
					t.Errorf("%s was tried %d times, want 14: first, 12 retries, and once after the report", stuck, got)
				}
				if len(w.letters) != 1 {
					t.Fatalf("there are %d dead letters", len(w.letters))
				}
				letter := w.letters[0]
				wantState := saga.State{Undone: want[:i:i], Done: letter.State.Done, Results: letter.State.Results,
					Failure: &saga.Failure{Step: last, Error: "RefusedError", Cause: last + " refuses"},
					Stuck:   &saga.Failure{Step: stuck, Error: "RefusedError", Cause: stuck + " refuses"}}
				if i == 0 {
					wantState.Undone = nil
				}
				if diff := cmp.Diff(wantState, letter.State); diff != "" {
					t.Errorf("the dead letter (-want +got):\n%s", diff)
				}
				var order []string
				for _, s := range done {
					order = append(order, s.Name)
				}
				if !slices.Equal(letter.State.Done, order) || string(letter.Input) != `{"ID":"o-1"}` || len(letter.State.Results) != len(done) {
					t.Errorf("the dead letter lacks something: %+v", letter)
				}

				w.stuck[stuck] = false
				if err := x.Redrive(x.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				if err := w.interpreter(nil).Continue(t.Context(), x); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, compensated(t, x).Undone); diff != "" {
					t.Errorf("undone after the redrive (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(want, w.undone); diff != "" {
					t.Errorf("really undone (-want +got):\n%s", diff)
				}
				if len(w.letters) != 1 {
					t.Errorf("%d dead letters after the redrive", len(w.letters))
				}
			}
		})
	}
}

// A dead letter that cannot be sent is not lost: a redrive sends it and goes on.
func TestSagaReportFails(t *testing.T) {
	_, machines := synthesized(t, "Sequence")
	w := newWorld()
	w.fail["C"], w.stuck["B"] = true, true
	x, err := w.interpreter(map[string]asl.Handler{
		"arn:aws:states:::sqs:sendMessage": asl.Script(asl.Throw("Sqs.SdkClientException", "no queue")),
	}).Run(t.Context(), machines["Sequence"], booking{"o-1"})
	if err != nil || x.Status() != asl.Failed || !strings.HasSuffix(x.String(), "Report B -> Sqs.SdkClientException") {
		t.Fatalf("%v: %s", err, x)
	}
	w.stuck["B"] = false
	if err := x.Redrive(x.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := w.interpreter(nil).Continue(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if state := compensated(t, x); !slices.Equal(state.Undone, []string{"B", "A"}) || len(w.letters) != 1 {
		t.Errorf("undone %v, %d dead letters", state.Undone, len(w.letters))
	}
}

// one returns the deployed machine of one saga.
func one(t *testing.T, props func(awscdk.Stack) *orchestration.SagaProps) *asl.Machine {
	t.Helper()
	stack := cdktest.NewStack(t)
	orchestration.NewSaga(stack, "Trip", props(stack))
	return machine(t, cdktest.Synth(t, stack), "Trip")
}

func TestSagaRetries(t *testing.T) {
	m := one(t, func(stack awscdk.Stack) *orchestration.SagaProps {
		book := step(handler(stack, "Booker"), "Book")
		never := 0
		book.Action.Retry = orchestration.Retry{Errors: []string{"States.ALL"}, Never: []string{"Full"}, Interval: 10 * time.Second}
		book.Compensation.Retry = orchestration.Retry{Attempts: &never}
		return &orchestration.SagaProps{Steps: []orchestration.Step{book}}
	})
	retriers := m.States["Book"].Retry
	if len(retriers) != 2 || !retriers[1].Jitter || retriers[1].Interval != 10*time.Second || retriers[1].MaxAttempts != 5 {
		t.Fatalf("the retriers are %+v", retriers)
	}
	for name, tt := range map[string]struct {
		results []asl.Result
		calls   int
		want    asl.Status
	}{
		"none":      {[]asl.Result{asl.Return(nil)}, 1, asl.Succeeded},
		"recovers":  {[]asl.Result{asl.Throw("Busy", ""), asl.Throw("Lambda.Unknown", ""), asl.Return(nil)}, 3, asl.Succeeded},
		"exhausted": {[]asl.Result{asl.Throw("Busy", "")}, 6, asl.Failed},
		"never":     {[]asl.Result{asl.Throw("Full", "")}, 1, asl.Failed},
		"times out": {[]asl.Result{asl.Hang(), asl.Return(nil)}, 2, asl.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			calls, keys := 0, map[any]bool{}
			script := asl.Script(tt.results...)
			in := newWorld().interpreter(map[string]asl.Handler{"Book": func(ctx context.Context, task *asl.PendingTask) (any, error) {
				calls++
				keys[task.Arguments.(map[string]any)["Payload"].(map[string]any)["key"]] = true
				return script(ctx, task)
			}})
			x, err := in.Run(t.Context(), m, booking{"o-1"})
			if err != nil {
				t.Fatal(err)
			}
			if x.Status() != tt.want || calls != tt.calls {
				t.Errorf("%s after %d calls, want %s after %d: %s", x.Status(), calls, tt.want, tt.calls, x)
			}
			if len(keys) != 1 {
				t.Errorf("the retries had the keys %v", keys)
			}
		})
	}
}

// An action that timed out may have acted: with UndoFailed its compensation
// runs, and without it does not.
func TestSagaUndoFailed(t *testing.T) {
	for _, undo := range []bool{false, true} {
		m := one(t, func(stack awscdk.Stack) *orchestration.SagaProps {
			fn := handler(stack, "Booker")
			unsure, other := step(fn, "B"), step(fn, "C")
			unsure.UndoFailed = undo
			alone := unsure
			alone.Name = "D"
			return &orchestration.SagaProps{Steps: []orchestration.Step{
				step(fn, "A"), parallel("P", []orchestration.Step{unsure}, []orchestration.Step{other}), alone}}
		})
		for _, slow := range []string{"B", "D"} {
			var undone []string
			in := newWorld().interpreter(map[string]asl.Handler{
				slow: asl.Script(asl.Hang()),
				"arn:aws:states:::lambda:invoke": asl.Lambda(func(_ context.Context, r saga.Request[booking, ticket]) (*ticket, error) {
					if r.Operation == saga.Compensate {
						undone = append(undone, r.Step)
						if (r.Result == nil) != (r.Step == slow) {
							t.Errorf("the result to be undone of %s is %v", r.Step, r.Result)
						}
					}
					return &ticket{r.Step}, nil
				}),
			})
			x, err := in.Run(t.Context(), m, booking{"o-1"})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string][]string{"Bfalse": {"C", "A"}, "Btrue": {"C", "B", "A"}, "Dfalse": {"C", "B", "A"}, "Dtrue": {"D", "C", "B", "A"}}
			if diff := cmp.Diff(want[fmt.Sprint(slow, undo)], undone); diff != "" {
				t.Errorf("%s times out with UndoFailed %v: undone (-want +got):\n%s", slow, undo, diff)
			}
			if state := compensated(t, x); state.Failure.Error != asl.ErrorTimeout {
				t.Errorf("the failure is %+v", state.Failure)
			}
		}
	}
}

// An action whose result is too large was done all the same.
func TestSagaUndoesTooLargeResult(t *testing.T) {
	_, machines := synthesized(t, "Sequence", "Middle")
	for name, want := range map[string][]string{"Sequence": {"B", "A"}, "Middle": {"D", "B", "A"}} {
		large := map[string]string{"Sequence": "B", "Middle": "B"}[name]
		var undone []string
		in := newWorld().interpreter(map[string]asl.Handler{
			large: asl.Lambda(func(context.Context, any) (string, error) { return strings.Repeat("x", asl.MaxDataSize), nil }),
			"arn:aws:states:::lambda:invoke": asl.Lambda(func(_ context.Context, r saga.Request[booking, any]) (any, error) {
				if r.Operation == saga.Compensate {
					undone = append(undone, r.Step)
				}
				return nil, nil
			}),
		})
		x, err := in.Run(t.Context(), machines[name], booking{"o-1"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, undone); diff != "" {
			t.Errorf("%s: undone (-want +got):\n%s", name, diff)
		}
		if state := compensated(t, x); state.Failure.Error != asl.ErrorDataLimitExceeded {
			t.Errorf("%s: the failure is %+v", name, state.Failure)
		}
	}
}

// Branches whose results are too large together cannot be joined; that is
// reported, for nobody knows what to undo.
func TestSagaLost(t *testing.T) {
	_, machines := synthesized(t, "Fork")
	w := newWorld()
	large := asl.Lambda(func(context.Context, any) (string, error) { return strings.Repeat("x", asl.MaxDataSize*2/3), nil })
	x, err := w.interpreter(map[string]asl.Handler{"A": large, "B": large}).Run(t.Context(), machines["Fork"], booking{"o-1"})
	if err != nil {
		t.Fatal(err)
	}
	if failure, ok := x.Err().(*asl.Error); !ok || failure.Name != saga.Lost || len(w.letters) != 1 || w.letters[0].State.Failure.Step != "P" {
		t.Errorf("%s: %v, dead letters %+v", x, x.Err(), w.letters)
	}
}

func TestSagaApproval(t *testing.T) {
	m := one(t, func(stack awscdk.Stack) *orchestration.SagaProps {
		fn := handler(stack, "Booker")
		ask := orchestration.Step{Name: "Ask", Question: &orchestration.Question{Function: handler(stack, "Asker"), Expiry: time.Hour}}
		also := ask
		also.Name = "Ask too"
		return &orchestration.SagaProps{Steps: []orchestration.Step{step(fn, "A"), ask, step(fn, "B"),
			parallel("P", []orchestration.Step{also}, []orchestration.Step{step(fn, "C")})}}
	})
	yes := asl.Return(saga.Answer{Approved: true, By: "Ada"})
	for name, tt := range map[string]struct {
		first, second asl.Result
		want          *saga.Failure
		undone        []string
	}{
		"approved":        {yes.After(59 * time.Minute), yes, nil, nil},
		"denied":          {asl.Return(saga.Answer{Reason: "too dear"}), yes, &saga.Failure{Step: "Ask", Error: saga.Denied, Cause: "too dear"}, []string{"A"}},
		"denied in word":  {asl.Return("no"), yes, &saga.Failure{Step: "Ask", Error: saga.Denied}, []string{"A"}},
		"nothing":         {asl.Return(nil), yes, &saga.Failure{Step: "Ask", Error: saga.Denied}, []string{"A"}},
		"expired":         {yes.After(61 * time.Minute), yes, &saga.Failure{Step: "Ask", Error: saga.Expired, Cause: "nobody answered within 1h0m0s"}, []string{"A"}},
		"failed":          {asl.Throw("Broken", "line"), yes, &saga.Failure{Step: "Ask", Error: "Broken", Cause: "line"}, []string{"A"}},
		"denied branch":   {yes, asl.Return(saga.Answer{}), &saga.Failure{Step: "Ask too", Error: saga.Denied}, []string{"C", "B", "A"}},
		"expired branch":  {yes, asl.Hang(), &saga.Failure{Step: "Ask too", Error: saga.Expired, Cause: "nobody answered within 1h0m0s"}, []string{"C", "B", "A"}},
		"approved branch": {yes, yes.After(time.Hour), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			var asked saga.Approval
			x, err := w.interpreter(map[string]asl.Handler{
				"Ask": func(_ context.Context, task *asl.PendingTask) (any, error) {
					body, err := json.Marshal(task.Arguments.(map[string]any)["Payload"])
					if err != nil {
						return nil, err
					}
					if task.Token != task.Arguments.(map[string]any)["Payload"].(map[string]any)["token"] {
						t.Error("the question has another token")
					}
					return tt.first, json.Unmarshal(body, &asked)
				},
				"Ask too": asl.Script(tt.second),
			}).Run(t.Context(), m, booking{"o-1"})
			if err != nil {
				t.Fatal(err)
			}
			if asked.Step != "Ask" || string(asked.Input) != `{"ID":"o-1"}` || string(asked.Results["A"]) != `{"Of":"A"}` ||
				!asked.Expires.Equal(time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)) {
				t.Errorf("the question is %+v", asked)
			}
			if diff := cmp.Diff(tt.undone, w.undone); diff != "" {
				t.Errorf("undone (-want +got):\n%s", diff)
			}
			if tt.want == nil {
				if x.Status() != asl.Succeeded {
					t.Errorf("%s: %v", x, x.Err())
				}
				return
			}
			if diff := cmp.Diff(tt.want, compensated(t, x).Failure); diff != "" {
				t.Errorf("the failure (-want +got):\n%s", diff)
			}
		})
	}
}

// trip is a saga with everything.
func trip(stack awscdk.Stack) *orchestration.SagaProps {
	fn := handler(stack, "Booker")
	topic := awssns.NewTopic(stack, jsii.String("Questions"), nil)
	queue := awssqs.NewQueue(stack, jsii.String("Desk"), nil)
	return &orchestration.SagaProps{
		Steps: []orchestration.Step{
			step(fn, "Hotel"),
			{Name: "Ask", Question: &orchestration.Question{Topic: topic, Expiry: time.Hour}},
			parallel("Ways", []orchestration.Step{step(fn, "Flight")}, []orchestration.Step{
				{Name: "Desk", Question: &orchestration.Question{Queue: queue}},
				{
					Name: "Car",
					Action: &orchestration.Action{
						Resource:  "arn:aws:states:::aws-sdk:dynamodb:putItem",
						Arguments: map[string]any{"TableName": "cars", "Item": map[string]any{"pk": map[string]any{"S": orchestration.StepKey("Car")}}},
						Timeout:   time.Minute,
						Retry:     orchestration.Retry{Errors: []string{"DynamoDB.SdkClientException"}},
					},
					Compensation: &orchestration.Action{Function: fn, Payload: map[string]any{"key": orchestration.StepKey("Car")}},
					UndoFailed:   true,
				},
			}),
		},
		Alarms: orchestration.SagaAlarms{DeadLetters: alarm.Tuning{Threshold: jsii.Number(3)}},
		Workflow: orchestration.WorkflowProps{
			Alias: "live", EncryptionKey: awskms.NewKey(stack, jsii.String("Key"), nil),
			Alarms: orchestration.WorkflowAlarms{Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil)},
		},
	}
}

func TestSagaDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	fn := handler(stack, "Booker")
	orchestration.NewSaga(stack, "Trip", &orchestration.SagaProps{Steps: []orchestration.Step{step(fn, "Hotel"), step(fn, "Flight")}})
	cdktest.Golden(t, stack)
}

func TestSagaEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	s := orchestration.NewSaga(stack, "Trip", trip(stack))
	caller := handler(stack, "Caller")
	s.GrantStart(caller)
	s.GrantRead(caller)
	s.GrantApprove(caller)
	s.GrantRedrive(caller)
	if s.DeadLettersAlarm() == nil || s.Workflow().Alias() == nil {
		t.Error("the saga lacks an alarm or the alias")
	}
	cdktest.Golden(t, stack)
}

func TestSagaAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	queue := awssqs.NewQueue(stack, jsii.String("Dead"), nil)
	s := orchestration.NewSaga(stack, "Trip", &orchestration.SagaProps{
		Steps: []orchestration.Step{step(handler(stack, "Booker"), "Hotel")}, DeadLetterQueue: queue})
	if s.DeadLetterQueue() != queue || s.DeadLettersAlarm() != nil {
		t.Error("the saga does not use the queue it was given")
	}
	cdktest.Synth(t, stack).Count(t, "AWS::SQS::Queue", 1)
}

// The dead letters can have another topic than the workflow.
func TestSagaTopic(t *testing.T) {
	stack := cdktest.NewStack(t)
	topic := func(name string) awssns.ITopic {
		return awssns.Topic_FromTopicArn(stack, jsii.String(name), jsii.String("arn:aws:sns:eu-west-1:123456789012:"+name))
	}
	orchestration.NewSaga(stack, "Trip", &orchestration.SagaProps{
		Steps:    []orchestration.Step{step(handler(stack, "Booker"), "Hotel")},
		Alarms:   orchestration.SagaAlarms{Topic: topic("clerks")},
		Workflow: orchestration.WorkflowProps{Alarms: orchestration.WorkflowAlarms{Topic: topic("developers")}},
	})
	template := cdktest.Synth(t, stack)
	template.Has(t, "AWS::CloudWatch::Alarm", cdktest.Match{
		"Namespace": "AWS/SQS", "AlarmActions": []any{"arn:aws:sns:eu-west-1:123456789012:clerks"}})
	template.Has(t, "AWS::CloudWatch::Alarm", cdktest.Match{
		"MetricName": "ExecutionsFailed", "AlarmActions": []any{"arn:aws:sns:eu-west-1:123456789012:developers"}})
}

func TestSagaIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, orchestration.NewSaga(stack, "Trip", trip(stack)))
}

func TestSagaRejects(t *testing.T) {
	few := -1
	for name, tt := range map[string]struct {
		change func(*orchestration.SagaProps, *function.Function)
		want   []string
	}{
		"no steps": {func(p *orchestration.SagaProps, _ *function.Function) { p.Steps = nil }, []string{"Test/Trip", "Steps is empty"}},
		"name": {func(p *orchestration.SagaProps, _ *function.Function) { p.Steps[0].Name = "it's" },
			[]string{`Steps[0].Name is "it's"`, "up to 60 letters"}},
		"own": {func(p *orchestration.SagaProps, _ *function.Function) {
			p.Steps[0].Name, p.Steps[1].Name = "Undo B", "B denied"
		},
			[]string{`Steps[0].Name is "Undo B"`, `Steps[1].Name is "B denied"`, "the saga's own states"}},
		"twice":   {func(p *orchestration.SagaProps, _ *function.Function) { p.Steps[1].Name = "A" }, []string{"Steps[1].Name", "no other step"}},
		"nothing": {func(p *orchestration.SagaProps, _ *function.Function) { p.Steps[0].Action = nil }, []string{"Steps[0] is set with 0 of Action", "Steps[0].Compensation is set without Action"}},
		"both": {func(p *orchestration.SagaProps, _ *function.Function) {
			p.Steps[0].Question = &orchestration.Question{Expiry: time.Millisecond}
		},
			[]string{"set with 2 of", "Steps[0].Question.Function, Topic and Queue is 0", "Steps[0].Question.Expiry is 1ms"}},
		"undo what": {func(p *orchestration.SagaProps, _ *function.Function) {
			p.Steps[0].Compensation, p.Steps[0].UndoFailed = nil, true
		}, []string{"UndoFailed is true", "say how to undo"}},
		"branch": {func(p *orchestration.SagaProps, _ *function.Function) {
			p.Steps[0] = parallel("P", nil)
		}, []string{"Steps[0].Parallel is 1 branches", "Steps[0].Parallel[0] is empty"}},
		"call": {func(p *orchestration.SagaProps, fn *function.Function) {
			p.Steps[0].Action = &orchestration.Action{Function: fn, Resource: "arn:x", Timeout: time.Millisecond, Retry: orchestration.Retry{Attempts: &few, MaxDelay: time.Second}}
		}, []string{"Steps[0].Action.Function and Resource", "Action.Timeout is 1ms", "Retry.Attempts is -1", "Retry.MaxDelay is 1s"}},
		"fields": {func(p *orchestration.SagaProps, _ *function.Function) {
			p.Steps[0].Action = &orchestration.Action{Payload: map[string]any{}, Arguments: map[string]any{}}
		}, []string{"Payload is set without Function", "Arguments is set without Resource"}},
		"workflow": {func(p *orchestration.SagaProps, _ *function.Function) {
			p.Workflow = orchestration.WorkflowProps{File: "x", Express: true, Timeout: time.Hour, Deployment: orchestration.Deployment{Linear: true}}
		}, []string{"Workflow is set with a definition", "Workflow.Express is true", "Workflow.Timeout is 1h0m0s", "Workflow.Deployment.Percentage"}},
		"alarm": {func(p *orchestration.SagaProps, _ *function.Function) { p.Alarms.DeadLetters.Periods = -1 },
			[]string{"Alarms.DeadLetters.Periods is -1"}},
		"expression": {func(p *orchestration.SagaProps, fn *function.Function) {
			p.Steps[0].Action = &orchestration.Action{Function: fn, Payload: map[string]any{"n": "{% $inputs.n %}"}}
		}, []string{`state "A"`, "$inputs"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			fn := handler(stack, "Booker")
			p := &orchestration.SagaProps{Steps: []orchestration.Step{step(fn, "A"), step(fn, "B")}}
			tt.change(p, fn)
			cdktest.Rejects(t, func() { orchestration.NewSaga(stack, "Trip", p) }, tt.want...)
		})
	}
}

// A saga of services and of functions with payloads of their own: training
// capacity is booked, a pipeline is run, and the capacity is released, whatever
// becomes of the pipeline.
func TestSagaOfTraining(t *testing.T) {
	m := one(t, func(stack awscdk.Stack) *orchestration.SagaProps {
		fn := handler(stack, "Capacity")
		call := func(op string) *orchestration.Action {
			return &orchestration.Action{Function: fn, Payload: map[string]any{
				"op": op, "pool": "ml.g5.xlarge", "booking": orchestration.StepKey("Book"), "units": "{% $input.units %}", "limit": 4,
			}, Retry: orchestration.Retry{Never: []string{"CapacityError"}}}
		}
		return &orchestration.SagaProps{Steps: []orchestration.Step{
			{Name: "Book", Action: call(training.OpBook), Compensation: call(training.OpRelease), UndoFailed: true},
			{Name: "Train", Action: &orchestration.Action{
				Resource: "arn:aws:states:::states:startExecution.sync:2",
				Arguments: map[string]any{
					"StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:Training",
					"Input":           map[string]any{"units": "{% $states.input.results.Book.units %}"},
				},
				Timeout: 24 * time.Hour,
			}},
			{Name: "Release", Action: call(training.OpRelease)},
		}}
	})
	for name, tt := range map[string]struct {
		units int
		train asl.Result
		want  string // the failure's error
		path  string
	}{
		"trained":   {2, asl.Return(map[string]any{"model": "m-1"}), "", "Begin -> Book -> Train -> Release -> Done"},
		"failed":    {2, asl.Throw("States.TaskFailed", "no data"), "States.TaskFailed", "Begin -> Book -> Train -> Undo Book? -> Undo Book -> Compensated"},
		"timed out": {2, asl.Hang(), asl.ErrorTimeout, "Begin -> Book -> Train -> Undo Book? -> Undo Book -> Compensated"},
		"too many":  {5, asl.Return(nil), "CapacityError", "Begin -> Book -> Undo Book? -> Undo Book -> Compensated"},
	} {
		t.Run(name, func(t *testing.T) {
			booked := map[string]int{}
			in := asl.Interpreter{Tasks: map[string]asl.Handler{
				"Train": func(ctx context.Context, task *asl.PendingTask) (any, error) {
					if got := task.Arguments.(map[string]any)["Input"].(map[string]any)["units"]; got != float64(tt.units) {
						t.Errorf("training got %v units", got)
					}
					return tt.train, nil
				},
				"arn:aws:states:::lambda:invoke": asl.Lambda(func(_ context.Context, r training.CapacityRequest) (*training.CapacityAnswer, error) {
					if r.Op == training.OpRelease {
						delete(booked, r.Booking)
						return &training.CapacityAnswer{Booking: r.Booking}, nil
					}
					if r.Units > r.Limit {
						return nil, &training.CapacityError{Pool: r.Pool, Problem: "full"}
					}
					booked[r.Booking] = r.Units
					return &training.CapacityAnswer{Booking: r.Booking, Units: r.Units}, nil
				}),
			}, Options: asl.StartOptions{Name: "run-1"}}
			x, err := in.Run(t.Context(), m, map[string]any{"units": tt.units})
			if err != nil {
				t.Fatal(err)
			}
			if len(booked) != 0 {
				t.Errorf("still booked: %v", booked)
			}
			if got, _, _ := strings.Cut(x.String(), " -> Saga."); got != tt.path {
				t.Errorf("it went %s, want %s", got, tt.path)
			}
			if tt.want != "" {
				if state := compensated(t, x); state.Failure.Error != tt.want {
					t.Errorf("the failure is %+v", state.Failure)
				}
			}
		})
	}
}
