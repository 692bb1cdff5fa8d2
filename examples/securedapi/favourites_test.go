package main

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/securedapi/favourites"
	"github.com/aws/aws-lambda-go/events"
	"github.com/serverless-go/cdk/patterns/security/identity"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

func TestFavourites(t *testing.T) {
	cdktest.Golden(t, NewFavourites(cdktest.NewApp(t), "Favourites"))
}

// IAM would decide so by the policies that the template deploys.
func TestUsersReachTheirOwn(t *testing.T) {
	template := iam.NewSynthesized(t, cdktest.Synth(t, NewFavourites(cdktest.NewApp(t), "Favourites")), "123456789012", "eu-west-1")
	users, handler := template.Role("AsUserUserRole"), template.Role("HandlerRole")
	likes := template.Find("AWS::DynamoDB::GlobalTable", "Likes")
	ann := iam.Context{"aws:PrincipalTag/tenant": {"all"}, "aws:PrincipalTag/sub": {"ann"}}
	nobody := iam.Context{}
	for _, c := range []struct {
		name, action, key string
		role              *iam.TemplateRole
		tags              iam.Context
		want              bool
	}{
		{"ann's items", "dynamodb:Query", "all#ann", users, ann, true},
		{"writing ann's item", "dynamodb:PutItem", "all#ann", users, ann, true},
		{"bob's items", "dynamodb:Query", "all#bob", users, ann, false},
		{"writing bob's item", "dynamodb:PutItem", "all#bob", users, ann, false},
		{"everybody's items", "dynamodb:Scan", "", users, ann, false},
		{"a session without a user", "dynamodb:Query", "all#ann", users, nobody, false},
		{"the function without a user", "dynamodb:Query", "all#ann", handler, nobody, false},
	} {
		request := iam.Request{Principal: iam.Principal{ARN: c.role.ARN}, Action: c.action, Resource: likes, Context: iam.Context{}}
		for key, values := range c.tags {
			request.Context[key] = values
		}
		if c.key != "" {
			request.Context["dynamodb:LeadingKeys"] = []string{c.key}
		}
		if d := iam.Evaluate(request, iam.Policies{Identity: c.role.Policies}); d.Allowed != c.want {
			t.Errorf("%s: allowed %t %s", c.name, d.Allowed, d.Reason)
		}
	}
}

// Nobody gets past the door without a token that the authorizer made.
func TestDoor(t *testing.T) {
	for name, value := range map[string]string{
		schema.EnvInnerIssuer: "https://api.example.com", schema.EnvInnerAudience: audience, schema.EnvInnerJWKS: "https://api.example.com/keys",
	} {
		t.Setenv(name, value)
	}
	h, err := favourites.New(&identity.Users{}, "likes")
	if err != nil {
		t.Fatal(err)
	}
	for _, authorizer := range []string{`null`, `{"lambda":{}}`, `{"lambda":{"token":"a.b.c"}}`, `{"jwt":{"claims":{"sub":"ann"}}}`} {
		out, err := h.Invoke(t.Context(), []byte(`{"routeKey":"GET /favourites","requestContext":{"authorizer":`+authorizer+`}}`))
		var answer events.APIGatewayV2HTTPResponse
		if err == nil {
			err = json.Unmarshal(out, &answer)
		}
		if err != nil || answer.StatusCode != 401 || strings.Contains(answer.Body, "ann") {
			t.Errorf("%s: %+v, %v", authorizer, answer, err)
		}
	}
}
