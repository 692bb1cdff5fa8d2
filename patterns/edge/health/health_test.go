package health_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/edge/health"
)

func fine(context.Context) error  { return nil }
func fails(context.Context) error { return errors.New("refused") }
func hangs(context.Context) error { select {} }

func TestStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		checks []health.Check
		want   health.Status
	}{
		"nothing is known":    {nil, health.Down},
		"all fine":            {[]health.Check{{Run: fine}, {Run: fine, Optional: true}}, health.OK},
		"optional fails":      {[]health.Check{{Run: fails, Optional: true}, {Run: fine}}, health.Degraded},
		"required fails":      {[]health.Check{{Run: fails}, {Run: fine}}, health.Down},
		"both fail":           {[]health.Check{{Run: fails}, {Run: fails, Optional: true}}, health.Down},
		"panics":              {[]health.Check{{Run: func(context.Context) error { panic("no") }}}, health.Down},
		"no function":         {[]health.Check{{}}, health.Down},
		"hangs":               {[]health.Check{{Run: hangs, Timeout: time.Millisecond}}, health.Down},
		"optional one hangs":  {[]health.Check{{Run: hangs, Timeout: time.Millisecond, Optional: true}}, health.Degraded},
		"ends with its limit": {[]health.Check{{Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, Timeout: time.Millisecond}}, health.Down},
	} {
		if got := health.New(tt.checks, health.Options{}).Report(t.Context()); got.Status != tt.want {
			t.Errorf("%s: %s, want %s: %v", name, got.Status, tt.want, got.Checks)
		}
	}
}

func TestReportIsSharedWhileFresh(t *testing.T) {
	var runs atomic.Int64
	now := time.Unix(0, 0)
	c := health.New([]health.Check{{Run: func(context.Context) error { runs.Add(1); return nil }}}, health.Options{Now: func() time.Time { return now }})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { c.Report(t.Context()) })
	}
	wg.Wait()
	if n := runs.Load(); n != 1 {
		t.Errorf("50 callers at once cost %d rounds", n)
	}
	now = now.Add(time.Second)
	c.Report(t.Context())
	now = now.Add(-time.Hour) // the clock was set back
	c.Report(t.Context())
	if n := runs.Load(); n != 3 {
		t.Errorf("%d rounds, want 3", n)
	}
}

// What one caller's impatience cut short is not told to others, and checks that
// hang do not pile up.
func TestReportOfImpatientCaller(t *testing.T) {
	var runs atomic.Int64
	release := make(chan struct{})
	c := health.New([]health.Check{{Run: func(context.Context) error { runs.Add(1); <-release; return nil }, Timeout: 50 * time.Millisecond}},
		health.Options{Fresh: -1})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for runs.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if r := c.Report(ctx); r.Status != health.Down {
		t.Errorf("after the caller left: %s", r.Status)
	}
	for range 3 {
		if r := c.Report(t.Context()); r.Status != health.Down || runs.Load() != 1 {
			t.Errorf("%s, %d checks run", r.Status, runs.Load())
		}
	}
	close(release)
	for deadline := time.Now().Add(5 * time.Second); c.Report(t.Context()).Status != health.OK; {
		if time.Now().After(deadline) {
			t.Fatal("the region does not recover")
		}
	}
}

func TestChecksRunSideBySide(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	meet := func(context.Context) error { both.Done(); both.Wait(); return nil }
	if r := health.New([]health.Check{{Run: meet}, {Run: meet}}, health.Options{}).Report(t.Context()); r.Status != health.OK {
		t.Errorf("%v", r.Checks)
	}
}
