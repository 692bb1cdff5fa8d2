package eventsourcing_test

import (
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestReactionTargets(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.AddReaction("Function", &eventsourcing.ReactionProps{Function: handler(stack, "Handler")})
	store.AddReaction("Alias", &eventsourcing.ReactionProps{Function: function.NewFunction(stack, "Versioned",
		&function.Props{Entry: "example.com/shop/versioned", Alias: "live", Alarms: function.Alarms{Off: true}})})
	store.AddReaction("Queue", &eventsourcing.ReactionProps{Queue: awssqs.NewQueue(stack, jsii.String("Q"), nil)})
	store.AddReaction("Topic", &eventsourcing.ReactionProps{Topic: awssns.NewTopic(stack, jsii.String("T"), nil)})
	store.AddReaction("Log", &eventsourcing.ReactionProps{LogGroup: awslogs.NewLogGroup(stack, jsii.String("L"), nil)})
	store.AddReaction("Workflow", &eventsourcing.ReactionProps{StateMachine: awsstepfunctions.NewStateMachine(stack, jsii.String("S"),
		&awsstepfunctions.StateMachineProps{DefinitionBody: awsstepfunctions.DefinitionBody_FromString(
			jsii.String(`{"StartAt":"End","States":{"End":{"Type":"Succeed"}}}`))})})
	cdktest.Golden(t, stack)
}

func TestReactionEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{
		Alarms: eventsourcing.EventStoreAlarms{Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil)}})
	none := 0
	r := store.AddReaction("Receipt", &eventsourcing.ReactionProps{
		Events:          []string{"CartCheckedOut"},
		Streams:         []string{"cart-", "basket-"},
		Replays:         true,
		MaxHops:         2,
		Queue:           awssqs.NewQueue(stack, jsii.String("Q"), nil),
		MaxAge:          time.Hour,
		Retries:         &none,
		DeadLetterQueue: awssqs.NewQueue(stack, jsii.String("Dead"), nil),
	})
	store.AddReaction("Quiet", &eventsourcing.ReactionProps{
		Function: handler(stack, "H"), Alarms: eventsourcing.ReactionAlarms{DeadLetters: alarm.Tuning{Off: true}}})
	replay := store.AddReplay("Again", &eventsourcing.ReplayProps{Reactions: []*eventsourcing.Reaction{r}})
	replay.GrantStart(handler(stack, "Admin"))
	cdktest.Golden(t, stack)
}

func TestReactionIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cdktest.IsConstruct(t, store.AddReaction("Receipt", &eventsourcing.ReactionProps{Function: handler(stack, "H")}))
}

func TestReplayIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	r := store.AddReaction("Receipt", &eventsourcing.ReactionProps{Function: handler(stack, "H"), Replays: true})
	cdktest.IsConstruct(t, store.AddReplay("Again", &eventsourcing.ReplayProps{Reactions: []*eventsourcing.Reaction{r}}))
}

func TestReactionRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	queue := awssqs.NewQueue(stack, jsii.String("Q"), nil)
	minus := -1
	for name, tt := range map[string]struct {
		props *eventsourcing.ReactionProps
		want  []string
	}{
		"nil":  {nil, []string{"Test/Carts/nil: wrong props", "0 of them", "exactly one"}},
		"two":  {&eventsourcing.ReactionProps{Queue: queue, Function: handler(stack, "H")}, []string{"2 of them"}},
		"fifo": {&eventsourcing.ReactionProps{Queue: awssqs.NewQueue(stack, jsii.String("F"), &awssqs.QueueProps{Fifo: jsii.Bool(true)})}, []string{"a FIFO queue", "ordered projection"}},
		"age":  {&eventsourcing.ReactionProps{Queue: queue, MaxAge: 48 * time.Hour}, []string{"MaxAge is 48h0m0s; allowed is 1m0s to 24h0m0s"}},
		"retries and hops": {&eventsourcing.ReactionProps{Queue: queue, Retries: &minus, MaxHops: 65},
			[]string{"Retries is -1; allowed is 0 to 185", "MaxHops is 65"}},
		"event": {&eventsourcing.ReactionProps{Queue: queue, Events: []string{""}}, []string{"Events"}},
		"alarm": {&eventsourcing.ReactionProps{Queue: queue, Alarms: eventsourcing.ReactionAlarms{DeadLetters: alarm.Tuning{Periods: -1}}},
			[]string{"Alarms.DeadLetters.Periods is -1"}},
	} {
		t.Run(name, func(t *testing.T) {
			cdktest.Rejects(t, func() { store.AddReaction(name, tt.props) }, tt.want...)
		})
	}
	live := store.AddReaction("Live", &eventsourcing.ReactionProps{Queue: queue})
	cdktest.Rejects(t, func() {
		store.AddReplay("Again", &eventsourcing.ReplayProps{Reactions: []*eventsourcing.Reaction{live, nil}})
	}, "Reactions[0]", "Reactions[1]", "set Replays")
	cdktest.Rejects(t, func() { store.AddReplay("None", nil) }, "Reactions is empty")
	cdktest.Rejects(t, func() {
		store.AddReplay("Tuned", &eventsourcing.ReplayProps{
			Reactions: []*eventsourcing.Reaction{store.AddReaction("Again", &eventsourcing.ReactionProps{Queue: queue, Replays: true})},
			Alarms:    eventsourcing.ReplayAlarms{Failed: alarm.Tuning{Periods: -1}},
		})
	}, "Alarms.Failed.Periods is -1")
}

// A replay can have another topic than the store.
func TestReplayTopic(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	r := store.AddReaction("Receipt", &eventsourcing.ReactionProps{Function: handler(stack, "H"), Replays: true})
	store.AddReplay("Again", &eventsourcing.ReplayProps{
		Reactions: []*eventsourcing.Reaction{r},
		Alarms:    eventsourcing.ReplayAlarms{Topic: awssns.Topic_FromTopicArn(stack, jsii.String("Topic"), jsii.String("arn:aws:sns:eu-west-1:123456789012:clerks"))},
	})
	cdktest.Synth(t, stack).Has(t, "AWS::CloudWatch::Alarm", cdktest.Match{
		"MetricName":   "ExecutionsFailed",
		"AlarmActions": []any{"arn:aws:sns:eu-west-1:123456789012:clerks"},
	})
}
