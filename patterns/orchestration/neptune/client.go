package neptune

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// client sends signed requests.
type client struct {
	endpoint    string
	region      string
	service     string // the name in the signature
	credentials aws.CredentialsProvider
	http        *http.Client
}

// Error is what Neptune answered instead of a result.
type Error struct {
	HTTPStatus int
	Code       string // such as "MalformedQueryException"
	Message    string
	RequestID  string
}

func (e *Error) Error() string {
	return fmt.Sprintf("neptune: %d %s: %s (request %s)", e.HTTPStatus, e.Code, e.Message, e.RequestID)
}

// Codes of requests that may succeed when they are sent again, though their
// HTTP status says that the client is wrong
// (https://docs.aws.amazon.com/neptune/latest/userguide/errors-engine-codes.html).
var temporary = []string{"ConcurrentModificationException", "ThrottlingException", "TooManyRequestsException",
	"ClientTimeoutException", "ServerShutdownException"}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.HTTPStatus >= 500 && e.Code != "TimeLimitExceededException" ||
		e.HTTPStatus == http.StatusTooManyRequests || slices.Contains(temporary, e.Code)
}

// Temporary reports whether what failed with the error may succeed later:
// Neptune said so, or did not answer at all.
func Temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Temporary()
	}
	var sent *sendError
	return errors.As(err, &sent)
}

// sendError is that a request was not answered.
type sendError struct{ err error }

func (e *sendError) Error() string { return "neptune: no answer: " + e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// do sends a request and decodes the answer's JSON into out, unless it is nil.
func (c *client) do(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.endpoint, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("neptune: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	credentials, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("neptune: credentials to sign with: %w", err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), c.service, c.region, time.Now()); err != nil {
		return fmt.Errorf("neptune: sign: %w", err)
	}
	client := c.http
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return &sendError{err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return &sendError{err}
	}
	if resp.StatusCode != http.StatusOK {
		return failure(resp.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("neptune: decode the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// failure returns the error that the body describes: in the engine's words, or
// in those of an AWS service.
func failure(status int, body []byte) error {
	var e struct {
		Code            string `json:"code"`
		DetailedMessage string `json:"detailedMessage"`
		Message         string `json:"message"`
		Reason          string `json:"reason"`
		RequestID       string `json:"requestId"`
	}
	if json.Unmarshal(body, &e) != nil {
		e.Message = string(body[:min(len(body), 500)])
	}
	if e.DetailedMessage == "" {
		e.DetailedMessage = e.Message
	}
	if e.Code == "" {
		e.Code = e.Reason
	}
	return &Error{HTTPStatus: status, Code: e.Code, Message: e.DetailedMessage, RequestID: e.RequestID}
}

// rows decodes the results of a query into a pointer to a slice.
func rows(answer json.RawMessage, into any) error {
	if into == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber() // a Long in an any does not fit a float64
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("neptune: decode the results: %w", err)
	}
	return nil
}
