package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
)

// integration is a function that answers routes of an HTTP API.
type integration struct {
	id       string // of the construct
	function *function.Function
	routes   []string // "POST /carts"
}

type httpAPIProps struct {
	answers  []integration
	scopes   map[string]string // route key -> OAuth scope that it needs
	identity Identity          // none: AWS_IAM
	domain   Domain
}

// httpAPI is an HTTP API in front of functions. No route is open: callers show
// a token of the identity provider or sign with AWS credentials.
type httpAPI struct {
	api awsapigatewayv2.CfnApi
	url *string
}

func newHTTPAPI(stack awscdk.Stack, id string, p httpAPIProps) *httpAPI {
	scope := constructs.NewConstruct(stack, &id)
	a := &httpAPI{}
	a.api = awsapigatewayv2.NewCfnApi(scope, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{
		Name:         jsii.String(*stack.StackName() + "-" + id),
		ProtocolType: jsii.String("HTTP"),
		// The custom domain is then the only door.
		DisableExecuteApiEndpoint: jsii.Bool(p.domain.Name != ""),
	})
	a.url = a.api.AttrApiEndpoint()
	authorize := a.authorizer(scope, p.identity)
	for _, in := range p.answers {
		target := a.integrate(scope, in)
		for _, key := range in.routes {
			route := &awsapigatewayv2.CfnRouteProps{ApiId: a.api.Ref(), RouteKey: &key, Target: target}
			authorize(route, p.scopes[key])
			awsapigatewayv2.NewCfnRoute(scope, jsii.String(routeID(key)), route)
		}
	}
	a.addStage(scope)
	if p.domain.Name != "" {
		a.addDomain(scope, p.domain)
	}
	return a
}

// authorizer returns what makes a route ask who calls.
func (a *httpAPI) authorizer(scope constructs.Construct, identity Identity) func(*awsapigatewayv2.CfnRouteProps, string) {
	if identity.Issuer == "" {
		return func(r *awsapigatewayv2.CfnRouteProps, _ string) { r.AuthorizationType = jsii.String("AWS_IAM") }
	}
	authorizer := awsapigatewayv2.NewCfnAuthorizer(scope, jsii.String("Authorizer"), &awsapigatewayv2.CfnAuthorizerProps{
		ApiId:          a.api.Ref(),
		AuthorizerType: jsii.String("JWT"),
		Name:           jsii.String("identity"),
		IdentitySource: jsii.Strings("$request.header.Authorization"),
		JwtConfiguration: &awsapigatewayv2.CfnAuthorizer_JWTConfigurationProperty{
			Issuer:   &identity.Issuer,
			Audience: jsii.Strings(identity.Audience...),
		},
	})
	return func(r *awsapigatewayv2.CfnRouteProps, scope string) {
		r.AuthorizationType = jsii.String("JWT")
		r.AuthorizerId = authorizer.Ref()
		if scope != "" {
			r.AuthorizationScopes = jsii.Strings(scope)
		}
	}
}

// integrate lets the API invoke the function and returns the routes' target.
func (a *httpAPI) integrate(scope constructs.Construct, in integration) *string {
	arn := in.function.Target().FunctionArn()
	awslambda.NewCfnPermission(scope, jsii.String(in.id+"Permission"), &awslambda.CfnPermissionProps{
		Action:       jsii.String("lambda:InvokeFunction"),
		FunctionName: arn,
		Principal:    jsii.String("apigateway.amazonaws.com"),
		SourceArn: awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*"),
			&map[string]*string{"Api": a.api.Ref()}),
	})
	made := awsapigatewayv2.NewCfnIntegration(scope, jsii.String(in.id+"Integration"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId:                a.api.Ref(),
		IntegrationType:      jsii.String("AWS_PROXY"),
		IntegrationUri:       arn,
		PayloadFormatVersion: jsii.String("2.0"),
	})
	return jsii.String("integrations/" + *made.Ref())
}

// addStage makes the stage that serves the API at its root, with access logs
// that name no customer.
func (a *httpAPI) addStage(scope constructs.Construct) {
	logs := awslogs.NewLogGroup(scope, jsii.String("AccessLogs"), &awslogs.LogGroupProps{
		Retention: awslogs.RetentionDays_THREE_MONTHS,
	})
	awsapigatewayv2.NewCfnStage(scope, jsii.String("Stage"), &awsapigatewayv2.CfnStageProps{
		ApiId:      a.api.Ref(),
		StageName:  jsii.String("$default"),
		AutoDeploy: jsii.Bool(true),
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{
			DestinationArn: logs.LogGroupArn(),
			Format: jsii.String(`{"time":"$context.requestTime","id":"$context.requestId","route":"$context.routeKey",` +
				`"status":"$context.status","latency":"$context.responseLatency","error":"$context.error.message",` +
				`"authorizer":"$context.authorizer.error","integration":"$context.integrationErrorMessage"}`),
		},
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			DetailedMetricsEnabled: jsii.Bool(true),
			ThrottlingBurstLimit:   jsii.Number(5000),
			ThrottlingRateLimit:    jsii.Number(5000),
		},
	})
}

func (a *httpAPI) addDomain(scope constructs.Construct, d Domain) {
	domain := awsapigatewayv2.NewCfnDomainName(scope, jsii.String("Domain"), &awsapigatewayv2.CfnDomainNameProps{
		DomainName: &d.Name,
		DomainNameConfigurations: []any{&awsapigatewayv2.CfnDomainName_DomainNameConfigurationProperty{
			CertificateArn: &d.Certificate,
			EndpointType:   jsii.String("REGIONAL"),
			SecurityPolicy: jsii.String("TLS_1_2"),
		}},
	})
	awsapigatewayv2.NewCfnApiMapping(scope, jsii.String("Mapping"), &awsapigatewayv2.CfnApiMappingProps{
		ApiId:      a.api.Ref(),
		DomainName: domain.Ref(),
		Stage:      jsii.String("$default"),
	}).Node().AddDependency(scope.Node().FindChild(jsii.String("Stage")))
	a.url = jsii.String("https://" + d.Name)
	awscdk.NewCfnOutput(scope, jsii.String("Alias"), &awscdk.CfnOutputProps{
		Description: jsii.String("Point the DNS name " + d.Name + " at this one."),
		Value:       domain.AttrRegionalDomainName(),
	})
}

// routeID turns "POST /carts/{cart}/items" into "PostCartsCartItems".
func routeID(key string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(key, func(c rune) bool { return strings.ContainsRune(" /{}+-_.$", c) }) {
		b.WriteString(strings.ToUpper(word[:1]) + strings.ToLower(word[1:]))
	}
	return b.String()
}
