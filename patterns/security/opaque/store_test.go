package opaque_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/security/internal/reference"
	"github.com/serverless-go/cdk/patterns/security/opaque"
	"github.com/serverless-go/cdk/test/engine"
)

func TestIssueAndLookup(t *testing.T) {
	c := newClock()
	s, _ := newStore(t, c)
	ref, issued := issue(t, s)
	got, err := s.Lookup(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	want := &opaque.Grant{ID: issued.ID, Subject: "auth0|ann", Tenant: "acme", Client: "cli", Scope: []string{"orders:read"},
		Audience: []string{"orders"}, Expires: time.Unix(c.Now().Add(time.Hour).Unix(), 0)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
	if !s.Accepts(ref) {
		t.Errorf("the store does not accept %q", ref)
	}
	if text := everything(t, s); strings.Contains(text, ref) || strings.Contains(text, strings.TrimPrefix(ref, "sgref_")) || !strings.Contains(text, reference.Hash(ref)) {
		t.Errorf("the table has the reference, or not its hash:\n%s", text)
	}
	list, err := s.List(t.Context(), "ann")
	if err != nil || len(list) != 1 || list[0].ID != issued.ID || list[0].Name != "laptop" || !list[0].Revoked.IsZero() {
		t.Errorf("list is %+v, error %v", list, err)
	}
	if text := fmt.Sprintf("%+v", list[0]); strings.Contains(text, ref) || strings.Contains(text, reference.Hash(ref)) {
		t.Errorf("the list has the reference or its hash: %s", text)
	}
}

func TestIssueRefusesWhatCannotBe(t *testing.T) {
	s, faults := newStore(t, newClock())
	for name, change := range map[string]func(*opaque.Issue){
		"no owner":       func(i *opaque.Issue) { i.Owner = "" },
		"owner with NUL": func(i *opaque.Issue) { i.Owner = "a\x00" },
		// No token could say these.
		"invisible subject":  func(i *opaque.Issue) { i.Subject = "a\u200bb" },
		"invisible tenant":   func(i *opaque.Issue) { i.Tenant = "a\u2028b" },
		"invisible client":   func(i *opaque.Issue) { i.Client = "a\u2029b" },
		"invisible provider": func(i *opaque.Issue) { i.Provider = "a\u202eb" },
		"invisible audience": func(i *opaque.Issue) { i.Audience = []string{"a\u00adb"} },
		"no character":       func(i *opaque.Issue) { i.Client = "a\ufffdb" },
		"no subject":         func(i *opaque.Issue) { i.Subject = "" },
		"long subject":       func(i *opaque.Issue) { i.Subject = strings.Repeat("x", 257) },
		"tenant with a line": func(i *opaque.Issue) { i.Tenant = "a\nb" },
		"long name":          func(i *opaque.Issue) { i.Name = strings.Repeat("é", 101) },
		"name not UTF-8":     func(i *opaque.Issue) { i.Name = "\xff" },
		"long key":           func(i *opaque.Issue) { i.Key = strings.Repeat("x", 257) },
		"no audience":        func(i *opaque.Issue) { i.Audience = nil },
		"empty audience":     func(i *opaque.Issue) { i.Audience = []string{""} },
		"many audiences":     func(i *opaque.Issue) { i.Audience = strings.Split("a b c d e f g h i j k", " ") },
		"scope with a space": func(i *opaque.Issue) { i.Scope = []string{"a b"} },
		"empty scope":        func(i *opaque.Issue) { i.Scope = []string{""} },
		"many scopes":        func(i *opaque.Issue) { i.Scope = slices.Repeat([]string{strings.Repeat("s", 99)}, 11) },
		"no life":            func(i *opaque.Issue) { i.Life = 0 },
		"long life":          func(i *opaque.Issue) { i.Life = 31 * 24 * time.Hour },
	} {
		in := request()
		change(in)
		if ref, _, err := s.Issue(t.Context(), in); !errors.Is(err, opaque.ErrInvalid) || ref != "" {
			t.Errorf("%s: reference %q, error %v", name, ref, err)
		}
	}
	if n := faults.Calls("Query") + faults.Calls("TransactWriteItems"); n != 0 {
		t.Errorf("%d calls for what cannot be", n)
	}
}

func TestBounds(t *testing.T) {
	c := newClock()
	s, _ := newStore(t, c)
	s.Max, s.PerHour = 2, 3
	_, first := issue(t, s)
	issue(t, s)
	if _, _, err := s.Issue(t.Context(), request()); !errors.Is(err, opaque.ErrTooMany) {
		t.Errorf("a third live reference: error %v", err)
	}
	if err := s.Revoke(t.Context(), "ann", first.ID); err != nil {
		t.Fatal(err)
	}
	issue(t, s)
	if _, err := s.RevokeAll(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Issue(t.Context(), request()); !errors.Is(err, opaque.ErrTooOften) {
		t.Errorf("a fourth in the hour: error %v", err)
	}
	issue(t, s, func(i *opaque.Issue) { i.Owner = "bob" })
	c.Add(time.Hour)
	issue(t, s)
	c.Add(time.Hour) // the last one has expired
	issue(t, s)
	issue(t, s)
}

// Requests that come at once do not get past the bound together.
func TestBoundHoldsAtOnce(t *testing.T) {
	s, _ := newStore(t, newClock())
	s.Max = 3
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, _, err := s.Issue(t.Context(), request()); err != nil && !errors.Is(err, opaque.ErrTooMany) && !errors.Is(err, opaque.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := s.List(t.Context(), "ann")
	if err != nil || len(list) > 3 || len(list) == 0 {
		t.Errorf("%d references, error %v; want 1 to 3", len(list), err)
	}
}

func TestKeyMakesRetriesHarmless(t *testing.T) {
	s, _ := newStore(t, newClock())
	s.Max = 1
	withKey := func(i *opaque.Issue) { i.Key = "k-1" }
	lost, a := issue(t, s, withKey)
	kept, b := issue(t, s, withKey)
	if lost == kept || a.ID != b.ID {
		t.Errorf("references equal: %t; ids %s and %s", lost == kept, a.ID, b.ID)
	}
	if _, err := s.Lookup(t.Context(), lost); err != opaque.ErrRefused {
		t.Errorf("the reference of the lost answer: error %v", err)
	}
	if _, err := s.Lookup(t.Context(), kept); err != nil {
		t.Error(err)
	}
	other := request()
	other.Key, other.Scope = "k-1", []string{"orders:write"}
	if _, _, err := s.Issue(t.Context(), other); !errors.Is(err, opaque.ErrConflict) {
		t.Errorf("the key for another scope: error %v", err)
	}
	if err := s.Revoke(t.Context(), "ann", b.ID); err != nil {
		t.Fatal(err)
	}
	again := request()
	again.Key = "k-1"
	if _, _, err := s.Issue(t.Context(), again); !errors.Is(err, opaque.ErrConflict) {
		t.Errorf("the key brought a revoked reference back: error %v", err)
	}
	// The same key of somebody else is another key.
	issue(t, s, withKey, func(i *opaque.Issue) { i.Owner = "bob" })
}

// first does something before the first request of an operation is sent.
type first struct {
	operation string
	do        func()
}

func (f *first) Do(r *http.Request) (*http.Response, error) {
	if do := f.do; do != nil && strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+f.operation) {
		f.do = nil
		do()
	}
	return http.DefaultClient.Do(r)
}

// A reference that its owner revokes while it is replaced stays revoked.
func TestKeyAgainstRevoke(t *testing.T) {
	s, _ := newStore(t, newClock())
	withKey := func(i *opaque.Issue) { i.Key = "k" }
	_, r := issue(t, s, withKey)
	replaced := *s
	replaced.DynamoDB = dynamodb.New(s.DynamoDB.Options(), func(o *dynamodb.Options) {
		o.HTTPClient = &first{"TransactWriteItems", func() {
			if err := s.Revoke(t.Context(), "ann", r.ID); err != nil {
				t.Error(err)
			}
		}}
	})
	in := request()
	withKey(in)
	if ref, _, err := replaced.Issue(t.Context(), in); !errors.Is(err, opaque.ErrConflict) || ref != "" {
		t.Errorf("reference %q, error %v", ref, err)
	}
	if list, err := s.List(t.Context(), "ann"); err != nil || len(list) != 1 || list[0].Revoked.IsZero() {
		t.Errorf("list %+v, error %v", list, err)
	}
}

// However requests for one key interleave, one reference is live in the end.
func TestKeyAtOnce(t *testing.T) {
	s, _ := newStore(t, newClock())
	var mu sync.Mutex
	var refs []string
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			in := request()
			in.Key = "k"
			ref, _, err := s.Issue(t.Context(), in)
			if err != nil && !errors.Is(err, opaque.ErrUnavailable) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				refs = append(refs, ref)
			}
		})
	}
	wg.Wait()
	live := 0
	for _, ref := range refs {
		if _, err := s.Lookup(t.Context(), ref); err == nil {
			live++
		}
	}
	if live != 1 {
		t.Errorf("%d of %d references are live, want 1", live, len(refs))
	}
}

