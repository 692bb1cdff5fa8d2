// Package memo remembers values that cost a call to make: one call for all who
// want the same at the same time, and a bounded number of values.
package memo

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Cache remembers values by key. Make one with New.
type Cache[K comparable, V any] struct {
	size    int
	timeout time.Duration

	mu      sync.Mutex
	values  map[K]*list.Element
	recent  *list.List // of *entry[K, V], the last used first
	flights map[K]*flight[V]
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// New returns a cache of at most size values. A call that makes one has the
// timeout to end.
func New[K comparable, V any](size int, timeout time.Duration) *Cache[K, V] {
	return &Cache[K, V]{
		size: size, timeout: timeout,
		values: make(map[K]*list.Element), recent: list.New(), flights: make(map[K]*flight[V]),
	}
}

// Get returns the remembered value of a key if it is good, and otherwise calls
// for a new one. All who ask for the key meanwhile get the value or the error of
// that call; errors are not remembered. Who is cancelled stops waiting, and the
// call goes on for the others.
func (c *Cache[K, V]) Get(ctx context.Context, key K, good func(V) bool, call func(context.Context) (V, error)) (V, error) {
	c.mu.Lock()
	if e, ok := c.values[key]; ok {
		if v := e.Value.(*entry[K, V]).value; good(v) {
			c.recent.MoveToFront(e)
			c.mu.Unlock()
			return v, nil
		}
		c.remove(e)
	}
	f, running := c.flights[key]
	if !running {
		f = &flight[V]{done: make(chan struct{})}
		c.flights[key] = f
		go c.fly(context.WithoutCancel(ctx), key, f, call)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (c *Cache[K, V]) fly(ctx context.Context, key K, f *flight[V], call func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	f.value, f.err = call(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, key)
	if f.err == nil {
		c.values[key] = c.recent.PushFront(&entry[K, V]{key, f.value})
		if len(c.values) > c.size {
			c.remove(c.recent.Back())
		}
	}
	close(f.done)
}

func (c *Cache[K, V]) remove(e *list.Element) {
	delete(c.values, e.Value.(*entry[K, V]).key)
	c.recent.Remove(e)
}

// Len returns the number of values that are remembered.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.values)
}
