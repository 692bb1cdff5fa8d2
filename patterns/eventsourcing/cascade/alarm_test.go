package cascade_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/eventsourcing/cascade"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

func TestParseAlarm(t *testing.T) {
	tests := []struct {
		file   string
		want   cascade.Alarm
		firing bool
	}{
		{"anomaly.json", cascade.Alarm{
			ID: "5bb7e5c2-3c1a-4a53-9e0b-0c8f6a1d2e01", Account: "111122223333", Region: "eu-central-1",
			Time:        time.Date(2026, 8, 1, 12, 4, 31, 0, time.UTC),
			ARN:         "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:carts-abandonment",
			Name:        "carts-abandonment",
			Description: "Abandoned carts per opened cart leave the expected band",
			State: cascade.AlarmState{
				Value:      cascade.StateAlarm,
				Reason:     "Thresholds Crossed: 1 out of the last 1 datapoints [0.61 (01/08/26 12:03:00)] was greater than the upper thresholds [0.24]",
				ReasonData: json.RawMessage(`{"version":"1.0","queryDate":"2026-08-01T12:04:31.000+0000","startDate":"2026-08-01T12:03:00.000+0000","period":60,"recentDatapoints":[0.61],"recentLowerThresholds":[0.02],"recentUpperThresholds":[0.24]}`),
				Time:       time.Date(2026, 8, 1, 12, 4, 31, 204e6, time.UTC),
			},
			Previous: cascade.AlarmState{
				Value:  cascade.StateOK,
				Reason: "Thresholds Crossed: 1 out of the last 1 datapoints was within the band",
				Time:   time.Date(2026, 8, 1, 7, 0, 31, 204e6, time.UTC),
			},
			Metrics: []cascade.AlarmMetric{
				{ID: "abandoned", Namespace: "AWS/Events", Name: "MatchedEvents", Dimensions: map[string]string{"RuleName": "carts-abandoned"}, Statistic: "Sum", Period: time.Minute},
				{ID: "band", Label: "rate (expected)", Expression: "ANOMALY_DETECTION_BAND(rate, 3)", Returned: true},
			},
		}, true},
		{"composite.json", cascade.Alarm{
			ID: "d3d5c0b8-68a7-4c2e-8c55-2f9b1d0f3c02", Account: "111122223333", Region: "eu-central-1",
			Time: time.Date(2026, 8, 1, 12, 9, 31, 0, time.UTC),
			ARN:  "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:carts",
			Name: "carts",
			State: cascade.AlarmState{
				Value: cascade.StateOK, Reason: "All of its alarms are OK",
				ReasonData: json.RawMessage(`{"triggeringAlarms":[{"arn":"arn:aws:cloudwatch:eu-central-1:111122223333:alarm:carts-abandonment","state":{"value":"OK","timestamp":"2026-08-01T12:09:31.204+0000"}}]}`),
				Time:       time.Date(2026, 8, 1, 12, 9, 31, 301e6, time.UTC),
			},
			Previous: cascade.AlarmState{
				Value: cascade.StateInsufficientData, Reason: "Unchecked: Initial alarm creation",
				Time: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC),
			},
		}, false},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			event, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			alarm, err := cascade.ParseAlarm(event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, alarm); diff != "" {
				t.Errorf("alarm (-want +got):\n%s", diff)
			}
			if alarm.Firing() != test.firing {
				t.Errorf("Firing() = %v", alarm.Firing())
			}
			cause := eventlog.Event{ID: test.want.ID, Type: cascade.AlarmType, Time: test.want.Time, Correlation: test.want.ID}
			if diff := cmp.Diff(cause, alarm.Cause()); diff != "" {
				t.Errorf("cause (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseAlarmErrors(t *testing.T) {
	for _, test := range []struct{ event, want string }{
		{`[]`, "cannot unmarshal array"},
		{`{"detail-type":"CartAbandoned"}`, `detail-type is "CartAbandoned", want "CloudWatch Alarm State Change"`},
		{`{"detail-type":"CloudWatch Alarm State Change","id":"1","detail":{"alarmName":"a"}}`, `state ""`},
		{`{"detail-type":"CloudWatch Alarm State Change","id":"1","detail":{"alarmName":"a","state":{"value":"OK","timestamp":"noon"}}}`, `parse alarm a: parsing time "noon"`},
	} {
		if _, err := cascade.ParseAlarm([]byte(test.event)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.event, err, test.want)
		}
	}
}
