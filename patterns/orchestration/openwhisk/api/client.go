package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Key is the credentials of a namespace: "uuid:key". Printed, logged or
// marshaled it shows nothing of itself.
type Key struct{ user, password string }

// ParseKey reads a key as `wsk property get --auth` shows it. The error shows
// nothing of it either.
func ParseKey(s string) (Key, error) {
	user, password, ok := strings.Cut(strings.TrimSpace(s), ":")
	if !ok || user == "" || password == "" {
		return Key{}, errors.New("the credentials are not of the form uuid:key")
	}
	return Key{user, password}, nil
}

const redacted = "(redacted)"

// String returns no part of the key.
func (Key) String() string { return redacted }

// GoString returns no part of the key.
func (Key) GoString() string { return redacted }

// MarshalText returns no part of the key.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// An Error is an answer of OpenWhisk that is no success.
type Error struct {
	Operation string // the method and path
	Status    int    // HTTP's
	Message   string // OpenWhisk's own words
	Code      string // OpenWhisk's transaction, for its operator
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: OpenWhisk answers %d %s", e.Operation, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Code != "" {
		s += " (transaction " + e.Code + ")"
	}
	return s
}

// Is reports whether the target is the error that the status stands for.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrConflict:
		return e.Status == http.StatusConflict
	}
	return false
}

// What an Error can be.
var (
	ErrNotFound = errors.New("api: there is no such entity in OpenWhisk")
	ErrConflict = errors.New("api: the entity exists in OpenWhisk, or is of another kind")
)

// A Client calls the REST API of OpenWhisk for one namespace.
type Client struct {
	// Host is the API host with its scheme: "https://openwhisk.example.com".
	Host string
	// Key are the namespace's credentials.
	Key Key
	// HTTP sends the requests; nil means http.DefaultClient.
	HTTP *http.Client
	// Attempts is how often a request is sent that OpenWhisk could not answer:
	// 429, 502, 503, 504 or no answer at all. All requests but invocations can
	// be repeated. Default: 4, with 1, 2 and 4 seconds between.
	Attempts int
	// Backoff is the first of these pauses; default 1 second.
	Backoff time.Duration
}

// maxAnswer is more than OpenWhisk's largest answer, an action's code of 48 MB
// in base64.
const maxAnswer = 80 << 20

// do sends a request until it is answered and decodes the answer into out.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	operation := method + " " + path
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s: %w", operation, err)
		}
	}
	attempts, pause := c.Attempts, c.Backoff
	if attempts == 0 {
		attempts = 4
	}
	if pause == 0 {
		pause = time.Second
	}
	for attempt := 1; ; attempt++ {
		data, err := c.send(ctx, method, path, query, body)
		if err == nil {
			if out == nil || len(data) == 0 {
				return nil
			}
			if err := json.Unmarshal(data, out); err != nil {
				return fmt.Errorf("%s: decode the answer: %w", operation, err)
			}
			return nil
		}
		if attempt >= attempts || !passing(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// passing reports whether the same request may succeed later.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return true
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, body []byte) ([]byte, error) {
	operation := method + " " + path
	address := strings.TrimSuffix(c.Host, "/") + "/api/v1" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	request.SetBasicAuth(c.Key.user, c.Key.password)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", operation, err)
	}
	if response.StatusCode >= 300 {
		e := &Error{Operation: operation, Status: response.StatusCode}
		var answer struct {
			Error string          `json:"error"`
			Code  json.RawMessage `json:"code"` // a text or, in old versions, a number
		}
		if json.Unmarshal(data, &answer) == nil {
			e.Message, e.Code = answer.Error, strings.Trim(string(answer.Code), `"`)
		}
		return nil, e
	}
	return data, nil
}

// own is the path of an entity of the key's own namespace.
func own(collection string, names ...string) string {
	path := "/namespaces/_/" + collection
	for _, name := range names {
		path += "/" + url.PathEscape(name)
	}
	return path
}

func overwrite(yes bool) url.Values { return url.Values{"overwrite": {strconv.FormatBool(yes)}} }

// Namespace returns the name of the namespace that the key belongs to.
func (c *Client) Namespace(ctx context.Context) (string, error) {
	var names []string
	if err := c.do(ctx, http.MethodGet, "/namespaces", nil, nil, &names); err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", errors.New("GET /namespaces: the key belongs to no namespace")
	}
	return names[0], nil
}

