package orchestration

import (
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration/saga"
	"github.com/serverless-go/cdk/patterns/props"
)

// SagaProps says what a saga does.
type SagaProps struct {
	// Steps are done one after the other. Required.
	Steps []Step
	// DeadLetterQueue takes the state of sagas whose compensation failed.
	//
	// Default: a new one, encrypted, keeping messages for 14 days, retained
	// when the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// Alarms tunes the alarm of a new dead-letter queue. The workflow's are
	// tuned by Workflow.Alarms.
	//
	// Default: it is made and notifies Workflow.Alarms.Topic.
	Alarms SagaAlarms
	// Workflow is how the saga's workflow is run: its Alias, Deployment,
	// EncryptionKey, logs, traces and alarms. What the workflow does is the
	// saga's own.
	//
	// Default: as a Workflow's.
	Workflow WorkflowProps
}

// SagaAlarms tunes the alarm of a saga's dead letters.
type SagaAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: Workflow.Alarms.Topic.
	Topic awssns.ITopic
	// DeadLetters counts the sagas whose compensation failed.
	//
	// Default: one.
	DeadLetters alarm.Tuning
}

func (a SagaAlarms) check(c *props.Check) {
	c.Nested("DeadLetters", a.DeadLetters.Check)
}

// Step is one step of a saga. Exactly one of Action, Question and Parallel is
// set.
type Step struct {
	// Name is unique in the saga: up to 60 letters, digits, spaces, ".", "-"
	// and "_", but not what the saga calls states of its own, such as "Undo
	// Hotel" or "Hotel failed". It is the key of the step's result. Required.
	Name string
	// Action does the step. What it did must be done wholly or not at all when it
	// fails; if that cannot be told, set UndoFailed.
	//
	// Default: none; exactly one of Action, Question and Parallel is set.
	Action *Action
	// Compensation undoes what Action did.
	//
	// Default: there is nothing to undo.
	Compensation *Action
	// UndoFailed runs the compensation also if the action itself failed, for
	// it may have acted before: a call that timed out did perhaps arrive. The
	// compensation must then bear that there is nothing to undo, and the
	// action must refuse to act after it.
	//
	// Default: only an action that succeeded is undone.
	UndoFailed bool
	// Question asks a person whether to go on.
	//
	// Default: none; exactly one of Action, Question and Parallel is set.
	Question *Question
	// Parallel are branches of steps that are done side by side. If a step of one
	// fails, the others are still done to their ends, so that it is known what to
	// undo.
	//
	// Default: none; exactly one of Action, Question and Parallel is set.
	Parallel [][]Step
}

// Action is a call of a function, or of any service that Step Functions
// integrates. Exactly one of Function and Resource is set.
//
// Its expressions, in JSONata, can use $saga, the execution's ARN; $input, what
// the saga was started with; and $states.input.results, the results of the
// steps before, by name. [StepKey] is the step's idempotency key.
type Action struct {
	// Function is invoked and waited for. Its result is the step's. Set Function
	// or Resource, not both.
	Function *function.Function
	// Payload is what Function gets.
	//
	// Default: a saga.Request.
	Payload map[string]any
	// Resource is the integration, such as
	// "arn:aws:states:::states:startExecution.sync:2". Set Function or Resource,
	// not both.
	Resource string
	// Arguments are those of Resource.
	//
	// Default: none.
	Arguments map[string]any
	// Allow is what Resource needs. A Function needs nothing more.
	//
	// Default: nothing.
	Allow []awsiam.PolicyStatement
	// Timeout is the longest that one attempt may take, 1s to 365 days.
	//
	// Default: the function's time-out and 10 seconds; 15 minutes if that is
	// not known, and for a Resource.
	Timeout time.Duration
	// Retry is how often the call is tried again.
	//
	// Default: see Retry.
	Retry Retry
}

