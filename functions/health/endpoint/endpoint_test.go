package endpoint_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/serverless-go/cdk/functions/health/endpoint"
	"github.com/serverless-go/cdk/patterns/edge/health"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

const (
	stranger  = `{"routeKey":"GET /health/detail","requestContext":{}}`
	known     = `{"routeKey":"GET /health/detail","requestContext":{"authorizer":{"jwt":{"claims":{"sub":"a"}}}}}`
	knownOpen = `{"routeKey":"GET /health","requestContext":{"authorizer":{"jwt":{"claims":{"sub":"a"}}}}}`
)

func TestEndpoint(t *testing.T) {
	fails := func(context.Context) error { return errors.New("secret reason") }
	fine := func(context.Context) error { return nil }
	for name, tt := range map[string]struct {
		check   health.Check
		request string
		status  int
		body    string
		metric  string
	}{
		"ok":               {health.Check{Name: "bus", Run: fine}, stranger, 200, `{"status":"ok"}`, ""},
		"down":             {health.Check{Name: "bus", Run: fails}, stranger, 503, `{"status":"down"}`, `"Down":1`},
		"degraded":         {health.Check{Name: "bus", Run: fails, Optional: true}, stranger, 200, `{"status":"ok"}`, `"Degraded":1`},
		"open path":        {health.Check{Name: "bus", Run: fails}, knownOpen, 503, `{"status":"down"}`, `"Down":1`},
		"detail for known": {health.Check{Name: "bus", Run: fails}, known, 503, `"name":"bus"`, `"bus":"secret reason"`},
	} {
		var log bytes.Buffer
		out, err := endpoint.New([]health.Check{tt.check}, &log, "fn").Invoke(t.Context(), []byte(tt.request))
		var answer events.APIGatewayV2HTTPResponse
		if err != nil || json.Unmarshal(out, &answer) != nil {
			t.Fatal(name, err)
		}
		if answer.StatusCode != tt.status || !strings.Contains(answer.Body, tt.body) || strings.Contains(answer.Body, "secret") ||
			!strings.Contains(log.String(), tt.metric) || tt.metric == "" && log.Len() > 0 {
			t.Errorf("%s: %d %s, logged %s", name, answer.StatusCode, answer.Body, &log)
		}
		if tt.request != known && strings.Contains(answer.Body, "bus") {
			t.Errorf("%s: a stranger is told %s", name, answer.Body)
		}
	}
}

func TestFromEnvFailsClosed(t *testing.T) {
	for _, value := range []string{"", "[]", "{", `[{"name":"a","kind":"moon","target":"b"}]`, `[{"name":"a","kind":"table","target":"b"}]`} {
		t.Setenv(schema.EnvHealth, value)
		if _, err := endpoint.FromEnv(aws.Config{}); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
}
