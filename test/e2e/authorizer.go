package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// authorizer is a Lambda authorizer of an HTTP API, of payload format 2.0 with
// simple responses.
type authorizer struct {
	id, source string // its physical id, and the ARN that it is invoked for
	function   string // ARN
	identity   []string
	ttl        time.Duration

	mu    sync.Mutex
	cache map[string]*verdict
}

// verdict is an authorizer's answer.
type verdict struct {
	IsAuthorized bool           `json:"isAuthorized"`
	Context      map[string]any `json:"context"`
	expires      time.Time
}

// functionURI is the URI of a function that API Gateway invokes.
var functionURI = regexp.MustCompile(`^arn:[a-z-]+:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/(.+)/invocations$`)

// authorizer returns the Lambda authorizer of that physical id.
func (d *Deployment) authorizer(api, id string) (*authorizer, error) {
	for _, r := range d.routes {
		if r.custom != nil && r.custom.id == id {
			return r.custom, nil // its cache is one for all routes
		}
	}
	var props struct {
		AuthorizerType, AuthorizerPayloadFormatVersion string
		AuthorizerURI                                  string `json:"AuthorizerUri"`
		AuthorizerCredentialsArn                       string
		AuthorizerResultTTLInSeconds                   *int `json:"AuthorizerResultTtlInSeconds"`
		EnableSimpleResponses                          bool
		IdentitySource                                 []string
	}
	if err := d.named("AWS::ApiGatewayV2::Authorizer", id, &props); err != nil {
		return nil, err
	}
	if props.AuthorizerType != "REQUEST" || props.AuthorizerPayloadFormatVersion != "2.0" || !props.EnableSimpleResponses || props.AuthorizerCredentialsArn != "" {
		return nil, fmt.Errorf("only authorizers of type REQUEST with payload format 2.0, simple responses and no role are supported")
	}
	uri := functionURI.FindStringSubmatch(props.AuthorizerURI)
	if uri == nil {
		return nil, fmt.Errorf("the authorizer's URI %s names no function", props.AuthorizerURI)
	}
	a := &authorizer{
		id: id, source: d.arn("execute-api", api+"/authorizers/"+id), function: uri[1],
		identity: props.IdentitySource, ttl: 300 * time.Second, cache: map[string]*verdict{},
	}
	if n := props.AuthorizerResultTTLInSeconds; n != nil {
		a.ttl = time.Duration(*n) * time.Second
	}
	if len(a.identity) == 0 && a.ttl > 0 {
		return nil, fmt.Errorf("an authorizer that caches needs identity sources")
	}
	if f, _ := d.function(a.function); f == nil {
		return nil, fmt.Errorf("the authorizer's function %s is not in the template", a.function)
	}
	return a, nil
}

// ask returns the authorizer's context for a request, or the response of one
// that is refused.
//
// An identity source that is missing is refused without a call; an authorizer
// that fails is a 500, for the gateway cannot know
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html).
func (a *authorizer) ask(ctx context.Context, d *Deployment, event map[string]any) (map[string]any, *Response) {
	headers := event["headers"].(map[string]string)
	var identity []string
	for _, source := range a.identity {
		value := event["routeKey"].(string)
		if source != "$context.routeKey" {
			value = requestValue(source, event)
		}
		if value == "" {
			return nil, refusal(http.StatusUnauthorized, "Unauthorized")
		}
		identity = append(identity, value)
	}
	key := strings.Join(identity, "\x00")
	a.mu.Lock()
	found := a.cache[key]
	a.mu.Unlock()
	if found == nil || !time.Now().Before(found.expires) {
		failed := refusal(http.StatusInternalServerError, "Internal Server Error")
		if d.iam.check(asService("apigateway.amazonaws.com", a.source), "lambda:InvokeFunction", a.function, nil) != nil {
			return nil, failed
		}
		request := maps.Clone(event)
		delete(request, "body") // authorizers do not see it
		request["type"], request["routeArn"], request["identitySource"], request["headers"] = "REQUEST", a.source, identity, maps.Clone(headers)
		payload, err := json.Marshal(request)
		if err != nil {
			return nil, failed
		}
		f, _ := d.function(a.function)
		answer, err := f.invoke(ctx, a.function, payload)
		found = &verdict{expires: time.Now().Add(a.ttl)}
		if err != nil || json.Unmarshal(answer, found) != nil {
			return nil, failed
		}
		if a.ttl > 0 {
			a.mu.Lock()
			a.cache[key] = found
			a.mu.Unlock()
		}
	}
	if !found.IsAuthorized {
		return nil, refusal(http.StatusForbidden, "Forbidden")
	}
	return found.Context, nil
}
