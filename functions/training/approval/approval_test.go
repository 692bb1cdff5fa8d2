package approval_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/serverless-go/cdk/functions/training/approval"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// desk is a Desk over a real table, with a double of Step Functions.
type desk struct {
	*approval.Desk
	t      *testing.T
	db     *dynamodb.Client
	token  string // of the task that waits; answered tasks wait no more
	err    error  // of the next answer
	output string // that the task got
	cause  string // why it failed
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, db: dynamodb.NewFromConfig(engine.DynamoDB(t).Config()), token: "secret-token"}
	name := strings.ReplaceAll(t.Name(), "/", "_")
	_, err := d.db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(training.AttrRun), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(training.AttrRun), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Desk = &approval.Desk{DynamoDB: d.db, Name: name, Tasks: d, Now: func() time.Time { return noon }}
	d.ask("secret-token")
	return d
}

// ask puts a request, as the workflow does.
func (d *desk) ask(token string) {
	d.t.Helper()
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	d.token = token
	_, err := d.db.PutItem(d.t.Context(), &dynamodb.PutItemInput{TableName: &d.Name, Item: map[string]types.AttributeValue{
		training.AttrRun: text("run-7"), training.AttrToken: text(token), training.AttrRequested: text("2026-11-27T11:00:00Z"),
		training.AttrRequest: text(`{"metrics": {"auc": 0.9}}`),
		training.AttrExpires: &types.AttributeValueMemberN{Value: strconv.FormatInt(noon.Add(time.Hour).Unix(), 10)},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) answer(token string) error {
	if d.err != nil {
		return d.err
	}
	if token != d.token {
		return &sfntypes.TaskTimedOut{}
	}
	d.token = ""
	return nil
}

func (d *desk) SendTaskSuccess(_ context.Context, in *sfn.SendTaskSuccessInput, _ ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error) {
	if err := d.answer(*in.TaskToken); err != nil {
		return nil, err
	}
	d.output = *in.Output
	return &sfn.SendTaskSuccessOutput{}, nil
}

func (d *desk) SendTaskFailure(_ context.Context, in *sfn.SendTaskFailureInput, _ ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error) {
	if err := d.answer(*in.TaskToken); err != nil {
		return nil, err
	}
	d.cause = *in.Error + ": " + *in.Cause
	return &sfn.SendTaskFailureOutput{}, nil
}

// call calls the API as a user of IAM.
func (d *desk) call(route, run, user, body string) (events.APIGatewayV2HTTPResponse, error) {
	return d.Mux().Serve(d.t.Context(), events.APIGatewayV2HTTPRequest{
		RouteKey: route, Body: body, Headers: map[string]string{"content-type": "application/json"},
		PathParameters: map[string]string{training.RunParameter: run},
		RequestContext: events.APIGatewayV2HTTPRequestContext{Authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: "arn:aws:iam::123456789012:user/" + user}}},
	})
}

func (d *desk) want(status int, route, run, user, body string) string {
	d.t.Helper()
	response, err := d.call(route, run, user, body)
	if err != nil || response.StatusCode != status {
		d.t.Fatalf("%s by %s: %d %s, %v; want %d", route, user, response.StatusCode, response.Body, err, status)
	}
	if strings.Contains(response.Body, "token") && strings.Contains(response.Body, "secret") {
		d.t.Errorf("the answer has the token: %s", response.Body)
	}
	return response.Body
}

func (d *desk) shown() (a approval.Approval) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.want(http.StatusOK, training.RouteApproval, "run-7", "ada", "")), &a); err != nil {
		d.t.Fatal(err)
	}
	return a
}

const (
	approve = `{"decision": "approve", "comment": "well done"}`
	deny    = `{"decision": "deny", "comment": "biased"}`
)

func TestApprove(t *testing.T) {
	d := newDesk(t)
	if a := d.shown(); a.Decision != "" || !a.Expires.Equal(noon.Add(time.Hour)) || string(a.Request) != `{"metrics":{"auc":0.9}}` {
		t.Errorf("shown is %+v", a)
	}
	d.want(http.StatusOK, training.RouteDecide, "run-7", "ada", approve)
	if !strings.Contains(d.output, `"decider":"arn:aws:iam::123456789012:user/ada"`) || strings.Contains(d.output, "secret") {
		t.Errorf("the task got %s", d.output)
	}
	a := d.shown()
	if a.Decision != training.DecisionApprove || a.Comment != "well done" || a.Decided != "2026-11-27T12:00:00Z" {
		t.Errorf("shown is %+v", a)
	}
}

