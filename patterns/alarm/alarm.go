// Package alarm holds how users tune, switch off and direct the alarms that
// come with every pattern.
package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/props"
)

// Tuning changes one alarm. Its zero value leaves the pattern's default.
type Tuning struct {
	// Off makes no such alarm.
	//
	// Default: the alarm is made.
	Off bool
	// Threshold is the value at which the alarm goes off, in the metric's unit.
	//
	// Default: the pattern's, stated where the alarm is.
	Threshold *float64
	// Period is the length of one evaluation, a multiple of a minute.
	//
	// Default: the pattern's, mostly 1 minute.
	Period time.Duration
	// Periods is how many periods must breach in a row.
	//
	// Default: the pattern's, mostly one.
	Periods int
}

// Check records what is wrong with the tuning.
func (t Tuning) Check(c *props.Check) {
	c.Require(t.Period%time.Minute == 0 && t.Period >= 0, "Period", t.Period, "whole minutes", "")
	props.Between(c, "Periods", t.Periods, 1, 1440)
	if t.Period > 0 && t.Periods > 0 {
		c.Require(t.Period*time.Duration(t.Periods) <= 24*time.Hour, "Period",
			fmt.Sprintf("%s in %d Periods", t.Period, t.Periods), "24h0m0s in all", "")
	}
}

// Alarm is one alarm as a pattern defines it.
type Alarm struct {
	Namespace   string             // of the metric, such as "AWS/SQS"
	Metric      string             // the metric's name
	Dimensions  map[string]*string // of the metric
	Statistic   string             // such as "Sum"
	Description string             // what it means when it goes off, and what to do
	Threshold   float64            // unless tuned
	// Comparison is one of CloudWatch's operators.
	//
	// Default: GreaterThanOrEqualToThreshold.
	Comparison string
	Period     time.Duration // unless tuned; Default: 1 minute
	Periods    int           // unless tuned; Default: 1
	Missing    string        // how missing data counts; Default: "notBreaching"
}

// New makes the alarm in the scope, tuned, and sends its changes to the topic,
// if there is one. Missing data does not alarm unless Missing says otherwise: a
// function that nobody calls is not broken. It returns nil if the tuning is Off.
//
// A standard alarm costs 0.10 USD a month in most regions
// (https://aws.amazon.com/cloudwatch/pricing/).
func New(scope constructs.Construct, id string, a Alarm, t Tuning, topic awssns.ITopic) awscloudwatch.CfnAlarm {
	if t.Off {
		return nil
	}
	if t.Threshold != nil {
		a.Threshold = *t.Threshold
	}
	if t.Period != 0 {
		a.Period = t.Period
	}
	if t.Periods != 0 {
		a.Periods = t.Periods
	}
	a.Comparison = cmp.Or(a.Comparison, "GreaterThanOrEqualToThreshold")
	a.Missing = cmp.Or(a.Missing, "notBreaching")
	dimensions := make([]*awscloudwatch.CfnAlarm_DimensionProperty, 0, len(a.Dimensions))
	for _, name := range slices.Sorted(maps.Keys(a.Dimensions)) {
		dimensions = append(dimensions, &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(name), Value: a.Dimensions[name]})
	}
	return awscloudwatch.NewCfnAlarm(scope, &id, &awscloudwatch.CfnAlarmProps{
		AlarmDescription:   &a.Description,
		Namespace:          &a.Namespace,
		MetricName:         &a.Metric,
		Dimensions:         dimensions,
		Statistic:          &a.Statistic,
		ComparisonOperator: &a.Comparison,
		Threshold:          &a.Threshold,
		Period:             jsii.Number(max(a.Period, time.Minute).Seconds()),
		EvaluationPeriods:  jsii.Number(max(a.Periods, 1)),
		TreatMissingData:   &a.Missing,
		AlarmActions:       Actions(topic),
		OkActions:          Actions(topic),
	})
}

// Actions returns the topic's ARN as a list of actions, nil without a topic.
func Actions(topic awssns.ITopic) *[]any {
	if topic == nil {
		return nil
	}
	return &[]any{construct.TopicArn(topic)}
}
