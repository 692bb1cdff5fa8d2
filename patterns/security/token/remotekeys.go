package token

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/serverless-go/cdk/patterns/security/internal/web"
)

// RemoteKeysOptions are the options of RemoteKeys. Zero means default.
type RemoteKeysOptions struct {
	// Client fetches the document. It must not follow redirects to other hosts;
	// the default follows none.
	Client *http.Client
	// Fresh is how long a document is used before it is fetched again. Default:
	// 5 min.
	Fresh time.Duration
	// StaleLimit is how much longer it is used while it cannot be fetched again.
	// A key that the issuer withdraws is so trusted for up to Fresh + StaleLimit.
	// Default: 1 hour.
	StaleLimit time.Duration
	// MinInterval is the least time between two fetches, whatever key ids
	// tokens name; so long can a new key be unknown. Default: 30 seconds,
	// at most Fresh.
	MinInterval time.Duration
	// Timeout is the time for one fetch. Default: 2 seconds.
	Timeout time.Duration
	// MaxSize is the size of the largest document, in bytes. Default: 64 KiB.
	MaxSize int
	// MaxKeys is the number of keys in the longest document. Default: 32.
	MaxKeys int
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// RemoteKeys are the keys in the JWKS document (RFC 7517) of an issuer. It
// fetches the document when it is first needed, when it is no longer fresh, and
// when a token names a key that is not in it; one fetch at a time, and never
// more often than MinInterval. After a failure it tries again after 1 s, and
// then ever more slowly, down to MinInterval.
//
// A document with a private or a shared key, or with one key id twice, is refused
// as a whole: what is known stays. Keys that are of no use here are skipped:
// weak ones, those not for signatures, without an id, or of unknown types.
type RemoteKeys struct {
	url string
	o   RemoteKeysOptions
	bad error // what is wrong with the url

	mu       sync.Mutex
	keys     map[string]remoteKey
	fetched  time.Time // when keys were had
	tried    time.Time // when the last fetch began
	failures int       // fetches since the last that succeeded
	last     error     // of the last fetch
	flight   chan struct{}
}

type remoteKey struct {
	key       crypto.PublicKey
	algorithm string // "alg", empty for any that fits
}

// NewRemoteKeys returns the keys of the document at an https URL; http is taken
// for loopback addresses only. It fetches nothing yet.
func NewRemoteKeys(address string, o *RemoteKeysOptions) *RemoteKeys {
	r := &RemoteKeys{url: address}
	if o != nil {
		r.o = *o
	}
	fill(&r.o.Fresh, 5*time.Minute)
	fill(&r.o.StaleLimit, time.Hour)
	fill(&r.o.MinInterval, 30*time.Second)
	r.o.MinInterval = min(r.o.MinInterval, r.o.Fresh)
	fill(&r.o.Timeout, 2*time.Second)
	fill(&r.o.MaxSize, 64<<10)
	fill(&r.o.MaxKeys, 32)
	if r.o.Now == nil {
		r.o.Now = time.Now
	}
	if r.o.Client == nil {
		r.o.Client = web.Client()
	}
	if !web.IsSecure(address) {
		r.bad = errors.New("the URL of a JWKS document must be https")
	}
	return r
}

func fill[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Key returns the key of that id, if it may be used with the algorithm.
func (r *RemoteKeys) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	if r.bad != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, r.bad)
	}
	// Twice: before and after a fetch that this call began or waited for.
	for waited := false; ; waited = true {
		r.mu.Lock()
		now := r.o.Now()
		age := now.Sub(r.fetched)
		known, found := r.keys[kid]
		usable := r.keys != nil && age < r.o.Fresh+r.o.StaleLimit
		if usable && found && (age < r.o.Fresh || waited || r.flight != nil || !r.due(now)) {
			r.mu.Unlock()
			if known.algorithm != "" && known.algorithm != alg {
				return nil, invalid("its key is for another algorithm")
			}
			return known.key, nil
		}
		if waited || r.flight == nil && !r.due(now) {
			last := r.last
			r.mu.Unlock()
			if usable && last == nil {
				return nil, errUnknownKey
			}
			// The key may be in the document that could not be had.
			return nil, fmt.Errorf("%w: JWKS document: %w", ErrUnavailable, last)
		}
		flight := r.flight
		if flight == nil {
			flight = make(chan struct{})
			r.flight, r.tried = flight, now
			go r.fetch(context.WithoutCancel(ctx), flight)
		}
		r.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: JWKS document: %w", ErrUnavailable, context.Cause(ctx))
		}
	}
}

