package memo_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/security/internal/memo"
)

func always(string) bool { return true }

func TestBound(t *testing.T) {
	c := memo.New[int, string](3, time.Second)
	calls := 0
	get := func(key int) {
		t.Helper()
		v, err := c.Get(t.Context(), key, always, func(context.Context) (string, error) { calls++; return strconv.Itoa(key), nil })
		if err != nil || v != strconv.Itoa(key) {
			t.Errorf("%d: %q, error %v", key, v, err)
		}
	}
	for key := range 3 {
		get(key)
	}
	get(0) // the last used now
	get(3) // 1 goes
	if c.Len() != 3 || calls != 4 {
		t.Errorf("%d values, %d calls", c.Len(), calls)
	}
	get(0)
	if get(2); calls != 4 {
		t.Errorf("%d calls: a value in use was dropped", calls)
	}
	if get(1); calls != 5 {
		t.Errorf("%d calls: the value that was unused for longest was kept", calls)
	}
}

func TestFailureIsNotRemembered(t *testing.T) {
	c := memo.New[int, string](1, time.Second)
	broken := errors.New("broken")
	if _, err := c.Get(t.Context(), 1, always, func(context.Context) (string, error) { return "x", broken }); err != broken {
		t.Errorf("error %v", err)
	}
	if v, err := c.Get(t.Context(), 1, always, func(context.Context) (string, error) { return "y", nil }); v != "y" || err != nil {
		t.Errorf("%q, error %v", v, err)
	}
	if v, err := c.Get(t.Context(), 1, func(string) bool { return false }, func(context.Context) (string, error) { return "z", nil }); v != "z" || err != nil || c.Len() != 1 {
		t.Errorf("%q, error %v, %d values", v, err, c.Len())
	}
}

func TestTimeout(t *testing.T) {
	c := memo.New[int, string](1, 10*time.Millisecond)
	_, err := c.Get(t.Context(), 1, always, func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// TestConcurrent has many callers with different patience use few keys.
func TestConcurrent(t *testing.T) {
	c := memo.New[int, int](4, time.Minute)
	var running [8]atomic.Int32
	var wg sync.WaitGroup
	for n := range 400 {
		wg.Go(func() {
			ctx, key := t.Context(), n%8
			if n%5 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
			}
			v, err := c.Get(ctx, key, func(v int) bool { return v == key }, func(context.Context) (int, error) {
				if running[key].Add(1) != 1 {
					t.Error("two calls for one key at once")
				}
				time.Sleep(2 * time.Millisecond)
				running[key].Add(-1)
				return key, nil
			})
			if err == nil && v != key || err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("key %d: %d, error %v", key, v, err)
			}
		})
	}
	wg.Wait()
	if c.Len() > 4 {
		t.Errorf("%d values", c.Len())
	}
}
