package eventsourcing_test

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/alarmtest"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestAlarms(t *testing.T) {
	stack := cdktest.NewStack(t, alarmtest.Paths())
	fn := function.NewFunction(stack, "Given", &function.Props{Entry: "example.com/shop/given"}) // with alarms, which are the user's
	off := alarm.Tuning{Off: true}
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	reaction := store.AddReaction("React", &eventsourcing.ReactionProps{Function: fn, Replays: true})
	detector := store.AddAnomalyDetector("Abandonment", abandonment())
	cascade := detector.AddCascade("Cascade", nil)
	adopted := eventsourcing.NewEventStore(stack, "Adopted", &eventsourcing.EventStoreProps{
		Bus:    awsevents.EventBus_FromEventBusArn(stack, jsii.String("Bus"), jsii.String("arn:aws:events:eu-west-1:123456789012:event-bus/shop")),
		Alarms: eventsourcing.EventStoreAlarms{Outbox: off}})
	alarmtest.Check(t, stack,
		store, adopted, reaction, detector, cascade,
		cascade.AddRemediation("Offer", &eventsourcing.RemediationProps{Function: handler(stack, "Offers")}),
		cascade.AddReaction("Page", &eventsourcing.ReactionProps{Function: fn, Alarms: eventsourcing.ReactionAlarms{DeadLetters: off}}),
		store.AddCascade("Quiet", &eventsourcing.CascadeProps{
			Alarm:  awscloudwatch.Alarm_FromAlarmArn(stack, jsii.String("Alarm"), jsii.String("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:payments")),
			Alarms: eventsourcing.CascadeAlarms{DeadLetters: off}}),
		store.AddArchive("Archive", nil),
		store.AddArchive("QuietArchive", &eventsourcing.ArchiveProps{
			Alarms: eventsourcing.ArchiveAlarms{Freshness: off, FailedConversions: off, Partitions: off, DeadLetters: off}}),
		store.AddReplay("Replay", &eventsourcing.ReplayProps{Reactions: []*eventsourcing.Reaction{reaction}}),
		store.AddReplay("QuietReplay", &eventsourcing.ReplayProps{Reactions: []*eventsourcing.Reaction{reaction},
			Alarms: eventsourcing.ReplayAlarms{Failed: off}}),
		store.AddProjection("Totals", &eventsourcing.ProjectionProps{Function: handler(stack, "TotalsHandler")}),
		store.AddProjection("Ordered", &eventsourcing.ProjectionProps{Function: handler(stack, "OrderedHandler"), Ordered: true}),
		store.AddProjection("QuietView", &eventsourcing.ProjectionProps{Function: handler(stack, "ViewHandler"),
			Alarms: eventsourcing.ProjectionAlarms{DeadLetters: off, Lag: off, Rebuild: off}}),
	)
}
