package opaque

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

func environment() map[string]string {
	return map[string]string{
		schema.EnvOpaqueIssuer: "https://api.example.com", schema.EnvOpaqueAudience: "orders", schema.EnvOpaqueAudiences: `{"GET /bills/{bill}":"bills"}`,
		schema.EnvOpaqueTokenLife: "1m0s", schema.EnvOpaqueRevocation: "0s", schema.EnvOpaqueSignatures: "50", schema.EnvOpaqueKey: "arn:key",
		schema.EnvReferencesTable: "t", schema.EnvOpaqueInternal: "x-user,x-role", "AWS_LAMBDA_FUNCTION_NAME": "door",
	}
}

func TestFromEnv(t *testing.T) {
	e := environment()
	get := func(name string) string { return e[name] }
	a, err := fromEnv(aws.Config{}, get)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := a.Source.(*Store)
	if !ok || s.Table != "t" || a.Audiences["GET /bills/{bill}"] != "bills" || len(a.Internal) != 2 || a.Function != "door" || a.Audience != "orders" {
		t.Errorf("%+v", a)
	}

	e[schema.EnvOpaqueRevocation] = "10s"
	if a, err := fromEnv(aws.Config{}, get); err != nil || a.Source.(*cached).life != 10*time.Second {
		t.Errorf("%+v, error %v", a, err)
	}
	e[schema.EnvOpaqueGatewayCache] = "true" // both would add up
	if a, err := fromEnv(aws.Config{}, get); err != nil {
		t.Error(err)
	} else if _, ok := a.Source.(*Store); !ok {
		t.Errorf("the function keeps answers beside API Gateway: %T", a.Source)
	}

	delete(e, schema.EnvOpaqueGatewayCache)
	delete(e, schema.EnvReferencesTable)
	e[schema.EnvOpaqueIntrospection], e[schema.EnvOpaqueIntrospectionIssuer] = "https://id.example.com/introspect", "https://id.example.com"
	e[schema.EnvOpaqueIntrospectionAudience], e[schema.EnvOpaqueIntrospectionSecret] = "api", "arn:secret"
	if a, err := fromEnv(aws.Config{}, get); err != nil {
		t.Error(err)
	} else if i, ok := a.Source.(*cached).Source.(*Introspector); !ok || i.Audience != "api" || i.Issuer != "https://id.example.com" {
		t.Errorf("%+v", a.Source)
	}
	delete(e, schema.EnvOpaqueIntrospectionAudience)
	if _, err := fromEnv(aws.Config{}, get); err == nil || !strings.Contains(err.Error(), schema.EnvOpaqueIntrospectionAudience) {
		t.Errorf("error %v", err)
	}
}

func TestWrongEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		schema.EnvOpaqueIssuer: "", schema.EnvOpaqueAudience: "", schema.EnvOpaqueAudiences: "{", schema.EnvOpaqueTokenLife: "soon", schema.EnvOpaqueRevocation: "-1s",
		schema.EnvOpaqueSignatures: "0", schema.EnvOpaqueKey: "", schema.EnvReferencesTable: "",
	} {
		e := environment()
		e[name] = value
		if a, err := fromEnv(aws.Config{}, func(name string) string { return e[name] }); a != nil || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: %v, error %v", name, value, a, err)
		}
	}
}

// What is handed out lives as long as it may be kept and used.
func TestMinLife(t *testing.T) {
	for _, tt := range []struct{ life, kept, want time.Duration }{
		{time.Minute, 0, 30 * time.Second}, {2 * time.Minute, time.Minute, 90 * time.Second}, {10 * time.Minute, time.Second, 5 * time.Minute},
	} {
		if got := minLife(tt.life, tt.kept); got != tt.want || got >= tt.life {
			t.Errorf("of %s, kept %s: %s", tt.life, tt.kept, got)
		}
	}
}