// Retry is how often a call is tried again. The delay is random between none
// and what it would be otherwise, so that callers that failed together do not
// come back together
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
type Retry struct {
	// Errors are the names of errors that are retried.
	//
	// Default: of an action, what Lambda returns when it could not run the
	// function, and "UnavailableError", by which functions of this module say
	// that they may be asked again; of a compensation, all.
	Errors []string
	// Never are the names of errors that are not retried, even if Errors would
	// cover them.
	//
	// Default: none.
	Never []string
	// Attempts is how often a call is tried again; 0 is never.
	//
	// Default: 5 times an action, 12 times a compensation.
	Attempts *int
	// Interval is the first delay, which then doubles.
	//
	// Default: 2 seconds.
	Interval time.Duration
	// MaxDelay is the longest delay.
	//
	// Default: 1 minute for an action, 10 for a compensation.
	MaxDelay time.Duration
}

// Question asks a person whether the saga shall go on. Exactly one of Function,
// Topic and Queue is set; it gets a saga.Approval. The person's answer, a
// saga.Answer, goes to SendTaskSuccess with the token; grant that with
// [Saga.GrantApprove]. If the answer is no, and if there is none in time, the
// saga is undone.
type Question struct {
	// Function is invoked with the question.
	//
	// Default: none; exactly one of Function, Topic and Queue is set.
	Function *function.Function
	// Topic publishes the question. Whoever reads it can answer.
	//
	// Default: none; exactly one of Function, Topic and Queue is set.
	Topic awssns.ITopic
	// Queue takes the question.
	//
	// Default: none; exactly one of Function, Topic and Queue is set.
	Queue awssqs.IQueue
	// Expiry is how long the saga waits, 1s to 365 days.
	//
	// Default: 24 hours.
	Expiry time.Duration
}

// StepKey returns the JSONata expression of a step's idempotency key, for
// Payload and Arguments: the execution's ARN and the step's name.
func StepKey(step string) string { return "{% " + stepKey(step) + " %}" }

func stepKey(step string) string { return "$saga & '/" + step + "'" }

// Saga is a workflow of steps that either all are done or, when one fails, are
// undone in reverse (Garcia-Molina and Salem, "Sagas", SIGMOD 1987):
//
//	A ──▶ B ──▶ C ──▶ done: output saga.Outcome
//	      │     ✕ fails, after its retries
//	      ▼
//	undo B ──▶ undo A ──▶ failed: error saga.Compensated
//	  ✕ fails, after its retries
//	  └──▶ dead-letter queue, and the execution fails at this compensation
//
// Its result is the execution's: DescribeExecution tells for 90 days whether
// it succeeded, and with which results, or failed, and why. A saga that is stuck
// at a compensation goes on there when its execution is redriven.
//
// Two things are not undone: an execution that somebody stops, and an error
// States.Runtime, which Step Functions lets nobody catch.
type Saga struct {
	constructs.Construct
	workflow    *Workflow
	deadLetters awssqs.IQueue
	alarm       awscloudwatch.CfnAlarm
}

// NewSaga makes a saga. It panics with a *[props.Error] when the props are
// wrong.
func NewSaga(scope constructs.Construct, id string, p *SagaProps) *Saga {
	if p == nil {
		p = &SagaProps{}
	}
	var c props.Check
	p.check(&c)
	c.Panic(scope, id)
	s := &Saga{}
	construct.Init(s, scope, id)
	s.deadLetters, s.alarm = defaults.WatchedDeadLetters(s, "DeadLetters", p.DeadLetterQueue,
		defaults.DeadLetters{For: "Compensations of " + construct.Path(s), Key: p.Workflow.EncryptionKey,
			Alarm: p.Alarms.DeadLetters, Topic: construct.Or(p.Alarms.Topic, p.Workflow.Alarms.Topic)})
	r := &sagaRenderer{queue: construct.QueueUrl(s.deadLetters)}
	workflow := p.Workflow
	workflow.Definition = r.definition(p.Steps)
	workflow.Allow, workflow.allow = r.given, r.allow
	workflow.Timeout = year // a time-out of the whole would leave steps undone
	s.workflow = NewWorkflow(s, "Workflow", &workflow)
	// To the role: the CDK would come back to Go to ask the workflow for it.
	s.deadLetters.GrantSendMessages(s.workflow.role)
	for _, a := range r.questions {
		switch {
		case a.Topic != nil:
			a.Topic.GrantPublish(s.workflow.role)
		case a.Queue != nil:
			a.Queue.GrantSendMessages(s.workflow.role)
		}
	}
	return s
}

