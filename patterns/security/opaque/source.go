package opaque

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// ErrRefused says that a reference lets nobody in. It does not say why, and no
// error that wraps it may.
var ErrRefused = errors.New("opaque: the reference lets nobody in")

// ErrUnavailable says that it could not be decided whether a reference lets
// anybody in: nobody gets in, and it is worth trying again.
var ErrUnavailable = errors.New("opaque: cannot decide")

// Grant is what a live reference stands for.
type Grant struct {
	ID       string // of the reference; no secret
	Subject  string // who gave the reference out
	Provider string // who vouches for the subject, if known
	Tenant   string // the subject's, if any
	Client   string // whom it was given to, if known
	Scope    []string
	Audience []string // nil: every one of this door
	Expires  time.Time
}

// A Source knows what references stand for.
type Source interface {
	// Accepts reports whether s is spelled like a reference of this source.
	Accepts(s string) bool
	// Lookup returns what the reference stands for. Its error is ErrRefused for
	// one that is unknown, expired or revoked, and wraps ErrUnavailable for
	// everything else.
	Lookup(ctx context.Context, reference string) (*Grant, error)
}

// maxCached bounds the memory of a cache: about 10 MB of grants.
const maxCached = 10_000

// cached remembers live grants, and those only: what is refused costs the same
// calls each time.
type cached struct {
	Source
	life time.Duration
	now  func() time.Time

	mu      sync.Mutex
	entries map[[sha256.Size]byte]entry
}

type entry struct {
	grant *Grant
	until time.Time
}

// Cached returns a source that asks again after life. A reference that is
// revoked is then refused after life at the latest, and not at once. With life
// 0 it returns the source itself.
func Cached(s Source, life time.Duration, now func() time.Time) Source {
	if life <= 0 {
		return s
	}
	if now == nil {
		now = time.Now
	}
	return &cached{Source: s, life: life, now: now, entries: make(map[[sha256.Size]byte]entry)}
}

func (c *cached) Lookup(ctx context.Context, reference string) (*Grant, error) {
	key := sha256.Sum256([]byte(reference)) // the memory holds no references
	// The clock starts before the lookup: what it finds is no newer than that.
	asked := c.now()
	if grant := c.get(key, asked); grant != nil {
		return grant, nil
	}
	grant, err := c.Source.Lookup(ctx, reference)
	if err != nil {
		return nil, err
	}
	until := asked.Add(c.life)
	if !grant.Expires.IsZero() && grant.Expires.Before(until) {
		until = grant.Expires
	}
	c.put(key, entry{grant, until}, asked)
	return grant, nil
}

func (c *cached) get(key [sha256.Size]byte, now time.Time) *Grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok && now.Before(e.until) {
		return e.grant
	}
	return nil
}

func (c *cached) put(key [sha256.Size]byte, e entry, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxCached {
		for k, old := range c.entries {
			if !now.Before(old.until) {
				delete(c.entries, k)
			}
		}
		// All alive: any of them may go, it is only asked for again.
		for k := range c.entries {
			if len(c.entries) < maxCached {
				break
			}
			delete(c.entries, k)
		}
	}
	c.entries[key] = e
}
