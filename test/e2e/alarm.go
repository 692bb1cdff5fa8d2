package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// alarm is a CloudWatch alarm.
type alarm struct {
	d             *Deployment
	id, arn, name string
	props         alarmProps
	state         string
}

type metricProps struct {
	Namespace, MetricName string
	Dimensions            []struct{ Name, Value string }
}

func (m metricProps) key() string {
	var dimensions []string
	for _, pair := range m.Dimensions {
		dimensions = append(dimensions, pair.Name, pair.Value)
	}
	return metricKey(m.Namespace, m.MetricName, dimensions)
}

type alarmQuery struct {
	ID         string `json:"Id"`
	Expression string
	Period     int
	ReturnData *bool
	MetricStat *struct {
		Metric metricProps
		Period int
		Stat   string
	}
}

type alarmProps struct {
	metricProps
	AlarmDescription                                 string
	Statistic, ExtendedStatistic                     string
	Period, EvaluationPeriods, DatapointsToAlarm     int
	Metrics                                          []alarmQuery
	Threshold                                        *float64
	ThresholdMetricID                                string `json:"ThresholdMetricId"`
	ComparisonOperator, TreatMissingData             string
	ActionsEnabled                                   *bool
	AlarmActions, OKActions, InsufficientDataActions []string
}

func (d *Deployment) makeAlarms(context.Context) error {
	for id := range d.All("AWS::CloudWatch::Alarm") {
		a := &alarm{d: d, id: id, state: "INSUFFICIENT_DATA"}
		if err := d.properties(id, &a.props); err != nil {
			return err
		}
		name, err := d.name(id)
		if err != nil {
			return err
		}
		a.name, a.arn = name, d.arn("cloudwatch", "alarm:"+name)
		if len(a.props.Metrics) == 0 {
			// One metric is the simplest query.
			a.props.Metrics = []alarmQuery{{ID: "m", MetricStat: &struct {
				Metric metricProps
				Period int
				Stat   string
			}{a.props.metricProps, a.props.Period, a.props.Statistic + a.props.ExtendedStatistic}}}
		}
		if a.props.DatapointsToAlarm == 0 {
			a.props.DatapointsToAlarm = a.props.EvaluationPeriods
		}
		d.alarms = append(d.alarms, a)
	}
	return nil
}

// period is the alarm's in minutes; shorter ones count as one.
func (a *alarm) period() int {
	seconds := a.props.Period
	for _, q := range a.props.Metrics {
		seconds = max(seconds, q.Period)
		if q.MetricStat != nil {
			seconds = max(seconds, q.MetricStat.Period)
		}
	}
	return max(seconds/60, 1)
}

// Advance lets virtual minutes pass, one at a time: it samples the queues'
// depths, closes the minute and evaluates the alarms whose period ends.
func (d *Deployment) Advance(ctx context.Context, minutes int) error {
	for range minutes {
		for _, q := range d.queues {
			visible, hidden, err := q.depth(ctx)
			if err != nil {
				return fmt.Errorf("advance: %w", err)
			}
			d.metrics.add("AWS/SQS", "ApproximateNumberOfMessagesVisible", float64(visible), "QueueName", q.name)
			d.metrics.add("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", float64(hidden), "QueueName", q.name)
		}
		d.metrics.mu.Lock()
		d.metrics.minute++
		now := d.metrics.minute
		d.metrics.mu.Unlock()
		for _, a := range d.alarms {
			if now%a.period() != 0 {
				continue
			}
			if err := a.evaluate(now); err != nil {
				return fmt.Errorf("alarm %s: %w", a.id, err)
			}
		}
	}
	return nil
}