func TestRevoke(t *testing.T) {
	c := newClock()
	s, _ := newStore(t, c)
	ref, r := issue(t, s)
	bobs, _ := issue(t, s, func(i *opaque.Issue) { i.Owner = "bob" })
	for name, f := range map[string]func() error{
		"another's id":        func() error { return s.Revoke(t.Context(), "bob", r.ID) },
		"no such id":          func() error { return s.Revoke(t.Context(), "ann", strings.Repeat("a", 26)) },
		"no id":               func() error { return s.Revoke(t.Context(), "ann", "head") },
		"another's reference": func() error { return s.RevokeReference(t.Context(), "bob", ref) },
		"no reference":        func() error { return s.RevokeReference(t.Context(), "ann", ref[:30]) },
		"unknown reference":   func() error { return s.RevokeReference(t.Context(), "ann", reference.New()) },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Lookup(t.Context(), ref); err != nil {
			t.Fatalf("%s revoked it: %v", name, err)
		}
	}
	for range 2 { // twice is as once
		if err := s.Revoke(t.Context(), "ann", r.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(t.Context(), ref); err != opaque.ErrRefused {
			t.Errorf("lookup after the revocation: %v", err)
		}
		c.Add(time.Second)
	}
	list, err := s.List(t.Context(), "ann")
	if err != nil || len(list) != 1 || list[0].Revoked.Unix() != c.Now().Add(-2*time.Second).Unix() {
		t.Errorf("list is %+v, error %v; want the time of the first revocation", list, err)
	}
	if _, err := s.Lookup(t.Context(), bobs); err != nil {
		t.Errorf("bob's: %v", err)
	}

	third, _ := issue(t, s)
	if err := s.RevokeReference(t.Context(), "ann", third); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), third); err != opaque.ErrRefused {
		t.Errorf("lookup after RFC 7009: %v", err)
	}
}

