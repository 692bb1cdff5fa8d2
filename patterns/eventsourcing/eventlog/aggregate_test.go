package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
)

// ledger is a state that shows how it came about.
type ledger struct {
	Sum     int
	Emails  []string
	Applied int
}

func (l ledger) apply(e eventlog.Event) ledger {
	l.Applied++
	switch p := e.Payload.(type) {
	case CartOpened:
		l.Emails = append(l.Emails, p.Email)
	case ItemAdded:
		l.Sum += p.Cents
	}
	return l
}

func aggregate(log *eventlog.Log) *eventlog.Aggregate[ledger] {
	return &eventlog.Aggregate[ledger]{Log: log, Apply: ledger.apply, Every: 5, Name: "ledger"}
}

// add appends one event through the aggregate.
func add(t *testing.T, a *eventlog.Aggregate[ledger], stream string, payload any) {
	t.Helper()
	_, err := a.Update(t.Context(), stream, func(ledger) ([]eventlog.Event, error) {
		return []eventlog.Event{eventlog.Of(payload)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// object returns the content of the snapshot, and replaces it if it is given
// something else.
func object(t *testing.T, store *eventlogtest.Store, key, replace string) string {
	t.Helper()
	out, err := store.Options.S3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &store.Options.Payloads, Key: &key})
	if err != nil {
		return ""
	}
	data, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	if replace != "" {
		_, err := store.Options.S3.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &store.Options.Payloads, Key: &key, Body: strings.NewReader(replace),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return string(data)
}

func TestSnapshot(t *testing.T) {
	const key = "snapshots/ledger/0/s"
	store := eventlogtest.New(t, carts)
	a := aggregate(store.Log)
	want := ledger{}
	for i := range 23 {
		add(t, a, "s", ItemAdded{Cents: i})
		want.Sum, want.Applied = want.Sum+i, want.Applied+1

		whole, _, err := eventlog.Fold(store.Log.Load(t.Context(), "s", 0), ledger{}, ledger.apply)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, fmt.Sprint("fold of ", i+1), whole, want)
		state, version, err := a.Load(t.Context(), "s")
		if err != nil || version != int64(i+1) {
			t.Fatalf("Load: version %d, %v; want %d", version, err, i+1)
		}
		diff(t, fmt.Sprint("state after ", i+1), state, want)
		if exists := object(t, store, key, "") != ""; exists != (i+1 >= 5) {
			t.Errorf("snapshot after %d events: %v", i+1, exists)
		}
	}

	// The state really begins at the snapshot of version 20.
	object(t, store, key, `{"version":20,"state":{"Sum":1000}}`)
	state, version, err := a.Load(t.Context(), "s")
	if err != nil || version != 23 || state.Sum != 1000+20+21+22 || state.Applied != 3 {
		t.Errorf("state behind a snapshot: %+v at %d, %v", state, version, err)
	}

	for name, content := range map[string]string{
		"garbage":     "garbage",
		"other state": `{"version":20,"state":{"Sum":"many"}}`,
		"no state":    `{"version":20}`,
		"unknown key": `{"version":20,"subjects":["c-9"],"sealed":"AAAA"}`,
	} {
		object(t, store, key, content)
		state, version, err := a.Load(t.Context(), "s")
		if err != nil || version != 23 {
			t.Errorf("Load beside a snapshot that is %s: version %d, %v", name, version, err)
		}
		diff(t, "state beside a snapshot that is "+name, state, want)
	}

	object(t, store, key, `{"version":20,"state":{"Sum":1000}}`)
	changed := *a
	changed.Schema = 1
	state, _, err = changed.Load(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "state of another schema", state, want)
}

// A snapshot must not keep what Forget takes away.
func TestSnapshotOfForgottenSubject(t *testing.T) {
	const key = "snapshots/ledger/0/s"
	store := eventlogtest.New(t, carts)
	a := aggregate(store.Log)
	for _, customer := range []string{"c-1", "c-2"} {
		add(t, a, "s", CartOpened{Customer: customer, Email: customer + "@example.com"})
	}
	for i := range 5 {
		add(t, a, "s", ItemAdded{Cents: i})
	}
	old := object(t, store, key, "")
	if old == "" || strings.Contains(old, "example.com") {
		t.Errorf("snapshot %q, want one that is sealed", old)
	}
	want := ledger{Sum: 10, Emails: []string{"c-1@example.com", "c-2@example.com"}, Applied: 7}
	state, _, err := a.Load(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "state", state, want)

	// The snapshot was used: it cannot be opened as one of another version.
	object(t, store, key, strings.Replace(old, `"version":5`, `"version":6`, 1))
	queries := store.Faults.Calls("Query")
	if state, _, err = a.Load(t.Context(), "s"); err != nil || store.Faults.Calls("Query") != queries+1 {
		t.Fatal(err)
	}
	diff(t, "state beside an altered snapshot", state, want)
	object(t, store, key, old)

	if err := store.Log.Forget(t.Context(), "c-2"); err != nil {
		t.Fatal(err)
	}
	want.Emails = []string{"c-1@example.com", ""}
	state, _, err = a.Load(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "state after Forget", state, want)

	// The next snapshot is one of who is left.
	for i := range 5 {
		add(t, a, "s", ItemAdded{Cents: i})
	}
	if next := object(t, store, key, ""); next == old || !strings.Contains(next, `"subjects":["c-1"]`) {
		t.Errorf("snapshot after Forget: %s", next)
	}
	want.Sum, want.Applied = 20, 12
	state, _, err = a.Load(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "state behind the next snapshot", state, want)
}

// Who may not read personal data keeps no snapshot that others would trust,
// and cannot open theirs.
func TestSnapshotWithoutKeys(t *testing.T) {
	const key = "snapshots/ledger/0/s"
	store := eventlogtest.New(t, carts)
	full := aggregate(store.Log)
	add(t, full, "s", CartOpened{Customer: "c-1", Email: "ada@example.com"})
	options := store.Options
	options.Subjects = ""
	blind := aggregate(eventlogtest.Open(t, options))
	for range 5 {
		add(t, blind, "s", ItemAdded{})
	}
	if s := object(t, store, key, ""); s != "" {
		t.Errorf("snapshot without personal data: %s", s)
	}
	for range 5 {
		add(t, full, "s", ItemAdded{})
	}
	if s := object(t, store, key, ""); s == "" {
		t.Error("no snapshot with personal data")
	}
	state, version, err := blind.Load(t.Context(), "s")
	if err != nil || version != 11 {
		t.Fatalf("version %d, %v", version, err)
	}
	diff(t, "state without personal data", state, ledger{Emails: []string{""}, Applied: 11})
}

func TestSnapshotFails(t *testing.T) {
	store := eventlogtest.New(t, carts)
	a := aggregate(store.Log)
	var failed []string
	a.SnapshotFailed = func(stream string, err error) { failed = append(failed, fmt.Sprint(stream, ": ", err)) }
	store.Faults.Answer("PUT", `<Error><Code>AccessDenied</Code></Error>`, 1)
	for range 6 {
		add(t, a, "s", ItemAdded{Cents: 1}) // it is recorded all the same
	}
	if len(failed) != 1 || !strings.Contains(failed[0], "AccessDenied") {
		t.Errorf("SnapshotFailed was told %q, want one AccessDenied", failed)
	}
	if state, _, err := a.Load(t.Context(), "s"); err != nil || state.Sum != 6 {
		t.Errorf("state %+v, %v", state, err)
	}

	noBucket := store.Options
	noBucket.Payloads = ""
	for want, wrong := range map[string]*eventlog.Aggregate[ledger]{
		"Options.Payloads names no bucket": aggregate(eventlogtest.Open(t, noBucket)),
		`Name is ""`:                       {Log: store.Log, Apply: ledger.apply, Every: 5},
	} {
		if _, _, err := wrong.Load(t.Context(), "s"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load: %v, want %q in it", err, want)
		}
	}
}

func TestUpdate(t *testing.T) {
	store := eventlogtest.New(t, carts)
	a := aggregate(store.Log)

	refusal := errors.New("no")
	_, err := a.Update(t.Context(), "s", func(ledger) ([]eventlog.Event, error) { return nil, refusal })
	if err != refusal {
		t.Errorf("Update: %v, want the error of decide as it is", err)
	}
	recorded, err := a.Update(t.Context(), "s", func(ledger) ([]eventlog.Event, error) { return nil, nil })
	if recorded != nil || err != nil {
		t.Errorf("Update without events: %v, %v", recorded, err)
	}

	// Somebody else is faster: decide is asked again with the new state.
	var asked []int
	_, err = a.Update(t.Context(), "s", func(l ledger) ([]eventlog.Event, error) {
		if asked = append(asked, l.Sum); len(asked) < 3 {
			mustAppend(t, store.Log, "s", eventlog.Any, ItemAdded{Cents: 1})
		}
		return []eventlog.Event{eventlog.Of(ItemAdded{Cents: 10})}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "states decide was asked with", asked, []int{0, 1, 2})
	if state, version, err := a.Load(t.Context(), "s"); err != nil || version != 3 || state.Sum != 12 {
		t.Errorf("state %+v at %d, %v", state, version, err)
	}

	// Always somebody else is faster: the context ends it.
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	_, err = a.Update(ctx, "s", func(ledger) ([]eventlog.Event, error) {
		mustAppend(t, store.Log, "s", eventlog.Any, ItemAdded{})
		if tries++; tries == 3 {
			defer cancel()
		}
		return []eventlog.Event{eventlog.Of(ItemAdded{})}, nil
	})
	if err == nil || tries != 3 {
		t.Errorf("Update after %d tries: %v", tries, err)
	}
}
