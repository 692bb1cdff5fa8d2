package healthwatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/serverless-go/cdk/functions/healthwatch/counts"
	"github.com/serverless-go/cdk/functions/healthwatch/report"
	"github.com/serverless-go/cdk/functions/healthwatch/watch"
)

// bus keeps what is put on it.
type bus struct {
	fail error
	deny bool
	got  []string
}

func (b *bus) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	if b.fail != nil {
		return nil, b.fail
	}
	if b.deny {
		return &eventbridge.PutEventsOutput{Entries: []types.PutEventsResultEntry{{ErrorCode: aws.String("ThrottlingException")}}, FailedEntryCount: 1}, nil
	}
	e := in.Entries[0]
	b.got = append(b.got, *e.EventBusName+" "+*e.DetailType+" "+*e.Detail)
	return &eventbridge.PutEventsOutput{Entries: []types.PutEventsResultEntry{{EventId: aws.String("x")}}}, nil
}

// count writes a count as if n readings had come.
func (s *site) count(k counts.Key, n int, here bool) {
	s.t.Helper()
	for i := range n {
		if _, err := s.db.TransactWriteItems(s.t.Context(), &dynamodb.TransactWriteItemsInput{
			TransactItems: []dbtypes.TransactWriteItem{s.Counts.Add(k, fmt.Sprint(i), here)}}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestWatch(t *testing.T) {
	s := newSite(t, "eu-central-1")
	b := &bus{}
	h := &watch.Handler{Counts: s.Counts, Plan: plan, Bus: b, BusName: "local", Now: func() time.Time { return noon }}
	look := func(keys ...counts.Key) error {
		_, err := h.Invoke(t.Context(), stream(keys...))
		return err
	}
	paris := counts.KeyOf("FR-IDF", "fever", noon)
	s.count(paris, 5, true)
	if err := look(paris, paris); err != nil || b.got != nil {
		t.Errorf("at the threshold it told %v, error %v", b.got, err)
	}
	s.count(paris, 1, true)
	b.deny = true
	if err := look(paris); err == nil {
		t.Error("an event that the bus did not take is no error")
	}
	b.deny, b.fail = false, errors.New("down")
	if err := look(paris); err == nil {
		t.Error("a bus that is down is no error")
	}
	b.fail = nil
	s.faults.Refuse("Query", "ThrottlingException", 1)
	if err := look(paris); err == nil || b.got != nil {
		t.Errorf("with a throttled table it told %v, error %v", b.got, err)
	}
	s.faults.Refuse("BatchGetItem", "ThrottlingException", 1)
	if err := look(paris); err == nil || b.got != nil {
		t.Errorf("with a throttled table it told %v, error %v", b.got, err)
	}
	if err := look(paris); err != nil || len(b.got) != 1 {
		t.Fatalf("above the threshold it told %v, error %v", b.got, err)
	}
	const want = `local LocalitySpike {"id":"FR-IDF/fever/2026-07-01T12:00:00Z","locality":"FR-IDF","kind":"fever","urgent":false,` +
		`"window":"2026-07-01T12:00:00Z","count":6,"limit":5}`
	if b.got[0] != want {
		t.Errorf("it told\n%s, want\n%s", b.got[0], want)
	}
	s.count(paris, 10, true)
	if err := look(paris); err != nil || len(b.got) != 2 || !strings.Contains(b.got[1], `"id":"FR-IDF/fever/2026-07-01T12:00:00Z/urgent"`) {
		t.Errorf("at three times the limit it told %v, error %v", b.got, err)
	}
}

// Where many readings are usual, more are needed.
func TestWatchKnowsTheUsual(t *testing.T) {
	s := newSite(t, "eu-central-1")
	b := &bus{}
	h := &watch.Handler{Counts: s.Counts, Plan: plan, Bus: b, BusName: "local", Now: func() time.Time { return noon }}
	paris := counts.KeyOf("FR-IDF", "fever", noon)
	for day := range 9 { // the last one is beyond the seven
		before := paris
		before.Window = paris.Window.AddDate(0, 0, -day-1)
		s.count(before, 9, true)
	}
	s.count(paris, 18, true) // 9 + 3·√9
	if _, err := h.Invoke(t.Context(), stream(paris)); err != nil || b.got != nil {
		t.Errorf("at the limit it told %v, error %v", b.got, err)
	}
	s.count(paris, 1, true)
	if _, err := h.Invoke(t.Context(), stream(paris)); err != nil || len(b.got) != 1 || !strings.Contains(b.got[0], `"count":19,"limit":18}`) {
		t.Errorf("above the limit it told %v, error %v", b.got, err)
	}
}

// The standby has all readings and is silent, until it takes one in.
func TestWatchLeavesItToTheRegionThatTook(t *testing.T) {
	s := newSite(t, "eu-west-1")
	b := &bus{}
	h := &watch.Handler{Counts: s.Counts, Plan: plan, Bus: b, BusName: "local", Now: func() time.Time { return noon }}
	paris := counts.KeyOf("FR-IDF", "fever", noon)
	s.count(paris, 10, false)
	if _, err := h.Invoke(t.Context(), stream(paris)); err != nil || b.got != nil {
		t.Errorf("the standby told %v, error %v", b.got, err)
	}
	s.count(paris, 1, true)
	if _, err := h.Invoke(t.Context(), stream(paris)); err != nil || len(b.got) != 1 {
		t.Errorf("when it had taken one in, the standby told %v, error %v", b.got, err)
	}
	h.Now = func() time.Time { return noon.Add(25 * time.Hour) }
	if _, err := h.Invoke(t.Context(), stream(paris)); err != nil || len(b.got) != 1 {
		t.Errorf("a day later it told %v, error %v", b.got, err)
	}
	if _, err := h.Invoke(t.Context(), []byte(`{"Records": [{"dynamodb": {"Keys": {"pk": {"S": "FR-IDF"}, "sk": {"S": "nothing"}}}}]}`)); err != nil {
		t.Errorf("an item that is no count stops the shard: %v", err)
	}
}

func TestReport(t *testing.T) {
	s := newSite(t, "eu-central-1")
	berlin, paris := counts.KeyOf("DE-BE", "fever", noon), counts.KeyOf("FR-IDF", "cough", noon)
	here := &report.Handler{Counts: s.Counts, World: s.world, Plan: plan}
	there := &report.Handler{Counts: s.Counts, World: s.world, Plan: plan}
	there.World.Region = "eu-west-1"
	check := func(when string, want ...counts.WorldCount) {
		t.Helper()
		got, err := s.world.Window(t.Context(), noon.Truncate(time.Hour))
		if want == nil {
			want = []counts.WorldCount{}
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the world knows %+v, error %v; want %+v", when, got, err, want)
		}
	}
	tell := func(h *report.Handler) error {
		_, err := h.Invoke(t.Context(), stream(berlin, berlin, paris))
		return err
	}
	s.count(berlin, 4, true)
	if err := tell(here); err != nil {
		t.Fatal(err)
	}
	check("below five")
	s.count(berlin, 9, true)
	s.count(paris, 5, true)
	s.faults.Refuse("ExecuteStatement", "ThrottlingException", 1)
	if err := tell(here); err == nil {
		t.Error("a throttled table is no error")
	}
	for _, h := range []*report.Handler{here, here, there} { // again, and by the other region
		if err := tell(h); err != nil {
			t.Fatal(err)
		}
	}
	check("13 and 5", counts.WorldCount{Jurisdiction: "eu", Locality: "DE-BE", Kind: "fever", AtLeast: 10},
		counts.WorldCount{Jurisdiction: "eu", Locality: "FR-IDF", Kind: "cough", AtLeast: 5})
	s.count(berlin, 2, true)
	if err := tell(there); err != nil {
		t.Fatal(err)
	}
	// A report that was late changes nothing.
	if err := s.world.Report(t.Context(), "eu", berlin, 7); err != nil {
		t.Fatal(err)
	}
	check("15 and 5", counts.WorldCount{Jurisdiction: "eu", Locality: "DE-BE", Kind: "fever", AtLeast: 15},
		counts.WorldCount{Jurisdiction: "eu", Locality: "FR-IDF", Kind: "cough", AtLeast: 5})
	b, err := json.Marshal(counts.WorldCount{})
	if err != nil || string(b) != `{"jurisdiction":"","locality":"","kind":"","atLeast":0}` {
		t.Errorf("what leaves is %s", b)
	}
	s.faults.Lose("ExecuteStatement", 1)
	s.count(paris, 5, true)
	_ = tell(here)
	if err := tell(here); err != nil {
		t.Errorf("after a lost answer: %v", err)
	}
}
