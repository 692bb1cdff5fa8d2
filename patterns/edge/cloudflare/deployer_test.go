package cloudflare_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/edge/cloudflare"
	"github.com/serverless-go/cdk/patterns/edge/cloudflare/cloudflaretest"
)

func deployer(t *testing.T, s *cloudflaretest.Server, owner string) *cloudflare.Deployer {
	t.Helper()
	token, err := cloudflare.ParseToken(cloudflaretest.Token)
	if err != nil {
		t.Fatal(err)
	}
	return &cloudflare.Deployer{Owner: owner, Client: &cloudflare.Client{
		Account: cloudflaretest.Account, Token: token, URL: s.URL, Attempts: 2, Backoff: time.Millisecond, Timeout: time.Minute}}
}

// worker returns a version of one Worker; each has an address of its own.
func worker(n int) *cloudflare.Worker {
	text := fmt.Sprint(n)
	return &cloudflare.Worker{
		Name: "router", Module: "export default " + text, CompatibilityDate: "2026-01-01",
		Variables: map[string]string{"STAGE": text},
		Secrets:   map[string]cloudflare.Secret{"KEY": {Text: "hidden-value-" + text, Version: text}},
		Entries:   map[string]map[string]string{"TABLE": {"de": text}},
		Routes:    []cloudflare.Route{{ZoneID: "z1", Pattern: "example.com/*"}, {ZoneID: "z2", Pattern: text + ".example.org/*"}},
		Domains:   []cloudflare.Domain{{ZoneID: "z1", Hostname: "edge.example.com"}, {ZoneID: "z1", Hostname: text + ".example.com"}},
		Steps:     []cloudflare.Step{{Percentage: 10}, {Percentage: 50}},
	}
}

// foreign fills the account with what belongs to somebody else.
func foreign(t *testing.T, s *cloudflaretest.Server) {
	t.Helper()
	w := worker(9)
	w.Name, w.Routes, w.Domains = "other", []cloudflare.Route{{ZoneID: "z1", Pattern: "other.example.com/*"}}, nil
	if _, err := deployer(t, s, "somebody").Apply(t.Context(), w, nil); err != nil {
		t.Fatal(err)
	}
}

var faults = map[string]cloudflaretest.Fault{
	"403":       {Status: http.StatusForbidden},
	"409":       {Status: http.StatusConflict},
	"429":       {Status: http.StatusTooManyRequests, RetryAfter: "0"},
	"500":       {Status: http.StatusInternalServerError},
	"lost":      {Done: true},
	"no answer": {},
	"done, 503": {Status: http.StatusServiceUnavailable, Done: true},
	"time-out":  {Hang: true},
}

// TestFaults lets every request of a life fail in every way, once and for good.
// A change that fails leaves everything as it was; done again, it succeeds.
func TestFaults(t *testing.T) {
	for _, scenario := range []string{"create", "update", "rename", "delete"} {
		run := func(d *cloudflare.Deployer) error {
			var err error
			switch scenario {
			case "create":
				_, err = d.Apply(t.Context(), worker(1), nil)
			case "update":
				_, err = d.Apply(t.Context(), worker(2), worker(1))
			case "rename":
				renamed := worker(1)
				renamed.Name = "renamed"
				_, err = d.Apply(t.Context(), renamed, worker(1))
			case "delete":
				err = d.Remove(t.Context(), worker(1))
			}
			return err
		}
		setup := func(t *testing.T) (*cloudflaretest.Server, *cloudflare.Deployer) {
			s := cloudflaretest.New(t, nil)
			foreign(t, s)
			d := deployer(t, s, "me")
			if scenario != "create" {
				if _, err := d.Apply(t.Context(), worker(1), nil); err != nil {
					t.Fatal(err)
				}
			}
			return s, d
		}
		s, d := setup(t)
		first := s.Requests() + 1
		if err := run(d); err != nil {
			t.Fatal(err)
		}
		last, after := s.Requests(), s.State()
		type attempt struct {
			fault  cloudflaretest.Fault
			times  int
			s      *cloudflaretest.Server
			d      *cloudflare.Deployer
			before string
			err    error
		}
		prepare := func(t *testing.T, fault cloudflaretest.Fault, n, times int) *attempt {
			s, d := setup(t)
			s.Fault = func(i int, _ *http.Request) *cloudflaretest.Fault {
				if i >= n && i < n+times {
					return &fault
				}
				return nil
			}
			return &attempt{fault, times, s, d, s.State(), nil}
		}
		check := func(t *testing.T, a *attempt) {
			switch err := a.err; {
			case err == nil:
				if diff := cmp.Diff(after, a.s.State()); diff != "" {
					t.Errorf("it succeeds with (-want +got):\n%s", diff)
				}
			case a.times == 1 && a.fault.Status != http.StatusForbidden && a.fault.Status != http.StatusConflict:
				t.Errorf("one fault is too many: %v", err)
			case strings.Contains(err.Error(), cloudflaretest.Token) || strings.Contains(err.Error(), "hidden-value"):
				t.Errorf("the error shows a secret: %v", err)
			case scenario != "delete" && !errors.Is(err, cloudflare.ErrNotRestored) && a.before != a.s.State():
				t.Errorf("%v leaves (-want +got):\n%s", err, cmp.Diff(a.before, a.s.State()))
			case errors.Is(err, cloudflare.ErrNotRestored) && a.fault.Status != http.StatusForbidden && a.fault.Status != http.StatusConflict:
				t.Errorf("not restored: %v", err)
			}
			a.s.Fault = nil
			if err := run(a.d); err != nil {
				t.Errorf("again: %v", err)
			}
			if diff := cmp.Diff(after, a.s.State()); diff != "" {
				t.Errorf("again (-want +got):\n%s", diff)
			}
		}
		for name, fault := range faults {
			hung := map[string]*attempt{}
			var waiting sync.WaitGroup
			for n := first; n <= last; n++ {
				for _, times := range []int{1, 2} {
					name := fmt.Sprintf("%s/%s/%d/%d", scenario, name, n-first+1, times)
					if !fault.Hang {
						t.Run(name, func(t *testing.T) {
							a := prepare(t, fault, n, times)
							a.err = run(a.d)
							check(t, a)
						})
						continue
					}
					// All together, for they do nothing but wait.
					a := prepare(t, fault, n, times)
					hung[name] = a
					waiting.Go(func() {
						a.d.Client.Timeout = 300 * time.Millisecond
						a.err = run(a.d)
						a.d.Client.Timeout = time.Minute
					})
				}
			}
			waiting.Wait()
			for name, a := range hung {
				t.Run(name, func(t *testing.T) { check(t, a) })
			}
		}
	}
}

// What belongs to another is left alone, whichever it is.
func TestForeign(t *testing.T) {
	for name, change := range map[string]func(*cloudflare.Worker){
		"script": func(w *cloudflare.Worker) { w.Name = "router" },
		"route":  func(w *cloudflare.Worker) { w.Domains = nil },
		"domain": func(w *cloudflare.Worker) { w.Routes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := cloudflaretest.New(t, nil)
			if _, err := deployer(t, s, "somebody").Apply(t.Context(), worker(1), nil); err != nil {
				t.Fatal(err)
			}
			before := s.State()
			w := worker(2)
			w.Name = "mine"
			change(w)
			d := deployer(t, s, "me")
			if _, err := d.Apply(t.Context(), w, nil); !errors.Is(err, cloudflare.ErrNotOwned) {
				t.Errorf("error %v, want ErrNotOwned", err)
			}
			if err := d.Remove(t.Context(), w); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(before, s.State()); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}
