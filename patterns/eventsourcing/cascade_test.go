package eventsourcing_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/e2e/eventpattern"
)

func TestCascadeDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cascade := store.AddAnomalyDetector("Abandonment", abandonment()).AddCascade("Cascade", nil)
	if cascade.Name() != "cascade.Abandonment" {
		t.Errorf("the cascade is called %q, not after its detector", cascade.Name())
	}
	if cascade.GuardTable() != nil {
		t.Error("there is a guard table before there is a remediation")
	}
	cascade.AddRemediation("Offer", &eventsourcing.RemediationProps{Function: handler(stack, "Offers")})
	cdktest.Golden(t, stack)
}

func TestCascadeAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	queue := awssqs.NewQueue(stack, jsii.String("Dead"), nil)
	cascade := store.AddCascade("Outage", &eventsourcing.CascadeProps{
		Alarm: awscloudwatch.Alarm_FromAlarmArn(stack, jsii.String("Alarm"), jsii.String("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:payments")),
		GuardTable: awsdynamodb.NewTableV2(stack, jsii.String("Guard"), &awsdynamodb.TablePropsV2{
			PartitionKey: &awsdynamodb.Attribute{Name: jsii.String(schema.GuardKey), Type: awsdynamodb.AttributeType_STRING},
		}),
		DeadLetterQueue: queue,
	})
	cascade.AddRemediation("Restart", &eventsourcing.RemediationProps{Function: handler(stack, "Restarter"), DeadLetterQueue: queue})
	cdktest.Golden(t, stack)
}

func TestCascadeEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	topic := awssns.NewTopic(stack, jsii.String("Alarms"), nil)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cascade := store.AddAnomalyDetector("Abandonment", abandonment()).AddCascade("Cascade", &eventsourcing.CascadeProps{
		Name:   "retention",
		Alarms: eventsourcing.CascadeAlarms{Topic: topic, DeadLetters: alarm.Tuning{Threshold: jsii.Number(2)}},
	})
	cascade.AddReaction("Alert", &eventsourcing.ReactionProps{Topic: awssns.NewTopic(stack, jsii.String("Alerts"), nil)})
	cascade.AddReaction("Log", &eventsourcing.ReactionProps{LogGroup: awslogs.NewLogGroup(stack, jsii.String("Anomalies"), nil)})
	zero := 0
	cascade.AddRemediation("Offer", &eventsourcing.RemediationProps{
		Function: handler(stack, "Offers"),
		CoolDown: 30 * time.Minute,
		Budget:   100,
		Window:   24 * time.Hour,
		MaxHops:  1,
		MaxAge:   5 * time.Minute,
		Retries:  &zero,
		Alarms:   eventsourcing.ReactionAlarms{DeadLetters: alarm.Tuning{Off: true}},
	})
	cdktest.Golden(t, stack)
}

func TestCascadeIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, eventsourcing.NewEventStore(stack, "Carts", nil).
		AddAnomalyDetector("Abandonment", abandonment()).AddCascade("Cascade", nil))
}

// The function of a remediation may write the guard table and nothing else,
// and no other function gets near it.
func TestGuardTableIsTheRemedys(t *testing.T) {
	stack := cdktest.NewStack(t)
	cascade := eventsourcing.NewEventStore(stack, "Carts", nil).
		AddAnomalyDetector("Abandonment", abandonment()).AddCascade("Cascade", nil)
	cascade.AddReaction("Watch", &eventsourcing.ReactionProps{Function: handler(stack, "Watcher")})
	cascade.AddRemediation("Offer", &eventsourcing.RemediationProps{Function: handler(stack, "Offers")})
	template := cdktest.Synth(t, stack)
	guard := template.One(t, "AWS::DynamoDB::GlobalTable", cdktest.Match{
		"KeySchema": []any{cdktest.Match{"AttributeName": schema.GuardKey}}})
	for _, policy := range template.Resources("AWS::IAM::Policy") {
		var actions []string
		for _, statement := range policy.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			if s := statement.(map[string]any); about(s["Resource"], guard.ID) && s["Resource"] != "*" {
				actions = append(actions, list(s["Action"])...)
			}
		}
		offers := cdktest.Pattern("^Offers")(policy.Properties["PolicyName"], true) == ""
		switch {
		case offers && (len(actions) != 1 || actions[0] != "dynamodb:UpdateItem"):
			t.Errorf("the remedy may %v the guard table, want UpdateItem only", actions)
		case !offers && len(actions) != 0:
			t.Errorf("%s may %v the guard table", policy.ID, actions)
		}
	}
	variables := template.One(t, "AWS::Lambda::Function", cdktest.Match{
		"Environment": cdktest.Match{"Variables": cdktest.Match{schema.EnvCascade: "cascade.Abandonment"}}},
	).Properties["Environment"].(map[string]any)["Variables"].(map[string]any)
	for _, name := range []string{schema.EnvGuardTable, schema.EnvCoolDown, schema.EnvBudget, schema.EnvBudgetWindow, schema.EnvMaxHops} {
		if variables[name] == nil {
			t.Errorf("the remedy's environment lacks %s", name)
		}
	}
}

