// Package forget erases the personal data of a customer, as article 17 of the
// GDPR gives everybody the right to demand.
package forget

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Handler answers requests such as {"subject": "customer-..."}. The subject is
// what a cart's JSON shows as customer, and what api.Pseudonym makes of an
// issuer and a user's name there.
//
// It cannot be undone. A request that is sent twice does no harm.
type Handler struct {
	Log interface {
		Forget(ctx context.Context, subject string) error
	}
}

// FromEnv returns the handler over the event store that the environment names.
// It needs GrantForget and no more: it reads no event.
func FromEnv(cfg aws.Config) (*Handler, error) {
	options := eventlog.Options{
		Table:      os.Getenv(schema.EnvStoreTable),
		Subjects:   os.Getenv(schema.EnvStoreSubjects),
		Registry:   eventlog.NewRegistry(),
		AppendOnly: true,
	}
	if options.Table == "" || options.Subjects == "" {
		return nil, fmt.Errorf("forget: %s is %q, %s is %q; both must be set, EventStore.GrantForget sets them",
			schema.EnvStoreTable, options.Table, schema.EnvStoreSubjects, options.Subjects)
	}
	log, err := eventlog.New(cfg, options)
	return &Handler{log}, err
}

// Invoke forgets the subject that the payload names, and answers with the
// payload. It makes Handler a handler for lambda.Start.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var request struct {
		Subject string `json:"subject"`
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, fmt.Errorf(`forget: read the request, want {"subject": "customer-..."}: %w`, err)
	}
	if !api.IsPseudonym(request.Subject) {
		return nil, fmt.Errorf(`forget: subject is %q, want the pseudonym of a customer, "customer-" and 26 letters and digits`, request.Subject)
	}
	if err := h.Log.Forget(ctx, request.Subject); err != nil {
		return nil, fmt.Errorf("forget %s: %w", request.Subject, err)
	}
	slog.InfoContext(ctx, "customer forgotten", "subject", request.Subject)
	return payload, nil
}
