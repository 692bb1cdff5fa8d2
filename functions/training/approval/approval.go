// Package approval is the API by which people approve or deny what a workflow
// wants to do. The workflow's task put a request into a table, with its token,
// and waits; a decision is written beside the request and then handed to the
// task. The token never leaves the table but for Step Functions.
package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/patterns/coldstart/warm"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// MaxComment is how many characters a comment may have.
const MaxComment = 500

// Table is what the API needs of DynamoDB.
type Table interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Tasks is what the API needs of Step Functions.
type Tasks interface {
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
	SendTaskFailure(context.Context, *sfn.SendTaskFailureInput, ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error)
}

// Desk is where approvals are asked for and decided. All fields but Now are
// required.
type Desk struct {
	DynamoDB Table
	Name     string // of the table
	Tasks    Tasks
	Now      func() time.Time // Default: time.Now
}

// FromEnv returns the function's handler. It answers the pings of a KeepWarm,
// so that who decides once a week need not wait for a cold start.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	d := &Desk{DynamoDB: dynamodb.NewFromConfig(cfg), Name: os.Getenv(training.EnvApprovals), Tasks: sfn.NewFromConfig(cfg)}
	if d.Name == "" {
		return nil, fmt.Errorf("%s is empty; it must name the table of the approvals", training.EnvApprovals)
	}
	return warm.Middleware(d.Mux()), nil
}

// Mux returns the handlers of the approval API's routes.
func (d *Desk) Mux() api.Mux {
	return api.Mux{training.RouteApproval: d.show, training.RouteDecide: d.decide}
}

// Approval is what the API tells of an approval.
type Approval struct {
	Run       string          `json:"run"`
	Requested string          `json:"requested"`
	Expires   time.Time       `json:"expires"`
	Request   json.RawMessage `json:"request,omitempty"`
	Decision  string          `json:"decision,omitempty"` // training.DecisionApprove or DecisionDeny; none yet
	Decider   string          `json:"decider,omitempty"`
	Decided   string          `json:"decided,omitempty"`
	Comment   string          `json:"comment,omitempty"`

	token string
}

// Decision is the body of training.RouteDecide.
type Decision struct {
	Decision string `json:"decision"`
	Comment  string `json:"comment"`
}

func (d *Desk) show(ctx context.Context, r *api.Request) (*api.Response, error) {
	a, err := d.get(ctx, r.PathParameters[training.RunParameter])
	if err != nil {
		return nil, err
	}
	return &api.Response{Status: http.StatusOK, Body: a}, nil
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Desk) get(ctx context.Context, run string) (*Approval, error) {
	notFound := &api.Problem{Status: http.StatusNotFound, Detail: "No run of this name has asked for approval."}
	if run == "" {
		return nil, notFound
	}
	out, err := d.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &d.Name, Key: key(run), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("get approval: %w", err)
	}
	if out.Item == nil {
		return nil, notFound
	}
	return parse(run, out.Item)
}

func key(run string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{training.AttrRun: &types.AttributeValueMemberS{Value: run}}
}

func parse(run string, item map[string]types.AttributeValue) (*Approval, error) {
	text := func(name string) string {
		if s, ok := item[name].(*types.AttributeValueMemberS); ok {
			return s.Value
		}
		return ""
	}
	a := &Approval{
		Run: run, Requested: text(training.AttrRequested), Decision: text(training.AttrDecision), Decider: text(training.AttrDecider),
		Decided: text(training.AttrDecided), Comment: text(training.AttrComment), token: text(training.AttrToken),
	}
	if request := text(training.AttrRequest); request != "" {
		a.Request = json.RawMessage(request)
	}
	n, ok := item[training.AttrExpires].(*types.AttributeValueMemberN)
	if !ok {
		return nil, fmt.Errorf("approval of %s has no %s", run, training.AttrExpires)
	}
	seconds, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("approval of %s: %s: %w", run, training.AttrExpires, err)
	}
	a.Expires = time.Unix(seconds, 0).UTC()
	return a, nil
}

