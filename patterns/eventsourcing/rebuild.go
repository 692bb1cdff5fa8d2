package eventsourcing

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/statemachine"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// RebuildProps says how a projection is rebuilt.
type RebuildProps struct {
	// EventsPerSecond is the most events that are replayed in a second, over
	// all shards, 16 to 100,000. It bounds what the replay takes from the
	// event table and the read model beside live traffic.
	//
	// Default: 500.
	EventsPerSecond int
	// MaxConcurrency is how many of the 16 shards are replayed side by side, 1
	// to 16.
	//
	// Default: 4.
	MaxConcurrency int
	// Settle is how long the workflow waits after the new version was begun,
	// for the index of streams to be complete, and after it was abandoned, for
	// batches under way to end: a minute more than the handler's time-out, up
	// to 24h.
	//
	// Default: 5 minutes, or the handler's time-out and a minute if that is
	// longer.
	Settle time.Duration
	// KeepOld is how long the old version is kept after the switch, for
	// readers that still look at it and batches that still write to it: a
	// minute more than the handler's time-out, up to 30 days.
	//
	// Default: 1 hour.
	KeepOld time.Duration
}

func (p *RebuildProps) check(c *props.Check, handler *function.Function) {
	shortest := time.Minute
	if handler != nil {
		shortest += handler.Timeout()
	}
	props.Between(c, "EventsPerSecond", p.EventsPerSecond, schema.Shards, 100_000)
	props.Between(c, "MaxConcurrency", p.MaxConcurrency, 1, schema.Shards)
	props.Between(c, "Settle", p.Settle, shortest, 24*time.Hour)
	props.Between(c, "KeepOld", p.KeepOld, shortest, 30*24*time.Hour)
}

// Rebuild is the workflow that builds a projection's read model anew from the
// event table, beside the one that is read, and then switches to it:
//
//	begin ──▶ settle ──▶ replay the shards ──▶ switch ──▶ keep old ──▶ sweep
//	                     (page, pace, page …)
//
// Start it with the input {}. If it fails, mend the cause and redrive the
// execution: it goes on where it stopped, and until then the old version is
// read as if nothing had happened. To give the new version up instead, start
// the workflow with {"abandon": N}, N being the model that the failed
// execution's Begin returned. After a RefusedError that is the only way: live
// traffic had an event that the new version could not take, and it is spoiled.
//
// A page of the replay is up to ten seconds' share of EventsPerSecond; it costs
// three state transitions, at 25 USD a million (us-east-1, Standard workflows),
// and one call of the handler. Every shard has a history of its own, of 25,000
// entries, nine a page: with the defaults the table may hold about 50 million
// events, and more at a higher rate.
type Rebuild struct {
	constructs.Construct
	workflow *stateMachine
}

// replayLabel names the Distributed Map's runs in their ARNs.
const replayLabel = "Replay"

// pageSeconds is how long a page of the replay and the wait after it are meant
// to take together.
const pageSeconds = 10

func newRebuild(j *Projection, id string, p *RebuildProps, t alarm.Tuning, topic awssns.ITopic) *Rebuild {
	r := &Rebuild{}
	construct.Init(r, j, "Rebuild")
	handler := construct.FunctionArn(j.handler.Target())
	r.workflow = newStateMachine(r, p.definition(handler, j.handler.Timeout()),
		"A rebuild of "+id+" failed: mend the cause and redrive the execution, or abandon its model.",
		t, topic, defaults.Actions{"lambda:InvokeFunction"}.To(handler))
	statemachine.AllowMaps(r, "MapPolicy", r.workflow.role, r.workflow.machine, replayLabel)
	j.addAlarm(r.workflow.alarm)
	return r
}

