package healthwatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/apply"
	"github.com/serverless-go/cdk/functions/healthwatch/counts"
	"github.com/serverless-go/cdk/functions/healthwatch/desk"
	"github.com/serverless-go/cdk/functions/healthwatch/intake"
	"github.com/serverless-go/cdk/functions/healthwatch/reading"
	"github.com/serverless-go/cdk/functions/healthwatch/report"
	"github.com/serverless-go/cdk/functions/healthwatch/watch"
	"github.com/serverless-go/cdk/patterns/edge/ingest"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	events "github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

type putter struct {
	err error
	got []ingest.Event
}

func (p *putter) Put(_ context.Context, events ...ingest.Event) error {
	if p.err != nil {
		return &ingest.RejectedError{Rejections: []ingest.Rejection{{Event: events[0], Err: p.err}}}
	}
	p.got = append(p.got, events...)
	return nil
}

const sent = `{"id": "r-1", "locality": "DE-BE", "kind": "fever", "takenAt": "2026-07-01T12:10:00Z", "value": 39.4, "person": "bed 7", "contact": "+49 30 1"}`

func TestIntake(t *testing.T) {
	p := &putter{}
	s := &intake.Service{Putter: p, Plan: plan, Source: healthwatch.Source, Region: "eu-central-1", Now: func() time.Time { return noon }}
	take := func(body string) answer { return ask(t, s.Mux(), request(healthwatch.RouteTake, body, nil, nil)) }
	id := api.Digest(ann, "r-1")
	for range 2 {
		if a := take(sent); a.status != http.StatusAccepted || a.body["reading"] != id {
			t.Fatalf("the answer is %+v, want 202 and %s", a, id)
		}
	}
	if len(p.got) != 2 || p.got[0].ID != p.got[1].ID || p.got[0].Type != healthwatch.ReadingTaken || p.got[0].Source != healthwatch.Source {
		t.Errorf("it put %+v", p.got)
	}
	var got reading.Taken
	if err := json.Unmarshal(p.got[0].Data, &got); err != nil {
		t.Fatal(err)
	}
	value := 39.4
	want := reading.Taken{Person: api.Pseudonym(ann, "bed 7"), Contact: "+49 30 1", Value: &value, Locality: "DE-BE", Kind: "fever",
		TakenAt: noon.Add(-10 * time.Minute), Region: "eu-central-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it put (-want +got):\n%s", diff)
	}
	if strings.Contains(string(p.got[0].Data), "bed 7") {
		t.Error("the reference of the person is on the bus")
	}
}

// Nothing is answered with 202 that is not known to be safe.
func TestIntakeIsHonest(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	defer slog.SetDefault(before)
	p := &putter{err: errors.New("EventBridge is down")}
	s := &intake.Service{Putter: p, Plan: plan, Source: healthwatch.Source, Now: func() time.Time { return noon }}
	a := ask(t, s.Mux(), request(healthwatch.RouteTake, sent, nil, nil))
	if a.status != http.StatusServiceUnavailable || a.header["retry-after"] != "5" {
		t.Errorf("the answer is %+v, want 503 and when to come again", a)
	}
	if text := log.String(); !strings.Contains(text, "EventBridge is down") || strings.Contains(text, "+49") || strings.Contains(text, "39.4") {
		t.Errorf("the log is %s", text)
	}
}

