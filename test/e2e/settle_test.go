package e2e

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSettleClocks has something under way that never ends: the error must say
// whose clock ended, and what it was waiting for.
func TestSettleClocks(t *testing.T) {
	for _, c := range []struct {
		name    string
		happens bool          // something else, all the time
		limit   time.Duration // of the caller
		want    string
		after   time.Duration
	}{
		{"standstill", false, time.Hour, "by the clock: nothing has happened for 3m0s; still moving: rule R (1)", standstill},
		{"caller", true, time.Hour, "by the caller's clock: context deadline exceeded; still moving: rule R (1)", time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &Deployment{busy: map[string]int{}}
				d.begin("rule R")
				ctx, cancel := context.WithTimeout(t.Context(), c.limit)
				defer cancel()
				if c.happens {
					tick := time.NewTicker(time.Second)
					defer tick.Stop()
					go func() {
						for {
							select {
							case <-tick.C:
								d.touch()
							case <-ctx.Done():
								return
							}
						}
					}()
				}
				start := time.Now()
				err := d.Settle(ctx)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				if took := time.Since(start); took < c.after || took > c.after+time.Second {
					t.Errorf("it took %v, want %v", took, c.after)
				}
			})
		})
	}
}
