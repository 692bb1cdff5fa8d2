// Package quality is the gate between the curated data and the training: it
// lets data pass whose profile keeps its bounds.
package quality

import (
	"context"
	"fmt"
	"strconv"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// FromEnv returns the function's handler. It needs no permission, for it is
// handed all that it judges.
func FromEnv(aws.Config) (awslambda.Handler, error) { return awslambda.NewHandler(Judge), nil }

// Judge returns the profile's values if each keeps its bound. A value that is
// NULL, as Athena answers for the average of no rows, breaks its bound, and so
// does one that is no number. The error is a *training.DataQualityError with
// every broken bound.
func Judge(_ context.Context, r training.QualityRequest) (*training.Values, error) {
	if len(r.Profile.Rows) != 2 {
		return nil, refuse(fmt.Sprintf("the profile has %d rows, its names included; it must have 2", len(r.Profile.Rows)))
	}
	data := r.Profile.Rows[1].Data
	if len(data) != len(r.Bounds) {
		return nil, refuse(fmt.Sprintf("the profile has %d values for %d bounds", len(data), len(r.Bounds)))
	}
	answer, problems := training.Hold(r.Bounds, func(i int) (float64, string) {
		if data[i].VarCharValue == nil {
			return 0, fmt.Sprintf("%s is NULL; allowed is %s", r.Bounds[i].Name, r.Bounds[i].Range())
		}
		value, err := strconv.ParseFloat(*data[i].VarCharValue, 64)
		if err != nil {
			return 0, fmt.Sprintf("%s is %q, which is no number", r.Bounds[i].Name, *data[i].VarCharValue)
		}
		return value, ""
	})
	if problems != nil {
		return nil, refuse(problems...)
	}
	return answer, nil
}

func refuse(problems ...string) error { return &training.DataQualityError{Problems: problems} }
