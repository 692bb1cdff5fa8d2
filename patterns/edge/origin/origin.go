// Package origin lets a function behind an edge.EdgeRouter refuse requests that
// did not come through the router: those lack the secret that CloudFront adds to
// each request.
//
//	guard, err := origin.FromEnv(cfg)
//	...
//	lambda.Start(guard.Wrap(handler))
//
// The current and the previous version of the secret are taken, so that it can
// be changed without a gap: put a new value, wait until every function has read
// it (Age), then deploy the router with it.
//
// Source: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-overview.html#forward-custom-headers-restrict-access.
package origin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// ErrStranger says that a request did not come through the router.
var ErrStranger = errors.New("origin: the request did not come through the router")

// Min is how many characters a secret has at least.
const Min = 32

// Guard knows the secret. Its methods may be called at the same time.
type Guard struct {
	// Client reads the secret. Required.
	Client *secretsmanager.Client
	// Secret is its name or ARN. Required.
	Secret string
	// Age is how old what was read may be.
	//
	// Default: 5 minutes.
	Age time.Duration
	// Now is the clock.
	//
	// Default: time.Now.
	Now func() time.Time

	mu    sync.Mutex
	known [][sha256.Size]byte
	read  time.Time
}

// FromEnv returns the guard that [schema.EnvOriginSecret] names.
func FromEnv(cfg aws.Config) (*Guard, error) {
	if name := os.Getenv(schema.EnvOriginSecret); name != "" {
		return &Guard{Client: secretsmanager.NewFromConfig(cfg), Secret: name}, nil
	}
	return nil, errors.New("origin: " + schema.EnvOriginSecret + " must name a secret")
}

// Check returns ErrStranger for headers without the secret. Another error says
// that the secret could not be read, and nothing about the request.
func (g *Guard) Check(ctx context.Context, headers map[string]string) error {
	sent := ""
	for name, value := range headers {
		if strings.EqualFold(name, schema.OriginHeader) {
			sent = value
		}
	}
	if sent == "" {
		return ErrStranger
	}
	known, err := g.secrets(ctx)
	if err != nil {
		return err
	}
	// Hashes are of one length: the comparison tells nothing about the secret's.
	sum, equal := sha256.Sum256([]byte(sent)), 0
	for _, k := range known {
		equal |= subtle.ConstantTimeCompare(sum[:], k[:])
	}
	if equal == 0 {
		return ErrStranger
	}
	return nil
}

// secrets returns the hashes of the current and the previous version. What was
// read before serves on while Secrets Manager cannot be reached.
func (g *Guard) secrets(ctx context.Context) ([][sha256.Size]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now
	if g.Now != nil {
		now = g.Now
	}
	if g.known != nil && now().Sub(g.read) < cmp.Or(g.Age, 5*time.Minute) {
		return g.known, nil
	}
	var read [][sha256.Size]byte
	for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		out, err := g.Client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &g.Secret, VersionStage: &stage})
		if _, none := errors.AsType[*types.ResourceNotFoundException](err); none && stage == "AWSPREVIOUS" {
			continue // it was never changed
		}
		if err == nil && len(aws.ToString(out.SecretString)) < Min {
			err = fmt.Errorf("origin: the %s version of the secret has less than %d characters", stage, Min)
		}
		if err != nil && g.known != nil {
			slog.ErrorContext(ctx, "secret not read again", "error", err)
			return g.known, nil
		}
		if err != nil {
			return nil, err
		}
		read = append(read, sha256.Sum256([]byte(*out.SecretString)))
	}
	g.known, g.read = read, now()
	return read, nil
}

// Handler handles a request of an HTTP API, of payload format 2.0.
type Handler func(ctx context.Context, payload []byte) ([]byte, error)

// Invoke makes Handler a handler for lambda.Start.
func (h Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return h(ctx, payload) }

// Wrap answers strangers with 403, and 503 while the secret was never read. All
// others are the handler's.
func (g *Guard) Wrap(next interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}) Handler {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var in struct{ Headers map[string]string }
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, errors.New("origin: not a request")
		}
		switch err := g.Check(ctx, in.Headers); {
		case errors.Is(err, ErrStranger):
			return refuse(http.StatusForbidden)
		case err != nil:
			slog.ErrorContext(ctx, "secret not read", "error", err)
			return refuse(http.StatusServiceUnavailable)
		}
		return next.Invoke(ctx, payload)
	}
}

func refuse(status int) ([]byte, error) {
	return json.Marshal(events.APIGatewayV2HTTPResponse{StatusCode: status,
		Headers: map[string]string{"content-type": "application/problem+json", "cache-control": "no-store"},
		Body:    fmt.Sprintf(`{"title":%q,"status":%d}`, http.StatusText(status), status)})
}
