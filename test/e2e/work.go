package e2e

import (
	"context"
	"sync"
)

// backlog is a list of work without bound. Services accept what they are sent
// before they handle it; a bound would make a loop of them block itself.
type backlog[T any] struct {
	mu    sync.Mutex
	items []T
	ready chan struct{}
}

func newBacklog[T any]() *backlog[T] { return &backlog[T]{ready: make(chan struct{}, 1)} }

func (b *backlog[T]) put(items ...T) {
	b.mu.Lock()
	b.items = append(b.items, items...)
	b.mu.Unlock()
	b.signal()
}

func (b *backlog[T]) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take waits for work and returns at most max pieces of it, none once ctx ends.
func (b *backlog[T]) take(ctx context.Context, max int) []T {
	for {
		b.mu.Lock()
		n := min(max, len(b.items))
		batch := append([]T(nil), b.items[:n]...)
		b.items = b.items[n:]
		more := len(b.items) > 0
		b.mu.Unlock()
		if more {
			b.signal() // another worker may wait
		}
		if n > 0 {
			return batch
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.ready:
		}
	}
}
