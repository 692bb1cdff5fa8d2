package notes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/serverless-go/cdk/functions/notebook"
	"github.com/serverless-go/cdk/patterns/security/exchange"
)

// journal is the function notejournal. The token that the notes got is not for
// it: each call carries one that was exchanged for the journal alone.
type journal struct {
	client   *lambda.Client
	tokens   *exchange.Client
	function string
}

func newJournal(cfg aws.Config, function, exchanged string) *journal {
	return &journal{
		// A log of requests would hold tokens.
		client:   lambda.NewFromConfig(cfg, func(o *lambda.Options) { o.ClientLogMode = 0 }),
		tokens:   exchange.NewClient(exchanged, &exchange.ClientOptions{Sign: exchange.SignIAM(cfg)}),
		function: function,
	}
}

// Record implements Journal.
func (j *journal) Record(ctx context.Context, action, note, request string) error {
	token, err := j.tokens.Token(ctx, notebook.JournalAudience)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(notebook.Change{Token: token, Action: action, Note: note, Request: request})
	if err != nil {
		return err
	}
	out, err := j.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &j.function, Payload: payload})
	if err != nil {
		return err
	}
	if out.FunctionError != nil {
		return errors.New("the journal failed: its log says why")
	}
	var recorded notebook.Recorded
	if err := json.Unmarshal(out.Payload, &recorded); err != nil || recorded.Entry == "" {
		return fmt.Errorf("the journal refuses: %q", recorded.Error)
	}
	return nil
}