// query returns the value of one of the alarm's metrics or expressions in the
// period that ends with the minute.
func (a *alarm) query(id string, end, window int) (any, error) {
	i := slices.IndexFunc(a.props.Metrics, func(q alarmQuery) bool { return q.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("no metric has the id %q", id)
	}
	q := a.props.Metrics[i]
	if q.MetricStat != nil {
		v, ok := a.d.metrics.value(q.MetricStat.Metric.key(), q.MetricStat.Stat, end-a.period(), end)
		if !ok {
			return nil, nil
		}
		return v, nil
	}
	e := &evaluator{
		value: func(id string) (any, error) { return a.query(id, end, window) },
		history: func(id string) ([]float64, error) {
			var past []float64
			for at := a.period(); at <= window; at += a.period() {
				v, err := a.query(id, at, 0)
				if err != nil {
					return nil, err
				}
				if f, ok := v.(float64); ok {
					past = append(past, f)
				}
			}
			return past, nil
		},
	}
	return e.eval(q.Expression)
}

// compared is the id of the metric that is compared with the threshold.
func (a *alarm) compared() string {
	for _, q := range a.props.Metrics {
		if q.ID != a.props.ThresholdMetricID && (q.ReturnData == nil || *q.ReturnData) {
			return q.ID
		}
	}
	return ""
}

// evaluate decides the alarm's state from its last periods.
func (a *alarm) evaluate(now int) error {
	breaching, known := 0, 0
	learnt := now - a.props.EvaluationPeriods*a.period()
	var latest string
	for i := range a.props.EvaluationPeriods {
		end := now - i*a.period()
		if end < a.period() {
			continue
		}
		v, err := a.query(a.compared(), end, learnt)
		if err != nil {
			return err
		}
		var bound any
		if a.props.ThresholdMetricID != "" {
			if bound, err = a.query(a.props.ThresholdMetricID, end, learnt); err != nil {
				return err
			}
			if bound == nil {
				continue // the model has not learnt enough
			}
		} else if a.props.Threshold != nil {
			bound = *a.props.Threshold
		}
		value, ok := v.(float64)
		if !ok {
			switch a.props.TreatMissingData {
			case "notBreaching":
				known++
			case "breaching":
				known++
				breaching++
			}
			continue
		}
		known++
		if i == 0 {
			latest = fmt.Sprintf("%v against %v", value, bound)
		}
		breaches, err := compare(a.props.ComparisonOperator, value, bound)
		if err != nil {
			return err
		}
		if breaches {
			breaching++
		}
	}
	state := "OK"
	switch {
	case breaching >= a.props.DatapointsToAlarm:
		state = "ALARM"
	case known == 0 && a.props.TreatMissingData == "ignore":
		return nil
	case known == 0:
		state = "INSUFFICIENT_DATA"
	}
	if state != a.state {
		return a.change(state, fmt.Sprintf("%d of the last %d datapoints breached; the latest is %s", breaching, a.props.EvaluationPeriods, latest))
	}
	return nil
}

func compare(operator string, value float64, bound any) (bool, error) {
	switch b := bound.(type) {
	case band:
		switch operator {
		case "GreaterThanUpperThreshold":
			return value > b.high, nil
		case "LessThanLowerThreshold":
			return value < b.low, nil
		case "LessThanLowerOrGreaterThanUpperThreshold":
			return value < b.low || value > b.high, nil
		}
	case float64:
		switch operator {
		case "GreaterThanThreshold":
			return value > b, nil
		case "GreaterThanOrEqualToThreshold":
			return value >= b, nil
		case "LessThanThreshold":
			return value < b, nil
		case "LessThanOrEqualToThreshold":
			return value <= b, nil
		}
	}
	return false, fmt.Errorf("%s does not compare with %v", operator, bound)
}

// change sets the state, tells the default bus and runs the actions.
func (a *alarm) change(state, reason string) error {
	previous := a.state
	a.state = state
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000+0000")
	// An alarm on one metric is told with it, one on expressions with all.
	queries := []any{}
	for _, q := range a.props.Metrics {
		entry := map[string]any{"id": q.ID, "returnData": q.ReturnData == nil || *q.ReturnData}
		if q.MetricStat != nil {
			dimensions := map[string]string{}
			for _, pair := range q.MetricStat.Metric.Dimensions {
				dimensions[pair.Name] = pair.Value
			}
			entry["metricStat"] = map[string]any{
				"metric": map[string]any{"namespace": q.MetricStat.Metric.Namespace, "name": q.MetricStat.Metric.MetricName, "dimensions": dimensions},
				"period": q.MetricStat.Period, "stat": q.MetricStat.Stat,
			}
		} else {
			entry["expression"] = q.Expression
		}
		queries = append(queries, entry)
	}
	detail, err := json.Marshal(map[string]any{
		"alarmName":     a.name,
		"state":         map[string]any{"value": state, "reason": reason, "timestamp": now},
		"previousState": map[string]any{"value": previous, "timestamp": now},
		"configuration": map[string]any{"description": a.props.AlarmDescription, "metrics": queries},
	})
	if err != nil {
		return err
	}
	if err := a.d.busNamed("").publish(Event{Source: "aws.cloudwatch", DetailType: "CloudWatch Alarm State Change", Resources: []string{a.arn}, Detail: detail}, nil); err != nil {
		return err
	}
	actions := map[string][]string{"ALARM": a.props.AlarmActions, "OK": a.props.OKActions, "INSUFFICIENT_DATA": a.props.InsufficientDataActions}[state]
	if enabled := a.props.ActionsEnabled; enabled != nil && !*enabled {
		return nil
	}
	message, err := json.Marshal(map[string]any{
		"AlarmName": a.name, "AlarmDescription": a.props.AlarmDescription, "AlarmArn": a.arn, "Region": a.d.region, "AWSAccountId": a.d.account,
		"NewStateValue": state, "NewStateReason": reason, "OldStateValue": previous, "StateChangeTime": now,
	})
	if err != nil {
		return err
	}
	for _, arn := range actions {
		from := asService("cloudwatch.amazonaws.com", a.arn)
		if strings.Contains(arn, ":lambda:") {
			from = asService("lambda.alarms.cloudwatch.amazonaws.com", a.arn)
		}
		s, err := a.d.sink(arn)
		if err == nil {
			err = s.deliver(a.d.ctx, from, []delivery{{payload: message}})[0]
		}
		if err != nil {
			a.d.drop("alarm "+a.id, err, message)
		}
	}
	return nil
}

// AlarmState returns an alarm's state: OK, ALARM or INSUFFICIENT_DATA.
func (d *Deployment) AlarmState(prefix string) (string, error) {
	id, err := d.Find("AWS::CloudWatch::Alarm", prefix)
	if err != nil {
		return "", err
	}
	for _, a := range d.alarms {
		if a.id == id {
			return a.state, nil
		}
	}
	return "", fmt.Errorf("alarm %s was not made", id)
}