// definition returns the workflow in the Amazon States Language.
func (p *RebuildProps) definition(handler *string, timeout time.Duration) map[string]any {
	concurrency := construct.Or(p.MaxConcurrency, 4)
	limit := max(1, construct.Or(p.EventsPerSecond, 500)*pageSeconds/concurrency)
	settle := construct.Or(p.Settle, max(5*time.Minute, timeout+time.Minute))
	keep := construct.Or(p.KeepOld, time.Hour)
	var shards []string
	for i := range schema.Shards {
		shards = append(shards, schema.ShardName(i))
	}
	call := func(request, state map[string]any) map[string]any {
		task := map[string]any{
			"Type":     "Task",
			"Resource": "arn:aws:states:::lambda:invoke",
			"Arguments": map[string]any{
				"FunctionName": handler,
				"Payload":      map[string]any{"rebuild": request},
			},
			"Retry": []any{map[string]any{
				"ErrorEquals": []string{"UnavailableError", "Lambda.TooManyRequestsException", "Lambda.ServiceException",
					"Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"},
				"IntervalSeconds": 2,
				"BackoffRate":     2,
				"MaxDelaySeconds": 60,
				"MaxAttempts":     10,
				"JitterStrategy":  "FULL",
			}},
		}
		for k, v := range state {
			task[k] = v
		}
		return task
	}
	wait := func(d time.Duration, next string) map[string]any {
		return map[string]any{"Type": "Wait", "Seconds": int(d.Seconds()), "Next": next}
	}
	// A page or a sweep passes on what it was given, with the new cursor.
	step := "{% $merge([$states.input, {'cursor': $states.result.Payload.cursor ? $states.result.Payload.cursor : '', 'done': $states.result.Payload.done}]) %}"
	unless := func(condition, then, otherwise string) map[string]any {
		return map[string]any{
			"Type":    "Choice",
			"Choices": []any{map[string]any{"Condition": "{% " + condition + " %}", "Next": then}},
			"Default": otherwise,
		}
	}
	return map[string]any{
		"Comment":        "Builds a read model anew beside the one that is read, and switches to it.",
		"QueryLanguage":  "JSONata",
		"StartAt":        "Begin or abandon",
		"TimeoutSeconds": int((60 * 24 * time.Hour).Seconds()),
		"States": map[string]any{
			"Begin or abandon": unless("$exists($states.input.abandon)", "Abandon", "Begin"),
			"Begin": call(map[string]any{"op": schema.OpBegin, "run": "{% $states.context.Execution.Name %}"}, map[string]any{
				"Assign": map[string]any{"model": "{% $states.result.Payload.model %}"},
				"Output": map[string]any{"model": "{% $states.result.Payload.model %}"},
				"Next":   "Settle",
			}),
			"Settle": wait(settle, "Replay"),
			"Replay": map[string]any{
				"Type":           "Map",
				"Label":          replayLabel,
				"Items":          shards,
				"MaxConcurrency": concurrency,
				"ItemSelector": map[string]any{
					"shard": "{% $states.context.Map.Item.Value %}", "model": "{% $model %}", "cursor": "",
				},
				"ItemProcessor": map[string]any{
					"ProcessorConfig": map[string]any{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
					"StartAt":         "Page",
					"States": map[string]any{
						"Page": call(map[string]any{"op": schema.OpPage, "limit": limit, "model": "{% $states.input.model %}",
							"shard": "{% $states.input.shard %}", "cursor": "{% $states.input.cursor %}"},
							map[string]any{"Output": step, "Next": "Replayed?"}),
						"Replayed?": unless("$states.input.done", "Replayed", "Pace"),
						"Pace":      wait(pageSeconds*time.Second, "Page"),
						"Replayed":  map[string]any{"Type": "Succeed"},
					},
				},
				"Output": map[string]any{"model": "{% $model %}"},
				"Next":   "Switch",
			},
			"Switch": call(map[string]any{"op": schema.OpSwitch, "model": "{% $model %}"}, map[string]any{
				"Output": map[string]any{"model": "{% $states.result.Payload.previous %}", "cursor": ""},
				"Next":   "Keep old",
			}),
			"Keep old": wait(keep, "Sweep"),
			"Sweep": call(map[string]any{"op": schema.OpSweep, "limit": limit, "model": "{% $states.input.model %}",
				"cursor": "{% $states.input.cursor %}"}, map[string]any{"Output": step, "Next": "Swept?"}),
			"Swept?":     unless("$states.input.done", "Done", "Pace sweep"),
			"Pace sweep": wait(pageSeconds*time.Second, "Sweep"),
			"Done":       map[string]any{"Type": "Succeed"},
			"Abandon": call(map[string]any{"op": schema.OpAbandon, "model": "{% $states.input.abandon %}"}, map[string]any{
				"Output": map[string]any{"model": "{% $states.result.Payload.model %}", "cursor": ""},
				"Next":   "Settle abandoned",
			}),
			"Settle abandoned": wait(settle, "Sweep"),
		},
	}
}

// CfnStateMachine returns the workflow.
func (r *Rebuild) CfnStateMachine() awsstepfunctions.CfnStateMachine { return r.workflow.machine }

// FailedAlarm returns the alarm of rebuilds that failed, or nil.
func (r *Rebuild) FailedAlarm() awscloudwatch.CfnAlarm { return r.workflow.alarm }

// GrantStart lets the grantee start a rebuild.
func (r *Rebuild) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, defaults.Actions{"states:StartExecution"}.To(construct.Ref(r.workflow.machine)))
}

// GrantRedrive lets the grantee redrive rebuilds that failed.
func (r *Rebuild) GrantRedrive(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, defaults.Actions{"states:RedriveExecution"}.To(statemachine.Execution(r, r.workflow.machine, ":*")))
}

// warnOfReaders advises when more pipes read the table's stream than DynamoDB
// can serve without throttling.
func (s *EventStore) warnOfReaders(j *Projection) {
	if s.readers <= 2 {
		return
	}
	awscdk.Annotations_Of(j).AddWarningV2(jsii.String("serverless-go:streamReaders"), jsii.String(fmt.Sprintf("%d pipes read the stream of %s; DynamoDB throttles more than 2. "+
		"Events are not lost but late: make projections unordered where order does not matter", s.readers, construct.Path(s))))
}
