// Package evaluation is the gate between a trained model and its use: it reads
// the report of the evaluation and lets models pass whose metrics keep their
// bounds.
package evaluation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// MaxBytes is the most that a report may have.
const MaxBytes = 1 << 20

// Client is what Reader needs of S3.
type Client interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Reader reads reports.
type Reader struct {
	S3 Client
}

// FromEnv returns the function's handler.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	r := &Reader{S3: s3.NewFromConfig(cfg)}
	return awslambda.NewHandler(r.Judge), nil
}

// Judge returns the metrics that have bounds, if they keep them. A report that
// is missing, malformed or lacks a metric breaks the bounds, too: the error is
// a *training.MetricError with every problem. A failure of S3 is a
// *training.UnavailableError.
func (r *Reader) Judge(ctx context.Context, in training.EvaluationRequest) (*training.Values, error) {
	report, err := r.read(ctx, in)
	if err != nil {
		return nil, err
	}
	answer, problems := training.Hold(in.Bounds, func(i int) (float64, string) {
		value, ok := metric(report, in.Bounds[i].Name)
		if !ok {
			return 0, "the report has no number " + in.Bounds[i].Name
		}
		return value, ""
	})
	if problems != nil {
		return nil, refuse(problems...)
	}
	return answer, nil
}

func refuse(problems ...string) error { return &training.MetricError{Problems: problems} }

func (r *Reader) read(ctx context.Context, in training.EvaluationRequest) (any, error) {
	out, err := r.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &in.Bucket, Key: &in.Key})
	if noKey := (*types.NoSuchKey)(nil); errors.As(err, &noKey) {
		return nil, refuse(fmt.Sprintf("there is no report %s: the evaluation must write it", in.Key))
	}
	if err != nil {
		return nil, &training.UnavailableError{Err: fmt.Errorf("get %s: %w", in.Key, err)}
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, MaxBytes+1))
	if err != nil {
		return nil, &training.UnavailableError{Err: fmt.Errorf("read %s: %w", in.Key, err)}
	}
	if len(text) > MaxBytes {
		return nil, refuse(fmt.Sprintf("the report %s has more than %d bytes", in.Key, MaxBytes))
	}
	var report any
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, refuse(fmt.Sprintf("the report %s is not JSON: %v", in.Key, err))
	}
	return report, nil
}

// metric follows the path into the report.
func metric(report any, path string) (float64, bool) {
	for _, name := range strings.Split(path, ".") {
		object, ok := report.(map[string]any)
		if !ok {
			return 0, false
		}
		report = object[name]
	}
	if object, ok := report.(map[string]any); ok {
		report = object["value"]
	}
	value, ok := report.(float64)
	return value, ok
}
