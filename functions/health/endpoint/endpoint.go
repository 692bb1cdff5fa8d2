// Package endpoint answers GET /health: 200 while the region can serve, 503
// when it cannot. Strangers learn nothing more; callers who are known learn of
// every check.
package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/serverless-go/cdk/patterns/edge/health"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// Endpoint is the handler.
type Endpoint struct {
	checker *health.Checker
}

// New returns an endpoint that runs the checks. It writes the metrics of a
// region that is not well to log, for CloudWatch to take from there, with the
// function's name as their dimension.
func New(checks []health.Check, log io.Writer, function string) *Endpoint {
	return &Endpoint{health.New(checks, health.Options{OnReport: func(r health.Report) {
		if r.Status != health.OK {
			fmt.Fprintf(log, "%s\n", metrics(r, function))
		}
	}})}
}

// FromEnv makes the endpoint that the environment describes.
func FromEnv(cfg aws.Config) (*Endpoint, error) {
	config, err := schema.ParseHealth(os.Getenv(schema.EnvHealth))
	if err != nil {
		return nil, err
	}
	tables, queues, buses := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg)
	checks := make([]health.Check, len(config))
	for i, c := range config {
		switch c.Kind {
		case schema.HealthTable:
			checks[i] = health.Table(c.Name, tables, probe(c))
		case schema.HealthQueue:
			checks[i] = health.Queue(c.Name, queues, c.Target)
		case schema.HealthBus:
			checks[i] = health.Bus(c.Name, buses, c.Target)
		}
		checks[i].Optional = c.Optional
		checks[i].Timeout = schema.HealthTimeout
		if c.Timeout > 0 {
			checks[i].Timeout = time.Duration(c.Timeout) * time.Millisecond
		}
	}
	return New(checks, os.Stdout, os.Getenv("AWS_LAMBDA_FUNCTION_NAME")), nil
}

// probe returns the read of an item that does not exist.
func probe(c schema.HealthCheck) *dynamodb.GetItemInput {
	value := &types.AttributeValueMemberS{Value: schema.HealthProbe}
	key := map[string]types.AttributeValue{c.PartitionKey: value}
	if c.SortKey != "" {
		key[c.SortKey] = value
	}
	return &dynamodb.GetItemInput{TableName: &c.Target, Key: key}
}

// Invoke answers a request of an HTTP API (payload format 2.0).
func (e *Endpoint) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	report := e.checker.Report(ctx)
	answer := events.APIGatewayV2HTTPResponse{
		StatusCode: http.StatusOK,
		Headers:    map[string]string{"content-type": "application/json", "cache-control": "no-store"},
	}
	if report.Status == health.Down {
		answer.StatusCode = http.StatusServiceUnavailable
	}
	body, err := json.Marshal(detail(in, report))
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	answer.Body = string(body)
	return json.Marshal(answer)
}

// detail returns what the caller may know. The path alone does not open it: the
// API must have said who calls.
func detail(in events.APIGatewayV2HTTPRequest, r health.Report) any {
	who := in.RequestContext.Authorizer
	if in.RouteKey == "GET "+schema.HealthDetailPath && who != nil && (who.IAM != nil || who.JWT != nil || who.Lambda != nil) {
		return r
	}
	status := health.OK // degraded is a detail, too
	if r.Status == health.Down {
		status = health.Down
	}
	return struct {
		Status health.Status `json:"status"`
	}{status}
}

// metrics returns the report in CloudWatch's embedded metric format
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
func metrics(r health.Report, function string) []byte {
	failed := map[string]string{}
	for _, c := range r.Checks {
		if c.Err != nil {
			failed[c.Name] = c.Err.Error()
		}
	}
	count := func(s health.Status) int {
		if r.Status == s {
			return 1
		}
		return 0
	}
	type object = map[string]any
	b, err := json.Marshal(object{
		"_aws": object{
			"Timestamp": r.At.UnixMilli(),
			"CloudWatchMetrics": []object{{
				"Namespace":  schema.HealthNamespace,
				"Dimensions": [][]string{{schema.HealthDimension}},
				"Metrics": []object{
					{"Name": schema.HealthMetricDown, "Unit": "Count"},
					{"Name": schema.HealthMetricDegraded, "Unit": "Count"},
				},
			}},
		},
		schema.HealthDimension:      function,
		schema.HealthMetricDown:     count(health.Down),
		schema.HealthMetricDegraded: count(health.Degraded),
		"failed":                    failed,
	})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return b
}
