package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

// Errors of a user who could not be had.
var (
	// ErrToken says that the token is missing or refused: answer 401.
	ErrToken = errors.New("identity: the token is not valid")
	// ErrSet says that the broker does not know the permission set, or that STS
	// does not take it: answer 500, for trying again does not help.
	ErrSet = errors.New("identity: the permission set cannot be used")
	// ErrUnavailable says that the broker could not be reached or could not
	// decide: answer 503, trying again may help.
	ErrUnavailable = errors.New("identity: the broker is unavailable")
)

// Broker hands out credentials.
type Broker interface {
	// Impersonate returns the broker's answer, refusals included; an error is
	// one of reaching it.
	Impersonate(context.Context, schema.ImpersonationRequest) (*schema.ImpersonationResponse, error)
}

// LambdaAPI is what a LambdaBroker needs of AWS Lambda.
type LambdaAPI interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// LambdaBroker is the broker of a security.Impersonation.
type LambdaBroker struct {
	Client LambdaAPI
	// Function is the broker's name or ARN.
	Function string
}

// Impersonate invokes the broker and waits for its answer.
func (b *LambdaBroker) Impersonate(ctx context.Context, r schema.ImpersonationRequest) (*schema.ImpersonationResponse, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out, err := b.Client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &b.Function, Payload: payload})
	switch {
	case err != nil:
		return nil, err
	case out.FunctionError != nil:
		// The payload is not quoted: nothing says what a crash puts there.
		return nil, fmt.Errorf("the broker failed: %s", aws.ToString(out.FunctionError))
	}
	var response schema.ImpersonationResponse
	if err := json.Unmarshal(out.Payload, &response); err != nil {
		// The decoder's error would show a part of the answer.
		return nil, errors.New("the broker's answer is no JSON")
	}
	return &response, nil
}
