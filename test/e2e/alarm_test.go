package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestExpression(t *testing.T) {
	values := map[string]any{"a": 6.0, "b": 2.0, "zero": 0.0, "none": nil}
	e := &evaluator{
		value:   func(id string) (any, error) { return values[id], nil },
		history: func(string) ([]float64, error) { return []float64{10, 16, 13, 7, 10, 90}, nil },
	}
	for _, c := range []struct {
		expression string
		want       any
	}{
		{"a / b", 3.0},
		{"100 * (a - b) / a", 100 * 4.0 / 6},
		{"-a + 1.5", -4.5},
		{"a / zero", nil},
		{"a + none", nil},
		{"FILL(none, 0) + a", 6.0},
		{"IF(b >= 2, a)", 6.0},
		{"IF(b > 2, a)", nil},
		{"IF(b > 2 || a == 6, a, b)", 6.0},
		{"IF(b > 2 && a == 6, a, b)", 2.0},
		{"MAX(a, b, none)", 6.0},
		{"MIN(a, b)", 2.0},
		{"SUM(a, b)", 8.0},
		{"AVG(a, b)", 4.0},
		{"ABS(0 - a) + CEIL(1.2) + FLOOR(1.8)", 9.0},
		// The median is 11.5, the median distance from it 3, and one outlier
		// does not count.
		{"ANOMALY_DETECTION_BAND(a, 2)", band{11.5 - 6*1.4826, 11.5 + 6*1.4826}},
	} {
		got, err := e.eval(c.expression)
		if err != nil || fmt.Sprintf("%.6f", got) != fmt.Sprintf("%.6f", c.want) {
			t.Errorf("%s = %v, %v; want %v", c.expression, got, err, c.want)
		}
	}
	for _, expression := range []string{"a +", "SEARCH(a)", "a % b", "ANOMALY_DETECTION_BAND(1)", `"text"`, "ANOMALY_DETECTION_BAND(a) + 1"} {
		if v, err := e.eval(expression); err == nil {
			t.Errorf("%s = %v, want an error", expression, v)
		}
	}
}

func TestEmbeddedMetrics(t *testing.T) {
	m := newMetrics()
	m.embedded(`{"_aws":{"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[["service"],[]],"Metrics":[{"Name":"Orders"},{"Name":"Worth"}]}]},"service":"carts","Orders":3,"Worth":[1,5]}`)
	m.embedded(`{"level":"INFO","msg":"CloudWatchMetrics"}`)
	m.embedded(`"CloudWatchMetrics" but no JSON`)
	for _, c := range []struct {
		name, statistic string
		dimensions      []string
		want            float64
	}{
		{"Orders", "Sum", []string{"service", "carts"}, 3},
		{"Orders", "Sum", nil, 3},
		{"Worth", "Average", nil, 3},
		{"Worth", "Maximum", nil, 5},
		{"Worth", "Minimum", nil, 1},
		{"Worth", "SampleCount", nil, 2},
	} {
		if got, ok := m.value(metricKey("Shop", c.name, c.dimensions), c.statistic, 0, 1); !ok || got != c.want {
			t.Errorf("%s of %s %v = %v, %v; want %v", c.statistic, c.name, c.dimensions, got, ok, c.want)
		}
	}
	if _, ok := m.value(metricKey("Shop", "Nothing", nil), "Sum", 0, 9); ok {
		t.Error("a metric without data has a value")
	}
}

// TestAlarm drives one alarm through its states, a number a minute.
func TestAlarm(t *testing.T) {
	threshold := 5.0
	for _, c := range []struct {
		name    string
		props   alarmProps
		minutes []any // the value of each minute, nil for none
		want    string
	}{
		{"two of three", alarmProps{EvaluationPeriods: 3, DatapointsToAlarm: 2, TreatMissingData: "notBreaching"},
			[]any{1.0, 9.0, 1.0, 9.0, 1.0, 1.0}, "OK OK OK ALARM OK OK"},
		{"all", alarmProps{EvaluationPeriods: 2, DatapointsToAlarm: 2, TreatMissingData: "notBreaching"},
			[]any{9.0, 9.0, nil, 9.0}, "OK ALARM OK OK"},
		{"missing breaches", alarmProps{EvaluationPeriods: 1, DatapointsToAlarm: 1, TreatMissingData: "breaching"},
			[]any{1.0, nil}, "OK ALARM"},
		{"missing is missing", alarmProps{EvaluationPeriods: 1, DatapointsToAlarm: 1},
			[]any{nil, 1.0, nil}, "INSUFFICIENT_DATA OK INSUFFICIENT_DATA"},
		{"missing is ignored", alarmProps{EvaluationPeriods: 1, DatapointsToAlarm: 1, TreatMissingData: "ignore"},
			[]any{9.0, nil, 1.0}, "ALARM ALARM OK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			template := &Template{Resources: map[string]*Resource{}}
			d := &Deployment{stack: stack{Template: template, account: "1", region: "eu"}, metrics: newMetrics(), buses: map[string]*bus{}}
			d.buses[d.arn("events", "event-bus/default")] = &bus{d: d, name: "default"}
			c.props.Threshold, c.props.ComparisonOperator = &threshold, "GreaterThanThreshold"
			c.props.Metrics = []alarmQuery{{ID: "m", MetricStat: &struct {
				Metric metricProps
				Period int
				Stat   string
			}{metricProps{Namespace: "N", MetricName: "M"}, 60, "Sum"}}}
			a := &alarm{d: d, id: "A", state: "INSUFFICIENT_DATA", props: c.props}
			d.alarms = []*alarm{a}
			var states []string
			for _, v := range c.minutes {
				if n, ok := v.(float64); ok {
					d.metrics.add("N", "M", n)
				}
				if err := d.Advance(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				states = append(states, a.state)
			}
			if got := strings.Join(states, " "); got != c.want {
				t.Errorf("states %s, want %s", got, c.want)
			}
		})
	}
}