// decide records the decision and hands it to the task. The same decision by
// the same person can be sent again, for the answer to the first may have been
// lost, and with it the hand-over; another decision is refused.
func (d *Desk) decide(ctx context.Context, r *api.Request) (*api.Response, error) {
	decider, err := decider(r)
	if err != nil {
		return nil, err
	}
	var body Decision
	if err := api.Decode(r, &body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	a, err := d.get(ctx, r.PathParameters[training.RunParameter])
	if err != nil {
		return nil, err
	}
	again := a.Decision == body.Decision && a.Decider == decider
	switch {
	case again:
	case a.Decision != "":
		return nil, &api.Problem{Status: http.StatusConflict, Detail: fmt.Sprintf("%s has decided: %s.", a.Decider, a.Decision)}
	case !d.now().Before(a.Expires):
		return nil, expired()
	default:
		if err := d.record(ctx, a, body, decider); err != nil {
			return nil, err
		}
	}
	if err := d.handOver(ctx, a, again); err != nil {
		return nil, err
	}
	return &api.Response{Status: http.StatusOK, Body: a}, nil
}

func expired() *api.Problem {
	return &api.Problem{Status: http.StatusGone, Detail: "It is too late: the run no longer waits. Redrive its execution to be asked again."}
}

func (b Decision) check() error {
	var wrong []api.FieldError
	if b.Decision != training.DecisionApprove && b.Decision != training.DecisionDeny {
		wrong = append(wrong, api.Field("decision", fmt.Sprintf("must be %q or %q", training.DecisionApprove, training.DecisionDeny)))
	}
	if utf8.RuneCountInString(b.Comment) > MaxComment {
		wrong = append(wrong, api.Field("comment", fmt.Sprintf("must have at most %d characters", MaxComment)))
	}
	if len(wrong) > 0 {
		return &api.Problem{Status: http.StatusUnprocessableEntity, Detail: "The decision is not one.", Errors: wrong}
	}
	return nil
}

// decider returns who decides, by the name that an auditor can look up. The
// authorizer has checked the scope of a token, unless somebody made the route
// without it.
func decider(r *api.Request) (string, error) {
	switch authorizer := r.RequestContext.Authorizer; {
	case authorizer.JWT != nil:
		if !slices.Contains(strings.Fields(authorizer.JWT.Claims["scope"]), training.ApproveScope) {
			return "", &api.Problem{Status: http.StatusForbidden, Detail: "The token lacks the scope " + training.ApproveScope + "."}
		}
		return authorizer.JWT.Claims["iss"] + " " + authorizer.JWT.Claims["sub"], nil
	case authorizer.IAM != nil:
		return authorizer.IAM.UserARN, nil
	}
	return "", &api.Problem{Status: http.StatusUnauthorized, Detail: "The request does not tell who decides."}
}

// record writes the decision, unless the task has asked anew or somebody else
// has decided meanwhile.
func (d *Desk) record(ctx context.Context, a *Approval, body Decision, decider string) error {
	a.Decision, a.Comment, a.Decider, a.Decided = body.Decision, body.Comment, decider, d.now().UTC().Format(time.RFC3339)
	_, err := d.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:           &d.Name,
		Key:                 key(a.Run),
		UpdateExpression:    aws.String("SET #decision = :decision, #decider = :decider, #decided = :decided, #comment = :comment"),
		ConditionExpression: aws.String("#token = :token AND attribute_not_exists(#decision)"),
		ExpressionAttributeNames: map[string]string{
			"#token": training.AttrToken, "#decision": training.AttrDecision, "#decider": training.AttrDecider,
			"#decided": training.AttrDecided, "#comment": training.AttrComment,
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":token":    &types.AttributeValueMemberS{Value: a.token},
			":decision": &types.AttributeValueMemberS{Value: a.Decision},
			":decider":  &types.AttributeValueMemberS{Value: a.Decider},
			":decided":  &types.AttributeValueMemberS{Value: a.Decided},
			":comment":  &types.AttributeValueMemberS{Value: a.Comment},
		},
	})
	if changed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &changed) {
		return &api.Problem{Status: http.StatusConflict, Detail: "The approval changed meanwhile; read it again."}
	}
	if err != nil {
		return fmt.Errorf("record decision: %w", err)
	}
	return nil
}

// handOver ends the task. A task that has ended before is in order if the
// decision is sent again.
func (d *Desk) handOver(ctx context.Context, a *Approval, again bool) error {
	var err error
	if a.Decision == training.DecisionApprove {
		output, marshalErr := json.Marshal(a)
		if marshalErr != nil {
			return fmt.Errorf("encode decision: %w", marshalErr)
		}
		_, err = d.Tasks.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &a.token, Output: aws.String(string(output))})
	} else {
		_, err = d.Tasks.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: &a.token,
			Error: aws.String(training.ApprovalDenied), Cause: aws.String(a.Decider + ": " + a.Comment)})
	}
	var late *sfntypes.TaskTimedOut
	var gone *sfntypes.TaskDoesNotExist
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &late) && !errors.As(err, &gone):
		return fmt.Errorf("hand over decision: %w", err)
	case again:
		return nil
	}
	return expired()
}
