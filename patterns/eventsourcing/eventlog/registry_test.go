package eventlog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
)

// Three versions of one payload: a price in euros, in cents, with a currency.
type (
	priceV1 struct {
		Euros float64 `json:"euros"`
		Name  string  `json:"name" eventlog:"personal"`
	}
	priceV2 struct {
		Cents int    `json:"cents"`
		Name  string `json:"name" eventlog:"personal"`
	}
	priceV3 struct {
		Cents    int    `json:"cents"`
		Currency string `json:"currency"`
		FullName string `json:"fullName" eventlog:"personal"`
	}
)

func liftV1(old priceV1) (priceV2, error) {
	if old.Euros < 0 {
		return priceV2{}, errors.New("price is negative")
	}
	return priceV2{Cents: int(old.Euros * 100), Name: old.Name}, nil
}

func liftV2(old priceV2) (priceV3, error) {
	return priceV3{Cents: old.Cents, Currency: "EUR", FullName: old.Name}, nil
}

func TestUpcast(t *testing.T) {
	v1 := eventlog.NewRegistry(eventlog.Type[priceV1]("Price", 1))
	v2 := eventlog.NewRegistry(eventlog.Type[priceV2]("Price", 2, eventlog.Upcast(1, liftV1)))
	v3 := eventlog.NewRegistry(eventlog.Type[priceV3]("Price", 3, eventlog.Upcast(1, liftV1), eventlog.Upcast(2, liftV2)))
	late := eventlog.NewRegistry(eventlog.Type[priceV3]("Price", 3, eventlog.Upcast(2, liftV2)))

	store := eventlogtest.New(t, v1)
	open := func(r *eventlog.Registry) *eventlog.Log {
		options := store.Options
		options.Registry = r
		return eventlogtest.Open(t, options)
	}
	record := func(r *eventlog.Registry, stream string, version int64, payload any) {
		t.Helper()
		if _, err := open(r).Append(t.Context(), stream, version, eventlog.Event{Subject: "c-1", Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	record(v1, "prices", 0, priceV1{Euros: 1.5, Name: "Ada"})
	record(v2, "prices", 1, priceV2{Cents: 250, Name: "Ada"})
	record(v3, "prices", 2, priceV3{Cents: 350, Currency: "CHF", FullName: "Ada"})
	want := []eventlog.Event{
		{TypeVersion: 1, Payload: priceV3{150, "EUR", "Ada"}},
		{TypeVersion: 2, Payload: priceV3{250, "EUR", "Ada"}},
		{TypeVersion: 3, Payload: priceV3{350, "CHF", "Ada"}},
	}
	for i, e := range load(t, open(v3), "prices") {
		diff(t, fmt.Sprint("event ", i), eventlog.Event{TypeVersion: e.TypeVersion, Payload: e.Payload}, want[i])
	}

	expectCodec(t, open(v2), "prices", `event Price/3 in "prices" at version 3: version 3 is newer than 2`)
	expectCodec(t, open(late), "prices", "no upcast from version 1")
	record(v1, "broken", 0, priceV1{Euros: -1})
	expectCodec(t, open(v3), "broken", "upcast from version 1: price is negative")

	other := eventlog.NewRegistry(eventlog.Type[struct{ Euros string }]("Price", 1))
	expectCodec(t, open(other), "prices", "cannot unmarshal number")

	// Who does not know the type sees that something happened.
	for _, e := range load(t, open(eventlog.NewRegistry()), "prices") {
		if e.Payload != nil || e.Type != "Price" || len(e.Data) == 0 {
			t.Errorf("event of an unknown type: %+v, want data and no payload", e)
		}
	}

	if err := open(v3).Forget(t.Context(), "c-1"); err != nil {
		t.Fatal(err)
	}
	for _, e := range load(t, open(v3), "prices") {
		if p := e.Payload.(priceV3); p.FullName != "" || p.Cents == 0 || !e.Forgotten {
			t.Errorf("lifted event of a forgotten subject: %+v", e)
		}
	}
}

type ownJSON struct {
	Name string `eventlog:"personal"`
}

func (ownJSON) MarshalJSON() ([]byte, error) { return []byte(`"x"`), nil }

func TestNewRegistryRejects(t *testing.T) {
	type tagged struct {
		Name   string `eventlog:"private"`
		Number int    `eventlog:"subject"`
		hidden string `eventlog:"personal"`
	}
	_ = tagged{}.hidden
	for _, test := range []struct {
		name  string
		types func() []eventlog.Definition
		want  []string
	}{
		{"names and versions", func() []eventlog.Definition {
			return []eventlog.Definition{
				eventlog.Type[priceV1]("", 1),
				eventlog.Type[priceV2]("Price", 0),
				eventlog.Type[*priceV3]("Pointer", 1),
				eventlog.Type[fmt.Stringer]("Interface", 1),
			}
		}, []string{
			`event type "" has no name`,
			`event type "Price" has version 0, want 1 or more`,
			`event type "Pointer" has the payload *eventlog_test.priceV3, want a type that is no pointer and no interface`,
			`event type "Interface" has the payload fmt.Stringer`,
		}},
		{"twice", func() []eventlog.Definition {
			return []eventlog.Definition{
				eventlog.Type[priceV1]("Price", 1), eventlog.Type[priceV2]("Price", 1), eventlog.Type[priceV1]("Other", 1),
				eventlog.Type[priceV3]("SubjectForgotten", 1),
			}
		}, []string{
			`event type "Price" is defined twice`,
			`event types "Price" and "Other" both have the payload eventlog_test.priceV1`,
			`event type "SubjectForgotten" is defined twice`,
		}},
		{"upcasts", func() []eventlog.Definition {
			return []eventlog.Definition{
				eventlog.Type[priceV3]("Price", 4,
					eventlog.Upcast(1, liftV1), eventlog.Upcast(2, liftV1), eventlog.Upcast(2, liftV2), eventlog.Upcast(4, liftV2)),
				eventlog.Type[priceV2]("Wrong", 3, eventlog.Upcast(1, liftV2), eventlog.Upcast(2, liftV1)),
			}
		}, []string{
			`event type "Price" has two upcasts from version 2`,
			`event type "Price" has an upcast from version 2 but none from 3`,
			`event type "Price" has an upcast from version 4, want 1 to 3`,
			`event type "Wrong" has an upcast from version 1 to eventlog_test.priceV3, want to eventlog_test.priceV1`,
		}},
		{"tags", func() []eventlog.Definition {
			return []eventlog.Definition{
				eventlog.Type[tagged]("Tagged", 1),
				eventlog.Type[[]ownJSON]("Own", 1),
				eventlog.Type[priceV1]("Declared", 1, eventlog.Personal("Nmae", "Euros.Cents"), eventlog.Subject("Euros")),
			}
		}, []string{
			`event type "Tagged" has the tag eventlog:"private" on Name, want "personal" or "subject"`,
			`event type "Tagged" has the tag eventlog:"subject" on Number, want it on one string field`,
			`event type "Tagged" has the tag eventlog:"personal" on hidden`,
			`event type "Own" has personal fields in eventlog_test.ownJSON, which writes its own JSON`,
			`event type "Declared" has no field Nmae to be personal`,
			`event type "Declared" has no field Euros.Cents to be personal`,
			`event type "Declared" has no string field Euros to name the subject`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				got := fmt.Sprint(recover())
				for _, want := range test.want {
					if !strings.Contains(got, want) {
						t.Errorf("panic lacks %q:\n%s", want, got)
					}
				}
			}()
			eventlog.NewRegistry(test.types()...)
		})
	}
}

func TestNewRejects(t *testing.T) {
	_, err := eventlog.New(aws.Config{}, eventlog.Options{InlineLimit: 400 << 10, KeyTTL: -1})
	for _, want := range []string{"Table is empty", "Registry is nil", "InlineLimit is 409600, want 0 to 358400 bytes", "KeyTTL is -1, want a positive duration"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("New: %v, want %q in it", err, want)
		}
	}
	if _, err := eventlog.FromEnv(aws.Config{}, carts); err == nil || !strings.Contains(err.Error(), "EVENT_STORE_TABLE is not set") {
		t.Errorf("FromEnv: %v", err)
	}
	t.Setenv("EVENT_STORE_TABLE", "events")
	_, err = eventlog.FromEnv(aws.Config{}, carts, func(o *eventlog.Options) { o.KeyTTL = -1 })
	if err == nil || !strings.Contains(err.Error(), "KeyTTL is -1") || strings.Contains(err.Error(), "Table") {
		t.Errorf("FromEnv: %v, want only KeyTTL wrong", err)
	}
}
