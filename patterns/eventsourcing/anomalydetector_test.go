package eventsourcing_test

import (
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/test/cdktest"
)

// abandonment returns the least props of a detector.
func abandonment() *eventsourcing.AnomalyDetectorProps {
	return &eventsourcing.AnomalyDetectorProps{
		Numerator:   []string{"CartAbandoned"},
		Denominator: []string{"CartOpened"},
	}
}

func TestAnomalyDetectorDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	eventsourcing.NewEventStore(stack, "Carts", nil).AddAnomalyDetector("Abandonment", abandonment())
	cdktest.Golden(t, stack)
}

func TestAnomalyDetectorAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{
		Bus: awsevents.EventBus_FromEventBusArn(stack, jsii.String("Bus"), jsii.String("arn:aws:events:eu-west-1:123456789012:event-bus/shop")),
	})
	p := abandonment()
	p.Threshold = jsii.Number(60)
	detector := store.AddAnomalyDetector("Abandonment", p)
	if detector.Model() != nil {
		t.Error("a threshold needs no model")
	}
	cdktest.Golden(t, stack)
}

func TestAnomalyDetectorEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	sale := time.Date(2026, time.November, 27, 1, 0, 0, 0, time.FixedZone("CET", 3600))
	store.AddAnomalyDetector("Abandonment", &eventsourcing.AnomalyDetectorProps{
		Numerator:     []string{"CartAbandoned", "CartExpired"},
		Denominator:   []string{"CartOpened"},
		Streams:       []string{"cart-"},
		MaxHops:       1,
		Period:        5 * time.Minute,
		Periods:       5,
		Breaching:     4,
		MinimumVolume: 100,
		Deviations:    2.5,
		TimeZone:      "Europe/Berlin",
		Exclude:       []eventsourcing.TimeRange{{Start: sale, End: sale.Add(24 * time.Hour)}},
		Alarms:        eventsourcing.AnomalyDetectorAlarms{Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil)},
	})
	cdktest.Golden(t, stack)
}

func TestAnomalyDetectorIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, eventsourcing.NewEventStore(stack, "Carts", nil).AddAnomalyDetector("Abandonment", abandonment()))
}

// CloudWatch finds an alarm's model by its metrics and expression: if the two
// differ, the alarm trains a model of its own, and the template's is for show.
func TestModelIsTheAlarms(t *testing.T) {
	stack := cdktest.NewStack(t)
	eventsourcing.NewEventStore(stack, "Carts", nil).AddAnomalyDetector("Abandonment", abandonment())
	template := cdktest.Synth(t, stack)
	alarm := template.One(t, "AWS::CloudWatch::Alarm", cdktest.Match{"ThresholdMetricId": "band"})
	model := template.One(t, "AWS::CloudWatch::AnomalyDetector", cdktest.Match{})
	queries := model.Properties["MetricMathAnomalyDetector"].(map[string]any)["MetricDataQueries"].([]any)
	if len(queries) != 3 {
		t.Fatalf("%d queries, want 3", len(queries))
	}
	for i, q := range queries {
		got := alarm.Properties["Metrics"].([]any)[i].(map[string]any)
		delete(got, "Label")
		cdktest.Template{"Resources": map[string]any{"Query": map[string]any{"Properties": got}}}.
			One(t, "", cdktest.Match(q.(map[string]any)))
	}
	if depends := alarm.Attributes["DependsOn"]; depends == nil || list(depends)[0] != model.ID {
		t.Errorf("the alarm depends on %v, want the model, so that it is deleted first", depends)
	}
}

func TestAnomalyDetectorRejects(t *testing.T) {
	minus := -1.0
	now := time.Now()
	for name, tt := range map[string]struct {
		change func(*eventsourcing.AnomalyDetectorProps)
		want   []string
	}{
		"nil": {func(p *eventsourcing.AnomalyDetectorProps) { *p = eventsourcing.AnomalyDetectorProps{} },
			[]string{"Test/Carts/nil: wrong props", "Numerator is \"empty\"", "Denominator is \"empty\"; allowed is at least one event type"}},
		"type":       {func(p *eventsourcing.AnomalyDetectorProps) { p.Numerator = []string{""} }, []string{`Numerator[0] is ""`}},
		"period":     {func(p *eventsourcing.AnomalyDetectorProps) { p.Period = 90 * time.Second }, []string{"Period is 1m30s; allowed is whole minutes"}},
		"day":        {func(p *eventsourcing.AnomalyDetectorProps) { p.Period, p.Periods = time.Hour, 25 }, []string{"Periods is \"25h0m0s in all\""}},
		"breaching":  {func(p *eventsourcing.AnomalyDetectorProps) { p.Breaching = 4 }, []string{"Breaching is 4; allowed is 1 to 3"}},
		"volume":     {func(p *eventsourcing.AnomalyDetectorProps) { p.MinimumVolume = -1 }, []string{"MinimumVolume is -1"}},
		"deviations": {func(p *eventsourcing.AnomalyDetectorProps) { p.Deviations = -1 }, []string{"Deviations is -1"}},
		"threshold":  {func(p *eventsourcing.AnomalyDetectorProps) { p.Threshold = &minus }, []string{"Threshold is -1; allowed is a rate in percent"}},
		"both":       {func(p *eventsourcing.AnomalyDetectorProps) { p.Threshold, p.Deviations = jsii.Number(1), 2 }, []string{"one way to judge"}},
		"range": {func(p *eventsourcing.AnomalyDetectorProps) {
			p.Exclude = []eventsourcing.TimeRange{{Start: now, End: now}}
		}, []string{"Exclude[0]", "a start before the end"}},
		"ranges": {func(p *eventsourcing.AnomalyDetectorProps) { p.Exclude = make([]eventsourcing.TimeRange, 11) }, []string{"11 ranges"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			store := eventsourcing.NewEventStore(stack, "Carts", nil)
			p := abandonment()
			tt.change(p)
			before := len(*stack.Node().FindAll(constructs.ConstructOrder_PREORDER))
			cdktest.Rejects(t, func() { store.AddAnomalyDetector(name, p) }, tt.want...)
			if after := len(*stack.Node().FindAll(constructs.ConstructOrder_PREORDER)); after != before {
				t.Errorf("%d constructs were made before the props were refused", after-before)
			}
		})
	}
}

// On the default bus a forwarded alarm would be forwarded again for ever.
func TestAnomalyDetectorRejectsDefaultBus(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{
		Bus: awsevents.EventBus_FromEventBusName(stack, jsii.String("Bus"), jsii.String("default")),
	})
	cdktest.Rejects(t, func() { store.AddAnomalyDetector("Abandonment", abandonment()) },
		"Test/Carts/Abandonment", `Bus is "the default bus"; allowed is a bus of the store's own`)
}
