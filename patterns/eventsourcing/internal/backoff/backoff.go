// Package backoff waits between the attempts of those that write one item
// against each other.
package backoff

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Pause sleeps before another attempt, a random time that doubles up to a
// second. It returns an error when the context ends or patience does.
func Pause(ctx context.Context, attempt int) error {
	if attempt >= 40 {
		return errors.New("too many attempts")
	}
	longest := min(10*time.Millisecond<<min(attempt, 10), time.Second)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(longest)):
		return nil
	}
}
