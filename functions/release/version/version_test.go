package version_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/functions/release/version"
	"github.com/serverless-go/cdk/patterns/coldstart/schema"
)

// service is the part of Lambda's HTTP API that the handler calls, and the
// place where CloudFormation awaits its answer.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	states   []string         // of the version, one for each time it is asked for; the last stays
	aliases  []map[string]any // FunctionVersion, RoutingConfig
	versions []string         // in pages of two
	protect  []string         // versions that cannot be deleted
	reply    func(n int) (functionError, payload string)
	broken   bool // lists nothing

	payloads []string // of invocations
	busy     int      // invocations at this moment
	most     int      // invocations at the same time
	deleted  []string
	answer   map[string]any // to CloudFormation
}

func newService(t *testing.T) *service {
	s := &service{states: []string{"Active"}, reply: func(int) (string, string) { return "", `{"cold":true}` }}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /answer", func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&s.answer); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /2015-03-31/functions/shop/configuration", s.configuration)
	mux.HandleFunc("POST /2015-03-31/functions/shop/invocations", s.invoke)
	mux.HandleFunc("GET /2015-03-31/functions/shop/aliases", s.listAliases)
	mux.HandleFunc("GET /2015-03-31/functions/shop/versions", s.listVersions)
	mux.HandleFunc("DELETE /2015-03-31/functions/shop", s.delete)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("unexpected call: %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *service) configuration(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.states[0]
	if len(s.states) > 1 {
		s.states = s.states[1:]
	}
	json.NewEncoder(w).Encode(map[string]any{"Version": r.URL.Query().Get("Qualifier"), "State": state})
}

func (s *service) invoke(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	n := len(s.payloads)
	s.payloads = append(s.payloads, r.URL.Query().Get("Qualifier")+" "+string(body))
	s.busy++
	s.most = max(s.most, s.busy)
	s.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	failure, payload := s.reply(n)
	s.mu.Lock()
	s.busy--
	s.mu.Unlock()
	if failure != "" {
		w.Header().Set("X-Amz-Function-Error", failure)
	}
	io.WriteString(w, payload)
}

func (s *service) listAliases(w http.ResponseWriter, _ *http.Request) {
	if s.broken {
		w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		w.WriteHeader(http.StatusForbidden)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"Aliases": s.aliases})
}

func (s *service) listVersions(w http.ResponseWriter, r *http.Request) {
	first := 0
	fmt.Sscan(r.URL.Query().Get("Marker"), &first)
	end := min(first+2, len(s.versions))
	page := map[string]any{}
	var versions []any
	for _, v := range s.versions[first:end] {
		versions = append(versions, map[string]any{"Version": v})
	}
	page["Versions"] = versions
	if end < len(s.versions) {
		page["NextMarker"] = fmt.Sprint(end)
	}
	json.NewEncoder(w).Encode(page)
}

func (s *service) delete(w http.ResponseWriter, r *http.Request) {
	qualifier := r.URL.Query().Get("Qualifier")
	if slices.Contains(s.protect, qualifier) {
		w.Header().Set("X-Amzn-ErrorType", "ResourceConflictException")
		w.WriteHeader(http.StatusConflict)
		return
	}
	s.deleted = append(s.deleted, qualifier)
	w.WriteHeader(http.StatusNoContent)
}

// handle sends the event as CloudFormation does and returns the answer.
func (s *service) handle(t *testing.T, request string, properties map[string]any) map[string]any {
	t.Helper()
	return s.update(t, request, nil, properties)
}

