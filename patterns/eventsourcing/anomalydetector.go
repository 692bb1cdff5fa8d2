package eventsourcing

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// AnomalyDetectorProps says which rate is watched, and what is abnormal.
type AnomalyDetectorProps struct {
	// Numerator are the event types that are counted against the Denominator,
	// such as "CartAbandoned". Required.
	Numerator []string
	// Denominator are the event types that the rate is a share of, such as
	// "CartOpened". Required.
	Denominator []string
	// Streams are prefixes of the names of the streams whose events count.
	//
	// Default: all.
	Streams []string
	// MaxHops leaves out events that are the result of so many automatic
	// reactions in a row. At 2, an event counts that a person or a first
	// reaction caused, and none that follows from a remedy: see [Cascade].
	//
	// Default: 2.
	MaxHops int

	// Period is the time over which events are counted, 1m to 1h in whole
	// minutes. It should be long against the time between an event of the
	// denominator and its event of the numerator, for a rate compares what
	// happened in the same period.
	//
	// Default: 1 minute.
	Period time.Duration
	// Periods is how many periods are looked at together, 1 to 100.
	//
	// Default: 3.
	Periods int
	// Breaching is how many of the Periods must be abnormal. Leave it below
	// Periods: EventBridge may deliver a minute's metric late or never.
	//
	// Default: two of three periods, or Periods if that is less.
	Breaching int
	// MinimumVolume is how many events of the denominator a period must have
	// to be judged at all: one abandoned cart of two is no anomaly. A period
	// with fewer is left out of the rate, and the model does not learn from it.
	//
	// Default: 20.
	MinimumVolume int

	// Deviations is how many standard deviations above the expected rate are
	// still normal. More deviations mean fewer alarms.
	//
	// Default: 3.
	Deviations float64
	// Threshold is a rate in percent above which a period is abnormal, instead
	// of a model. Use it while there is no history to learn from.
	//
	// Default: none; CloudWatch learns from up to two weeks what is normal at
	// which hour and weekday.
	Threshold *float64
	// TimeZone is the one that daily and weekly patterns follow, such as
	// "Europe/Berlin".
	//
	// Default: UTC.
	TimeZone string
	// Exclude are times that the model must not learn from, at most ten: a
	// sale, an outage.
	//
	// Default: none.
	Exclude []TimeRange

	// Alarms says who is told by the alarm itself.
	//
	// Default: nobody; add a [Cascade], whose reactions can be retried.
	Alarms AnomalyDetectorAlarms
}

// AnomalyDetectorAlarms says who is told by a detector's alarm, which the other
// props tune.
type AnomalyDetectorAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
}

// TimeRange is the time from Start to End.
type TimeRange struct {
	// Start and End bound the time, Start before End. Required.
	Start, End time.Time
}

// AnomalyDetector watches a rate of events, such as abandoned of opened carts,
// and raises an alarm when it is far above what is normal for the hour.
//
// No code runs for it. Two rules on the bus match the events of numerator and
// denominator; EventBridge itself counts what they match, in the metric
// MatchedEvents, by the minute. The alarm computes the rate from both and
// compares it with the band of a CloudWatch anomaly detection model. Replayed
// events do not count.
//
// EventBridge documents MatchedEvents per rule, but not whether it reports on
// a rule without a target. Each rule therefore delivers to a queue that nobody
// reads and that forgets after a minute, for 0.40 USD a million events.
//
// EventBridge's metrics are delivered as well as possible and are no account
// of every event: enough for a rate. They cost nothing; CloudWatch bills an
// alarm with a model as three metrics or more, from 0.30 USD a month
// (https://aws.amazon.com/cloudwatch/pricing/).
//
// Sources: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html,
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Anomaly_Detection.html,
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html.
type AnomalyDetector struct {
	constructs.Construct
	store       *EventStore
	id          string
	counted     awssqs.Queue
	numerator   awsevents.CfnRule
	denominator awsevents.CfnRule
	model       awscloudwatch.CfnAnomalyDetector // nil with a threshold
	alarm       awscloudwatch.CfnAlarm
	cascade     *Cascade
}

