// Package journal records who changes which note. It takes no caller's word:
// each call carries a token that was exchanged for the journal alone, and says
// for whom, and through which function, it is made.
package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/notebook"
	"github.com/serverless-go/cdk/patterns/security/inner"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// keep is how long an entry stays.
const keep = 366 * 24 * time.Hour

// Journal records changes. All fields but Now are required.
type Journal struct {
	Door     *inner.Door
	DynamoDB *dynamodb.Client
	Table    string
	Now      func() time.Time // Default: time.Now
}

// FromEnv returns the handler that the environment describes.
func FromEnv(cfg aws.Config) (lambda.Handler, error) {
	door, err := inner.FromEnv(map[string][]string{notebook.RouteRecord: {notebook.Scopes()[notebook.RouteRecord]}})
	j := &Journal{Door: door, DynamoDB: dynamodb.NewFromConfig(cfg), Table: os.Getenv(notebook.EnvEntries)}
	if j.Table == "" {
		err = errors.Join(err, fmt.Errorf("journal: %s must be set", notebook.EnvEntries))
	}
	if err != nil {
		return nil, err
	}
	return lambda.NewHandler(j.Record), nil
}

var actions = []string{notebook.Written, notebook.Deleted, notebook.FileWritten}

// Record writes an entry. An error says that it may not be there, and that
// trying again may help; a refusal is an answer.
func (j *Journal) Record(ctx context.Context, c notebook.Change) (*notebook.Recorded, error) {
	ctx, err := j.Door.EnterToken(ctx, c.Token, notebook.RouteRecord)
	switch {
	case errors.Is(err, inner.ErrUnavailable):
		return nil, errors.New("journal: the token cannot be verified now")
	case err != nil:
		slog.Warn("refused", "why", err)
		return &notebook.Recorded{Error: notebook.RefusedToken}, nil
	case !slices.Contains(actions, c.Action):
		return nil, errors.New("journal: there is no such action")
	}
	claims := inner.Claims(ctx)
	if claims.Actor == nil {
		// Only the exchange makes tokens for the journal, and it names who asked.
		slog.Warn("refused", "why", "the token names no actor")
		return &notebook.Recorded{Error: notebook.RefusedToken}, nil
	}
	provider := claims.Text(schema.ProviderClaim)
	if provider == "" {
		slog.Warn("refused", "why", "the token does not say who vouches for its subject")
		return &notebook.Recorded{Error: notebook.RefusedToken}, nil
	}
	now := time.Now
	if j.Now != nil {
		now = j.Now
	}
	at := now().UTC()
	entry := at.Format(time.RFC3339Nano) + "#" + rand.Text()
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	_, err = j.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &j.Table,
		Item: map[string]types.AttributeValue{
			notebook.PK: text(Owner(provider, claims.Subject)), notebook.SK: text(entry),
			"action": text(c.Action), "note": text(c.Note), "by": text(claims.Actor.Subject), "request": text(c.Request), "token": text(claims.ID),
			notebook.TTL: &types.AttributeValueMemberN{Value: strconv.FormatInt(at.Add(keep).Unix(), 10)},
		},
		ConditionExpression: aws.String("attribute_not_exists(" + notebook.PK + ")"), // entries are never changed
	})
	if err != nil {
		return nil, err
	}
	return &notebook.Recorded{Entry: entry}, nil
}

// Owner returns the partition key of a person's entries, which tells nobody who
// it is. All tokens for the journal have one issuer; who vouches for the subject
// keeps those apart whom two providers call alike.
func Owner(provider, subject string) string { return "person-" + api.Digest(provider, subject) }
