package token_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/security/token"
)

// provider is an issuer's JWKS endpoint.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	answer  http.HandlerFunc
	fetches atomic.Int32
	paths   sync.Map
}

func newProvider(t testing.TB) *provider {
	p := &provider{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		p.paths.Store(r.RequestURI, true)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) serve(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *provider) publish(doc string) {
	p.serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, doc) })
}

func (p *provider) fail(status int) {
	p.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// client trusts the provider and follows no redirects.
func (p *provider) client() *http.Client {
	c := p.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// clock is a time that tests move.
type clock struct{ nanoseconds atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanoseconds.Store(now.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()) }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

// TestAttackJWKS plays documents that must not bring a key into use. Where the
// document is refused as a whole, the good key in it is not used either.
func TestAttackJWKS(t *testing.T) {
	k := keys()
	good, evil := jwk("ec", k.ec.Public()), jwk("evil", k.evil.Public())
	const refusedWhole = "token: service unavailable: JWKS document: "
	const skipped = "token: not valid: it is signed with an unknown key"
	short := strings.Replace(jwks(good, evil), evil["x"].(string), b64.EncodeToString(make([]byte, 31)), 1)
	for _, tt := range []struct {
		name, doc string
		want      string // the answer to a token signed with "evil"
		alg       string // default ES256
	}{
		{name: "private EC key", doc: jwks(good, evil.with("d", "AAAA")), want: refusedWhole + "has a private or a shared key"},
		{name: "private RSA key", doc: jwks(good, jwk("evil", k.rsa.Public()).with("p", "AAAA")), want: refusedWhole + "has a private or a shared key"},
		{name: "shared key", doc: jwks(good, object{"kty": "oct", "kid": "evil", "k": "c2VjcmV0", "alg": "HS256"}), want: refusedWhole + "has a private or a shared key"},
		{name: "key id twice", doc: jwks(good, evil, evil), want: refusedWhole + "has a key id twice"},
		{name: "key id of the good key", doc: jwks(good, evil.with("kid", "ec")), want: refusedWhole + "has a key id twice"},
		{name: "member twice", doc: strings.Replace(jwks(good, evil), `"kid":"evil"`, `"kid":"ec","kid":"evil"`, 1), want: refusedWhole + "a JSON object has a member twice"},
		{name: "keys twice", doc: `{"keys":[],` + jwks(evil)[1:], want: refusedWhole + "a JSON object has a member twice"},
		{name: "deep nesting", doc: strings.Replace(jwks(good, evil), `"keys":`, `"x":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`,"keys":`, 1), want: refusedWhole + "JSON is nested deeper than 12"},
		{name: "no JSON", doc: "<html>", want: refusedWhole + "not well-formed JSON"},
		{name: "a list", doc: `[` + encode(evil) + `]`, want: refusedWhole + "is not a JWK set"},
		{name: "one key without a set", doc: encode(evil), want: refusedWhole + "is not a JWK set"},
		{name: "keys in upper case", doc: strings.Replace(jwks(evil), "keys", "KEYS", 1), want: refusedWhole + "is not a JWK set"},
		{name: "no keys", doc: `{"keys":[]}`, want: refusedWhole + "has no key that can be used"},
		{name: "two documents", doc: jwks(good) + jwks(evil), want: refusedWhole + "not well-formed JSON"},
		{name: "too many keys", doc: `{"keys":[` + strings.TrimSuffix(strings.Repeat(encode(object{"kty": "x"})+",", 33), ",") + `]}`, want: refusedWhole + "has more than 32 keys"},
		{name: "too large", doc: jwks(good, evil) + strings.Repeat(" ", 64<<10), want: refusedWhole + "has more than 65536 bytes"},
		{name: "for encryption", doc: jwks(good, evil.with("use", "enc")), want: skipped},
		{name: "for signing only", doc: jwks(good, evil.with("key_ops", []string{"sign"})), want: skipped},
		{name: "operations of the wrong type", doc: jwks(good, evil.with("key_ops", "verify")), want: skipped},
		{name: "for an algorithm with a secret", doc: jwks(good, evil.with("alg", "HS256")), want: skipped},
		{name: "for none", doc: jwks(good, evil.with("alg", "none")), want: skipped},
		{name: "for an algorithm of another curve", doc: jwks(good, evil.with("alg", "ES384")), want: skipped},
		{name: "without a key id", doc: jwks(good, evil.with("kid", nil)), want: skipped},
		{name: "key id is a number", doc: jwks(good, evil.with("kid", 1)), want: skipped},
		{name: "point off the curve", doc: jwks(good, evil.with("y", evil["x"])), want: skipped},
		{name: "short coordinate", doc: short, want: skipped},
		{name: "other curve's name", doc: jwks(good, evil.with("crv", "P-384")), want: skipped},
		{name: "weak RSA key", doc: jwks(good, object{"kty": "RSA", "kid": "evil", "n": b64.EncodeToString(append([]byte{0x80}, make([]byte, 127)...)), "e": "AQAB"}), want: skipped, alg: "RS256"},
		{name: "RSA key with exponent one", doc: jwks(good, jwk("evil", k.rsa.Public()).with("e", "AQ")), want: skipped, alg: "RS256"},
		{name: "key of another algorithm", doc: jwks(good, jwk("evil", k.rsa.Public()).with("alg", "RS512")), want: "token: not valid: its key is for another algorithm", alg: "RS256"},
		{name: "RSA key for an EC signature", doc: jwks(good, jwk("evil", k.rsa.Public())), want: "token: not valid: the key does not fit the algorithm: not a key on the algorithm's curve"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t)
			p.publish(tt.doc)
			v := verifier()
			v.Keys = token.NewRemoteKeys(p.URL, &token.RemoteKeysOptions{Client: p.client(), Now: func() time.Time { return now }})
			h := header().with("kid", "evil")
			raw := forge(h, claims(), k.evil)
			if tt.alg != "" {
				raw = forge(h.with("alg", tt.alg), claims(), k.rsa)
			}
			got, err := v.Verify(t.Context(), raw)
			if got != nil || err == nil || err.Error() != tt.want {
				t.Fatalf("claims %v, error %v; want %q", got, err, tt.want)
			}
			checkSilent(t, err.Error(), raw)
			_, err = v.Verify(t.Context(), forge(header(), claims(), k.ec))
			if whole := strings.HasPrefix(tt.want, refusedWhole); (err == nil) == whole {
				t.Errorf("a token of the good key: %v", err)
			}
		})
	}
}

// TestAttackProvider plays a provider that is slow, broken or taken over.
func TestAttackProvider(t *testing.T) {
	elsewhere := newProvider(t)
	elsewhere.publish(jwks(jwk("ec", keys().evil.Public())))
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string // in the error
	}{
		{"redirects to another host", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "answered with status 302"},
		{"error page with a key", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, jwks(jwk("ec", keys().ec.Public())))
		}, "answered with status 500"},
		{"never answers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		{"answers a byte at a time", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		}, "deadline exceeded"},
		{"compressed bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 1 << 10 {
				z.Write(make([]byte, 1<<10))
			}
			z.Close()
		}, "has more than 65536 bytes"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t)
			p.serve(tt.answer)
			v := verifier()
			timeout := 30 * time.Second // for what answers, however busy the machine is
			if strings.Contains(tt.want, "deadline") {
				timeout = 200 * time.Millisecond
			}
			v.Keys = token.NewRemoteKeys(p.URL, &token.RemoteKeysOptions{Client: p.client(), Timeout: timeout})
			raw := forge(header(), claims(), keys().ec)
			began := time.Now()
			claims, err := v.Verify(t.Context(), raw)
			if claims != nil || !errors.Is(err, token.ErrUnavailable) || errors.Is(err, token.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("claims %v, error %v; want ErrUnavailable with %q", claims, err, tt.want)
			}
			if took := time.Since(began); took > timeout+10*time.Second {
				t.Errorf("took %v with a time-out of %v", took, timeout)
			}
			checkSilent(t, err.Error(), raw)
		})
	}
	if n := elsewhere.fetches.Load(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

func TestRemoteKeysURL(t *testing.T) {
	for _, address := range []string{"http://id.example.com/jwks", "ftp://id.example.com", "file:///etc/passwd", "id.example.com", "", "http://localhost.evil.example.com", "://"} {
		_, err := token.NewRemoteKeys(address, nil).Key(t.Context(), "ec", "ES256")
		if !errors.Is(err, token.ErrUnavailable) || !strings.HasSuffix(err.Error(), "must be https") {
			t.Errorf("%q: %v", address, err)
		}
	}
	// What is fetched is this machine's own, without TLS.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, jwks(jwk("ec", keys().ec.Public()))) }))
	defer server.Close()
	if _, err := token.NewRemoteKeys(server.URL, nil).Key(t.Context(), "ec", "ES256"); err != nil {
		t.Error(err)
	}
}

// TestAttackKeyID has garbage key ids hammer the provider, which must see one
// fetch in MinInterval, and nothing but its own path.
func TestAttackKeyID(t *testing.T) {
	p, c := newProvider(t), newClock()
	p.publish(jwks(jwk("ec", keys().ec.Public())))
	remote := token.NewRemoteKeys(p.URL+"/jwks", &token.RemoteKeysOptions{Client: p.client(), Now: c.now, Fresh: time.Hour, MinInterval: 30 * time.Second})
	for range 61 { // seconds
		for i := range 20 {
			for _, kid := range []string{fmt.Sprint("garbage", i), "../../jwks2", "https://evil.example.com/jwks"} {
				if _, err := remote.Key(t.Context(), kid, "ES256"); !errors.Is(err, token.ErrInvalid) {
					t.Fatalf("key %s: %v", kid, err)
				}
			}
		}
		if _, err := remote.Key(t.Context(), "ec", "ES256"); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Second)
	}
	if n := p.fetches.Load(); n != 3 {
		t.Errorf("%d fetches for 3,660 garbage ids in a minute, want 3", n)
	}
	p.paths.Range(func(path, _ any) bool {
		if path != "/jwks" {
			t.Errorf("%s was fetched", path)
		}
		return true
	})
}

func TestRemoteKeysRotation(t *testing.T) {
	p, c := newProvider(t), newClock()
	remote := token.NewRemoteKeys(p.URL, &token.RemoteKeysOptions{Client: p.client(), Now: c.now,
		Fresh: 5 * time.Minute, StaleLimit: time.Hour, MinInterval: 30 * time.Second})
	old, next := jwk("old", keys().ec.Public()), jwk("next", keys().evil.Public())
	check := func(when, kid string, fetches int32, want error) {
		t.Helper()
		_, err := remote.Key(t.Context(), kid, "ES256")
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: key %s: %v, want %v", when, kid, err, want)
		}
		if n := p.fetches.Load(); n != fetches {
			t.Errorf("%s: %d fetches, want %d", when, n, fetches)
		}
	}
	p.fail(http.StatusServiceUnavailable)
	check("provider down at the start", "old", 1, token.ErrUnavailable)
	check("at once again", "old", 1, token.ErrUnavailable)
	c.advance(time.Second)
	check("after 1 s", "old", 2, token.ErrUnavailable)
	c.advance(time.Second)
	check("after 1 s more", "old", 2, token.ErrUnavailable)
	p.publish(jwks(old))
	c.advance(time.Second)
	check("provider up", "old", 3, nil)
	check("cached", "old", 3, nil)
	check("next key, too early", "next", 3, token.ErrInvalid)
	p.publish(jwks(old, next))
	check("next key, not seen yet", "next", 3, token.ErrInvalid)
	c.advance(30 * time.Second)
	check("next key", "next", 4, nil)
	check("old key", "old", 4, nil)
	p.publish(jwks(next))
	c.advance(5*time.Minute - time.Second)
	check("old key withdrawn, document fresh", "old", 4, nil)
	c.advance(time.Second)
	check("old key withdrawn", "old", 5, token.ErrInvalid)
	p.publish(jwks(next.with("d", "AAAA")))
	c.advance(5 * time.Minute)
	check("poisoned: what is known stays", "next", 6, nil)
	check("no hammering meanwhile", "next", 6, nil)
	check("a key that may be there", "other", 6, token.ErrUnavailable)
	c.advance(time.Hour - time.Second)
	check("stale to the last second", "next", 7, nil)
	c.advance(time.Second)
	check("too stale", "next", 7, token.ErrUnavailable)
	p.publish(jwks(next))
	c.advance(30 * time.Second)
	check("well again", "next", 8, nil)
}

func TestRemoteKeysSingleFlight(t *testing.T) {
	p := newProvider(t)
	release := make(chan struct{})
	p.serve(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		fmt.Fprint(w, jwks(jwk("ec", keys().ec.Public())))
	})
	remote := token.NewRemoteKeys(p.URL, &token.RemoteKeysOptions{Client: p.client(), Timeout: time.Minute})
	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := remote.Key(impatient, "ec", "ES256")
		first <- err
	}()
	for p.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-first; !errors.Is(err, token.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("who is cancelled gets %v", err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := remote.Key(t.Context(), "ec", "ES256"); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	close(release)
	wg.Wait()
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for 51 callers", n)
	}
}

// TestRemoteKeysStaleMeanwhile checks that one slow fetch holds up no other
// caller whose key is known.
func TestRemoteKeysStaleMeanwhile(t *testing.T) {
	p, c := newProvider(t), newClock()
	p.publish(jwks(jwk("ec", keys().ec.Public())))
	remote := token.NewRemoteKeys(p.URL, &token.RemoteKeysOptions{Client: p.client(), Now: c.now, Timeout: time.Minute})
	get := func() error {
		_, err := remote.Key(t.Context(), "ec", "ES256")
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	p.serve(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		fmt.Fprint(w, jwks(jwk("other", keys().ec.Public())))
	})
	c.advance(10 * time.Minute)
	first := make(chan error)
	go func() { first <- get() }()
	for p.fetches.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	c.advance(10 * time.Minute) // the fetch takes longer than MinInterval
	if err := get(); err != nil {
		t.Errorf("while another fetches: %v", err)
	}
	close(release)
	if err := <-first; !errors.Is(err, token.ErrInvalid) {
		t.Errorf("the key is withdrawn, and who fetched that gets %v", err)
	}
}

func FuzzJWKS(f *testing.F) {
	f.Add(jwks(jwk("ec", keys().ec.Public()), jwk("rsa", keys().rsa.Public())))
	f.Add(`{"keys":[{"kty":"oct","k":"AA"}]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"RSA","n":"AA","e":"AA"},null]}`)
	f.Add(`{"keys":null}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, doc string) {
		keys, err := token.ParseJWKS([]byte(doc), 32)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, error %v", len(keys), err)
		}
		if err == nil && !json.Valid([]byte(doc)) {
			t.Error("taken, but no JSON")
		}
		if _, ok := keys[""]; ok {
			t.Error("a key without an id")
		}
	})
}