func TestRevokeAll(t *testing.T) {
	s, _ := newStore(t, newClock())
	if n, err := s.RevokeAll(t.Context(), "nobody"); n != 0 || err != nil {
		t.Errorf("%d, error %v", n, err)
	}
	bobs, _ := issue(t, s, func(i *opaque.Issue) { i.Owner = "bob" })
	var refs []string
	for range 3 {
		ref, _ := issue(t, s)
		refs = append(refs, ref)
	}
	if n, err := s.RevokeAll(t.Context(), "ann"); n != 3 || err != nil {
		t.Errorf("%d, error %v", n, err)
	}
	for _, ref := range refs {
		if _, err := s.Lookup(t.Context(), ref); err != opaque.ErrRefused {
			t.Errorf("error %v", err)
		}
	}
	if _, err := s.Lookup(t.Context(), bobs); err != nil {
		t.Errorf("bob's: %v", err)
	}
	after, _ := issue(t, s)
	if _, err := s.Lookup(t.Context(), after); err != nil {
		t.Errorf("issued afterwards: %v", err)
	}
}

// What comes while everything is being revoked either is revoked or came later.
func TestRevokeAllAgainstIssue(t *testing.T) {
	for range 10 {
		s, _ := newStore(t, newClock())
		for range 3 {
			issue(t, s)
		}
		answered := make(chan string, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			ref, _, err := s.Issue(t.Context(), request())
			if err != nil {
				t.Error(err)
			}
			answered <- ref
		})
		var early string
		select {
		case early = <-answered:
		case <-time.After(5 * time.Millisecond):
		}
		if _, err := s.RevokeAll(t.Context(), "ann"); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if early != "" {
			if _, err := s.Lookup(t.Context(), early); err != opaque.ErrRefused {
				t.Errorf("a reference that was answered before the revocation began is live: %v", err)
			}
		}
	}
}

func TestExpiry(t *testing.T) {
	c := newClock()
	s, _ := newStore(t, c)
	ref, _ := issue(t, s)
	c.Add(time.Hour - time.Second)
	if _, err := s.Lookup(t.Context(), ref); err != nil {
		t.Error(err)
	}
	c.Add(time.Second)
	if _, err := s.Lookup(t.Context(), ref); err != opaque.ErrRefused {
		t.Errorf("error %v at its expiry, want ErrRefused", err)
	}
}

func TestStoreFailsClosed(t *testing.T) {
	s, faults := newStore(t, newClock())
	ref, r := issue(t, s)
	for operation, f := range map[string]func() error{
		"GetItem":            func() error { _, err := s.Lookup(t.Context(), ref); return err },
		"Query":              func() error { _, err := s.List(t.Context(), "ann"); return err },
		"TransactWriteItems": func() error { _, _, err := s.Issue(t.Context(), request()); return err },
		"UpdateItem":         func() error { _, err := s.RevokeAll(t.Context(), "ann"); return err },
	} {
		faults.Refuse(operation, "InternalServerError", 1)
		if err := f(); !errors.Is(err, opaque.ErrUnavailable) || errors.Is(err, opaque.ErrRefused) {
			t.Errorf("%s fails: error %v", operation, err)
		}
	}
	// The answer to the revocation is lost, and it is asked for again.
	faults.Lose("UpdateItem", 1)
	if err := s.Revoke(t.Context(), "ann", r.ID); !errors.Is(err, engine.ErrLost) {
		t.Errorf("error %v", err)
	}
	if err := s.Revoke(t.Context(), "ann", r.ID); err != nil {
		t.Error(err)
	}
	if _, err := s.Lookup(t.Context(), ref); err != opaque.ErrRefused {
		t.Errorf("error %v", err)
	}
}