// AddAnomalyDetector watches a rate of the store's events. It panics with a
// *[props.Error] when the props are wrong.
func (s *EventStore) AddAnomalyDetector(id string, p *AnomalyDetectorProps) *AnomalyDetector {
	if p == nil {
		p = &AnomalyDetectorProps{}
	}
	var c props.Check
	p.check(&c)
	s.checkBus(&c)
	c.Panic(s, id)
	d := &AnomalyDetector{store: s, id: id}
	construct.Init(d, s, id)

	d.counted = defaults.Queue(d, "Counted", &awssqs.QueueProps{RetentionPeriod: construct.Duration(time.Minute)})
	d.numerator = d.count("Numerator", p.Numerator, p)
	d.denominator = d.count("Denominator", p.Denominator, p)
	rate := d.rate(p)
	if p.Threshold == nil {
		d.model = rate.model(d, p)
	}
	d.alarm = rate.alarm(d, p)
	if d.model != nil {
		// An alarm that outlives its model makes a new one, which nobody deletes.
		d.alarm.AddResourceDependency(d.model, nil)
	}
	return d
}

func (p *AnomalyDetectorProps) check(c *props.Check) {
	named := func(field string, types []string) {
		c.Require(len(types) > 0, field, "empty", "at least one event type", "name the events to count")
		for i, t := range types {
			c.Require(t != "", fmt.Sprintf("%s[%d]", field, i), t, "an event type", "")
		}
	}
	named("Numerator", p.Numerator)
	named("Denominator", p.Denominator)
	props.Between(c, "MaxHops", p.MaxHops, 1, 64)
	props.Between(c, "Period", p.Period, time.Minute, time.Hour)
	c.Require(p.Period%time.Minute == 0, "Period", p.Period, "whole minutes", "")
	props.Between(c, "Periods", p.Periods, 1, 100)
	props.Between(c, "Breaching", p.Breaching, 1, construct.Or(p.Periods, 3))
	all := construct.Or(p.Period, time.Minute) * time.Duration(construct.Or(p.Periods, 3))
	c.Require(all <= 24*time.Hour, "Periods", fmt.Sprintf("%s in all", all), "24h0m0s in all", "")
	c.Require(p.MinimumVolume >= 0, "MinimumVolume", p.MinimumVolume, "1 or more, or 0 for the default", "")
	c.Require(p.Deviations >= 0, "Deviations", p.Deviations, "more than 0, or 0 for the default", "")
	if p.Threshold != nil {
		c.Require(*p.Threshold >= 0, "Threshold", *p.Threshold, "a rate in percent", "")
		learned := p.Deviations != 0 || p.TimeZone != "" || len(p.Exclude) > 0
		c.Require(!learned, "Threshold", "set together with Deviations, TimeZone or Exclude", "one way to judge",
			"leave out the threshold, or what tunes the model")
	}
	c.Require(len(p.Exclude) <= 10, "Exclude", fmt.Sprintf("%d ranges", len(p.Exclude)), "at most 10", "join some")
	for i, r := range p.Exclude {
		c.Require(r.Start.Before(r.End), fmt.Sprintf("Exclude[%d]", i), fmt.Sprintf("%s to %s", r.Start, r.End),
			"a start before the end", "")
	}
}

// checkBus records a problem if the store publishes on the default bus, where
// CloudWatch's own events arrive: what a cascade forwards would match again,
// and a rule's metrics have other dimensions.
func (s *EventStore) checkBus(c *props.Check) {
	c.Require(*construct.EventBusName(s.bus) != "default", "Bus", "the default bus", "a bus of the store's own",
		"leave Bus out of the event store's props, or make one")
}

// count makes a rule for its metric's sake. It leaves out what remedies have
// done, and what follows from that.
func (d *AnomalyDetector) count(id string, events []string, p *AnomalyDetectorProps) awsevents.CfnRule {
	pattern := d.store.pattern(events, p.Streams, false, construct.Or(p.MaxHops, 2))
	pattern["detail"].(map[string]any)[schema.Origin] = []any{
		map[string]any{"anything-but": map[string]any{"prefix": schema.CascadePrefix}},
	}
	queue := construct.QueueArn(d.counted)
	rule := awsevents.NewCfnRule(d, &id, &awsevents.CfnRuleProps{
		Description:  jsii.String("Counts the events of the rate's " + strings.ToLower(id) + "."),
		EventBusName: construct.EventBusName(d.store.bus),
		EventPattern: pattern,
		Targets:      []any{&awsevents.CfnRule_TargetProperty{Id: jsii.String("Counted"), Arn: queue}},
	})
	defaults.AllowEvents(d, d.counted, "sqs:SendMessage", queue, construct.AttrArn(rule))
	return rule
}

