package projection_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
)

func TestOnce(t *testing.T) {
	f := newFixture(t, true)
	now := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	once := &projection.Once{DynamoDB: f.DynamoDB, Table: f.Table, Now: func() time.Time { return now }}
	ran := 0
	mail := func(context.Context) error { ran++; return nil }
	ctx := context.Background()

	bounced := errors.New("bounced")
	if err := once.Do(ctx, "mail/1", func(context.Context) error { return bounced }); err != bounced {
		t.Errorf("error %v, want the effect's", err)
	}
	for range 2 {
		if err := once.Do(ctx, "mail/1", mail); err != nil || ran != 1 {
			t.Errorf("error %v, ran %d times; want a failed effect retried and a successful one not", err, ran)
		}
		now = now.Add(time.Hour) // the end of the lease changes nothing
	}
	if err := once.Do(ctx, "mail/2", mail); err != nil || ran != 2 {
		t.Errorf("error %v, ran %d times; want another key to be independent", err, ran)
	}

	// A crash leaves the claim behind.
	func() {
		defer func() { recover() }()
		once.Do(ctx, "mail/3", func(context.Context) error { panic("crash") })
	}()
	var busy *projection.BusyError
	if err := once.Do(ctx, "mail/3", mail); !errors.As(err, &busy) || busy.Key != "mail/3" || !busy.Until.Equal(now.Add(time.Minute)) {
		t.Errorf("error %v, want a BusyError until the lease ends", err)
	}
	now = now.Add(time.Minute)
	if err := once.Do(ctx, "mail/3", mail); err != nil || ran != 3 {
		t.Errorf("error %v, ran %d times; want the claim taken over", err, ran)
	}

	// The effect has taken place when its note gets lost.
	f.faults.Refuse("UpdateItem", "AccessDeniedException", 1)
	if err := once.Do(ctx, "mail/4", mail); err == nil || ran != 3 {
		t.Errorf("error %v, ran %d times; want no effect without a claim", err, ran)
	}
	err := once.Do(ctx, "mail/4", func(ctx context.Context) error {
		f.faults.Refuse("UpdateItem", "AccessDeniedException", 1)
		return mail(ctx)
	})
	if err == nil || ran != 4 {
		t.Errorf("error %v, ran %d times; want the missing note reported", err, ran)
	}

	// A caller that goes away does not keep the note from being written.
	canceled, cancel := context.WithCancel(ctx)
	err = once.Do(canceled, "mail/5", func(ctx context.Context) error { cancel(); return mail(ctx) })
	if again := once.Do(ctx, "mail/5", mail); err != nil || again != nil || ran != 5 {
		t.Errorf("errors %v, %v, ran %d times; want it noted", err, again, ran)
	}
}

func TestOnceConcurrently(t *testing.T) {
	f := newFixture(t, true)
	once := &projection.Once{DynamoDB: f.DynamoDB, Table: f.Table}
	var ran atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := once.Do(t.Context(), "mail", func(context.Context) error {
				ran.Add(1)
				return nil
			})
			var busy *projection.BusyError
			if err != nil && !errors.As(err, &busy) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := ran.Load(); n != 1 {
		t.Errorf("ran %d times", n)
	}
}
