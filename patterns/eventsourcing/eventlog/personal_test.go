package eventlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

type (
	address struct {
		Street  string `json:"street" eventlog:"personal"`
		Country string `json:"country"`
	}
	contact struct {
		Phone string `json:"phone" eventlog:"personal"`
	}
	person struct {
		Name     string   `json:"name" eventlog:"personal"`
		Children []person `json:"children,omitempty"`
	}
	// booking has personal fields in every place that a type can have them.
	booking struct {
		contact
		ID       string             `json:"id" eventlog:"subject"`
		Name     string             `eventlog:"personal"`
		Age      json.Number        `json:"age" eventlog:"personal"`
		Home     address            `json:"home"`
		Work     *address           `json:"work,omitempty"`
		Others   []address          `json:"others"`
		ByName   map[string]address `json:"byName"`
		Party    person             `json:"party"`
		Whole    address            `json:"whole" eventlog:"personal"`
		Nothing  *string            `json:"nothing,omitempty" eventlog:"personal"`
		Declared string             `json:"a/b~c"`
		Seats    int64              `json:"seats"`
	}
)

var bookings = eventlog.NewRegistry(
	eventlog.Type[booking]("Booked", 1, eventlog.Personal("Declared")),
	eventlog.Type[CartOpened]("CartOpened", 1),
)

// secret returns a booking whose personal values all contain the word.
func secret(word string) booking {
	home := address{Street: word + " street", Country: "FR"}
	return booking{
		contact: contact{Phone: word + " phone"},
		ID:      "c-1", Name: word + " name", Age: "42.0", Home: home, Work: &home,
		Others: []address{home, home}, ByName: map[string]address{"x/y~z": home},
		Party: person{Name: word, Children: []person{{Name: word, Children: []person{{Name: word}}}}},
		Whole: address{Country: word}, Declared: word, Seats: 1<<62 + 1,
	}
}

func TestPersonalFields(t *testing.T) {
	store := eventlogtest.New(t, bookings)
	want := secret("secret")
	recorded := mustAppend(t, store.Log, "s", eventlog.NoStream, want, want)
	for _, e := range recorded {
		if data := string(e.Data); strings.Contains(data, "secret") || strings.Contains(data, "42.0") {
			t.Errorf("personal data in the clear: %s", data)
		}
		for _, clear := range []string{`"country":"FR"`, `"seats":4611686018427387905`, `"id":"c-1"`} {
			if !strings.Contains(string(e.Data), clear) {
				t.Errorf("%s is not in the clear: %s", clear, e.Data)
			}
		}
	}
	// Another process: nothing is cached.
	events := load(t, eventlogtest.Open(t, store.Options), "s")
	diff(t, "events", events, recorded)
	diff(t, "payload", events[0].Payload, any(want))

	if err := store.Log.Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	home := address{Country: "FR"}
	for _, e := range load(t, store.Log, "s") {
		if !e.Forgotten {
			t.Error("event of a forgotten subject is not marked")
		}
		diff(t, "forgotten payload", e.Payload, any(booking{
			ID: "c-1", Home: home, Work: &home, Others: []address{home, home}, ByName: map[string]address{"x/y~z": home},
			Party: person{Children: []person{{Children: []person{{}}}}}, Seats: want.Seats,
		}))
	}
}

