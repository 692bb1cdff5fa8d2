// Package document serves the public keys of a token issuer as a JWKS document
// (RFC 7517), with the headers that let caches keep it.
package document

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// Document is the handler.
type Document struct {
	maxAge  time.Duration
	signers []*token.Signer
}

// New returns a document with the signers' keys that caches may keep for maxAge.
func New(maxAge time.Duration, signers ...*token.Signer) *Document { return &Document{maxAge, signers} }

// FromEnv makes the document that the environment describes.
func FromEnv(cfg aws.Config) (*Document, error) {
	keys := strings.Fields(os.Getenv(schema.EnvSigningKeys))
	if len(keys) == 0 {
		return nil, errors.New(schema.EnvSigningKeys + " names no key")
	}
	seconds := 300
	if s := os.Getenv(schema.EnvJWKSMaxAge); s != "" {
		var err error
		if seconds, err = strconv.Atoi(s); err != nil || seconds < 0 || seconds > 24*60*60 {
			return nil, fmt.Errorf("%s must be 0 to 86400 seconds", schema.EnvJWKSMaxAge)
		}
	}
	client := kms.NewFromConfig(cfg)
	d := New(time.Duration(seconds) * time.Second)
	for _, key := range keys {
		d.signers = append(d.signers, token.NewSigner(client, key, nil))
	}
	return d, nil
}

// Invoke answers a request of an HTTP API (payload format 2.0), whatever its
// path: the route is the API's matter. A document that lacks a key would have
// good tokens refused, so without all of them the answer is 503.
func (d *Document) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	doc, err := token.JWKS(ctx, d.signers...)
	if err != nil {
		slog.ErrorContext(ctx, "keys not had", "error", err)
		return json.Marshal(events.APIGatewayV2HTTPResponse{
			StatusCode: http.StatusServiceUnavailable,
			Headers:    map[string]string{"cache-control": "no-store", "retry-after": "1"},
		})
	}
	sum := sha256.Sum256(doc)
	answer := events.APIGatewayV2HTTPResponse{
		StatusCode: http.StatusOK,
		Headers: map[string]string{
			"cache-control": fmt.Sprintf("public, max-age=%d", int(d.maxAge.Seconds())),
			"etag":          `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`,
		},
	}
	if in.Headers["if-none-match"] == answer.Headers["etag"] {
		answer.StatusCode = http.StatusNotModified
		return json.Marshal(answer)
	}
	answer.Headers["content-type"] = "application/jwk-set+json"
	answer.Body = string(doc)
	return json.Marshal(answer)
}
