// Package neptunetest is a double of a Neptune cluster's HTTP endpoint, for
// tests without AWS: its loader and its openCypher endpoint, or the queries of
// Neptune Analytics. It refuses what is not signed as IAM authentication
// demands, and what the documentation of the loader does not know.
package neptunetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/test/engine"
)

// Statuses are all that the loader is documented to report
// (https://docs.aws.amazon.com/neptune/latest/userguide/loader-message.html).
var Statuses = []string{
	"LOAD_NOT_STARTED", "LOAD_IN_QUEUE", "LOAD_IN_PROGRESS", "LOAD_COMPLETED", "LOAD_CANCELLED_BY_USER",
	"LOAD_CANCELLED_DUE_TO_ERRORS", "LOAD_UNEXPECTED_ERROR", "LOAD_FAILED", "LOAD_S3_READ_ERROR",
	"LOAD_S3_ACCESS_DENIED_ERROR", "LOAD_COMMITTED_W_WRITE_CONFLICTS", "LOAD_DATA_DEADLOCK",
	"LOAD_DATA_FAILED_DUE_TO_FEED_MODIFIED_OR_DELETED", "LOAD_FAILED_BECAUSE_DEPENDENCY_NOT_SATISFIED",
	"LOAD_FAILED_INVALID_REQUEST",
}

// Step is what a load reports when it is asked.
type Step struct {
	Status string
	// Feeds are the statuses of the files that failed.
	Feeds []string
}

// Steps returns steps of loads none of whose files failed.
func Steps(statuses ...string) []Step {
	steps := make([]Step, len(statuses))
	for i, s := range statuses {
		steps[i].Status = s
	}
	return steps
}

// Load is a load that the server was asked for.
type Load struct {
	ID      string
	Request map[string]any // the last
	Modes   []string       // of each run
	steps   []Step
}

// now returns what the load reports, and goes on to the next step.
func (l *Load) now() Step {
	step := l.steps[0]
	if len(l.steps) > 1 {
		l.steps = l.steps[1:]
	}
	return step
}

// Server is the double. Set its fields before the first request.
type Server struct {
	URL    string
	Region string
	// Credentials sign the requests that the server accepts.
	Credentials aws.Credentials
	// Service is the name in the signature.
	//
	// Default: "neptune-db".
	Service string
	// Answer answers openCypher queries.
	Answer func(query string, parameters map[string]any) ([]map[string]any, error)

	mu      sync.Mutex
	runs    [][]Step
	loads   []*Load
	faults  []fault
	refused []string
}

type fault struct {
	method, path string
	status       int // 0: do what is asked and lose the answer
	code         string
}

// New starts a server, which ends with the test.
func New(t testing.TB) *Server {
	s := &Server{
		Region:      "eu-central-1",
		Credentials: aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret", SessionToken: "session/token=="},
		Service:     "neptune-db",
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Run adds what the next load reports that is started or resumed. Loads beyond
// those added complete.
func (s *Server) Run(steps ...Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = append(s.runs, steps)
}

// Fail makes the next request of the method, whose path starts so, fail with
// the HTTP status and code.
func (s *Server) Fail(method, path string, status int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fault{method, path, status, code})
}

// Lose does what the next request of the method asks for, whose path starts
// so, and closes the connection without an answer.
func (s *Server) Lose(method, path string) { s.Fail(method, path, 0, "") }

// Loads returns the loads, the first one first.
func (s *Server) Loads() []*Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.loads)
}

// Refused returns why requests were refused.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// answerError is what the server answers instead of a result.
type answerError struct {
	status        int
	code, message string
}

func (e *answerError) Error() string { return e.code + ": " + e.message }

func invalid(format string, args ...any) error {
	return &answerError{http.StatusBadRequest, "InvalidParameterException", fmt.Sprintf(format, args...)}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	lost := false
	var answer any
	if err = s.verify(r, body); err == nil {
		i := slices.IndexFunc(s.faults, func(f fault) bool {
			return f.method == r.Method && strings.HasPrefix(r.URL.Path, f.path)
		})
		if i >= 0 {
			f := s.faults[i]
			s.faults = slices.Delete(s.faults, i, i+1)
			if lost = f.status == 0; !lost {
				err = &answerError{f.status, f.code, "as the test asks"}
			}
		}
	}
	if err == nil {
		answer, err = s.answer(r, body)
	}
	if lost {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	var e *answerError
	if errors.As(err, &e) {
		s.refused = append(s.refused, e.Error())
		w.WriteHeader(e.status)
		answer = map[string]any{"code": e.code, "detailedMessage": e.message, "requestId": "request-1"}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}

func (s *Server) verify(r *http.Request, body []byte) error {
	check := engine.SigV4{Service: s.Service, Region: s.Region, Credentials: func(key string) (aws.Credentials, bool) {
		return s.Credentials, key == s.Credentials.AccessKeyID
	}}
	_, err := check.Verify(r, body)
	if wrong := (*engine.SignatureError)(nil); errors.As(err, &wrong) {
		return &answerError{http.StatusForbidden, wrong.Code, wrong.Message}
	}
	return err
}

func (s *Server) answer(r *http.Request, body []byte) (any, error) {
	id, one := strings.CutPrefix(r.URL.Path, "/loader/")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/loader":
		return s.start(body)
	case r.Method == http.MethodGet && r.URL.Path == "/loader":
		ids := []string{}
		for _, l := range s.loads {
			ids = append(ids, l.ID)
		}
		return payload(map[string]any{"loadIds": ids}), nil
	case r.Method == http.MethodGet && one:
		return s.status(id)
	case r.Method == http.MethodDelete && one:
		return s.cancel(id)
	case r.Method == http.MethodPost && r.URL.Path == "/openCypher":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, invalid("%v", err)
		}
		return s.query(form.Get("query"), []byte(form.Get("parameters")))
	case r.Method == http.MethodPost && r.URL.Path == "/queries":
		var request struct {
			Query, Language string
			Parameters      json.RawMessage
		}
		if err := json.Unmarshal(body, &request); err != nil || request.Language != "OPEN_CYPHER" {
			return nil, invalid("want a query in OPEN_CYPHER")
		}
		return s.query(request.Query, request.Parameters)
	}
	return nil, &answerError{http.StatusNotFound, "ResourceNotFound", r.Method + " " + r.URL.Path}
}

