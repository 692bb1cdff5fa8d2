package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/patterns/security/schema"
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
	// references are what callers show; whom they are issued to shows a token of
	// the identity provider or signs. nil: all callers do that at every call.
	references *references
	// byReference opens routes with scopes by reference also to those who sign.
	byReference bool
	// more adds routes.
	more func(*httpAPI)
}

// httpAPI is an HTTP API in front of functions. Only the keys of its tokens are
// open: callers show a reference, a token of the identity provider, or sign with
// AWS credentials.
type httpAPI struct {
	scope  constructs.Construct
	api    awsapigatewayv2.CfnApi
	id     *string
	url    *string
	opaque *security.OpaqueInvocation // nil without references
	open   []openRoute
}

// openRoute is a route that asks nobody who calls.
type openRoute struct {
	key   string
	route awsapigatewayv2.CfnRoute
}

func newHTTPAPI(stack awscdk.Stack, id string, p httpAPIProps) *httpAPI {
	scope := construct.Scope(stack, id)
	a := &httpAPI{scope: scope}
	a.api = awsapigatewayv2.NewCfnApi(scope, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{
		Name:         jsii.String(*stack.StackName() + "-" + id),
		ProtocolType: jsii.String("HTTP"),
		// The custom domain is then the only door.
		DisableExecuteApiEndpoint: jsii.Bool(p.domain.Name != ""),
	})
	a.id, a.url = construct.Ref(a.api), a.api.AttrApiEndpoint()
	if p.domain.Name != "" {
		a.url = jsii.String("https://" + p.domain.Name)
	}
	known := a.authorizer(scope, p.identity)
	authorize := known
	var parameters map[string]string
	if p.references != nil {
		a.opaque = p.references.invocation(scope, *a.url)
		parameters = a.opaque.RequestParameters()
		authorizer := a.opaque.AddAuthorizer("Clients", a.api)
		authorize = func(r *awsapigatewayv2.CfnRouteProps, scope string) {
			if !p.byReference && signed(p.identity, scope) {
				known(r, scope)
				return
			}
			r.AuthorizationType, r.AuthorizerId = jsii.String("CUSTOM"), construct.Ref(authorizer) // the functions know the scopes
		}
	}
	for _, in := range p.answers {
		a.addRoutes(in, parameters, func(r *awsapigatewayv2.CfnRouteProps) { authorize(r, p.scopes[*r.RouteKey]) })
	}
	if a.opaque != nil {
		a.addRoutes(integration{"References", a.opaque.Endpoint(), a.opaque.ReferenceRoutes()}, nil,
			func(r *awsapigatewayv2.CfnRouteProps) { known(r, "") })
		a.addKeys(integration{"JWKS", a.opaque.JWKS(), []string{"GET " + schema.JWKSPath}})
	}
	if p.more != nil {
		p.more(a)
	}
	a.addStage()
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
		ApiId:          a.id,
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
		r.AuthorizerId = construct.Ref(authorizer)
		if scope != "" {
			r.AuthorizationScopes = jsii.Strings(scope)
		}
	}
}

// addRoutes lets a function answer its routes.
func (a *httpAPI) addRoutes(in integration, parameters map[string]string, authorize func(*awsapigatewayv2.CfnRouteProps)) []awsapigatewayv2.CfnRoute {
	target := a.integrate(a.scope, in, parameters)
	var made []awsapigatewayv2.CfnRoute
	for _, key := range in.routes {
		route := &awsapigatewayv2.CfnRouteProps{ApiId: a.id, RouteKey: &key, Target: target}
		authorize(route)
		made = append(made, awsapigatewayv2.NewCfnRoute(a.scope, jsii.String(routeID(key)), route))
	}
	return made
}

// addKeys lets a function publish the keys of tokens to everybody: whoever
// verifies a token has nothing to show.
func (a *httpAPI) addKeys(in integration) {
	for i, route := range a.addRoutes(in, nil, func(r *awsapigatewayv2.CfnRouteProps) { r.AuthorizationType = jsii.String("NONE") }) {
		security.Acknowledge(route, security.PublicAccess, "it publishes the keys that tokens are verified with, which are public, and is throttled")
		a.open = append(a.open, openRoute{in.routes[i], route})
	}
}

// integrate lets the API invoke the function and returns the routes' target.
func (a *httpAPI) integrate(scope constructs.Construct, in integration, parameters map[string]string) *string {
	target := in.function.Target()
	awslambda.NewCfnPermission(scope, jsii.String(in.id+"Permission"), &awslambda.CfnPermissionProps{
		Action:       jsii.String("lambda:InvokeFunction"),
		FunctionName: target,
		Principal:    jsii.String("apigateway.amazonaws.com"),
		SourceArn:    defaults.Text(scope, "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*", defaults.Values{"Api": a.id}),
	})
	p := &awsapigatewayv2.CfnIntegrationProps{
		ApiId:                a.id,
		IntegrationType:      jsii.String("AWS_PROXY"),
		IntegrationUri:       target,
		PayloadFormatVersion: jsii.String("2.0"),
	}
	if parameters != nil {
		p.RequestParameters = parameters
	}
	made := awsapigatewayv2.NewCfnIntegration(scope, jsii.String(in.id+"Integration"), p)
	return jsii.String("integrations/" + *made.Ref())
}

// addStage makes the stage that serves the API at its root, with access logs
// that name no customer. Routes that are open are throttled.
func (a *httpAPI) addStage() {
	// It needs no name below /aws/vendedlogs/: AWS allows log delivery by a policy
	// of the group, which no other group can fill
	// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-CWL.html).
	logs := awslogs.NewLogGroup(a.scope, jsii.String("AccessLogs"), &awslogs.LogGroupProps{
		Retention: awslogs.RetentionDays_THREE_MONTHS,
	})
	p := &awsapigatewayv2.CfnStageProps{
		ApiId:      a.id,
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
	}
	settings := map[string]any{}
	for _, route := range a.open {
		settings[route.key] = throttledKeys()
	}
	if len(a.open) > 0 {
		p.RouteSettings = settings
	}
	stage := awsapigatewayv2.NewCfnStage(a.scope, jsii.String("Stage"), p)
	for _, open := range a.open {
		stage.AddResourceDependency(open.route, nil) // API Gateway refuses settings of a route that is not there
	}
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
		ApiId:      a.id,
		DomainName: domain.Ref(),
		Stage:      jsii.String("$default"),
	}).Node().AddDependency(scope.Node().FindChild(jsii.String("Stage")))
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