// rate is the metric math of a detector, which its model and its alarm must
// share to the letter: CloudWatch finds the model by it.
type rate struct {
	bus        *string
	rules      map[string]*string // names by id
	period     *float64
	expression *string
}

// The ids of the metrics and expressions of an alarm.
const (
	numeratorID   = "numerator"
	denominatorID = "denominator"
	rateID        = "rate"
	bandID        = "band"
)

func (d *AnomalyDetector) rate(p *AnomalyDetectorProps) *rate {
	return &rate{
		bus:    construct.EventBusName(d.store.bus),
		rules:  map[string]*string{numeratorID: ruleName(d.numerator), denominatorID: ruleName(d.denominator)},
		period: jsii.Number(construct.Or(p.Period, time.Minute).Seconds()),
		// Without a third argument, IF drops the points where the volume is too low.
		expression: jsii.String(fmt.Sprintf("IF(%s >= %d, 100 * FILL(%s, 0) / %s)",
			denominatorID, construct.Or(p.MinimumVolume, 20), numeratorID, denominatorID)),
	}
}

// ruleName returns the name of a rule on a custom bus. Its Ref is no name
// there, but "bus|name"; its ARN ends in "rule/bus/name".
func ruleName(rule awsevents.CfnRule) *string {
	parts := map[string]any{"Fn::Split": []any{"/", construct.AttrArn(rule)}}
	return awscdk.Token_AsString(map[string]any{"Fn::Select": []any{2, parts}}, nil)
}

func (r *rate) model(scope constructs.Construct, p *AnomalyDetectorProps) awscloudwatch.CfnAnomalyDetector {
	metric := func(id string) *awscloudwatch.CfnAnomalyDetector_MetricDataQueryProperty {
		return &awscloudwatch.CfnAnomalyDetector_MetricDataQueryProperty{
			Id: &id,
			MetricStat: &awscloudwatch.CfnAnomalyDetector_MetricStatProperty{
				Metric: &awscloudwatch.CfnAnomalyDetector_MetricProperty{
					Namespace:  jsii.String("AWS/Events"),
					MetricName: jsii.String("MatchedEvents"),
					Dimensions: []any{
						&awscloudwatch.CfnAnomalyDetector_DimensionProperty{Name: jsii.String("EventBusName"), Value: r.bus},
						&awscloudwatch.CfnAnomalyDetector_DimensionProperty{Name: jsii.String("RuleName"), Value: r.rules[id]},
					},
				},
				Period: r.period,
				Stat:   jsii.String("Sum"),
			},
			ReturnData: jsii.Bool(false),
		}
	}
	var exclude []any
	for _, t := range p.Exclude {
		exclude = append(exclude, &awscloudwatch.CfnAnomalyDetector_RangeProperty{
			StartTime: jsii.String(t.Start.UTC().Format("2006-01-02T15:04:05")),
			EndTime:   jsii.String(t.End.UTC().Format("2006-01-02T15:04:05")),
		})
	}
	model := &awscloudwatch.CfnAnomalyDetectorProps{
		MetricMathAnomalyDetector: &awscloudwatch.CfnAnomalyDetector_MetricMathAnomalyDetectorProperty{
			MetricDataQueries: []any{
				metric(numeratorID), metric(denominatorID),
				&awscloudwatch.CfnAnomalyDetector_MetricDataQueryProperty{
					Id: jsii.String(rateID), Expression: r.expression, ReturnData: jsii.Bool(true),
				},
			},
		},
	}
	if len(exclude) > 0 || p.TimeZone != "" {
		configuration := &awscloudwatch.CfnAnomalyDetector_ConfigurationProperty{MetricTimeZone: construct.Text(p.TimeZone)}
		if len(exclude) > 0 {
			configuration.ExcludedTimeRanges = exclude
		}
		model.Configuration = configuration
	}
	return awscloudwatch.NewCfnAnomalyDetector(scope, jsii.String("Model"), model)
}

