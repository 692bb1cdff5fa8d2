package engine

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// listen serves until the test ends.
func listen(t testing.TB, handler http.Handler) Endpoint {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return Endpoint{URL: server.URL}
}

// script counts calls and knows which of them shall fail.
type script struct {
	mu     sync.Mutex
	faults []fault
	calls  map[string]int
}

type fault struct {
	operation string
	left      int
	code      string // of a double's answer
	body      string // of the answer given instead of the engine's
	lost      bool   // the engine acts and its answer is lost
}

// Calls returns how often an operation was called, failures included.
func (s *script) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

func (s *script) add(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// take counts a call and returns the fault it shall fail with, if any.
func (s *script) take(operation string) (fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = make(map[string]int)
	}
	s.calls[operation]++
	for i := range s.faults {
		if f := &s.faults[i]; f.operation == operation && f.left > 0 {
			f.left--
			return *f, true
		}
	}
	return fault{}, false
}
