// Command handler is a Lambda function behind the middleware: it says what it
// was given and how much time it had.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/serverless-go/cdk/patterns/coldstart/warm"
)

type event struct {
	Fail  string `json:"fail"`
	Sleep int    `json:"sleep"` // milliseconds
	Text  string `json:"text"`
}

type answer struct {
	RequestID string `json:"requestId"`
	Left      int64  `json:"left"` // milliseconds to the deadline
	Text      string `json:"text"`
}

func handle(ctx context.Context, raw json.RawMessage) (answer, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return answer{}, err
	}
	if e.Fail != "" {
		return answer{}, errors.New(e.Fail)
	}
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline).Milliseconds()
	select {
	case <-time.After(time.Duration(e.Sleep) * time.Millisecond):
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	call, _ := lambdacontext.FromContext(ctx)
	return answer{RequestID: call.AwsRequestID, Left: left, Text: string(raw)}, nil
}

func main() { lambda.Start(warm.Middleware(lambda.NewHandler(handle))) }