// due reports whether it is time for another fetch.
func (r *RemoteKeys) due(now time.Time) bool {
	if r.tried.IsZero() {
		return true
	}
	wait := r.o.MinInterval
	if r.failures > 0 && r.failures < 16 {
		wait = min(wait, time.Second<<(r.failures-1))
	}
	return now.Sub(r.tried) >= wait
}

func (r *RemoteKeys) fetch(ctx context.Context, flight chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	keys, err := r.get(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
	if err != nil {
		r.failures++
	} else {
		r.keys, r.fetched, r.failures = keys, r.tried, 0
	}
	r.flight = nil
	close(flight)
}

func (r *RemoteKeys) get(ctx context.Context) (map[string]remoteKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.o.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered with status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(r.o.MaxSize)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > r.o.MaxSize {
		return nil, fmt.Errorf("has more than %d bytes", r.o.MaxSize)
	}
	return parseJWKS(body, r.o.MaxKeys)
}

// Members of keys that nobody may publish (RFC 7518, section 6; RFC 7517,
// section 9.3).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

func parseJWKS(doc []byte, maxKeys int) (map[string]remoteKey, error) {
	if err := strict(doc); err != nil {
		return nil, err
	}
	var top map[string]json.RawMessage
	var all []map[string]json.RawMessage
	if json.Unmarshal(doc, &top) != nil || json.Unmarshal(top["keys"], &all) != nil {
		return nil, errors.New("is not a JWK set")
	}
	if len(all) > maxKeys {
		return nil, fmt.Errorf("has more than %d keys", maxKeys)
	}
	keys, seen := make(map[string]remoteKey), make(map[string]bool)
	for _, members := range all {
		for _, name := range private {
			if _, ok := members[name]; ok {
				return nil, errors.New("has a private or a shared key")
			}
		}
		var kid, kty, use, alg string
		for name, field := range map[string]*string{"kid": &kid, "kty": &kty, "use": &use, "alg": &alg} {
			if value, ok := members[name]; ok && text(value, field) != nil {
				kty = "" // skip it below
				break
			}
		}
		if kid != "" && seen[kid] {
			return nil, errors.New("has a key id twice")
		}
		seen[kid] = true
		if kid == "" || kty == "" || use != "" && use != "sig" || !verifies(members["key_ops"]) {
			continue
		}
		// Only what makes the key: certificates and their URLs are no matter here.
		plain := make(map[string]json.RawMessage)
		for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
			if value, ok := members[name]; ok {
				plain[name] = value
			}
		}
		data, err := json.Marshal(plain)
		if err != nil {
			return nil, err
		}
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(data) != nil || !fits(jwk.Key, alg) {
			continue
		}
		keys[kid] = remoteKey{jwk.Key, alg}
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key that can be used")
	}
	return keys, nil
}

// verifies reports whether "key_ops" allows verifying; absent, it allows all.
func verifies(ops json.RawMessage) bool {
	if ops == nil {
		return true
	}
	var list []string
	if json.Unmarshal(ops, &list) != nil {
		return false
	}
	for _, op := range list {
		if op == "verify" {
			return true
		}
	}
	return false
}

// fits reports whether a key is good for the algorithm, or if that is empty for
// any.
func fits(key crypto.PublicKey, alg string) bool {
	if alg != "" {
		check := supported[alg]
		return check != nil && check(key) == nil
	}
	for _, check := range supported {
		if check(key) == nil {
			return true
		}
	}
	return false
}
