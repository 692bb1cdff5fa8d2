package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Host is where Cloudflare's API is.
const Host = "https://api.cloudflare.com/client/v4"

// A Token is an API token. Printed, logged or marshaled it shows nothing of
// itself.
type Token struct{ value string }

// ParseToken reads a token as Cloudflare shows it once, when it is made. The
// error shows nothing of it either.
func ParseToken(s string) (Token, error) {
	s = strings.TrimSpace(s)
	// RFC 6750, section 2.1: what may stand after "Bearer".
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Token{}, errors.New("this is no API token of Cloudflare: it is empty, or has spaces or special characters")
	}
	return Token{s}, nil
}

const redacted = "(redacted)"

// String returns no part of the token.
func (Token) String() string { return redacted }

// GoString returns no part of the token.
func (Token) GoString() string { return redacted }

// MarshalText returns no part of the token.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Client calls Cloudflare's API for one account.
type Client struct {
	// Account is the account's ID, 32 hexadecimal digits.
	Account string
	// Token may edit the Workers' scripts, KV storage and routes.
	Token Token
	// URL is where the API is; default [Host].
	URL string
	// HTTP sends the requests, and never follows a redirect; nil means
	// http.DefaultClient's transport.
	HTTP *http.Client
	// Attempts is how often a request is sent that Cloudflare could not answer:
	// 429, 5xx or no answer at all. Default: 5.
	Attempts int
	// Backoff is the pause after the first attempt, which doubles after each
	// and is shortened by up to half at random; default 1 second.
	Backoff time.Duration
	// MaxPause is the longest pause that the client takes when Cloudflare asks
	// for one with Retry-After; asked for more, it gives up. Default: 1 minute.
	MaxPause time.Duration
	// Timeout is the longest that one attempt may take; default 30 seconds.
	Timeout time.Duration
}

// An Error is an answer of Cloudflare that is no success.
type Error struct {
	Operation  string        // the method and path
	Status     int           // HTTP's
	Problems   []Problem     // in Cloudflare's own words
	Ray        string        // Cloudflare's name for the request, for its support
	RetryAfter time.Duration // how long Cloudflare asks to wait
}

// A Problem is one of the errors in an answer.
type Problem struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: Cloudflare answers %d %s", e.Operation, e.Status, http.StatusText(e.Status))
	for _, p := range e.Problems {
		s += fmt.Sprintf(": %s (code %d)", p.Message, p.Code)
	}
	if e.Ray != "" {
		s += " (ray " + e.Ray + ")"
	}
	return s
}

// What an Error can be.
var (
	ErrNotFound = errors.New("cloudflare: there is no such thing in the account")
	ErrExists   = errors.New("cloudflare: the account has it already")
	ErrDenied   = errors.New("cloudflare: the token is not taken, or it may not do this")
	ErrLimited  = errors.New("cloudflare: called too often")
)

// Codes of what exists already.
const (
	namespaceExists = 10014 // a KV namespace of this title
	routeExists     = 10020 // a route of this pattern
)

// Is reports whether the target is the error that the answer stands for.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrDenied:
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	case ErrLimited:
		return e.Status == http.StatusTooManyRequests
	case ErrExists:
		if e.Status == http.StatusConflict {
			return true
		}
		for _, p := range e.Problems {
			if p.Code == namespaceExists || p.Code == routeExists {
				return true
			}
		}
	}
	return false
}

// passing reports whether the same request may succeed later.
func passing(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Status == http.StatusTooManyRequests || e.Status >= 500
}

// A payload is the body of a request.
type payload struct {
	kind string // the media type
	data []byte
}

// nothing is the body of requests that have none: the API's description wants
// one in every DELETE.
var nothing = struct{}{}

func jsonPayload(v any) (payload, error) {
	data, err := json.Marshal(v)
	return payload{"application/json", data}, err
}

// call sends a value as JSON and decodes the result.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body payload
	if in != nil {
		var err error
		if body, err = jsonPayload(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return c.do(ctx, method, path, query, body, out)
}

// do sends a request until it is answered, and decodes the result. Everything
// that is sent here can be sent twice.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body payload, out any) error {
	pause := or(c.Backoff, time.Second)
	for attempt := 1; ; attempt++ {
		err := c.send(ctx, method, path, query, body, out)
		if err == nil || attempt >= or(c.Attempts, 5) || !passing(err) || ctx.Err() != nil {
			return err
		}
		wait := pause/2 + rand.N(pause/2+1)
		pause *= 2
		var e *Error
		if errors.As(err, &e) && e.RetryAfter > 0 {
			wait = e.RetryAfter
		}
		if wait > or(c.MaxPause, time.Minute) {
			return fmt.Errorf("%w: it asks to wait for %s, which is too long", err, wait)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return fmt.Errorf("%w: no time is left to try again", err)
		}
		if sleep(ctx, wait) != nil {
			return err
		}
	}
}

// maxAnswer is far more than any answer that is read here.
const maxAnswer = 32 << 20

// send sends a request once.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body payload, out any) error {
	operation := method + " " + path
	ctx, cancel := context.WithTimeout(ctx, or(c.Timeout, 30*time.Second))
	defer cancel()
	address := strings.TrimSuffix(or(c.URL, Host), "/") + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body.data))
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.Token.value)
	request.Header.Set("Accept", "application/json")
	if body.kind != "" {
		request.Header.Set("Content-Type", body.kind)
	}
	response, err := still(c.HTTP).Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: read the answer: %w", operation, err)
	}
	var answer struct {
		Success *bool           `json:"success"`
		Errors  []Problem       `json:"errors"`
		Result  json.RawMessage `json:"result"`
	}
	broken := json.Unmarshal(data, &answer)
	if response.StatusCode >= 300 || answer.Success != nil && !*answer.Success {
		// What Cloudflare says may quote what it was sent.
		for i, p := range answer.Errors {
			answer.Errors[i].Message = strings.ReplaceAll(p.Message, c.Token.value, redacted)
		}
		return &Error{
			Operation: operation, Status: response.StatusCode, Problems: answer.Errors,
			Ray: response.Header.Get("Cf-Ray"), RetryAfter: retryAfter(response.Header.Get("Retry-After")),
		}
	}
	if out == nil {
		return nil
	}
	if broken == nil {
		broken = json.Unmarshal(answer.Result, out)
	}
	if broken != nil {
		return fmt.Errorf("%s: decode the answer: %w", operation, broken)
	}
	return nil
}

// still returns the client without redirects, which could take the token along.
func still(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(s string) time.Duration {
	if seconds, err := strconv.Atoi(s); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if date, err := http.ParseTime(s); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// account is a path below the account's.
func (c *Client) account(elements ...string) string {
	return join("/accounts/"+url.PathEscape(c.Account), elements)
}

func zone(id string, elements ...string) string { return join("/zones/"+url.PathEscape(id), elements) }

func join(path string, elements []string) string {
	for _, e := range elements {
		path += "/" + url.PathEscape(e)
	}
	return path
}
