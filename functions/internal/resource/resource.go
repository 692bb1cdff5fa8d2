// Package resource holds what the custom resources of this module do the same
// way: how they read secrets and objects, and how they answer in time and in
// few enough words.
package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// Secrets is what custom resources need of Secrets Manager.
type Secrets interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Objects is what custom resources need of S3.
type Objects interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// margin is kept to put everything back and to answer CloudFormation, which
// would wait on in silence.
const margin = 90 * time.Second

// WithMargin returns a context that ends early enough to put everything back.
func WithMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-margin))
	}
	return context.WithCancel(ctx)
}

// Properties reads the properties of a custom resource.
func Properties(properties map[string]any, out any) error {
	data, err := json.Marshal(properties)
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return fmt.Errorf("read the properties: %w", err)
	}
	return nil
}

// maxReason is how much of an error CloudFormation is told, whose answer has
// room for 4 KB in all.
const maxReason = 2000

// Brief shortens an error for CloudFormation, and logs what it leaves out.
func Brief(ctx context.Context, err error) error {
	if err == nil || len(err.Error()) <= maxReason {
		return err
	}
	slog.ErrorContext(ctx, "not deployed", "error", err)
	return fmt.Errorf("%.*s ... (the rest is in the log)", maxReason, err)
}

// ReadSecret returns a secret's text, or that of one field if it is JSON, and
// the ID of its version. No error shows any of it.
func ReadSecret(ctx context.Context, secrets Secrets, arn, field string, pause time.Duration) (text, version string, err error) {
	var secret *secretsmanager.GetSecretValueOutput
	err = Repeat(ctx, pause, denied, func() (err error) {
		secret, err = secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		return err
	})
	if err != nil {
		return "", "", err
	}
	text, version = aws.ToString(secret.SecretString), aws.ToString(secret.VersionId)
	if field == "" {
		return text, version, nil
	}
	var fields map[string]any
	// The decoder's error would show a part of the secret.
	if json.Unmarshal([]byte(text), &fields) != nil {
		return "", "", fmt.Errorf("the secret %s is no JSON object", arn)
	}
	text, ok := fields[field].(string)
	if !ok {
		return "", "", fmt.Errorf("the secret %s has no text in its field %s", arn, field)
	}
	return text, version, nil
}

// ReadObject returns an object's content.
func ReadObject(ctx context.Context, objects Objects, bucket, key string, pause time.Duration) (data []byte, err error) {
	err = Repeat(ctx, pause, denied, func() error {
		object, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		defer object.Body.Close()
		data, err = io.ReadAll(object.Body)
		return err
	})
	return data, err
}

// denied repeats what is denied, for the permission may have been granted
// seconds ago, in the same deployment.
func denied(attempt int, err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied") && attempt < 6
}

// Repeat calls f until it succeeds, its error is none to try again, or the time
// is over, and returns its last error. The pause is 5 s unless given.
func Repeat(ctx context.Context, pause time.Duration, again func(attempt int, err error) bool, f func() error) error {
	if pause == 0 {
		pause = 5 * time.Second
	}
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || !again(attempt, err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}