func TestIntakeRefuses(t *testing.T) {
	p := &putter{}
	s := &intake.Service{Putter: p, Plan: plan, Source: healthwatch.Source, Now: func() time.Time { return noon }}
	for _, tt := range []struct {
		body   string
		fields string
	}{
		{`{}`, "#/id #/locality #/kind #/takenAt"},
		{strings.Replace(sent, "DE-BE", "US-NY", 1), "#/locality"},
		{strings.Replace(sent, "fever", "joy", 1), "#/kind"},
		{strings.Replace(sent, "r-1", "r 1", 1), "#/id"},
		{strings.Replace(sent, "2026-07-01T12:10", "2026-07-01T12:31", 1), "#/takenAt"},
		{strings.Replace(sent, "2026-07-01", "2026-06-24", 1), "#/takenAt"},
		{strings.Replace(sent, "39.4", "1e7", 1), "#/value"},
		{strings.Replace(sent, "+49 30 1", strings.Repeat("1", 255), 1), "#/contact"},
		{strings.Replace(sent, "bed 7", `a\u0000b`, 1), "#/person"},
	} {
		a := ask(t, s.Mux(), request(healthwatch.RouteTake, tt.body, nil, nil))
		var fields []string
		list, _ := a.body["errors"].([]any)
		for _, e := range list {
			fields = append(fields, e.(map[string]any)["pointer"].(string))
		}
		if a.status != http.StatusUnprocessableEntity || strings.Join(fields, " ") != tt.fields {
			t.Errorf("%s: status %d, fields %v; want 422 and %s", tt.body, a.status, fields, tt.fields)
		}
	}
	if p.got != nil {
		t.Errorf("it put %v", p.got)
	}
	if a := ask(t, s.Mux(), request(healthwatch.RouteTake, `{"temperature": 39}`, nil, nil)); a.status != http.StatusBadRequest {
		t.Errorf("an unknown field has status %d", a.status)
	}
	_, one, _ := reading.Take(reading.Sent{ID: "r", Locality: "DE-BE", Kind: "fever", TakenAt: noon}, ann, "", plan, noon)
	id, _, _ := reading.Take(reading.Sent{ID: "r", Locality: "DE-BE", Kind: "fever", TakenAt: noon}, ann, "", plan, noon)
	other, _, _ := reading.Take(reading.Sent{ID: "r", Locality: "DE-BE", Kind: "fever", TakenAt: noon}, "customer-b", "", plan, noon)
	if one.Person != ann || id == other {
		t.Errorf("the person is %s; the ids of two callers are %s and %s", one.Person, id, other)
	}
}

// acknowledger is the function of the local alerts.
type acknowledger struct{ out lambda.InvokeOutput }

func (a *acknowledger) Invoke(_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	if a.out.Payload != nil {
		return &a.out, nil
	}
	var got schema.Acknowledgement
	if err := json.Unmarshal(in.Payload, &got); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(schema.Acknowledged{Alert: got.Alert, By: got.By, At: *in.FunctionName})
	return &lambda.InvokeOutput{Payload: payload}, err
}

func TestDesk(t *testing.T) {
	s := newSite(t, "eu-central-1")
	l := &acknowledger{}
	d := &desk.Service{Counts: s.Counts, World: s.world, Plan: plan, Lambda: l, Acknowledge: "ack", Now: func() time.Time { return noon }}
	berlin, earlier, cough := fever, fever, fever
	earlier.Window, cough.Kind = fever.Window.Add(-23*time.Hour), "cough"
	s.count(berlin, 12, true)
	s.count(cough, 3, false)
	s.count(earlier, 1, true)
	if err := s.world.Report(t.Context(), "jp", counts.KeyOf("JP-13", "fever", noon), 25); err != nil {
		t.Fatal(err)
	}
	get := func(route string, query, path map[string]string) answer {
		return ask(t, d.Mux(), request(route, "", query, path))
	}
	at := func(code string) map[string]string { return map[string]string{healthwatch.LocalityParameter: code} }
	window := func(k counts.Key, n float64) map[string]any {
		return map[string]any{"window": k.Window.Format(time.RFC3339), "kind": k.Kind, "total": n}
	}
	a := get(healthwatch.RouteLocality, nil, at("DE-BE"))
	want := map[string]any{"jurisdiction": "eu", "locality": "DE-BE", "counts": []any{window(earlier, 1), window(cough, 3), window(berlin, 12)}}
	if diff := cmp.Diff(want, a.body); a.status != 200 || diff != "" {
		t.Errorf("status %d (-want +got):\n%s", a.status, diff)
	}
	a = get(healthwatch.RouteLocality, map[string]string{"from": "2026-07-01T12:59:59Z", "to": "2026-07-01T12:00:00Z"}, at("DE-BE"))
	if list, _ := a.body["counts"].([]any); a.status != 200 || len(list) != 2 {
		t.Errorf("one window is %+v", a)
	}
	a = get(healthwatch.RouteCounts, nil, nil)
	want = map[string]any{"window": "2026-07-01T12:00:00Z", "counts": []any{
		map[string]any{"jurisdiction": "jp", "locality": "JP-13", "kind": "fever", "atLeast": 25.0}}}
	if diff := cmp.Diff(want, a.body); a.status != 200 || diff != "" {
		t.Errorf("status %d (-want +got):\n%s", a.status, diff)
	}
	for name, tt := range map[string]struct {
		got  answer
		want int
	}{
		"other jurisdiction's": {get(healthwatch.RouteLocality, nil, at("US-NY")), 404},
		"no time":              {get(healthwatch.RouteLocality, map[string]string{"from": "noon"}, at("DE-BE")), 400},
		"backwards":            {get(healthwatch.RouteLocality, map[string]string{"from": "2026-07-02T12:00:00Z"}, at("DE-BE")), 400},
		"too long":             {get(healthwatch.RouteLocality, map[string]string{"from": "2026-06-01T12:00:00Z"}, at("DE-BE")), 400},
		"no window":            {get(healthwatch.RouteCounts, map[string]string{"window": "x"}, nil), 400},
		"no alert":             {ask(t, d.Mux(), request(healthwatch.RouteAcknowledge, `{}`, nil, nil)), 422},
	} {
		if tt.got.status != tt.want {
			t.Errorf("%s: %+v, want status %d", name, tt.got, tt.want)
		}
	}
	s.faults.Refuse("Query", "ThrottlingException", 2)
	for _, a := range []answer{get(healthwatch.RouteLocality, nil, at("DE-BE")), get(healthwatch.RouteCounts, nil, nil)} {
		if a.status != 503 || a.header["retry-after"] == "" {
			t.Errorf("throttled: %+v, want 503", a)
		}
	}
	a = ask(t, d.Mux(), request(healthwatch.RouteAcknowledge, `{"alert": "DE-BE/fever/x"}`, nil, nil))
	if a.status != 200 || a.body["by"] != ann || a.body["alert"] != "DE-BE/fever/x" || a.body["at"] != "ack" {
		t.Errorf("acknowledged: %+v", a)
	}
	l.out = lambda.InvokeOutput{FunctionError: aws.String("Unhandled"), Payload: fmt.Appendf(nil, `{"errorMessage": %q}`, schema.NoSuchAlert)}
	if a := ask(t, d.Mux(), request(healthwatch.RouteAcknowledge, `{"alert": "x"}`, nil, nil)); a.status != 404 {
		t.Errorf("an alert that is not there: %+v", a)
	}
	l.out.Payload = []byte(`{"errorMessage": "throttled"}`)
	if a := ask(t, d.Mux(), request(healthwatch.RouteAcknowledge, `{"alert": "x"}`, nil, nil)); a.status != 500 {
		t.Errorf("a function that fails: %+v", a)
	}
}