func TestDeny(t *testing.T) {
	d := newDesk(t)
	d.want(http.StatusOK, training.RouteDecide, "run-7", "ada", deny)
	if want := "ApprovalDenied: arn:aws:iam::123456789012:user/ada: biased"; d.cause != want {
		t.Errorf("the task failed with %q, want %q", d.cause, want)
	}
}

// The first decision counts; who sends it again is told so, and nobody else.
func TestDecideOnce(t *testing.T) {
	d := newDesk(t)
	d.want(http.StatusOK, training.RouteDecide, "run-7", "ada", approve)
	d.want(http.StatusOK, training.RouteDecide, "run-7", "ada", approve)
	d.want(http.StatusConflict, training.RouteDecide, "run-7", "ada", deny)
	d.want(http.StatusConflict, training.RouteDecide, "run-7", "bob", approve)
	if d.cause != "" {
		t.Errorf("the task failed with %s", d.cause)
	}
}

// A decision whose hand-over failed is handed over when it is sent again.
func TestDecideAgainAfterFailure(t *testing.T) {
	d := newDesk(t)
	d.err = errors.New("down")
	if _, err := d.call(training.RouteDecide, "run-7", "ada", approve); !errors.Is(err, d.err) {
		t.Fatalf("got %v", err)
	}
	d.err = nil
	d.want(http.StatusOK, training.RouteDecide, "run-7", "ada", approve)
	if d.output == "" {
		t.Error("the task still waits")
	}
}

func TestDecideTooLate(t *testing.T) {
	d := newDesk(t)
	d.Now = func() time.Time { return noon.Add(time.Hour) }
	d.want(http.StatusGone, training.RouteDecide, "run-7", "ada", approve)

	d.Now = func() time.Time { return noon }
	d.token = "" // the task was stopped before its time
	d.want(http.StatusGone, training.RouteDecide, "run-7", "ada", approve)
}

// A run that was redriven asks anew, with another token.
func TestDecideAfterRedrive(t *testing.T) {
	d := newDesk(t)
	d.want(http.StatusOK, training.RouteDecide, "run-7", "ada", deny)
	d.ask("another-token")
	d.want(http.StatusOK, training.RouteDecide, "run-7", "bob", approve)
	if !strings.Contains(d.output, "user/bob") {
		t.Errorf("the task got %s", d.output)
	}
}

func TestRefuses(t *testing.T) {
	d := newDesk(t)
	d.want(http.StatusNotFound, training.RouteApproval, "run-8", "ada", "")
	d.want(http.StatusNotFound, training.RouteDecide, "run-8", "ada", approve)
	d.want(http.StatusNotFound, training.RouteDecide, "", "ada", approve)
	d.want(http.StatusBadRequest, training.RouteDecide, "run-7", "ada", "{")
	d.want(http.StatusUnprocessableEntity, training.RouteDecide, "run-7", "ada", `{"decision": "yes"}`)
	d.want(http.StatusUnprocessableEntity, training.RouteDecide, "run-7", "ada", `{"decision": "deny", "comment": "`+strings.Repeat("x", approval.MaxComment+1)+`"}`)
	if d.token == "" {
		t.Error("the task was answered")
	}
}

// A token without the scope decides nothing, even if the route forgot to ask.
func TestScope(t *testing.T) {
	d := newDesk(t)
	for scope, want := range map[string]int{"": http.StatusForbidden, "training:approved": http.StatusForbidden, "openid " + training.ApproveScope: http.StatusOK} {
		response, err := d.Mux().Serve(t.Context(), events.APIGatewayV2HTTPRequest{
			RouteKey: training.RouteDecide, Body: approve, Headers: map[string]string{"content-type": "application/json"},
			PathParameters: map[string]string{training.RunParameter: "run-7"},
			RequestContext: events.APIGatewayV2HTTPRequestContext{Authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
				JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{
					Claims: map[string]string{"iss": "https://id.example.com", "sub": "ada", "scope": scope}}}},
		})
		if err != nil || response.StatusCode != want {
			t.Errorf("scope %q: %d %s, %v; want %d", scope, response.StatusCode, response.Body, err, want)
		}
	}
	if a := d.shown(); a.Decider != "https://id.example.com ada" {
		t.Errorf("decided by %q", a.Decider)
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv(training.EnvApprovals, "")
	if _, err := approval.FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), training.EnvApprovals) {
		t.Errorf("got %v", err)
	}
}