// Workflow returns the saga's workflow.
func (s *Saga) Workflow() *Workflow { return s.workflow }

// DeadLetterQueue returns the queue of the sagas that are stuck.
func (s *Saga) DeadLetterQueue() awssqs.IQueue { return s.deadLetters }

// DeadLettersAlarm returns the alarm of a new dead-letter queue, or nil.
func (s *Saga) DeadLettersAlarm() awscloudwatch.CfnAlarm { return s.alarm }

// Alarms returns the alarms that were made, those of the workflow too.
func (s *Saga) Alarms() []awscloudwatch.CfnAlarm {
	return append(defaults.Alarms(s.alarm), s.workflow.Alarms()...)
}

// GrantStart lets the grantee start sagas. A saga that is started again with
// the same name and input is the same saga.
func (s *Saga) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return s.workflow.GrantStart(grantee)
}

// GrantRead lets the grantee ask for the results of sagas.
func (s *Saga) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	return s.workflow.GrantRead(grantee)
}

// GrantApprove lets the grantee answer questions.
func (s *Saga) GrantApprove(grantee awsiam.IGrantable) awsiam.Grant {
	return s.workflow.GrantTaskResponse(grantee)
}

// GrantRedrive lets the grantee redrive sagas that are stuck.
func (s *Saga) GrantRedrive(grantee awsiam.IGrantable) awsiam.Grant {
	return s.workflow.GrantRedrive(grantee)
}

const year = 365 * 24 * time.Hour