func TestRoutes(t *testing.T) {
	got := slices.Sorted(maps.Keys((&desk.Service{}).Mux()))
	if want := slices.Sorted(slices.Values(healthwatch.DeskRoutes())); !slices.Equal(got, want) {
		t.Errorf("the desk answers %v, want %v", got, want)
	}
}

// Each function starts with the variables that the stack sets, and names every
// one that it misses.
func TestFromEnv(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fromEnv   func() error
		variables []string
	}{
		{"readings", func() error { _, err := intake.FromEnv(aws.Config{}); return err },
			[]string{healthwatch.EnvPlan, healthwatch.EnvBus, healthwatch.EnvSource}},
		{"applyreadings", func() error { _, err := apply.FromEnv(aws.Config{}); return err },
			[]string{healthwatch.EnvPlan, healthwatch.EnvCounts, events.EnvStoreTable, schema.EnvClaimsTable, schema.EnvClaimsArchive}},
		{"watchcounts", func() error { _, err := watch.FromEnv(aws.Config{}); return err },
			[]string{healthwatch.EnvPlan, healthwatch.EnvCounts, healthwatch.EnvBus}},
		{"reportcounts", func() error { _, err := report.FromEnv(aws.Config{}); return err },
			[]string{healthwatch.EnvPlan, healthwatch.EnvCounts, healthwatch.EnvWorld}},
		{"healthdesk", func() error { _, err := desk.FromEnv(aws.Config{}); return err },
			[]string{healthwatch.EnvPlan, healthwatch.EnvCounts, healthwatch.EnvWorld, healthwatch.EnvAcknowledge}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values := map[string]string{healthwatch.EnvPlan: plan.String(), schema.EnvClaimsArchive: "14"}
			for _, name := range tt.variables {
				if values[name] == "" {
					values[name] = "a-name"
				}
				t.Setenv(name, values[name])
			}
			if err := tt.fromEnv(); err != nil {
				t.Errorf("with %v: %v", tt.variables, err)
			}
			for _, name := range tt.variables {
				t.Setenv(name, "")
				if err := tt.fromEnv(); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("without %s: error %v, want one that names it", name, err)
				}
				t.Setenv(name, values[name])
			}
		})
	}
	for _, wrong := range []string{"{", "{}", `{"jurisdiction": "eu"}`} {
		if _, err := healthwatch.ParsePlan(wrong); err == nil {
			t.Errorf("the plan %s is taken", wrong)
		}
	}
}
