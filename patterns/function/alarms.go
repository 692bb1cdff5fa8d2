package function

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/props"
)

// Alarms tunes a function's alarms. The zero value makes all of them and
// notifies nobody.
type Alarms struct {
	// Off makes none of them.
	//
	// Default: all are made.
	Off bool
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Errors counts invocations that ended in an error.
	//
	// Default: one in a minute.
	Errors alarm.Tuning
	// Throttles counts invocations refused for lack of concurrency.
	//
	// Default: one in a minute.
	Throttles alarm.Tuning
	// Duration is the slowest invocation, in milliseconds.
	//
	// Default: 90 % of the time-out, in three minutes in a row.
	Duration alarm.Tuning
	// DeadLetters counts the events in the dead-letter queue.
	//
	// Default: one.
	DeadLetters alarm.Tuning
}

// Check records what is wrong with the tunings.
func (a Alarms) Check(c *props.Check) {
	c.Nested("Errors", a.Errors.Check)
	c.Nested("Throttles", a.Throttles.Check)
	c.Nested("Duration", a.Duration.Check)
	c.Nested("DeadLetters", a.DeadLetters.Check)
}

func (f *Function) addAlarms(a Alarms) {
	if a.Off {
		return
	}
	dimensions := map[string]*string{"FunctionName": f.name()}
	add := func(id string, spec alarm.Alarm, t alarm.Tuning) {
		spec.Namespace, spec.Dimensions = "AWS/Lambda", dimensions
		if made := alarm.New(f, id, spec, t, a.Topic); made != nil {
			f.alarms = append(f.alarms, made)
		}
	}
	add("Errors", alarm.Alarm{Metric: "Errors", Statistic: "Sum", Threshold: 1,
		Description: "Invocations failed: read the function's log."}, a.Errors)
	add("Throttles", alarm.Alarm{Metric: "Throttles", Statistic: "Sum", Threshold: 1,
		Description: "Invocations were refused for lack of concurrency: raise the function's or the account's limit."}, a.Throttles)
	if f.timeout > 0 {
		add("Duration", alarm.Alarm{Metric: "Duration", Statistic: "Maximum", Periods: 3,
			Threshold: 0.9 * float64(f.timeout.Milliseconds()),
			Description: fmt.Sprintf("Invocations take nearly the time-out of %s: make them shorter or the time-out longer.",
				f.timeout)}, a.Duration)
	}
	if f.deadLetters != nil && !a.DeadLetters.Off {
		f.alarms = append(f.alarms, defaults.DeadLetterAlarm(f, "DeadLettersAlarm", f.deadLetters,
			defaults.DeadLetters{For: "Asynchronous invocations", Alarm: a.DeadLetters, Topic: a.Topic}))
	}
}

// Alarms returns the alarms that were made.
func (f *Function) Alarms() []awscloudwatch.CfnAlarm { return slices.Clone(f.alarms) }
