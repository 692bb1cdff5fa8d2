package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

func TestModelGet(t *testing.T) {
	f := newFixture(t, true)
	model := &projection.Model{DynamoDB: f.reader, Table: f.Table}
	var item struct {
		PK    string `dynamodbav:"pk"`
		SK    string `dynamodbav:"sk"`
		Owner string `dynamodbav:"owner"`
	}
	if err := model.Get(t.Context(), "cart#a", "open", &item); !errors.Is(err, projection.ErrNotFound) {
		t.Errorf("error %v before there is anything, want ErrNotFound", err)
	}
	f.mustDeliver(f.append("a", Opened{"Ann"})...)
	if err := model.Get(t.Context(), "cart#a", "open", &item); err != nil || item.PK != "cart#a" || item.SK != "open" || item.Owner != "Ann" {
		t.Errorf("item %+v, error %v", item, err)
	}
	var wrong struct {
		Owner int `dynamodbav:"owner"`
	}
	if err := model.Get(t.Context(), "cart#a", "open", &wrong); err == nil || !strings.Contains(err.Error(), `decode pk "cart#a", sk "open"`) {
		t.Errorf("error %v, want one that names the item", err)
	}
	if err := model.Get(t.Context(), "", "open", &item); !errors.Is(err, projection.ErrNotFound) {
		t.Errorf("error %v for an empty key", err)
	}
	view, err := model.View(t.Context())
	if err != nil || view.Key("cart#a") != "v1#cart#a" {
		t.Errorf("view %+v, error %v", view, err)
	}
}

func TestModelQuery(t *testing.T) {
	f := newFixture(t, true)
	f.Apply = func(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
		var writes []projection.Write
		for _, sk := range []string{"a1", "a2", "a3", "b1", "b2"} {
			writes = append(writes, projection.Put("list", sk, map[string]string{"name": sk}))
		}
		return append(writes, projection.Put("list2", "a1", nil)), nil
	}
	f.mustDeliver(f.append("a", Opened{})...)
	model := &projection.Model{DynamoDB: f.reader, Table: f.Table}
	tests := []struct {
		pk   string
		r    projection.Range
		want []string
	}{
		{"list", projection.Range{}, []string{"a1", "a2", "a3", "b1", "b2"}},
		{"list", projection.Range{PageSize: 2}, []string{"a1", "a2", "a3", "b1", "b2"}},
		{"list", projection.Range{Reverse: true, PageSize: 2}, []string{"b2", "b1", "a3", "a2", "a1"}},
		{"list", projection.Range{Prefix: "a"}, []string{"a1", "a2", "a3"}},
		{"list", projection.Range{From: "a2", To: "b1"}, []string{"a2", "a3", "b1"}},
		{"list", projection.Range{From: "a3"}, []string{"a3", "b1", "b2"}},
		{"list", projection.Range{To: "a2", Reverse: true}, []string{"a2", "a1"}},
		{"nothing", projection.Range{}, nil},
	}
	for _, test := range tests {
		var got []string
		for item, err := range model.Query(t.Context(), test.pk, test.r) {
			if err != nil {
				t.Fatal(err)
			}
			var into struct {
				Name string `dynamodbav:"name"`
			}
			if err := item.Decode(&into); err != nil || into.Name != item.SK || item.PK != test.pk {
				t.Errorf("item %+v decodes to %+v, error %v", item, into, err)
			}
			got = append(got, item.SK)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %+v (-want +got):\n%s", test.pk, test.r, diff)
		}
	}
	for item, err := range model.Query(t.Context(), "list", projection.Range{PageSize: 1}) {
		if err != nil || item.SK != "a1" {
			t.Errorf("first item %+v, error %v", item, err)
		}
		break
	}
	for _, err := range model.Query(t.Context(), "list", projection.Range{Prefix: "a", To: "b"}) {
		if err == nil || !strings.Contains(err.Error(), "not both") {
			t.Errorf("error %v, want the range refused", err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range model.Query(ended, "list", projection.Range{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
	}
}

func TestModelMaxAge(t *testing.T) {
	f := newFixture(t, true)
	now := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	model := &projection.Model{DynamoDB: f.reader, Table: f.Table, Now: func() time.Time { return now }}
	key := func() string {
		view, err := model.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return view.Key("")
	}
	old := key()
	f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: "x"})
	f.replayAll(2)
	f.mustRequest(schema.Rebuild{Op: schema.OpSwitch, Model: 2})
	now = now.Add(5*time.Second - 1)
	if got := key(); got != old {
		t.Errorf("version %s within MaxAge, want %s remembered", got, old)
	}
	now = now.Add(1)
	if got := key(); got != "v2#" {
		t.Errorf("version %s after MaxAge, want v2#", got)
	}
}

// While rebuilds go on and switch, a view reads one version only and never an
// unfinished one. The code of each version writes its own label.
func TestSwitchIsAtomic(t *testing.T) {
	f := newFixture(t, true)
	label := "v1"
	f.Apply = func(_ context.Context, event eventlog.Event) ([]projection.Write, error) {
		return []projection.Write{
			projection.Put("item", event.Stream+"/1", map[string]string{"label": label}),
			projection.Put("item", event.Stream+"/2", map[string]string{"label": label}),
		}, nil
	}
	const streams = 5
	for i := range streams {
		f.mustDeliver(f.append(fmt.Sprint("s", i), Opened{})...)
	}
	model := &projection.Model{DynamoDB: f.reader, Table: f.Table, MaxAge: time.Nanosecond}
	switched := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for done := false; !done; {
				select {
				case <-switched:
					done = true
				default:
				}
				labels := map[string]int{}
				for item, err := range model.Query(t.Context(), "item", projection.Range{PageSize: 1}) {
					var into struct {
						Label string `dynamodbav:"label"`
					}
					if err := errors.Join(err, item.Decode(&into)); err != nil {
						t.Error(err)
						return
					}
					labels[into.Label]++
				}
				for label, n := range labels {
					if n != 2*streams || len(labels) != 1 {
						t.Errorf("one query saw %v, want %d of one label, like %s", labels, 2*streams, label)
						return
					}
				}
			}
		})
	}
	for i, run := range []string{"x", "y"} {
		label = fmt.Sprint("v", i+2)
		begun := f.mustRequest(schema.Rebuild{Op: schema.OpBegin, Run: run})
		f.replayAll(begun.Model)
		f.mustRequest(schema.Rebuild{Op: schema.OpSwitch, Model: begun.Model})
	}
	close(switched)
	wg.Wait()
	var last struct {
		Label string `dynamodbav:"label"`
	}
	if err := model.Get(t.Context(), "item", "s0/1", &last); err != nil || last.Label != "v3" {
		t.Errorf("label %q, error %v; want the last rebuild's", last.Label, err)
	}
}

func TestModelFromEnv(t *testing.T) {
	t.Setenv(schema.EnvReadModel, "")
	if _, err := projection.ModelFromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), schema.EnvReadModel) {
		t.Errorf("error %v, want one that names the variable", err)
	}
	t.Setenv(schema.EnvReadModel, "carts")
	if model, err := projection.ModelFromEnv(aws.Config{}); err != nil || model.Table != "carts" {
		t.Errorf("model %+v, error %v", model, err)
	}
}
