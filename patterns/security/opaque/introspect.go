package opaque

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/security/token"
)

const (
	introspectionTimeout = 2 * time.Second
	maxIntrospection     = 64 << 10 // bytes of an answer
	maxForeign           = 4 << 10  // bytes of a provider's token
)

// Introspector asks an identity provider what its access tokens stand for, as
// RFC 7662 has it. Its answers are believed only if they say that the token is
// active, was issued for this door, and expires.
type Introspector struct {
	// URL is the provider's introspection endpoint, https. Required.
	URL string
	// Issuer must be named by the answers, where they name one. Required.
	Issuer string
	// Audience must be among those that an answer names: a token that was made
	// for somebody else lets nobody in here. Required.
	Audience string
	// Tenant is the claim with the subject's tenant. Default: none.
	Tenant string
	// Client proves to the provider who asks. Required.
	Client ClientAuthentication
	// HTTP sends the requests. Default: a client that keeps connections and
	// follows no redirects.
	HTTP *http.Client
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// ClientAuthentication proves to a provider who sends a request.
type ClientAuthentication interface {
	// Authenticate adds the proof to the request's form or header.
	Authenticate(ctx context.Context, endpoint string, form url.Values, header http.Header) error
	// Rejected is told that the provider did not take the proof.
	Rejected()
}

var introspectionClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Accepts reports whether s is spelled like an access token (RFC 6750, section
// 2.1).
func (i *Introspector) Accepts(s string) bool {
	core := strings.TrimRight(s, "=")
	if core == "" || len(s) > maxForeign {
		return false
	}
	return !strings.ContainsFunc(core, func(c rune) bool {
		return c > 0x7e || !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.ContainsRune("-._~+/", c))
	})
}

// Lookup asks the provider, once: a door that tries again keeps its callers
// waiting and its provider down.
func (i *Introspector) Lookup(ctx context.Context, reference string) (*Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, introspectionTimeout)
	defer cancel()
	form := url.Values{"token": {reference}, "token_type_hint": {"access_token"}}
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	if err := i.Client.Authenticate(ctx, i.URL, form, header); err != nil {
		return nil, unavailable("authenticate to the provider", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, unavailable("ask the provider", err)
	}
	request.Header = header
	client := i.HTTP
	if client == nil {
		client = introspectionClient
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, unavailable("ask the provider", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		if response.StatusCode == http.StatusUnauthorized {
			i.Client.Rejected()
		}
		return nil, unavailable("ask the provider", fmt.Errorf("it answers with status %d", response.StatusCode))
	}
	if media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, unavailable("ask the provider", errors.New("its answer is not JSON"))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxIntrospection+1))
	if err != nil {
		return nil, unavailable("read the provider's answer", err)
	}
	if len(body) > maxIntrospection {
		return nil, unavailable("read the provider's answer", fmt.Errorf("it has more than %d bytes", maxIntrospection))
	}
	return i.grant(body)
}

// grant reads the provider's answer. What does not say clearly that the token is
// active is not an answer.
func (i *Introspector) grant(body []byte) (*Grant, error) {
	m, err := members(body)
	if err != nil {
		return nil, unavailable("read the provider's answer", err)
	}
	var a answer
	if err := errors.Join(m.read("active", &a.active), m.read("exp", &a.exp), m.read("nbf", &a.nbf), m.read("sub", &a.sub), m.read("iss", &a.iss),
		m.read("scope", &a.scope), m.read("client_id", &a.client), m.read("token_type", &a.kind)); err != nil {
		return nil, unavailable("read the provider's answer", err)
	}
	if a.active == nil {
		return nil, unavailable("read the provider's answer", errors.New("it does not say whether the token is active"))
	}
	if !*a.active {
		return nil, ErrRefused // RFC 7662 forbids to look at anything else
	}
	audience, err := m.texts("aud")
	if err != nil {
		return nil, unavailable("read the provider's answer", err)
	}
	now := time.Now
	if i.Now != nil {
		now = i.Now
	}
	expires, ok := instant(a.exp)
	if !ok || !expires.After(now()) {
		return nil, ErrRefused
	}
	if from, ok := instant(a.nbf); a.nbf != nil && (!ok || from.After(now())) {
		return nil, ErrRefused
	}
	// A token that is bound to its sender's key is worth nothing without proof of
	// the key, which the door does not ask for.
	_, bound := m["cnf"]
	if bound || a.kind != nil && !strings.EqualFold(*a.kind, "bearer") ||
		a.iss != nil && *a.iss != i.Issuer || !slices.Contains(audience, i.Audience) {
		return nil, ErrRefused
	}
	g := &Grant{Subject: or(a.sub), Provider: i.Issuer, Client: or(a.client), Scope: strings.Fields(or(a.scope)), Expires: expires}
	if i.Tenant != "" {
		var tenant *string
		if err := m.read(i.Tenant, &tenant); err != nil {
			return nil, unavailable("read the provider's answer", err)
		}
		g.Tenant = or(tenant)
	}
	if checkText("the subject", g.Subject, 1) != nil || checkText("the tenant", g.Tenant, 0) != nil || checkText("the client", g.Client, 0) != nil ||
		len(or(a.scope)) > MaxScope || slices.ContainsFunc(g.Scope, func(s string) bool { return !token.IsScope(s) }) {
		return nil, ErrRefused
	}
	return g, nil
}

// answer has pointers, for a member that is missing is not one that is zero.
type answer struct {
	active                        *bool
	exp, nbf                      *float64
	sub, iss, scope, client, kind *string
}

func or(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// instant returns the time of a NumericDate that can be one.
func instant(seconds *float64) (time.Time, bool) {
	if seconds == nil || math.IsNaN(*seconds) || *seconds < 0 || *seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(*seconds), 0), true
}

// object is a JSON object by its exact names: encoding/json alone would take
// "Active" for "active", and the last of two.
type object map[string]json.RawMessage

func members(body []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	start, err := d.Token()
	if err != nil || start != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	m := object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errors.New("it is not well-formed JSON")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("it is not well-formed JSON")
		}
		if _, twice := m[name.(string)]; twice {
			return nil, errors.New("it has a member twice")
		}
		m[name.(string)] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is not well-formed JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows its JSON")
	}
	return m, nil
}

// read decodes a member into a pointer to a pointer, which stays nil if there is
// no such member.
func (o object) read(name string, v any) error {
	value, ok := o[name]
	if !ok {
		return nil
	}
	if json.Unmarshal(value, v) != nil {
		return fmt.Errorf("its member %q has the wrong type", name)
	}
	return nil
}

// texts returns a member that is one string or a list of them.
func (o object) texts(name string) ([]string, error) {
	value, ok := o[name]
	if !ok {
		return nil, nil
	}
	var one string
	if json.Unmarshal(value, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	if json.Unmarshal(value, &list) != nil {
		return nil, fmt.Errorf("its member %q has the wrong type", name)
	}
	return list, nil
}
