// Package offer is the remedy for a wave of abandoned carts: an offer that
// brings customers back. It is the reaction of a cascade that acts on the alarm
// by itself, and what it may cost is limited twice. The cascade's guard limits
// how often it runs; the terms limit what an offer gives and how many there are
// in a day, whatever the guard allows.
//
// An offer is an event. Who sends it to customers, and who takes it off a bill,
// subscribes to it.
package offer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// MaxPercent is the highest discount that Terms can have.
const MaxPercent = 30

// Validity is how long an offer is valid, from the alarm that led to it.
const Validity = 2 * time.Hour

// Issued says that a retention offer was made. It belongs to the stream of its
// day, "offers-2026-08-01".
type Issued struct {
	Code        string    `json:"code"`        // what customers enter
	Percent     int       `json:"percent"`     // the discount
	Redemptions int       `json:"redemptions"` // how many orders it discounts
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	Alarm       string    `json:"alarm"` // the name of the alarm that led to it
}

// Registry returns the types of the events in this package.
func Registry() *eventlog.Registry {
	return eventlog.NewRegistry(eventlog.Type[Issued](flashsale.RetentionOfferIssued, 1))
}

// Terms say what the offers may give.
type Terms struct {
	Percent     int // discount, 1 to MaxPercent
	Redemptions int // orders that one offer discounts
	PerDay      int // offers in one day, UTC; 0 for none
}

// TermsFromEnv reads flashsale.EnvPercent, EnvRedemptions and EnvOffersPerDay,
// which have defaults. Its error names every variable that is wrong.
func TermsFromEnv() (Terms, error) {
	var problems []error
	number := func(name string, otherwise, most int) int {
		text, ok := os.LookupEnv(name)
		if !ok {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			problems = append(problems, fmt.Errorf("%s is %q, want 1 to %d", name, text, most))
		}
		return n
	}
	terms := Terms{
		Percent:     number(flashsale.EnvPercent, 10, MaxPercent),
		Redemptions: number(flashsale.EnvRedemptions, 500, 1_000_000),
		PerDay:      number(flashsale.EnvOffersPerDay, 3, 100),
	}
	return terms, errors.Join(problems...)
}

// day is what the events of one day's stream add up to.
type day struct{ causes []string }

func apply(d day, event eventlog.Event) day {
	if _, ok := event.Payload.(Issued); ok {
		d.causes = append(slices.Clip(d.causes), event.Causation)
	}
	return d
}

// issue decides to issue an offer because of an alarm. It returns no event if
// the alarm has led to an offer before, and a *LimitError if the day has all
// the offers that it may have.
func (d day) issue(cause string, e Issued, terms Terms) ([]eventlog.Event, error) {
	if slices.Contains(d.causes, cause) {
		return nil, nil
	}
	if len(d.causes) >= terms.PerDay {
		return nil, &LimitError{Day: e.From.UTC().Format(time.DateOnly), PerDay: terms.PerDay}
	}
	return []eventlog.Event{eventlog.Of(e)}, nil
}

// LimitError says that the day has as many offers as the terms allow.
type LimitError struct {
	Day    string // "2026-08-01"
	PerDay int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("offer: no more than %d offers on %s", e.PerDay, e.Day)
}
