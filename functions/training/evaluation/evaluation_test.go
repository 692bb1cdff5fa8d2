package evaluation_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/training/evaluation"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// report answers with itself as the object.
type report struct {
	text string
	err  error
}

func (r report) GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if r.err != nil {
		return nil, r.err
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(r.text))}, nil
}

func TestJudge(t *testing.T) {
	bounds := []training.Bound{{Name: "metrics.auc", Min: aws.Float64(0.8)}, {Name: "loss", Min: aws.Float64(0), Max: aws.Float64(1)}}
	for name, tt := range map[string]struct {
		report   report
		want     map[string]float64
		problems []string
	}{
		"good":         {report{text: `{"metrics": {"auc": {"value": 0.8, "standard_deviation": "NaN"}}, "loss": 0.5}`}, map[string]float64{"metrics.auc": 0.8, "loss": 0.5}, nil},
		"bad":          {report{text: `{"metrics": {"auc": 0.5}, "loss": 2}`}, nil, []string{"metrics.auc is 0.5; allowed is at least 0.8", "loss is 2; allowed is 0 to 1"}},
		"not measured": {report{text: `{"metrics": 1, "loss": "low"}`}, nil, []string{"the report has no number metrics.auc", "the report has no number loss"}},
		"not JSON":     {report{text: `{`}, nil, []string{"the report key is not JSON: unexpected end of JSON input"}},
		"too large":    {report{text: strings.Repeat(" ", evaluation.MaxBytes+1)}, nil, []string{"the report key has more than 1048576 bytes"}},
		"none":         {report{err: &types.NoSuchKey{}}, nil, []string{"there is no report key: the evaluation must write it"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&evaluation.Reader{S3: tt.report}).Judge(t.Context(), training.EvaluationRequest{Bucket: "bucket", Key: "key", Bounds: bounds})
			if tt.problems == nil {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got.Values); diff != "" {
					t.Error(diff)
				}
				return
			}
			var bad *training.MetricError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, %v", got, err)
			}
			if diff := cmp.Diff(tt.problems, bad.Problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJudgeTellsWhenS3Fails(t *testing.T) {
	down := errors.New("down")
	_, err := (&evaluation.Reader{S3: report{err: down}}).Judge(t.Context(), training.EvaluationRequest{Key: "key"})
	if unavailable := (*training.UnavailableError)(nil); !errors.As(err, &unavailable) || !errors.Is(err, down) {
		t.Errorf("got %v", err)
	}
}
