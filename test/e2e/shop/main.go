// Command shop is what the functions of the harness's own test stack run. It
// does what HANDLER says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

type handler struct {
	db  *dynamodb.Client
	sns *sns.Client
	sqs *sqs.Client
	s3  *s3.Client
}

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	h := &handler{dynamodb.NewFromConfig(cfg), sns.NewFromConfig(cfg), sqs.NewFromConfig(cfg), s3.NewFromConfig(cfg)}
	switch os.Getenv("HANDLER") {
	case "command":
		lambda.Start(h.command)
	case "project":
		lambda.Start(h.project)
	case "react":
		lambda.Start(h.react)
	case "misbehave":
		lambda.Start(h.misbehave)
	case "authorize":
		lambda.Start(authorize)
	case "mirror":
		lambda.Start(mirror)
	}
	panic("HANDLER is " + os.Getenv("HANDLER"))
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// command appends an event: POST /carts/{id} with its version and type.
func (h *handler) command(ctx context.Context, r events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	var in struct {
		Version int64
		Type    string
	}
	if err := json.Unmarshal([]byte(r.Body), &in); err != nil {
		return events.APIGatewayV2HTTPResponse{StatusCode: 400, Body: err.Error()}, nil
	}
	stream := r.PathParameters["id"]
	insert := fmt.Sprintf(`INSERT INTO "%s" VALUE {'stream': ?, 'version': ?, 'position': ?, 'type': ?, 'by': ?}`, os.Getenv("EVENTS"))
	_, err := h.db.ExecuteTransaction(ctx, &dynamodb.ExecuteTransactionInput{TransactStatements: []types.ParameterizedStatement{{
		Statement: &insert,
		Parameters: []types.AttributeValue{text(stream), number(in.Version), text(fmt.Sprintf("%s#%d", stream, in.Version)), text(in.Type),
			text(r.RequestContext.Authorizer.JWT.Claims["sub"])},
	}}})
	var canceled *types.TransactionCanceledException
	switch {
	case errors.As(err, &canceled):
		return events.APIGatewayV2HTTPResponse{StatusCode: 409}, nil
	case err != nil:
		return events.APIGatewayV2HTTPResponse{}, err
	}
	return events.APIGatewayV2HTTPResponse{StatusCode: 201}, nil
}

type envelope struct{ Stream, Version, Type string }

// project counts events by stream, each once, and notes the order they came in.
func (h *handler) project(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	var response events.SQSEventResponse
	failed := map[string]bool{} // groups: what follows a failure must wait
	for _, r := range batch.Records {
		group := r.Attributes["MessageGroupId"]
		if failed[group] || h.apply(ctx, r.Body) != nil {
			failed[group] = group != ""
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
		}
	}
	return response, nil
}

func (h *handler) apply(ctx context.Context, body string) error {
	var e envelope
	var onBus struct{ Detail envelope }
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(body), &onBus); err == nil && onBus.Detail.Stream != "" {
		e = onBus.Detail
	}
	if e.Type == "Poison" {
		return errors.New("cannot digest it")
	}
	table := os.Getenv("MODEL")
	_, err := h.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &table, ConditionExpression: aws.String("attribute_not_exists(pk)"),
			Item: map[string]types.AttributeValue{"pk": text("seen#" + e.Stream), "sk": text(e.Version), "at": text(time.Now().UTC().Format(time.RFC3339Nano))}}},
		{Update: &types.Update{TableName: &table, Key: map[string]types.AttributeValue{"pk": text("count"), "sk": text(e.Stream)},
			UpdateExpression: aws.String("ADD n :one SET versions = list_append(if_not_exists(versions, :none), :version)"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":one": number(1), ":none": &types.AttributeValueMemberL{},
				":version": &types.AttributeValueMemberL{Value: []types.AttributeValue{text(e.Version)}}}}},
	}})
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) && aws.ToString(canceled.CancellationReasons[0].Code) == "ConditionalCheckFailed" {
		return nil // it was applied before
	}
	return err
}

// react notes an event in the model and tells the topic.
func (h *handler) react(ctx context.Context, e events.CloudWatchEvent) error {
	_, err := h.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(os.Getenv("MODEL")), Item: map[string]types.AttributeValue{
		"pk": text("reaction#" + e.DetailType), "sk": text(e.ID), "replay": text(string(e.Detail)),
	}})
	if err == nil && os.Getenv("TOPIC") != "" {
		_, err = h.sns.Publish(ctx, &sns.PublishInput{TopicArn: aws.String(os.Getenv("TOPIC")), Message: &e.DetailType})
	}
	return err
}

// misbehave does what the event asks for.
func (h *handler) misbehave(ctx context.Context, e map[string]string) (map[string]string, error) {
	switch e["do"] {
	case "fail":
		return nil, errors.New("as asked")
	case "exit":
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Minute)
	case "send":
		_, err := h.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(os.Getenv("QUEUE")), MessageBody: aws.String("hello")})
		return nil, err
	case "put":
		_, err := h.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(os.Getenv("BUCKET")), Key: aws.String(e["key"]), Body: nil})
		return nil, err
	case "delete":
		_, err := h.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String(os.Getenv("EVENTS")), Key: map[string]types.AttributeValue{"stream": text("a"), "version": number(1)}})
		return nil, err
	case "metric":
		fmt.Println(`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[["service"]],"Metrics":[{"Name":"Orders"}]}]},"service":"carts","Orders":3}`)
	}
	return map[string]string{"echo": e["do"], "function": os.Getenv("AWS_LAMBDA_FUNCTION_NAME")}, nil
}

var asked int

// authorize admits keys that begin with "good". Its context tells how often it
// was asked.
func authorize(_ context.Context, r events.APIGatewayV2CustomAuthorizerV2Request) (*events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
	asked++
	key := r.Headers["x-key"]
	if key == "crash" || r.Type != "REQUEST" || r.IdentitySource[0] != key {
		return nil, errors.New("cannot tell")
	}
	return &events.APIGatewayV2CustomAuthorizerSimpleResponse{
		IsAuthorized: strings.HasPrefix(key, "good"),
		Context:      map[string]any{"caller": "of " + key, "asked": asked},
	}, nil
}

// mirror answers what the function sees of its caller.
func mirror(_ context.Context, r events.APIGatewayV2HTTPRequest) (map[string]any, error) {
	return map[string]any{"headers": r.Headers, "authorizer": r.RequestContext.Authorizer.Lambda}, nil
}
