package cascade

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// AlarmType is the detail-type of the events that [ParseAlarm] reads.
const AlarmType = "CloudWatch Alarm State Change"

// Alarm is the change of a CloudWatch alarm's state, as EventBridge delivers it.
//
// See https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
type Alarm struct {
	ID          string // the event's id
	Account     string
	Region      string
	Time        time.Time // when the event was sent
	ARN         string    // the alarm's
	Name        string    // the alarm's
	Description string    // the alarm's
	State       AlarmState
	Previous    AlarmState
	Metrics     []AlarmMetric // empty for a composite alarm
}

// The values of an alarm's state.
const (
	StateOK               = "OK"
	StateAlarm            = "ALARM"
	StateInsufficientData = "INSUFFICIENT_DATA"
)

// AlarmState is a state that an alarm is or was in.
type AlarmState struct {
	Value  string // StateOK, StateAlarm or StateInsufficientData
	Reason string // for people
	// ReasonData is the evaluation as a JSON object: recent datapoints and the
	// threshold, or the band of an anomaly alarm. Its form depends on the kind of
	// alarm; nil if there is none.
	ReasonData json.RawMessage
	Time       time.Time // since when
}

// AlarmMetric is one row of the metrics that an alarm watches: a metric, or an
// expression over other rows such as ANOMALY_DETECTION_BAND(m1, 2).
type AlarmMetric struct {
	ID         string
	Label      string
	Expression string            // empty for a metric
	Namespace  string            // empty for an expression
	Name       string            // empty for an expression
	Dimensions map[string]string // nil for an expression
	Statistic  string            // such as "Sum"; empty for an expression
	Period     time.Duration     // 0 for an expression
	Returned   bool              // the alarm watches this row
}

// ParseAlarm reads an EventBridge event of type [AlarmType].
func ParseAlarm(event []byte) (Alarm, error) {
	type state struct {
		Value      string `json:"value"`
		Reason     string `json:"reason"`
		ReasonData string `json:"reasonData"`
		Timestamp  string `json:"timestamp"`
	}
	var in struct {
		ID         string    `json:"id"`
		DetailType string    `json:"detail-type"`
		Account    string    `json:"account"`
		Region     string    `json:"region"`
		Time       time.Time `json:"time"`
		Resources  []string  `json:"resources"`
		Detail     struct {
			AlarmName     string `json:"alarmName"`
			State         state  `json:"state"`
			PreviousState state  `json:"previousState"`
			Configuration struct {
				Description string `json:"description"`
				Metrics     []struct {
					ID         string `json:"id"`
					Label      string `json:"label"`
					Expression string `json:"expression"`
					ReturnData bool   `json:"returnData"`
					MetricStat struct {
						Metric struct {
							Namespace  string            `json:"namespace"`
							Name       string            `json:"name"`
							Dimensions map[string]string `json:"dimensions"`
						} `json:"metric"`
						Period int    `json:"period"`
						Stat   string `json:"stat"`
					} `json:"metricStat"`
				} `json:"metrics"`
			} `json:"configuration"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return Alarm{}, fmt.Errorf("cascade: parse alarm: %w", err)
	}
	if in.DetailType != AlarmType {
		return Alarm{}, fmt.Errorf("cascade: parse alarm: detail-type is %q, want %q; check the rule's pattern and the target's input", in.DetailType, AlarmType)
	}
	if in.ID == "" || in.Detail.AlarmName == "" || in.Detail.State.Value == "" {
		return Alarm{}, fmt.Errorf("cascade: parse alarm: id %q, alarm name %q, state %q; all are wanted", in.ID, in.Detail.AlarmName, in.Detail.State.Value)
	}
	alarm := Alarm{
		ID:          in.ID,
		Account:     in.Account,
		Region:      in.Region,
		Time:        in.Time,
		Name:        in.Detail.AlarmName,
		Description: in.Detail.Configuration.Description,
	}
	if len(in.Resources) > 0 {
		alarm.ARN = in.Resources[0]
	}
	for _, s := range []struct {
		in  state
		out *AlarmState
	}{{in.Detail.State, &alarm.State}, {in.Detail.PreviousState, &alarm.Previous}} {
		*s.out = AlarmState{Value: s.in.Value, Reason: s.in.Reason}
		if json.Valid([]byte(s.in.ReasonData)) {
			s.out.ReasonData = json.RawMessage(s.in.ReasonData)
		}
		if s.in.Timestamp == "" {
			continue
		}
		// CloudWatch writes the offset without the colon of RFC 3339.
		since, err := time.Parse("2006-01-02T15:04:05.999999999Z0700", s.in.Timestamp)
		if err != nil {
			return Alarm{}, fmt.Errorf("cascade: parse alarm %s: %w", alarm.Name, err)
		}
		s.out.Time = since.UTC()
	}
	for _, m := range in.Detail.Configuration.Metrics {
		alarm.Metrics = append(alarm.Metrics, AlarmMetric{
			ID:         m.ID,
			Label:      m.Label,
			Expression: m.Expression,
			Namespace:  m.MetricStat.Metric.Namespace,
			Name:       m.MetricStat.Metric.Name,
			Dimensions: m.MetricStat.Metric.Dimensions,
			Statistic:  m.MetricStat.Stat,
			Period:     time.Duration(m.MetricStat.Period) * time.Second,
			Returned:   m.ReturnData,
		})
	}
	return alarm, nil
}

// Firing reports whether the alarm went off, rather than back to rest.
func (a Alarm) Firing() bool { return a.State.Value == StateAlarm }

// Cause returns the alarm as the cause of what is done about it, for [Guard.Do]
// and eventlog.WithCause. It has no hops: the alarm's metric must leave out the
// events of the cascade's own origin.
func (a Alarm) Cause() eventlog.Event {
	return eventlog.Event{ID: a.ID, Type: AlarmType, Time: a.Time, Correlation: a.ID}
}