// event is an event on the bus with what the cascade's rules look at.
func event(detailType string, change map[string]any) map[string]any {
	e := map[string]any{
		"source": "eventstore.Carts", "detail-type": detailType,
		"detail": map[string]any{schema.Stream: "cart-1", schema.Hops: "0", schema.Origin: ""},
	}
	for k, v := range change {
		if k == "replay-name" {
			e[k] = v
		} else {
			maps.Copy(e["detail"].(map[string]any), map[string]any{k: v})
		}
	}
	return e
}

// matches says whether the pattern of a rule in a template matches the event.
func matches(t *testing.T, rule cdktest.Resource, event map[string]any) bool {
	t.Helper()
	pattern, err := json.Marshal(rule.Properties["EventPattern"])
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := eventpattern.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(body, &decoded); err != nil {
		t.Fatal(err)
	}
	return compiled.Match(decoded)
}

// What a remedy does, what follows from it, and what is replayed must not
// count towards the anomaly: the loop would never end.
func TestLoopGuardOfTheMetrics(t *testing.T) {
	stack := cdktest.NewStack(t)
	eventsourcing.NewEventStore(stack, "Carts", nil).AddAnomalyDetector("Abandonment", abandonment())
	template := cdktest.Synth(t, stack)
	for _, detailType := range []string{"CartOpened", "CartAbandoned"} {
		rule := template.One(t, "AWS::Events::Rule", cdktest.Match{
			"EventPattern": cdktest.Match{"detail-type": []any{detailType}}})
		for name, tt := range map[string]struct {
			event map[string]any
			want  bool
		}{
			"of a person":           {event(detailType, nil), true},
			"of a reaction":         {event(detailType, map[string]any{schema.Hops: "1", schema.Origin: "sweeper"}), true},
			"of its remedy":         {event(detailType, map[string]any{schema.Hops: "1", schema.Origin: "cascade.Abandonment"}), false},
			"of another's remedy":   {event(detailType, map[string]any{schema.Hops: "1", schema.Origin: "cascade.Other"}), false},
			"following from remedy": {event(detailType, map[string]any{schema.Hops: "2", schema.Origin: "sweeper"}), false},
			"replayed":              {event(detailType, map[string]any{"replay-name": "again"}), false},
			"of another type":       {event("CartCheckedOut", nil), false},
		} {
			if got := matches(t, rule, tt.event); got != tt.want {
				t.Errorf("%s %s: counted is %v, want %v", detailType, name, got, tt.want)
			}
		}
	}
}

// Only the alarm's going off, and only once, starts the cascade.
func TestCascadePatterns(t *testing.T) {
	const arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:payments"
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cascade := store.AddCascade("Outage", &eventsourcing.CascadeProps{
		Alarm: awscloudwatch.Alarm_FromAlarmArn(stack, jsii.String("Alarm"), jsii.String(arn)),
	})
	cascade.AddReaction("Alert", &eventsourcing.ReactionProps{Topic: awssns.NewTopic(stack, jsii.String("Alerts"), nil)})
	template := cdktest.Synth(t, stack)
	forward := template.One(t, "AWS::Events::Rule", cdktest.Match{"EventBusName": cdktest.Absent()})
	react := template.One(t, "AWS::Events::Rule", cdktest.Match{"EventBusName": cdktest.Any()})

	change := func(alarm, state string) map[string]any {
		return map[string]any{
			"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "resources": []string{alarm},
			"detail": map[string]any{"alarmName": "payments", "state": map[string]any{"value": state}},
		}
	}
	replayed := change(arn, "ALARM")
	replayed["replay-name"] = "again"
	forged := change(arn, "ALARM")
	forged["source"] = "eventstore.Carts"
	for name, tt := range map[string]struct {
		event map[string]any
		want  bool
	}{
		"off":           {change(arn, "ALARM"), true},
		"over":          {change(arn, "OK"), false},
		"no data":       {change(arn, "INSUFFICIENT_DATA"), false},
		"another alarm": {change(arn+"2", "ALARM"), false},
		"replayed":      {replayed, false},
		"of the store":  {forged, false},
	} {
		for _, rule := range []cdktest.Resource{forward, react} {
			if got := matches(t, rule, tt.event); got != tt.want {
				t.Errorf("%s: %s matches is %v, want %v", name, rule.ID, got, tt.want)
			}
		}
	}
}

