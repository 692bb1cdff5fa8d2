package identity

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// Extract finds the token in an event. It returns ErrToken, or an error that
// wraps it, if there is none.
type Extract func(ctx context.Context, event []byte) (token string, err error)

// Handler returns a handler that calls next as the user whose token extract
// finds, with the rights of the permission set. Where there is no such user it
// returns ErrToken, ErrSet or ErrUnavailable and does not call next.
func (u *Users) Handler(set string, extract Extract, next lambda.Handler) lambda.Handler {
	return &handler{users: u, set: set, extract: extract, next: next,
		refuse: func(err error) ([]byte, error) { return nil, err }}
}

// HTTP is Handler for the events of HTTP APIs, payload format 2.0, with the
// token in the Authorization header. Where there is no user it answers 401, or
// 503 if the broker is unavailable.
func (u *Users) HTTP(set string, next lambda.Handler) lambda.Handler {
	return &handler{users: u, set: set, extract: Bearer, next: next, refuse: answer}
}

type handler struct {
	users   *Users
	set     string
	extract Extract
	next    lambda.Handler
	refuse  func(error) ([]byte, error)
}

// Invoke calls the next handler as the user.
func (h *handler) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	token, err := h.extract(ctx, event)
	if err != nil {
		return h.refuse(err)
	}
	user, err := h.users.As(ctx, token, h.set)
	if err != nil {
		return h.refuse(err)
	}
	return h.next.Invoke(WithUser(ctx, user), event)
}

// answer turns an error into an HTTP response with one of a few fixed texts. A
// permission set that cannot be used is a mistake of ours: 500.
func answer(err error) ([]byte, error) {
	response := events.APIGatewayV2HTTPResponse{Headers: map[string]string{"content-type": "application/problem+json"}}
	switch {
	case errors.Is(err, ErrToken):
		response.StatusCode = http.StatusUnauthorized
		response.Headers["www-authenticate"] = `Bearer error="invalid_token"`
	case errors.Is(err, ErrUnavailable):
		response.StatusCode = http.StatusServiceUnavailable
		response.Headers["retry-after"] = "1"
	default:
		response.StatusCode = http.StatusInternalServerError
	}
	body, _ := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
	}{http.StatusText(response.StatusCode), response.StatusCode})
	response.Body = string(body)
	return json.Marshal(response)
}

// maxToken is the longest token in bytes; API Gateway passes headers of 10 KB
// in all.
const maxToken = 8 << 10

// Bearer finds the token in the Authorization header of an HTTP API's event,
// payload format 2.0. One header with one token is taken; everything else,
// several headers included, is ErrToken.
func Bearer(_ context.Context, event []byte) (string, error) {
	var in struct {
		Version string            `json:"version"`
		Headers map[string]string `json:"headers"`
	}
	if json.Unmarshal(event, &in) != nil || in.Version != "2.0" {
		return "", ErrToken
	}
	value, found := "", 0
	for name, v := range in.Headers {
		if strings.EqualFold(name, "authorization") {
			value, found = v, found+1
		}
	}
	if found != 1 {
		return "", ErrToken
	}
	return parseBearer(value)
}

// parseBearer returns the token of an Authorization header: the scheme, one
// space and a JWT's characters. API Gateway joins several headers with commas.
func parseBearer(value string) (string, error) {
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" || len(token) > maxToken {
		return "", ErrToken
	}
	for _, c := range []byte(token) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "", ErrToken
		}
	}
	return token, nil
}
