// Package api answers the HTTP requests that an HTTP API of API Gateway passes
// to a Lambda function (payload format 2.0). It knows who calls, decodes bodies
// strictly, and tells clients what is wrong in the form of RFC 9457.
package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
)

// Request is a request of a caller who is known.
type Request struct {
	events.APIGatewayV2HTTPRequest
	// Caller is the pseudonym of who calls, see Caller.
	Caller string
}

// Response is what a handler answers.
type Response struct {
	Status int               // such as http.StatusOK
	Header map[string]string // further headers; nil for none
	Body   any               // encoded as JSON
	// Content is the body as it is, in place of Body. Header names its type.
	Content []byte
}

// Handler answers the requests of a route. An error that has a *Problem in its
// chain is an answer too.
type Handler func(ctx context.Context, r *Request) (*Response, error)

// Mux maps routes, such as "GET /carts/{cart}", to their handlers.
type Mux map[string]Handler

// Invoke is Serve for JSON. It makes the Mux a handler for lambda.Start.
func (m Mux) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	out, err := m.Serve(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Serve answers a request. An error without a *Problem in its chain has no
// answer that would help a client: Serve returns it, whereupon Lambda counts it
// and API Gateway answers with status 500.
//
// No answer may be stored by caches, as all depend on who asks.
func (m Mux) Serve(ctx context.Context, in events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	answer, err := m.answer(ctx, in)
	contentType := "application/json"
	if problem := (*Problem)(nil); errors.As(err, &problem) {
		answer = &Response{Status: problem.Status, Header: problem.Header, Body: problem}
		contentType = "application/problem+json"
	} else if err != nil {
		return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("%s: %w", in.RouteKey, err)
	}
	if answer.Content != nil {
		header := map[string]string{"cache-control": "no-store"}
		maps.Copy(header, answer.Header)
		return events.APIGatewayV2HTTPResponse{StatusCode: answer.Status, Headers: header, IsBase64Encoded: true,
			Body: base64.StdEncoding.EncodeToString(answer.Content)}, nil
	}
	body, err := json.Marshal(answer.Body)
	if err != nil {
		return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("%s: encode answer: %w", in.RouteKey, err)
	}
	header := map[string]string{"content-type": contentType, "cache-control": "no-store"}
	maps.Copy(header, answer.Header)
	return events.APIGatewayV2HTTPResponse{StatusCode: answer.Status, Headers: header, Body: string(body)}, nil
}

func (m Mux) answer(ctx context.Context, in events.APIGatewayV2HTTPRequest) (*Response, error) {
	handler, ok := m[in.RouteKey]
	if !ok {
		return nil, &Problem{Status: http.StatusNotFound, Detail: "There is no such route."}
	}
	caller, ok := Caller(ctx, in)
	if !ok {
		return nil, &Problem{Status: http.StatusUnauthorized, Detail: "The request does not tell who calls."}
	}
	return handler(ctx, &Request{in, caller})
}