func TestCascadeRejects(t *testing.T) {
	one, many := 1, 186
	for name, tt := range map[string]struct {
		make func(*eventsourcing.EventStore, *eventsourcing.AnomalyDetector, constructs.Construct)
		want []string
	}{
		"alarm": {func(s *eventsourcing.EventStore, _ *eventsourcing.AnomalyDetector, _ constructs.Construct) {
			s.AddCascade("Outage", nil)
		}, []string{"Test/Carts/Outage: wrong props", "Alarm is not set", "AddCascade of an anomaly detector"}},
		"two alarms": {func(_ *eventsourcing.EventStore, d *eventsourcing.AnomalyDetector, stack constructs.Construct) {
			d.AddCascade("Outage", &eventsourcing.CascadeProps{
				Alarm: awscloudwatch.Alarm_FromAlarmName(stack, jsii.String("Alarm"), jsii.String("payments"))})
		}, []string{"allowed is none: it is the detector's"}},
		"two cascades": {func(_ *eventsourcing.EventStore, d *eventsourcing.AnomalyDetector, _ constructs.Construct) {
			d.AddCascade("First", nil)
			d.AddCascade("Second", nil)
		}, []string{"Test/Carts/Abandonment/Second", "add all reactions to the first"}},
		"name": {func(_ *eventsourcing.EventStore, d *eventsourcing.AnomalyDetector, _ constructs.Construct) {
			d.AddCascade("Cascade", &eventsourcing.CascadeProps{Name: "a#b", Alarms: eventsourcing.CascadeAlarms{DeadLetters: alarm.Tuning{Periods: -1}}})
		}, []string{`Name is "a#b"; allowed is 1 to 64 letters`, "Alarms.DeadLetters.Periods is -1"}},
		"reaction": {func(_ *eventsourcing.EventStore, d *eventsourcing.AnomalyDetector, _ constructs.Construct) {
			d.AddCascade("Cascade", nil).AddReaction("Alert", nil)
		}, []string{"Test/Carts/Abandonment/Cascade/Alert", "0 of them", "exactly one"}},
		"filter": {func(_ *eventsourcing.EventStore, d *eventsourcing.AnomalyDetector, stack constructs.Construct) {
			d.AddCascade("Cascade", nil).AddReaction("Alert", &eventsourcing.ReactionProps{
				Topic: awssns.NewTopic(stack, jsii.String("Topic"), nil), Replays: true})
		}, []string{"none of them: the alarm is the event"}},
		"remediation": {func(_ *eventsourcing.EventStore, d *eventsourcing.AnomalyDetector, _ constructs.Construct) {
			d.AddCascade("Cascade", nil).AddRemediation("Offer", &eventsourcing.RemediationProps{
				CoolDown: time.Millisecond, Budget: -1, Window: time.Second, MaxHops: 65})
		}, []string{"Function is not set", "CoolDown is 1ms; allowed is 1s to 720h0m0s", "Budget is -1", "Window is 1s", "MaxHops is 65"}},
		"delivery": {func(_ *eventsourcing.EventStore, d *eventsourcing.AnomalyDetector, stack constructs.Construct) {
			d.AddCascade("Cascade", nil).AddRemediation("Offer", &eventsourcing.RemediationProps{
				Function: handler(stack, "Offers"), MaxAge: time.Second, Retries: &many, Budget: one})
		}, []string{"MaxAge is 1s; allowed is 1m0s to 24h0m0s", "Retries is 186"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			store := eventsourcing.NewEventStore(stack, "Carts", nil)
			detector := store.AddAnomalyDetector("Abandonment", abandonment())
			cdktest.Rejects(t, func() { tt.make(store, detector, stack) }, tt.want...)
		})
	}
}

// On the default bus a forwarded alarm would be forwarded again for ever.
func TestCascadeRejectsDefaultBus(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{
		Bus: awsevents.EventBus_FromEventBusName(stack, jsii.String("Bus"), jsii.String("default")),
	})
	cdktest.Rejects(t, func() {
		store.AddCascade("Outage", &eventsourcing.CascadeProps{
			Alarm: awscloudwatch.Alarm_FromAlarmName(stack, jsii.String("Alarm"), jsii.String("payments"))})
	}, "Test/Carts/Outage", `Bus is "the default bus"`)
}

func ExampleAnomalyDetector_AddCascade() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	detector := store.AddAnomalyDetector("Abandonment", &eventsourcing.AnomalyDetectorProps{
		Numerator:   []string{"CartAbandoned"},
		Denominator: []string{"CartOpened"},
	})
	cascade := detector.AddCascade("Cascade", nil)
	cascade.AddReaction("Alert", &eventsourcing.ReactionProps{Topic: awssns.NewTopic(stack, jsii.String("OnCall"), nil)})
	cascade.AddRemediation("Offer", &eventsourcing.RemediationProps{
		Function: function.NewFunction(stack, "Offers", &function.Props{Entry: "example.com/shop/offers"}),
		Budget:   100, // offers a day
		Window:   24 * time.Hour,
	})
}
