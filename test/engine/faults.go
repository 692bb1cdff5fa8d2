package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Faults is an HTTP client that makes chosen calls to an engine fail. The zero
// value passes every call on.
//
//	faults := &engine.Faults{}
//	cfg := engine.DynamoDB(t).Config()
//	cfg.HTTPClient = faults
//	faults.Lose("ExecuteTransaction", 1)
//
// A call's operation is the last part of its X-Amz-Target header, such as
// "ExecuteTransaction", or the HTTP method where there is none, as in S3.
type Faults struct{ script }

// ErrLost is what a client sees when an answer was lost on its way.
var ErrLost = errors.New("engine: connection lost by the test")

// Refuse answers the next calls of an operation with an error code, such as
// "ThrottlingException", before they reach the engine.
func (f *Faults) Refuse(operation, code string, times int) {
	f.Answer(operation, fmt.Sprintf(`{"__type":%q,"message":"injected by the test"}`, code), times)
}

// Answer answers the next calls of an operation with status 400 and a body,
// before they reach the engine.
func (f *Faults) Answer(operation, body string, times int) {
	f.add(fault{operation: operation, left: times, body: body})
}

// Lose lets the next calls of an operation reach the engine and loses the
// answers: the caller cannot tell what happened.
func (f *Faults) Lose(operation string, times int) {
	f.add(fault{operation: operation, left: times, lost: true})
}

// Do sends the request unless it shall fail. It makes Faults an
// aws.HTTPClient.
func (f *Faults) Do(r *http.Request) (*http.Response, error) {
	operation := r.Method
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		operation = target[strings.LastIndexByte(target, '.')+1:]
	}
	fault, found := f.take(operation)
	switch {
	case !found:
		return http.DefaultClient.Do(r)
	case fault.lost:
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return nil, ErrLost
	default:
		return &http.Response{
			StatusCode: http.StatusBadRequest,
			Status:     "400 Bad Request",
			Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
			Body:       io.NopCloser(bytes.NewReader([]byte(fault.body))),
			Request:    r,
		}, nil
	}
}
