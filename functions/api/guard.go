package api

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/serverless-go/cdk/patterns/security/inner"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// Guard returns the handler of a function behind an API. Where the environment
// says so, callers show references to the API, and the function lets in only
// who comes with the JWT that the API's authorizer made of one: see package
// inner. Otherwise the Mux itself is the handler, and the API's own authorizers
// know the callers.
//
// scopes are those that routes need; a route that is not there needs none. A
// caller who signs with AWS credentials has no scopes: IAM decides, by the
// route, and API Gateway asks it.
func Guard(m Mux, scopes map[string]string) (lambda.Handler, error) {
	if os.Getenv(schema.EnvInnerIssuer) == "" {
		return m, nil
	}
	routes := make(map[string][]string, len(m))
	for key := range m {
		routes[key] = nil
		if scope := scopes[key]; scope != "" {
			routes[key] = []string{scope}
		}
	}
	door, err := inner.FromEnv(routes)
	if err != nil {
		return nil, err
	}
	return &guarded{door.Middleware(m), m, scopes}, nil
}

type guarded struct {
	door   lambda.Handler
	mux    Mux
	scopes map[string]string
}

// Invoke answers a request.
func (g *guarded) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	// Who signs may have a reference issued, and with it every scope that there
	// is; so a route with a scope is IAM's to open, not a reference's.
	if a := in.RequestContext.Authorizer; a != nil && a.IAM != nil && g.scopes[in.RouteKey] != "" {
		return g.mux.Invoke(ctx, payload)
	}
	return g.door.Invoke(ctx, payload)
}