// A sealed field belongs to its event and its place.
func TestSealedFieldCannotBeMoved(t *testing.T) {
	store := eventlogtest.New(t, bookings)
	events := mustAppend(t, store.Log, "s", eventlog.NoStream, secret("one"), secret("two"))
	plant := func(stream string, id string, data []byte) {
		t.Helper()
		_, err := store.Options.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: &store.Options.Table,
			Item: map[string]types.AttributeValue{
				schema.Stream: &types.AttributeValueMemberS{Value: stream}, schema.Version: &types.AttributeValueMemberN{Value: "1"},
				schema.ID: &types.AttributeValueMemberS{Value: id}, schema.Type: &types.AttributeValueMemberS{Value: "Booked"},
				schema.TypeVersion: &types.AttributeValueMemberN{Value: "1"}, schema.Time: &types.AttributeValueMemberS{Value: noon.Format(time.RFC3339Nano)},
				schema.Subject: &types.AttributeValueMemberS{Value: "c-1"}, schema.Data: &types.AttributeValueMemberB{Value: data},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	swapped := strings.NewReplacer(`"/Name"`, `"/phone"`, `"/phone"`, `"/Name"`).Replace(string(events[0].Data))

	plant("same", events[0].ID, events[0].Data)
	diff(t, "planted payload", load(t, store.Log, "same")[0].Payload, events[0].Payload)
	plant("event", events[1].ID, events[0].Data)
	expectCodec(t, store.Log, "event", "message authentication failed")
	plant("field", events[0].ID, []byte(swapped))
	expectCodec(t, store.Log, "field", "message authentication failed")
	for i, data := range []string{
		`{"$sealed":{"/Name":7}}`, `{"$sealed":{"/Name":"!"}}`, `{"$sealed":{"/Name":"AAAA"}}`,
	} {
		stream := fmt.Sprint("garbage-", i)
		plant(stream, "x", []byte(data))
		expectCodec(t, store.Log, stream, "personal field /Name: not in sealed form")
	}
}

func TestForget(t *testing.T) {
	store := eventlogtest.New(t, carts)
	log := store.Log
	opened := CartOpened{Customer: "c-1", Email: "ada@example.com"}
	mustAppend(t, log, "cart-1", eventlog.NoStream, opened, ItemAdded{SKU: "tea", Cents: 300})
	mustAppend(t, log, "cart-2", eventlog.NoStream, CartOpened{Customer: "c-2", Email: "bob@example.com"})

	for range 2 { // it can be called again
		if err := log.Forget(t.Context(), "c-1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Forget(t.Context(), "nobody"); err != nil {
		t.Errorf("forgetting who never had a key: %v", err)
	}

	for _, customer := range []string{"c-1", "nobody"} {
		_, err := log.Append(t.Context(), "cart-3", eventlog.NoStream, eventlog.Of(CartOpened{Customer: customer, Email: "x"}))
		var forgotten *eventlog.ForgottenError
		if !errors.Is(err, eventlog.ErrForgotten) || !errors.As(err, &forgotten) || forgotten.Subject != customer {
			t.Errorf("personal data of %s appended after Forget: %v", customer, err)
		}
	}
	mustAppend(t, log, "cart-1", 2, ItemAdded{SKU: "cup", Cents: 100})

	// A rebuild goes over every stream and meets no error.
	var emails, tombstones []string
	total := 0
	for i := range schema.Shards {
		for s, err := range log.Streams(t.Context(), schema.ShardName(i), "") {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(s.Stream, "c-1") {
				t.Errorf("stream %q tells the subject", s.Stream)
			}
			for _, e := range load(t, log, s.Stream) {
				switch p := e.Payload.(type) {
				case CartOpened:
					emails = append(emails, fmt.Sprint(p.Customer, p.Email, e.Forgotten))
				case ItemAdded:
					total += p.Cents
				case eventlog.SubjectForgotten:
					tombstones = append(tombstones, p.Subject+"="+e.Subject)
				}
			}
		}
	}
	if total != 400 || len(tombstones) != 2 || len(emails) != 2 {
		t.Errorf("rebuild: %d cents, tombstones %q, carts %q", total, tombstones, emails)
	}
	for _, want := range []string{"c-1true", "c-2bob@example.comfalse"} {
		if !strings.Contains(strings.Join(emails, " "), want) {
			t.Errorf("rebuild: carts %q, want %s among them", emails, want)
		}
	}
	if !strings.Contains(strings.Join(tombstones, " "), "c-1=c-1") {
		t.Errorf("rebuild: tombstones %q, want one of c-1", tombstones)
	}
}

// The key is destroyed before the tombstone, and a repeated Forget appends it.
func TestForgetAfterCrash(t *testing.T) {
	store := eventlogtest.New(t, carts)
	mustAppend(t, store.Log, "s", eventlog.NoStream, CartOpened{Customer: "c-1", Email: "ada@example.com"})
	store.Faults.Refuse("ExecuteTransaction", "AccessDeniedException", 1)
	if err := store.Log.Forget(t.Context(), "c-1"); err == nil {
		t.Fatal("Forget succeeded without its tombstone")
	}
	if e := load(t, store.Log, "s")[0]; !e.Forgotten {
		t.Error("the key outlived a Forget that failed halfway")
	}
	before := store.Faults.Calls("ExecuteTransaction")
	if err := store.Log.Forget(t.Context(), "c-1"); err != nil || store.Faults.Calls("ExecuteTransaction") != before+1 {
		t.Errorf("repeated Forget: %v", err)
	}
}

func TestForgetReachesOtherProcesses(t *testing.T) {
	store := eventlogtest.New(t, carts)
	options := store.Options
	options.KeyTTL = 50 * time.Millisecond
	reader := eventlogtest.Open(t, options)
	mustAppend(t, store.Log, "s", eventlog.NoStream, CartOpened{Customer: "c-1", Email: "ada@example.com"})
	if e := load(t, reader, "s")[0]; e.Forgotten {
		t.Error("forgotten too early")
	}
	if err := store.Log.Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(options.KeyTTL)
	if e := load(t, reader, "s")[0]; !e.Forgotten || e.Payload.(CartOpened).Email != "" {
		t.Errorf("KeyTTL after Forget another process reads %+v", e.Payload)
	}
}

// However many make the first event of a subject at once, it has one key.
func TestConcurrentFirstUse(t *testing.T) {
	store := eventlogtest.New(t, carts)
	var wg sync.WaitGroup
	for i := range 20 {
		log := eventlogtest.Open(t, store.Options) // each a process of its own
		wg.Go(func() {
			email := fmt.Sprintf("%d@example.com", i)
			_, err := log.Append(t.Context(), fmt.Sprint("s-", i), eventlog.NoStream, eventlog.Of(CartOpened{Customer: "c-1", Email: email}))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := store.KMS.Calls("GenerateDataKey"); n < 2 {
		t.Skipf("%d keys were made: the appenders did not meet", n)
	}
	for i := range 20 {
		want := CartOpened{Customer: "c-1", Email: fmt.Sprintf("%d@example.com", i)}
		diff(t, "payload", load(t, store.Log, fmt.Sprint("s-", i))[0].Payload, any(want))
	}
}

func TestKeyIsCached(t *testing.T) {
	store := eventlogtest.New(t, carts)
	for i := range 5 {
		mustAppend(t, store.Log, "s", int64(i), CartOpened{Customer: "c-1", Email: "ada@example.com"})
	}
	load(t, store.Log, "s")
	if n := store.KMS.Calls("GenerateDataKey") + store.KMS.Calls("Decrypt"); n != 1 {
		t.Errorf("%d calls of KMS, want 1", n)
	}
}

func TestKMSFails(t *testing.T) {
	store := eventlogtest.New(t, carts)
	opened := CartOpened{Customer: "c-1", Email: "ada@example.com"}
	store.KMS.Fail("GenerateDataKey", "ThrottlingException", 2)
	mustAppend(t, store.Log, "s", eventlog.NoStream, opened)

	read := func() error {
		for _, err := range eventlogtest.Open(t, store.Options).Load(t.Context(), "s", 0) {
			return err
		}
		return nil
	}
	store.KMS.Fail("Decrypt", "ThrottlingException", 2)
	if err := read(); err != nil {
		t.Errorf("Load after two refusals of KMS: %v", err)
	}
	// Denied is not forgotten: the data must not vanish from read models.
	store.KMS.Fail("Decrypt", "AccessDeniedException", 1)
	if err := read(); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") || errors.Is(err, eventlog.ErrCodec) {
		t.Errorf("Load without permission: %v, want AccessDeniedException", err)
	}
	// Nor is a table of keys that is not the store's.
	other := store.Options
	other.Subjects = eventlogtest.New(t, carts).Options.Subjects
	expectCodec(t, eventlogtest.Open(t, other), "s", "the subject has no key")
}

// A Log without access to the keys reads the rest, and says so.
func TestSealed(t *testing.T) {
	store := eventlogtest.New(t, carts)
	mustAppend(t, store.Log, "s", eventlog.NoStream, CartOpened{Customer: "c-1", Email: "ada@example.com"}, ItemAdded{SKU: "tea"})
	options := store.Options
	options.Subjects, options.Key = "", ""
	log := eventlogtest.Open(t, options)
	events := load(t, log, "s")
	diff(t, "payload", events[0].Payload, any(CartOpened{Customer: "c-1"}))
	if e := events[0]; !e.Sealed || e.Forgotten || events[1].Sealed {
		t.Errorf("sealed %v, forgotten %v, second sealed %v; want true, false, false", e.Sealed, e.Forgotten, events[1].Sealed)
	}
	if _, err := log.Append(t.Context(), "s2", 0, eventlog.Of(CartOpened{Customer: "c-1"})); err == nil || !strings.Contains(err.Error(), "Options.Subjects is empty") {
		t.Errorf("Append of personal data without keys: %v", err)
	}
	if err := log.Forget(t.Context(), "c-1"); err == nil || !strings.Contains(err.Error(), "Options.Subjects is empty") {
		t.Errorf("Forget without keys: %v", err)
	}
}

// What looks like sealed fields cannot be brought in from outside.
func TestForgedSeal(t *testing.T) {
	type note map[string]string
	store := eventlogtest.New(t, eventlog.NewRegistry(eventlog.Type[note]("Noted", 1)))
	_, err := store.Log.Append(t.Context(), "s", eventlog.NoStream, eventlog.Of(note{"$sealed": "x"}))
	if !errors.Is(err, eventlog.ErrCodec) {
		t.Errorf("Append of a forged seal: %v, want a CodecError", err)
	}
	recorded := mustAppend(t, store.Log, "s", eventlog.NoStream, note{"text": `"$sealed": {}`})
	diff(t, "stream", load(t, store.Log, "s"), recorded)
}

// The wrapped key is tied to its subject by the encryption context.
func TestWrappedKeyCannotBeMoved(t *testing.T) {
	store := eventlogtest.New(t, carts)
	mustAppend(t, store.Log, "a", eventlog.NoStream, CartOpened{Customer: "c-1", Email: "ada@example.com"})
	mustAppend(t, store.Log, "b", eventlog.NoStream, CartOpened{Customer: "c-2", Email: "bob@example.com"})
	db, ctx := store.Options.DynamoDB, context.Background()
	got, err := db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &store.Options.Subjects, Key: map[string]types.AttributeValue{schema.SubjectKey: &types.AttributeValueMemberS{Value: "c-1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got.Item[schema.SubjectKey] = &types.AttributeValueMemberS{Value: "c-2"}
	if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(store.Options.Subjects), Item: got.Item}); err != nil {
		t.Fatal(err)
	}
	for _, err := range eventlogtest.Open(t, store.Options).Load(t.Context(), "b", 0) {
		if err == nil || !strings.Contains(err.Error(), "InvalidCiphertext") {
			t.Errorf("Load with the key of another subject: %v", err)
		}
	}
}