// Package returns a package with the names of its actions.
func (c *Client) Package(ctx context.Context, name string) (*Package, error) {
	var p Package
	return &p, c.do(ctx, http.MethodGet, own("packages", name), nil, nil, &p)
}

// PutPackage creates a package.
func (c *Client) PutPackage(ctx context.Context, p *Package) error {
	return c.do(ctx, http.MethodPut, own("packages", p.Name), overwrite(false), p, nil)
}

// DeletePackage deletes an empty package.
func (c *Client) DeletePackage(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, own("packages", name), nil, nil, nil)
}

// Action returns an action of a package with its code.
func (c *Client) Action(ctx context.Context, pkg, name string) (*Action, error) {
	var a Action
	return &a, c.do(ctx, http.MethodGet, own("actions", pkg, name), url.Values{"code": {"true"}}, nil, &a)
}

// PutAction creates or replaces an action of a package.
func (c *Client) PutAction(ctx context.Context, pkg string, a *Action) error {
	return c.do(ctx, http.MethodPut, own("actions", pkg, a.Name), overwrite(true), a, nil)
}

// DeleteAction deletes an action of a package.
func (c *Client) DeleteAction(ctx context.Context, pkg, name string) error {
	return c.do(ctx, http.MethodDelete, own("actions", pkg, name), nil, nil, nil)
}

// Invoke invokes an action of a package, waits for it up to OpenWhisk's limit of
// a minute, and returns its activation. The activation has no more than its ID
// if the action runs on. It is sent once: OpenWhisk may have received what it
// did not answer.
func (c *Client) Invoke(ctx context.Context, pkg, name string, params any) (*Activation, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	path := own("actions", pkg, name)
	data, err := c.send(ctx, http.MethodPost, path, url.Values{"blocking": {"true"}}, body)
	if err != nil {
		return nil, err
	}
	var a Activation
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("POST %s: decode the answer: %w", path, err)
	}
	return &a, nil
}

// Trigger returns a trigger.
func (c *Client) Trigger(ctx context.Context, name string) (*Trigger, error) {
	var t Trigger
	return &t, c.do(ctx, http.MethodGet, own("triggers", name), nil, nil, &t)
}

// PutTrigger creates or replaces a trigger.
func (c *Client) PutTrigger(ctx context.Context, t *Trigger) error {
	return c.do(ctx, http.MethodPut, own("triggers", t.Name), overwrite(true), t, nil)
}

// DeleteTrigger deletes a trigger.
func (c *Client) DeleteTrigger(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, own("triggers", name), nil, nil, nil)
}

// Triggers returns all triggers of the namespace.
func (c *Client) Triggers(ctx context.Context) ([]*Trigger, error) {
	return list[Trigger](ctx, c, "triggers")
}

// Rule returns a rule.
func (c *Client) Rule(ctx context.Context, name string) (*Rule, error) {
	var r Rule
	return &r, c.do(ctx, http.MethodGet, own("rules", name), nil, nil, &r)
}

// PutRule creates or replaces a rule. A rule that is replaced is inactive
// afterwards, or stays as it was, as the version of OpenWhisk has it: activate
// it.
func (c *Client) PutRule(ctx context.Context, r *Rule) error {
	return c.do(ctx, http.MethodPut, own("rules", r.Name), overwrite(true), r.put(), nil)
}

// SetRule makes a rule active or inactive.
func (c *Client) SetRule(ctx context.Context, name string, active bool) error {
	status := "inactive"
	if active {
		status = "active"
	}
	return c.do(ctx, http.MethodPost, own("rules", name), nil, map[string]string{"status": status}, nil)
}

// DeleteRule deletes a rule.
func (c *Client) DeleteRule(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, own("rules", name), nil, nil, nil)
}

// Rules returns all rules of the namespace.
func (c *Client) Rules(ctx context.Context) ([]*Rule, error) { return list[Rule](ctx, c, "rules") }

// page is the most that OpenWhisk lists at once.
const page = 200

func list[T any](ctx context.Context, c *Client, collection string) ([]*T, error) {
	var all []*T
	for {
		var some []*T
		query := url.Values{"limit": {strconv.Itoa(page)}, "skip": {strconv.Itoa(len(all))}}
		if err := c.do(ctx, http.MethodGet, own(collection), query, nil, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
	}
}
