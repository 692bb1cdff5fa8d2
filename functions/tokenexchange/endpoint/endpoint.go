// Package endpoint is the token endpoint of RFC 8693 behind an HTTP API.
package endpoint

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// Endpoint is the handler.
type Endpoint struct {
	service *exchange.Service
}

// New returns an endpoint of the service.
func New(service *exchange.Service) *Endpoint { return &Endpoint{service} }

// FromEnv makes the endpoint that the environment describes.
func FromEnv(cfg aws.Config) (*Endpoint, error) {
	settings, err := schema.ParseExchange(os.Getenv(schema.EnvExchange))
	if err != nil {
		return nil, err
	}
	client := token.NewKMSClient(cfg)
	options := exchange.Options{
		Issuer: token.NewIssuer(settings.Issuer, token.NewSigner(client, settings.Key, nil),
			&token.IssuerOptions{Lifetime: time.Duration(settings.Lifetime) * time.Second}),
		Clients:   settings.Clients,
		MaxActors: settings.MaxActors,
	}
	for _, s := range settings.Subjects {
		options.Subjects = append(options.Subjects, exchange.Source{
			Verifier: verifier(client, s), TokenTypes: s.TokenTypes, Prefix: s.Prefix, Tenant: s.Tenant, AnyTenant: s.AnyTenant,
		})
	}
	if settings.Actors != nil {
		v := verifier(client, *settings.Actors)
		options.Actors = &v
	}
	for _, r := range settings.Rules {
		options.Rules = append(options.Rules, exchange.Rule{Actor: r.Actor, Audience: r.Audience, Scopes: r.Scopes})
	}
	service, err := exchange.New(options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", schema.EnvExchange, err)
	}
	return New(service), nil
}

func verifier(client *kms.Client, s schema.ExchangeSource) token.Verifier {
	v := token.Verifier{Issuer: s.Issuer, Audience: s.Audience, Algorithms: s.Algorithms, Types: s.Types}
	if s.JWKS != "" {
		v.Keys = token.NewRemoteKeys(s.JWKS, nil)
		return v
	}
	var signers token.SignerKeys
	for _, key := range s.Keys {
		signers = append(signers, token.NewSigner(client, key, nil))
	}
	v.Keys = signers
	return v
}

// Invoke answers a request of an HTTP API (payload format 2.0).
func (e *Endpoint) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	body := []byte(in.Body)
	if in.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(in.Body); err != nil {
			return nil, fmt.Errorf("read the request's body: %w", err)
		}
	}
	// Headers are in lower case; those that came twice are joined by commas,
	// which no media type has.
	answer := e.service.Respond(exchange.WithClient(ctx, identity(in)), in.RequestContext.HTTP.Method,
		in.RawQueryString, in.Headers["content-type"], body)
	return json.Marshal(events.APIGatewayV2HTTPResponse{StatusCode: answer.Status, Headers: lower(answer.Header), Body: string(answer.Body)})
}

// identity returns the role that signed the request, if IAM has authorized it,
// without its session, which it chose itself. Nothing that is in the request's
// own headers counts.
func identity(in events.APIGatewayV2HTTPRequest) string {
	if in.RequestContext.Authorizer == nil || in.RequestContext.Authorizer.IAM == nil {
		return ""
	}
	arn := in.RequestContext.Authorizer.IAM.UserARN
	if parts := strings.Split(arn, "/"); len(parts) == 3 && strings.HasSuffix(parts[0], ":assumed-role") {
		return parts[0] + "/" + parts[1]
	}
	return arn
}

func lower(header map[string]string) map[string]string {
	out := make(map[string]string, len(header))
	for name, value := range header {
		out[strings.ToLower(name)] = value
	}
	return out
}