func (r *rate) alarm(d *AnomalyDetector, p *AnomalyDetectorProps) awscloudwatch.CfnAlarm {
	metric := func(id string) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
		return &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id: &id,
			MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
				Metric: &awscloudwatch.CfnAlarm_MetricProperty{
					Namespace:  jsii.String("AWS/Events"),
					MetricName: jsii.String("MatchedEvents"),
					Dimensions: []any{
						&awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String("EventBusName"), Value: r.bus},
						&awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String("RuleName"), Value: r.rules[id]},
					},
				},
				Period: r.period,
				Stat:   jsii.String("Sum"),
			},
			ReturnData: jsii.Bool(false),
		}
	}
	queries := []any{
		metric(numeratorID), metric(denominatorID),
		&awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id: jsii.String(rateID), Expression: r.expression, ReturnData: jsii.Bool(true),
			Label: jsii.String("Rate in percent"),
		},
	}
	periods := construct.Or(p.Periods, 3)
	a := &awscloudwatch.CfnAlarmProps{
		AlarmDescription: jsii.String(fmt.Sprintf("The rate of %s per %s is abnormally high.",
			strings.Join(p.Numerator, " and "), strings.Join(p.Denominator, " and "))),
		EvaluationPeriods: jsii.Number(periods),
		DatapointsToAlarm: jsii.Number(construct.Or(p.Breaching, min(2, periods))),
		TreatMissingData:  jsii.String("notBreaching"), // too few events to judge
		AlarmActions:      alarm.Actions(p.Alarms.Topic),
		OkActions:         alarm.Actions(p.Alarms.Topic),
	}
	if p.Threshold != nil {
		a.ComparisonOperator = jsii.String("GreaterThanThreshold")
		a.Threshold = p.Threshold
	} else {
		queries = append(queries, &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id:         jsii.String(bandID),
			Expression: jsii.String(fmt.Sprintf("ANOMALY_DETECTION_BAND(%s, %g)", rateID, construct.Or(p.Deviations, 3))),
			Label:      jsii.String("Normal"),
			ReturnData: jsii.Bool(true),
		})
		a.ComparisonOperator = jsii.String("GreaterThanUpperThreshold")
		a.ThresholdMetricId = jsii.String(bandID)
	}
	a.Metrics = queries
	return awscloudwatch.NewCfnAlarm(d, jsii.String("Alarm"), a)
}

// AddCascade makes reactions to the anomaly possible. A detector has one
// cascade; add all reactions to it. It panics with a *[props.Error] when the
// props are wrong; nil props are right.
func (d *AnomalyDetector) AddCascade(id string, p *CascadeProps) *Cascade {
	own := CascadeProps{}
	if p != nil {
		own = *p
	}
	var c props.Check
	c.Require(own.Alarm == nil, "Alarm", props.Words("set"), "none: it is the detector's",
		"leave it out, or call AddCascade of the event store")
	c.Require(d.cascade == nil, "AddCascade", props.Words("called again"), "one cascade for a detector",
		"add all reactions to the first")
	own.Name = construct.Or(own.Name, d.id)
	own.check(&c)
	c.Panic(d, id)
	d.cascade = newCascade(d, id, d.store, d.alarm.AttrArn(), &own)
	return d.cascade
}

// Alarm returns the alarm.
func (d *AnomalyDetector) Alarm() awscloudwatch.CfnAlarm { return d.alarm }

// Alarms returns the alarms that were made: [AnomalyDetector.Alarm]. A cascade
// that is added has its own.
func (d *AnomalyDetector) Alarms() []awscloudwatch.CfnAlarm { return defaults.Alarms(d.alarm) }

// Model returns the anomaly detection model, nil with a Threshold.
func (d *AnomalyDetector) Model() awscloudwatch.CfnAnomalyDetector { return d.model }

// NumeratorRule returns the rule that counts the numerator's events.
func (d *AnomalyDetector) NumeratorRule() awsevents.CfnRule { return d.numerator }

// DenominatorRule returns the rule that counts the denominator's events.
func (d *AnomalyDetector) DenominatorRule() awsevents.CfnRule { return d.denominator }