func (s *service) update(t *testing.T, request string, old, properties map[string]any) map[string]any {
	t.Helper()
	h, err := version.FromEnv(aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(s.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	event, err := json.Marshal(cfn.Event{
		RequestType: cfn.RequestType(request), ResponseURL: s.URL + "/answer", RequestID: "1", StackID: "stack",
		LogicalResourceID: "Resource", PhysicalResourceID: "shop before", ResourceProperties: properties,
		OldResourceProperties: old,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Invoke(context.Background(), event); err != nil {
		t.Fatal(err)
	}
	return s.answer
}

func preWarm(n int) map[string]any {
	return map[string]any{
		schema.Operation: schema.OpPreWarm, schema.FunctionName: "shop", schema.Version: "8",
		schema.Concurrency: fmt.Sprint(n), schema.Payload: `{"coldstart.ping":{"hold":5}}`,
	}
}

func TestPreWarm(t *testing.T) {
	s := newService(t)
	s.states = []string{"Pending", "Active"}
	answer := s.handle(t, "Update", preWarm(5))
	if answer["Status"] != "SUCCESS" || answer["PhysicalResourceId"] != "shop prewarm" {
		t.Errorf("CloudFormation is told %v", answer)
	}
	want := slices.Repeat([]string{`8 {"coldstart.ping":{"hold":5}}`}, 5)
	if diff := cmp.Diff(want, s.payloads); diff != "" {
		t.Error(diff)
	}
	if s.most < 2 {
		t.Errorf("%d invocations ran at the same time, want them to overlap", s.most)
	}
}

// A version that cannot start gets no traffic: the custom resource fails, and
// the alias that depends on it stays where it is.
func TestPreWarmFails(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*service)
		request map[string]any
		reason  string
	}{
		{"one of five crashes", func(s *service) {
			s.reply = func(n int) (string, string) {
				if n == 3 {
					return "Unhandled", `{"errorType":"Runtime.ExitError"}`
				}
				return "", "{}"
			}
		}, preWarm(5), "version 8 of shop gets no traffic: Unhandled error: {\"errorType\":\"Runtime.ExitError\"}"},
		{"it never becomes active", func(s *service) { s.states = []string{"Failed"} }, preWarm(1), "version 8 of shop does not become active"},
		{"no number", func(*service) {}, map[string]any{schema.Operation: schema.OpPreWarm, schema.Concurrency: "many"}, "property Concurrency"},
		{"no operation", func(*service) {}, map[string]any{}, `property Operation is ""; it must be "prewarm" or "prune"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			tt.change(s)
			answer := s.handle(t, "Create", tt.request)
			if reason, _ := answer["Reason"].(string); answer["Status"] != "FAILED" || !strings.Contains(reason, tt.reason) {
				t.Errorf("CloudFormation is told %v, want %q", answer, tt.reason)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	prune := func(keep string) map[string]any {
		return map[string]any{schema.Operation: schema.OpPrune, schema.FunctionName: "shop", schema.Version: "12", schema.Keep: keep}
	}
	all := []string{"$LATEST", "2", "9", "12", "10", "11", "3"}
	live := []map[string]any{{"Name": "live", "FunctionVersion": "12"}}
	tests := []struct {
		name   string
		change func(*service)
		keep   string
		want   []string
	}{
		{"the newest three stay, by number", func(*service) {}, "3", []string{"2", "3", "9"}},
		{"all stay", func(*service) {}, "10", nil},
		{"what an alias needs stays", func(s *service) {
			s.aliases = append(live, map[string]any{"Name": "old", "FunctionVersion": "3",
				"RoutingConfig": map[string]any{"AdditionalVersionWeights": map[string]any{"2": 0.1}}})
		}, "3", []string{"9"}},
		{"what is in use stays, the others go", func(s *service) { s.protect = []string{"3"} }, "3", []string{"2", "9"}},
		{"lists are refused", func(s *service) { s.broken = true }, "3", nil},
		{"never the version to roll back to", func(*service) {}, "1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			s.versions, s.aliases = all, live
			tt.change(s)
			answer := s.handle(t, "Update", prune(tt.keep))
			if answer["Status"] != "SUCCESS" {
				t.Errorf("a deployment that succeeded fails over old versions: %v", answer)
			}
			if diff := cmp.Diff(tt.want, s.deleted); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The version that was live stays until the next deployment, for this one may
// still roll back to it, however many failed deployments left versions behind.
func TestPruneKeepsTheVersionBefore(t *testing.T) {
	at := func(version string) map[string]any {
		return map[string]any{schema.Operation: schema.OpPrune, schema.FunctionName: "shop", schema.Version: version, schema.Keep: "3"}
	}
	for _, tt := range []struct{ name, before, now, alias string }{
		{"update", "9", "12", "12"},
		{"rollback before the alias", "12", "9", "12"},
		{"rollback", "12", "9", "9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			s.versions = []string{"$LATEST", "8", "9", "10", "11", "12"}
			s.aliases = []map[string]any{{"Name": "live", "FunctionVersion": tt.alias}}
			s.update(t, "Update", at(tt.before), at(tt.now))
			if diff := cmp.Diff([]string{"8"}, s.deleted); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	s := newService(t)
	answer := s.handle(t, "Delete", preWarm(3))
	if answer["Status"] != "SUCCESS" || answer["PhysicalResourceId"] != "shop before" || len(s.payloads) != 0 {
		t.Errorf("deleting the resource did %v, told CloudFormation %v", s.payloads, answer)
	}
}
