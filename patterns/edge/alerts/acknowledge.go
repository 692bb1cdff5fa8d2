package alerts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// Acknowledger acknowledges alerts. Who may invoke it, IAM decides.
type Acknowledger struct {
	DynamoDB *dynamodb.Client
	Table    string
	Now      func() time.Time // Default: time.Now
}

// AcknowledgerFromEnv returns the acknowledger that the environment describes.
func AcknowledgerFromEnv(cfg aws.Config) (*Acknowledger, error) {
	table := os.Getenv(schema.EnvAlertsTable)
	if table == "" {
		return nil, fmt.Errorf("alerts: environment variable %s is not set", schema.EnvAlertsTable)
	}
	return &Acknowledger{DynamoDB: dynamodb.NewFromConfig(cfg), Table: table}, nil
}

// Invoke takes a [schema.Acknowledgement] and returns a [schema.Acknowledged].
// It makes Acknowledger a handler for lambda.Start.
func (a *Acknowledger) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in schema.Acknowledgement
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, errors.New("alerts: not an acknowledgement")
	}
	out, err := a.Acknowledge(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Acknowledge ends an alert's escalation. The first acknowledgement stays on
// record; another one changes nothing and returns the first.
func (a *Acknowledger) Acknowledge(ctx context.Context, in schema.Acknowledgement) (*schema.Acknowledged, error) {
	if in.Alert == "" || in.By == "" || len(in.Alert) > 256 || utf8.RuneCountInString(in.By) > 128 {
		return nil, errors.New("alerts: an acknowledgement names an alert, and who it is by in up to 128 characters")
	}
	now := time.Now
	if a.Now != nil {
		now = a.Now
	}
	t, at := table{a.DynamoDB, a.Table}, now()
	answer := &schema.Acknowledged{Alert: in.Alert, By: in.By, At: at.UTC().Format(time.RFC3339)}
	err := t.update(ctx, in.Alert, schema.AlertItem,
		"SET #state = :state, acknowledgedBy = :by, acknowledgedAt = :at, #ttl = :ttl ADD revision :one REMOVE outbox, due",
		"attribute_exists("+schema.AlertPK+") AND #state <> :state",
		values{":state": text(stateAcknowledged), ":by": text(in.By), ":at": text(answer.At), ":ttl": expiry(at), ":one": number(1)})
	if err == nil {
		return answer, nil
	}
	if !errors.Is(err, errChanged) {
		return nil, err
	}
	known, err := t.get(ctx, in.Alert, schema.AlertItem)
	if err != nil {
		return nil, err
	}
	if known == nil || known.State != stateAcknowledged {
		return nil, errors.New(schema.NoSuchAlert)
	}
	answer.By, answer.At = known.By, known.At
	return answer, nil
}