var (
	stepName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$`)
	// ownName is what the states are called that the saga adds to the steps.
	ownName = regexp.MustCompile(`^(Begin|Done|Compensated|(Undo|Report) .*|.* (again|denied|passed|failed|lost))$`)
)

func (p *SagaProps) check(c *props.Check) {
	c.Require(len(p.Steps) > 0, "Steps", props.Empty, "at least one step", "say what the saga does")
	checkSteps(c, "Steps", p.Steps, map[string]bool{})
	w := &p.Workflow
	c.Require(w.Definition == nil && w.File == "" && w.Chain == nil && w.Substitutions == nil && w.QueryLanguage == "",
		"Workflow", props.Words("set with a definition"), "none", "leave Definition, File, Substitutions, Chain and QueryLanguage out")
	c.Require(!w.Express, "Workflow.Express", w.Express, "false", "only a Standard workflow can be redriven")
	c.Require(w.Timeout == 0, "Workflow.Timeout", w.Timeout, "none", "a time-out of the whole would leave steps undone: set those of the actions")
	c.Require(len(w.Allow) == 0, "Workflow.Allow", props.Words("set"), "none", "set Allow of the actions")
	c.Nested("Workflow.Deployment", w.Deployment.check)
	c.Nested("Alarms", p.Alarms.check)
}

func checkSteps(c *props.Check, field string, steps []Step, names map[string]bool) {
	for i, s := range steps {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.Require(stepName.MatchString(s.Name), at+".Name", s.Name,
			"up to 60 letters, digits, spaces, \".\", \"-\" and \"_\", the first a letter or digit", "")
		c.Require(!ownName.MatchString(s.Name), at+".Name", s.Name, "a name that the saga's own states cannot have, such as \"Undo Hotel\"", "")
		c.Require(!names[s.Name], at+".Name", s.Name, "a name that no other step has", "")
		names[s.Name] = true
		kinds := 0
		for _, set := range []bool{s.Action != nil, s.Question != nil, s.Parallel != nil} {
			if set {
				kinds++
			}
		}
		c.Require(kinds == 1, at, props.Words(fmt.Sprintf("set with %d of Action, Question and Parallel", kinds)), "exactly one", "")
		c.Require(s.Compensation == nil || s.Action != nil, at+".Compensation", props.Words("set without Action"), "none", "only an action can be undone")
		c.Require(!s.UndoFailed || s.Compensation != nil, at+".UndoFailed", s.UndoFailed, "false without Compensation", "say how to undo the step")
		if s.Action != nil {
			c.Nested(at+".Action", s.Action.check)
		}
		if s.Compensation != nil {
			c.Nested(at+".Compensation", s.Compensation.check)
		}
		if s.Question != nil {
			c.Nested(at+".Question", s.Question.check)
		}
		c.Require(s.Parallel == nil || len(s.Parallel) > 1, at+".Parallel", props.Words(fmt.Sprintf("%d branches", len(s.Parallel))), "two or more", "")
		for j, branch := range s.Parallel {
			inner := fmt.Sprintf("%s.Parallel[%d]", at, j)
			c.Require(len(branch) > 0, inner, props.Empty, "at least one step", "")
			checkSteps(c, inner, branch, names)
		}
	}
}

func (a *Action) check(c *props.Check) {
	c.Require((a.Function != nil) != (a.Resource != ""), "Function and Resource", props.Words("both or none"), "exactly one", "")
	c.Require(a.Payload == nil || a.Function != nil, "Payload", props.Words("set without Function"), "none", "set Arguments")
	c.Require(a.Arguments == nil || a.Resource != "", "Arguments", props.Words("set without Resource"), "none", "set Payload")
	props.Between(c, "Timeout", a.Timeout, time.Second, year)
	c.Require(a.Timeout%time.Second == 0, "Timeout", a.Timeout, "whole seconds", "")
	c.Nested("Retry", a.Retry.check)
}

func (r Retry) check(c *props.Check) {
	if r.Attempts != nil {
		c.Require(*r.Attempts >= 0 && *r.Attempts <= 1000, "Attempts", *r.Attempts, "0 to 1000", "")
	}
	props.Between(c, "Interval", r.Interval, time.Second, 24*time.Hour)
	props.Between(c, "MaxDelay", r.MaxDelay, 2*time.Second, 24*time.Hour)
	c.Require(r.Interval%time.Second == 0 && r.MaxDelay%time.Second == 0, "Interval and MaxDelay",
		fmt.Sprintf("%s and %s", r.Interval, r.MaxDelay), "whole seconds", "")
}

func (a *Question) check(c *props.Check) {
	ways := 0
	for _, set := range []bool{a.Function != nil, a.Topic != nil, a.Queue != nil} {
		if set {
			ways++
		}
	}
	c.Require(ways == 1, "Function, Topic and Queue", props.Words(fmt.Sprintf("%d of them", ways)), "exactly one", "")
	props.Between(c, "Expiry", a.Expiry, time.Second, year)
	c.Require(a.Expiry%time.Second == 0, "Expiry", a.Expiry, "whole seconds", "")
}

// sagaRenderer writes a saga in the Amazon States Language. What flows from
// state to state is a saga.State.
type sagaRenderer struct {
	queue     *string
	undo      []Step // the steps with a compensation, in the order of their actions
	allow     []defaults.Statement
	given     []awsiam.PolicyStatement // by the user
	questions []*Question
}

const (
	stateBegin       = "Begin"
	stateDone        = "Done"
	stateCompensated = "Compensated"
)

func (r *sagaRenderer) definition(steps []Step) map[string]any {
	states := map[string]any{
		stateBegin: map[string]any{
			"Type":   "Pass",
			"Assign": map[string]any{"saga": "{% $states.context.Execution.Id %}", "input": "{% $states.input %}"},
			"Output": map[string]any{"done": []any{}, "results": map[string]any{}},
			"Next":   steps[0].Name,
		},
		stateDone: map[string]any{
			"Type":   "Succeed",
			"Output": map[string]any{"saga": "{% $saga %}", "results": "{% $states.input.results %}"},
		},
		stateCompensated: map[string]any{
			"Type":  "Fail",
			"Error": saga.Compensated,
			"Cause": "{% $string($sift($states.input, function($v, $k) { $k != 'results' })) %}",
		},
	}
	r.steps(states, steps, stateDone, r.entry)
	r.compensations(states)
	return map[string]any{
		"Comment": "A saga: if a step fails, those before it are undone in reverse.",
		"StartAt": stateBegin,
		"States":  states,
	}
}

// entry returns where the steps so far begin to be undone.
func (r *sagaRenderer) entry() string {
	if len(r.undo) == 0 {
		return stateCompensated
	}
	return undoGuard(r.undo[len(r.undo)-1])
}

func undoGuard(s Step) string { return "Undo " + s.Name + "?" }

// steps writes a sequence of steps. After the last follows next, "" for the end
// of a branch; failed names where a failure leads.
func (r *sagaRenderer) steps(states map[string]any, steps []Step, next string, failed func() string) {
	for i, s := range steps {
		after := next
		if i+1 < len(steps) {
			after = steps[i+1].Name
		}
		switch {
		case s.Parallel != nil:
			r.parallel(states, s, after, failed)
		case s.Question != nil:
			r.question(states, s, after, failed)
		default:
			r.action(states, s, after, failed)
		}
	}
}

// lead makes the state lead to the next one, or end its branch.
func lead(state map[string]any, next string) map[string]any {
	if next == "" {
		state["End"] = true
	} else {
		state["Next"] = next
	}
	return state
}

// leadTo is for a Choice, which cannot end a branch: what follows the choice is
// then a state that does.
func leadTo(states map[string]any, name, next string) string {
	if next != "" {
		return next
	}
	end := name + " passed"
	states[end] = map[string]any{"Type": "Pass", "End": true}
	return end
}

func (r *sagaRenderer) action(states map[string]any, s Step, next string, failed func() string) {
	task := r.task(s.Action, s.Name, saga.Act)
	done := fmt.Sprintf("'done': [$append($states.input.done, '%s')]", s.Name)
	result := "$states.result"
	if s.Action.Function != nil {
		result += ".Payload"
	}
	task["Output"] = fmt.Sprintf("{%% {%s, 'results': $merge([$states.input.results, {'%s': %s}])} %%}", done, s.Name, result)
	before := failed()
	if s.Compensation != nil {
		r.undo = append(r.undo, s)
	}
	// A result that is too large comes from an action that was done.
	acted := catch("States.DataLimitExceeded", s.Name, done, failed())
	other := catch("States.ALL", s.Name, "", before)
	if s.UndoFailed {
		other = catch("States.ALL", s.Name, done, failed())
	}
	task["Catch"] = []any{acted, other}
	states[s.Name] = lead(task, next)
}

// catch records the failure and, if the step may have acted, that it is done.
func catch(name, step, done, next string) map[string]any {
	if done != "" {
		done += ", "
	}
	return map[string]any{
		"ErrorEquals": []string{name},
		"Output":      fmt.Sprintf("{%% $merge([$states.input, {%s'failure': %s}]) %%}", done, failure(step)),
		"Next":        next,
	}
}

func failure(step string) string {
	return fmt.Sprintf("{'step': '%s', 'error': $states.errorOutput.Error, 'cause': $substring($states.errorOutput.Cause, 0, 2000)}", step)
}

func (r *sagaRenderer) parallel(states map[string]any, s Step, next string, failed func() string) {
	var branches []any
	for i, steps := range s.Parallel {
		// A branch always succeeds, and tells what it did: a Parallel state
		// whose branch fails stops the others and forgets all of them.
		end := fmt.Sprintf("%s %d failed", s.Name, i+1)
		inner := map[string]any{end: map[string]any{"Type": "Pass", "End": true}}
		r.steps(inner, steps, "", func() string { return end })
		branches = append(branches, map[string]any{"StartAt": steps[0].Name, "States": inner})
	}
	over, report, lost := s.Name+" done?", "Report "+s.Name, s.Name+" lost"
	states[s.Name] = map[string]any{
		"Type":     "Parallel",
		"Branches": branches,
		"Output": "{% $merge([$states.input, {'done': [$distinct($states.result.done)], 'results': $merge($states.result.results)}, " +
			"$exists($states.result.failure) ? {'failure': ($states.result.failure)[0]} : {}]) %}",
		"Catch": []any{catch("States.DataLimitExceeded", s.Name, "", report), catch("States.ALL", s.Name, "", report)},
		"Next":  over,
	}
	states[over] = map[string]any{
		"Type":    "Choice",
		"Choices": []any{map[string]any{"Condition": "{% $exists($states.input.failure) %}", "Next": failed()}},
		"Default": leadTo(states, s.Name, next),
	}
	states[report] = r.report(lost)
	states[lost] = map[string]any{
		"Type":  "Fail",
		"Error": saga.Lost,
		"Cause": "{% $string($states.input.failure) %}",
	}
}

// report sends the saga's state to the dead-letter queue.
func (r *sagaRenderer) report(next string) map[string]any {
	return map[string]any{
		"Type":     "Task",
		"Resource": "arn:aws:states:::sqs:sendMessage",
		"Arguments": map[string]any{
			"QueueUrl":    r.queue,
			"MessageBody": map[string]any{"saga": "{% $saga %}", "input": "{% $input %}", "state": "{% $states.input %}"},
		},
		"Retry":  Retry{}.render(saga.Compensate),
		"Output": "{% $states.input %}",
		"Next":   next,
	}
}

func (r *sagaRenderer) question(states map[string]any, s Step, next string, failed func() string) {
	r.questions = append(r.questions, s.Question)
	expiry := construct.Or(s.Question.Expiry, 24*time.Hour)
	question := map[string]any{
		"saga": "{% $saga %}", "step": s.Name,
		"token":   "{% $states.context.Task.Token %}",
		"expires": fmt.Sprintf("{%% $fromMillis($toMillis($states.context.State.EnteredTime) + %d) %%}", expiry.Milliseconds()),
		"input":   "{% $input %}", "results": "{% $states.input.results %}",
	}
	task := map[string]any{"Type": "Task", "TimeoutSeconds": int(expiry.Seconds()), "Retry": Retry{}.render(saga.Act)}
	switch a := s.Question; {
	case a.Function != nil:
		arn := construct.FunctionArn(a.Function.Target())
		r.allow = append(r.allow, defaults.Actions{"lambda:InvokeFunction"}.To(arn))
		task["Resource"] = "arn:aws:states:::lambda:invoke.waitForTaskToken"
		task["Arguments"] = map[string]any{"FunctionName": arn, "Payload": question}
	case a.Topic != nil:
		task["Resource"] = "arn:aws:states:::sns:publish.waitForTaskToken"
		task["Arguments"] = map[string]any{"TopicArn": construct.TopicArn(a.Topic), "Message": question}
	default:
		task["Resource"] = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
		task["Arguments"] = map[string]any{"QueueUrl": construct.QueueUrl(a.Queue), "MessageBody": question}
	}
	task["Output"] = fmt.Sprintf("{%% $merge([$states.input, {'results': $merge([$states.input.results, {'%s': $states.result}])}]) %%}", s.Name)
	expired := catch("States.Timeout", s.Name, "", failed())
	expired["Output"] = fmt.Sprintf("{%% $merge([$states.input, {'failure': {'step': '%s', 'error': '%s', 'cause': 'nobody answered within %s'}}]) %%}",
		s.Name, saga.Expired, expiry)
	task["Catch"] = []any{expired, catch("States.DataLimitExceeded", s.Name, "", failed()), catch("States.ALL", s.Name, "", failed())}
	task["Next"] = s.Name + "?"
	states[s.Name] = task
	answer := fmt.Sprintf("$lookup($states.input.results, '%s')", s.Name)
	states[s.Name+"?"] = map[string]any{
		"Type": "Choice",
		"Choices": []any{map[string]any{
			"Condition": fmt.Sprintf("{%% $type(%[1]s) = 'object' and %[1]s.approved = true %%}", answer),
			"Next":      leadTo(states, s.Name, next),
		}},
		"Default": s.Name + " denied",
	}
	states[s.Name+" denied"] = map[string]any{
		"Type": "Pass",
		"Output": fmt.Sprintf("{%% $merge([$states.input, {'failure': {'step': '%s', 'error': '%s', 'cause': $type(%[3]s) = 'object' ? %[3]s.reason}}]) %%}",
			s.Name, saga.Denied, answer),
		"Next": failed(),
	}
}

// compensations writes how the steps are undone, the last one first.
func (r *sagaRenderer) compensations(states map[string]any) {
	next := stateCompensated
	for _, s := range r.undo {
		name := "Undo " + s.Name
		states[undoGuard(s)] = map[string]any{
			"Type": "Choice",
			"Choices": []any{map[string]any{
				"Condition": fmt.Sprintf("{%% '%s' in $states.input.done %%}", s.Name),
				"Next":      name,
			}},
			"Default": next,
		}
		undone := fmt.Sprintf("{%% $merge([$states.input, {'undone': [$append($states.input.undone, '%s')]}]) %%}", s.Name)
		task := r.task(s.Compensation, s.Name, saga.Compensate)
		task["Output"], task["Next"] = undone, next
		// Uncaught, so that the execution fails here and a redrive goes on
		// here: nobody can redrive a Fail state to anything else.
		again := map[string]any{}
		for k, v := range task {
			if k != "Retry" {
				again[k] = v
			}
		}
		stuck := func(name string) map[string]any {
			return map[string]any{
				"ErrorEquals": []string{name},
				"Output":      fmt.Sprintf("{%% $merge([$states.input, {'stuck': %s}]) %%}", failure(s.Name)),
				"Next":        "Report " + s.Name,
			}
		}
		task["Catch"] = []any{stuck("States.DataLimitExceeded"), stuck("States.ALL")}
		states[name] = task
		states["Report "+s.Name] = r.report(name + " again")
		states[name+" again"] = again
		next = undoGuard(s)
	}
}

// task writes the call of an action or a compensation.
func (r *sagaRenderer) task(a *Action, step string, op saga.Operation) map[string]any {
	timeout := a.Timeout
	if timeout == 0 && a.Function != nil && a.Function.Timeout() > 0 {
		timeout = a.Function.Timeout() + 10*time.Second
	}
	task := map[string]any{
		"Type":           "Task",
		"TimeoutSeconds": int(construct.Or(timeout, 15*time.Minute).Seconds()),
		"Retry":          a.Retry.render(op),
	}
	r.given = append(r.given, a.Allow...)
	if a.Function == nil {
		task["Resource"] = a.Resource
		if a.Arguments != nil {
			task["Arguments"] = a.Arguments
		}
		return task
	}
	arn := construct.FunctionArn(a.Function.Target())
	r.allow = append(r.allow, defaults.Actions{"lambda:InvokeFunction"}.To(arn))
	payload := a.Payload
	if payload == nil {
		payload = map[string]any{
			"saga": "{% $saga %}", "step": step, "key": StepKey(step), "operation": string(op),
			"input": "{% $input %}", "results": "{% $states.input.results %}",
		}
		if op == saga.Compensate {
			payload["result"] = fmt.Sprintf("{%% $exists($lookup($states.input.results, '%[1]s')) ? $lookup($states.input.results, '%[1]s') : null %%}", step)
		}
	}
	task["Resource"] = "arn:aws:states:::lambda:invoke"
	task["Arguments"] = map[string]any{"FunctionName": arn, "Payload": payload}
	return task
}

// render writes the retriers.
func (r Retry) render(op saga.Operation) []any {
	// Source: https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
	errors, attempts, longest := []string{"UnavailableError", "Lambda.TooManyRequestsException", "Lambda.ServiceException",
		"Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"}, 5, time.Minute
	if op == saga.Compensate {
		errors, attempts, longest = []string{"States.ALL"}, 12, 10*time.Minute
	}
	if len(r.Errors) > 0 {
		errors = r.Errors
	}
	if r.Attempts != nil {
		attempts = *r.Attempts
	}
	var all []any
	if len(r.Never) > 0 {
		all = append(all, map[string]any{"ErrorEquals": r.Never, "MaxAttempts": 0})
	}
	interval := construct.Or(r.Interval, 2*time.Second)
	return append(all, map[string]any{
		"ErrorEquals":     errors,
		"IntervalSeconds": int(interval.Seconds()),
		"BackoffRate":     2,
		"MaxDelaySeconds": int(max(construct.Or(r.MaxDelay, longest), interval+time.Second).Seconds()),
		"MaxAttempts":     attempts,
		"JitterStrategy":  "FULL",
	})
}