func payload(v any) any { return map[string]any{"status": "200 OK", "payload": v} }

// parameters are those of a load, with their allowed values where they are
// few (https://docs.aws.amazon.com/neptune/latest/userguide/load-api-reference-load.html).
var parameters = map[string][]string{
	"source":                            nil,
	"format":                            {"csv", "opencypher", "ntriples", "nquads", "rdfxml", "turtle"},
	"iamRoleArn":                        nil,
	"region":                            nil,
	"mode":                              {"NEW", "RESUME", "AUTO"},
	"failOnError":                       {"TRUE", "FALSE"},
	"parallelism":                       {"LOW", "MEDIUM", "HIGH", "OVERSUBSCRIBE"},
	"updateSingleCardinalityProperties": {"TRUE", "FALSE"},
	"queueRequest":                      {"TRUE", "FALSE"},
	"userProvidedEdgeIds":               {"TRUE", "FALSE"},
	"edgeOnlyLoad":                      {"TRUE", "FALSE"},
}

func (s *Server) start(body []byte) (any, error) {
	var request map[string]any
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, invalid("%v", err)
	}
	for name, value := range request {
		allowed, known := parameters[name]
		text, _ := value.(string)
		if !known || text == "" || len(allowed) > 0 && !slices.Contains(allowed, text) {
			return nil, invalid("%s is %v", name, value)
		}
	}
	for _, name := range []string{"source", "format", "iamRoleArn", "region"} {
		if request[name] == nil {
			return nil, invalid("%s is missing", name)
		}
	}
	if request["region"] != s.Region || !strings.HasPrefix(request["source"].(string), "s3://") {
		return nil, invalid("%v in %v is not in S3 in the cluster's region", request["source"], request["region"])
	}
	if request["format"] == "opencypher" && request["updateSingleCardinalityProperties"] != nil {
		return nil, invalid("updateSingleCardinalityProperties is not supported for openCypher data")
	}
	load := &Load{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", len(s.loads)+1)}
	i := slices.IndexFunc(s.loads, func(l *Load) bool { return l.Request["source"] == request["source"] })
	switch {
	case request["mode"] != "RESUME":
		s.loads = append(s.loads, load)
	case i < 0:
		return nil, invalid("no load of %s to resume", request["source"])
	default:
		load = s.loads[i]
	}
	load.Request = request
	load.Modes = append(load.Modes, request["mode"].(string))
	load.steps = Steps("LOAD_NOT_STARTED", "LOAD_IN_PROGRESS", "LOAD_COMPLETED")
	if len(s.runs) > 0 {
		load.steps, s.runs = s.runs[0], s.runs[1:]
	}
	return payload(map[string]any{"loadId": load.ID}), nil
}

func (s *Server) find(id string) (*Load, error) {
	for _, l := range s.loads {
		if l.ID == id {
			return l, nil
		}
	}
	return nil, &answerError{http.StatusNotFound, "BulkLoadIdNotFoundException", id}
}

func (s *Server) status(id string) (any, error) {
	load, err := s.find(id)
	if err != nil {
		return nil, err
	}
	step := load.now()
	source := load.Request["source"].(string)
	feed := func(uri, status string) map[string]any {
		return map[string]any{"fullUri": uri, "runNumber": len(load.Modes), "retryNumber": 0, "status": status,
			"totalTimeSpent": 3, "startTime": 1700000000, "totalRecords": 7, "totalDuplicates": 0, "parsingErrors": 0,
			"datatypeMismatchErrors": 0, "insertErrors": 0}
	}
	failed, logs := []any{}, []any{}
	for i, status := range step.Feeds {
		file := fmt.Sprintf("%s%d.csv.gz", source, i)
		failed = append(failed, feed(file, status))
		logs = append(logs, map[string]any{"errorCode": "EXAMPLE_ERROR", "errorMessage": "An example", "fileName": file, "recordNum": 2})
	}
	return payload(map[string]any{
		"feedCount":     []any{map[string]any{step.Status: 1}},
		"overallStatus": feed(source, step.Status),
		"failedFeeds":   failed,
		"errors":        map[string]any{"startIndex": 1, "endIndex": len(logs), "loadId": id, "errorLogs": logs},
	}), nil
}

func (s *Server) cancel(id string) (any, error) {
	load, err := s.find(id)
	if err != nil {
		return nil, err
	}
	load.steps = Steps("LOAD_CANCELLED_BY_USER")
	return map[string]any{"status": "200 OK"}, nil
}

func (s *Server) query(query string, encoded []byte) (any, error) {
	var parameters map[string]any
	if len(encoded) > 0 {
		if err := json.Unmarshal(encoded, &parameters); err != nil {
			return nil, invalid("parameters: %v", err)
		}
	}
	if s.Answer == nil {
		return nil, &answerError{http.StatusBadRequest, "MalformedQueryException", "the test answers no queries"}
	}
	rows, err := s.Answer(query, parameters)
	if err != nil {
		return nil, &answerError{http.StatusBadRequest, "MalformedQueryException", err.Error()}
	}
	return map[string]any{"results": rows}, nil
}
