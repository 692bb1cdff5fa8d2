package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// api is an HTTP API. A route of one has one authorizer, and this one has
// routes of three kinds.
type api struct {
	scope constructs.Construct
	api   awsapigatewayv2.CfnApi
	url   string
}

func newAPI(scope constructs.Construct, id string) *api {
	scope = constructs.NewConstruct(scope, &id)
	made := awsapigatewayv2.NewCfnApi(scope, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{
		Name: jsii.String("favourites"), ProtocolType: jsii.String("HTTP"),
	})
	awsapigatewayv2.NewCfnStage(scope, jsii.String("Stage"), &awsapigatewayv2.CfnStageProps{
		ApiId: made.Ref(), StageName: jsii.String("$default"), AutoDeploy: jsii.Bool(true),
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			ThrottlingRateLimit: jsii.Number(100), ThrottlingBurstLimit: jsii.Number(200),
		},
	})
	return &api{scope, made, *made.AttrApiEndpoint()}
}

// addDoor makes the routes of the function, which references open; those that
// issue references, which the provider's tokens open; and the open one of the
// keys.
func (a *api) addDoor(door *security.OpaqueInvocation, fn *function.Function, routes ...string) {
	reference := door.AddAuthorizer("Reference", a.api)
	token := awsapigatewayv2.NewCfnAuthorizer(a.scope, jsii.String("Provider"), &awsapigatewayv2.CfnAuthorizerProps{
		ApiId: a.api.Ref(), Name: jsii.String("provider"), AuthorizerType: jsii.String("JWT"),
		IdentitySource: jsii.Strings("$request.header.Authorization"),
		JwtConfiguration: &awsapigatewayv2.CfnAuthorizer_JWTConfigurationProperty{
			Issuer: jsii.String(provider), Audience: jsii.Strings(providerAudience),
		},
	})
	// The mapping takes the reference off the request.
	a.route(fn, "Handler", door.RequestParameters(), "CUSTOM", reference.Ref(), routes...)
	a.route(door.Endpoint(), "References", nil, "JWT", token.Ref(), door.ReferenceRoutes()...)
	a.route(door.JWKS(), "Keys", nil, "NONE", nil, "GET "+schema.JWKSPath)
	security.Acknowledge(a.scope, security.PublicAccess, "the keys that tokens are verified with are public")
}

func (a *api) route(fn *function.Function, id string, parameters map[string]string, kind string, authorizer *string, routes ...string) {
	arn := fn.Target().FunctionArn()
	awslambda.NewCfnPermission(a.scope, jsii.String(id+"Permission"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: arn, Principal: jsii.String("apigateway.amazonaws.com"),
		SourceArn: awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*"),
			&map[string]*string{"Api": a.api.Ref()}),
	})
	p := &awsapigatewayv2.CfnIntegrationProps{
		ApiId: a.api.Ref(), IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: arn, PayloadFormatVersion: jsii.String("2.0"),
	}
	if parameters != nil {
		p.RequestParameters = parameters
	}
	integration := awsapigatewayv2.NewCfnIntegration(a.scope, jsii.String(id+"Integration"), p)
	for _, key := range routes {
		awsapigatewayv2.NewCfnRoute(a.scope, jsii.String(strings.ReplaceAll(key, "/", "|")), &awsapigatewayv2.CfnRouteProps{
			ApiId: a.api.Ref(), RouteKey: &key, Target: jsii.String("integrations/" + *integration.Ref()),
			AuthorizationType: &kind, AuthorizerId: authorizer,
		})
	}
}
