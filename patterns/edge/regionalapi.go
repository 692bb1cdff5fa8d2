package edge

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/leastprivilege"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// JWT says whose tokens callers show.
type JWT struct {
	// Issuer is the OpenID Connect provider: "https://login.example.com/".
	// Required.
	Issuer string
	// Audience are the audiences of which a token must name one. Required.
	Audience []string
}

// RegionalAPIProps says how the API of a region is reached and by whom.
type RegionalAPIProps struct {
	// JWT lets in who shows a token of an identity provider.
	//
	// Default: callers sign with AWS credentials (IAM).
	JWT *JWT
	// Authorizer is a function that lets callers in, with the simple responses
	// of payload format 2.0. It is asked for every request that has the
	// AuthorizerHeader. Set JWT or Authorizer, not both.
	Authorizer *function.Function
	// AuthorizerHeader is the header that Authorizer is asked about; a request
	// without it is refused. Set it with Authorizer.
	//
	// Default: "Authorization".
	AuthorizerHeader string
	// RequestParameters are the parameter mappings of every integration, such as
	// what an OpaqueInvocation's RequestParameters return: they take the caller's
	// credential off the request.
	//
	// Default: none.
	RequestParameters map[string]string

	// DNS says by which names clients get here.
	//
	// Default: by the name that API Gateway gives the API.
	DNS *DNS
	// Certificate is for the names of DNS, in this region's ACM. It must hold
	// for DNS.Name and for DNS.RegionalName: "api.example.com" and
	// "*.api.example.com". Required with DNS.
	Certificate awscertificatemanager.ICertificate

	// RequestsPerSecond is the most that all callers together may send, 1 to
	// 10,000.
	//
	// Default: 5,000.
	RequestsPerSecond int
	// Burst is how many requests may come at once, 1 to 10,000.
	//
	// Default: RequestsPerSecond, 5,000 at most.
	Burst int

	// Dependencies adds what requests need: it is called with the API before the
	// health function is made, which then has all that it needs to check them from
	// the start. Only AddTableDependency, AddQueueDependency and AddBusDependency
	// work there.
	//
	// Default: none yet; they can be added afterwards, too.
	Dependencies func(*RegionalAPI)
	// HealthFunction answers the health checks instead of ours. It finds what
	// to check in its environment, see package schema.
	//
	// Default: a new one, of functions/health.
	HealthFunction *function.Function
	// AccessLogGroup takes the access logs.
	//
	// Default: a new one, for three months, retained when the stack is
	// destroyed.
	AccessLogGroup awslogs.ILogGroup
	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms RegionalAPIAlarms
}

// RegionalAPIAlarms tunes the alarms of a [RegionalAPI].
type RegionalAPIAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// ServerErrors counts answers with a status of 500 and above.
	//
	// Default: five in a minute.
	ServerErrors alarm.Tuning
	// Down counts the rounds of health checks in which a required dependency
	// failed.
	//
	// Default: one in a minute.
	Down alarm.Tuning
	// Degraded counts those in which an optional one failed.
	//
	// Default: one in a minute, in three minutes in a row.
	Degraded alarm.Tuning
	// HealthFunction tunes the alarms of a new health function.
	//
	// Default: all are made, and tell the Topic here.
	HealthFunction function.Alarms
}

func (a RegionalAPIAlarms) check(c *props.Check) {
	c.Nested("ServerErrors", a.ServerErrors.Check)
	c.Nested("Down", a.Down.Check)
	c.Nested("Degraded", a.Degraded.Check)
	c.Nested("HealthFunction", a.HealthFunction.Check)
}

// RegionalAPI is the HTTP API of one region, which clients reach by a name that
// all regions share, and by one that is the region's own. GET /health tells
// Route 53's health checkers, and anybody else, whether the region can serve:
// it checks the dependencies that are added, and the region is down while none
// is. GET /health/detail tells callers who are known about each of them.
//
// No other route is open. The custom domains speak TLS 1.2 and above, and the
// name that API Gateway gives the API is then disabled, so that nobody gets
// round them. The access log names no caller: no address, no path, no token.
type RegionalAPI struct {
	constructs.Construct
	api        awsapigatewayv2.CfnApi
	stage      awsapigatewayv2.CfnStage
	authorizer awsapigatewayv2.CfnAuthorizer // nil for IAM
	kind       string                        // of authorization
	health     *function.Function
	ownHealth  bool
	checks     schema.HealthConfig
	records    *regionalRecords // nil without DNS
	accessLogs awslogs.ILogGroup
	parameters map[string]string // mapping of every integration
	alarms     []awscloudwatch.CfnAlarm
	routes     []string
	url        string
}

// healthEntry is the handler of the health endpoint.
const healthEntry = "github.com/serverless-go/cdk/functions/health"

// What the health endpoint lets through, so that strangers do not run up a
// bill. 3 checker regions ask about once a second, 8 in short intervals about
// 15 times.
const healthRate, healthBurst = 100, 200

// probeRoute is what the health checkers ask for.
const probeRoute = "GET " + schema.HealthPath

// NewRegionalAPI makes the API of the scope's region. It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func NewRegionalAPI(scope constructs.Construct, id string, p *RegionalAPIProps) *RegionalAPI {
	if p == nil {
		p = &RegionalAPIProps{}
	}
	region := construct.Region(scope)
	p.check(scope, id, region)
	a := &RegionalAPI{health: p.HealthFunction, ownHealth: p.HealthFunction == nil, accessLogs: p.AccessLogGroup, parameters: p.RequestParameters}
	construct.Init(a, scope, id)
	a.api = awsapigatewayv2.NewCfnApi(a, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{
		Name:                      jsii.String(construct.StackName(scope) + "-" + id),
		ProtocolType:              jsii.String("HTTP"),
		DisableExecuteApiEndpoint: jsii.Bool(p.DNS != nil),
		IpAddressType:             jsii.String("dualstack"),
	})
	a.url = *a.api.AttrApiEndpoint()
	a.addAuthorizer(p)
	if a.ownHealth {
		tuned := p.Alarms.HealthFunction
		tuned.Topic = construct.Or(tuned.Topic, p.Alarms.Topic)
		function.NewFunction(a, "Health", &function.Props{
			Entry:                  healthEntry,
			Description:            "Answers the health checks of the region.",
			WithoutDeadLetterQueue: true,
			Alarms:                 tuned,
			Grants: func(health *function.Function) {
				a.health = health
				p.addDependencies(a)
			},
		})
	} else {
		p.addDependencies(a)
	}
	target := a.integrate("Health", a.health)
	probe := a.addRoute(probeRoute, target, nil, true)
	leastprivilege.Acknowledge(probe, leastprivilege.PublicAccess, "Route 53's health checkers show no credentials; they learn one word, and the route is throttled")
	a.addRoute("GET "+schema.HealthDetailPath, target, nil, false)
	a.addStage(p, probe)
	if p.DNS != nil {
		a.url = "https://" + p.DNS.Name
		certificate := p.Certificate.CertificateArn()
		a.records = p.DNS.addRecords(a, region,
			a.addDomain("", p.DNS.Name, certificate), a.addDomain("Regional", p.DNS.RegionalName(region), certificate))
	}
	a.addAlarms(p.Alarms)
	if a.ownHealth && !a.requires() {
		a.Node().AddValidation(&checksAdded{a})
	}
	return a
}

func (p *RegionalAPIProps) addDependencies(a *RegionalAPI) {
	if p.Dependencies != nil {
		p.Dependencies(a)
	}
}

func (p *RegionalAPIProps) check(scope constructs.Construct, id, region string) {
	var c props.Check
	c.OneOf(map[string]bool{"JWT": p.JWT != nil, "Authorizer": p.Authorizer != nil}, "JWT", "Authorizer")
	c.Require(p.AuthorizerHeader == "" || p.Authorizer != nil, "AuthorizerHeader", p.AuthorizerHeader, "none without Authorizer", "")
	if j := p.JWT; j != nil {
		c.Require(strings.HasPrefix(j.Issuer, "https://") || construct.DeployTime(j.Issuer), "JWT.Issuer", j.Issuer, "an https:// URL", "")
		c.Require(len(j.Audience) > 0, "JWT.Audience", props.Empty, "at least one audience",
			"without it a token that was made for somebody else lets its bearer in")
	}
	c.Require(p.DNS == nil || p.Certificate != nil, "Certificate", props.Unset, "a certificate in this region for the names of DNS", "set it")
	c.Require(p.DNS != nil || p.Certificate == nil, "DNS", props.Unset, "the names of the Certificate", "set it, or leave out the Certificate")
	if p.Certificate != nil && region != "" {
		checkARN(&c, "Certificate", *p.Certificate.CertificateArn(), "acm", region, "certificate/", "API Gateway looks for it")
	}
	if p.DNS != nil {
		c.Require(region != "", "DNS", props.Words("set in a stack whose region is not known"), "a stack with Env.Region",
			"use MultiRegion, or set the region")
		c.Nested("DNS", func(c *props.Check) { p.DNS.check(c, region) })
	}
	props.Between(&c, "RequestsPerSecond", p.RequestsPerSecond, 1, 10_000)
	props.Between(&c, "Burst", p.Burst, 1, 10_000)
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

// RoutesProps says which requests a function answers.
type RoutesProps struct {
	// Function answers the requests. Required.
	Function *function.Function
	// Routes are methods and paths, such as "POST /readings" or
	// "ANY /readings/{reading}", at least one. Required.
	Routes []string
	// Scopes are OAuth scopes of which a caller's token must have one. They
	// need JWT.
	//
	// Default: any token will do.
	Scopes []string
	// Open lets in everybody.
	//
	// Default: callers must be known.
	Open bool
}

var routeKey = regexp.MustCompile(`^(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) /\S*$`)

// AddRoutes lets a function answer requests. It panics with a *[props.Error]
// when the props are wrong.
func (a *RegionalAPI) AddRoutes(id string, p *RoutesProps) {
	if p == nil {
		p = &RoutesProps{}
	}
	var c props.Check
	c.Require(id != "Health", "id", id, "another id", "the health endpoint has that one")
	c.Require(p.Function != nil, "Function", props.Unset, "the function that answers", "set it")
	c.Require(len(p.Routes) > 0, "Routes", props.Empty, "at least one route", "")
	for _, route := range p.Routes {
		c.Require(routeKey.MatchString(route), "Routes", route, "a method and a path, such as \"POST /readings\"", "")
		c.Require(!slices.Contains(a.routes, route) && count(p.Routes, route) == 1, "Routes", route, "a route that no function has yet", "")
	}
	c.Require(len(p.Scopes) == 0 || a.kind == "JWT", "Scopes", p.Scopes, "none without JWT", "set JWT on the API")
	c.Require(len(p.Scopes) == 0 || !p.Open, "Open", true, "false with Scopes", "leave one out")
	c.Panic(a, id)
	target := a.integrate(id, p.Function)
	for _, route := range p.Routes {
		a.addRoute(route, target, p.Scopes, p.Open)
	}
}

func (a *RegionalAPI) addRoute(key string, target *string, scopes []string, open bool) awsapigatewayv2.CfnRoute {
	route := &awsapigatewayv2.CfnRouteProps{ApiId: construct.Ref(a.api), RouteKey: &key, Target: target, AuthorizationType: jsii.String("NONE")}
	if !open {
		route.AuthorizationType = &a.kind
		if a.authorizer != nil {
			route.AuthorizerId = construct.Ref(a.authorizer)
		}
		if len(scopes) > 0 {
			route.AuthorizationScopes = jsii.Strings(scopes...)
		}
	}
	a.routes = append(a.routes, key)
	// The whole key, for "/a/b" and "/a-b" are two routes.
	return awsapigatewayv2.NewCfnRoute(a, jsii.String("Route "+strings.ReplaceAll(key, "/", "|")), route)
}

func (a *RegionalAPI) addAuthorizer(p *RegionalAPIProps) {
	made := &awsapigatewayv2.CfnAuthorizerProps{
		ApiId:          construct.Ref(a.api),
		Name:           jsii.String("identity"),
		IdentitySource: jsii.Strings("$request.header.Authorization"),
	}
	switch {
	case p.JWT != nil:
		a.kind = "JWT"
		made.AuthorizerType = &a.kind
		made.JwtConfiguration = &awsapigatewayv2.CfnAuthorizer_JWTConfigurationProperty{
			Issuer: &p.JWT.Issuer, Audience: jsii.Strings(p.JWT.Audience...)}
	case p.Authorizer != nil:
		a.kind = "CUSTOM"
		made.AuthorizerType = jsii.String("REQUEST")
		made.IdentitySource = jsii.Strings("$request.header." + construct.Or(p.AuthorizerHeader, "Authorization"))
		made.AuthorizerPayloadFormatVersion = jsii.String("2.0")
		made.EnableSimpleResponses = jsii.Bool(true)
		made.AuthorizerResultTtlInSeconds = jsii.Number(0) // who is locked out is locked out at once
		made.AuthorizerUri = defaults.Text(a, "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function}/invocations",
			defaults.Values{"Function": construct.FunctionArn(p.Authorizer.Target())})
	default:
		a.kind = "AWS_IAM"
		return
	}
	a.authorizer = awsapigatewayv2.NewCfnAuthorizer(a, jsii.String("Authorizer"), made)
	if p.Authorizer != nil {
		a.permit("Authorizer", p.Authorizer.Target(), "authorizers/"+*construct.Ref(a.authorizer))
	}
}

// permit lets the API, and no other, invoke the function.
func (a *RegionalAPI) permit(id string, function awslambda.IFunction, from string) {
	awslambda.NewCfnPermission(a, jsii.String(id+"Permission"), &awslambda.CfnPermissionProps{
		Action:       jsii.String("lambda:InvokeFunction"),
		FunctionName: function,
		Principal:    jsii.String("apigateway.amazonaws.com"),
		SourceArn: defaults.Text(a, "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/${From}",
			defaults.Values{"Api": construct.Ref(a.api), "From": &from}),
	})
}

func (a *RegionalAPI) integrate(id string, fn *function.Function) *string {
	target := fn.Target()
	a.permit(id, target, "*/*")
	integration := &awsapigatewayv2.CfnIntegrationProps{
		ApiId:                construct.Ref(a.api),
		IntegrationType:      jsii.String("AWS_PROXY"),
		IntegrationUri:       target,
		PayloadFormatVersion: jsii.String("2.0"),
	}
	if len(a.parameters) > 0 {
		integration.RequestParameters = a.parameters
	}
	made := awsapigatewayv2.NewCfnIntegration(a, jsii.String(id+"Integration"), integration)
	return jsii.String("integrations/" + *made.Ref())
}

func (a *RegionalAPI) addStage(p *RegionalAPIProps, probe awsapigatewayv2.CfnRoute) {
	if a.accessLogs == nil {
		a.accessLogs = defaults.LogGroup(a, "AccessLogs", "", nil)
	}
	rate := construct.Or(p.RequestsPerSecond, 5000)
	a.stage = awsapigatewayv2.NewCfnStage(a, jsii.String("Stage"), &awsapigatewayv2.CfnStageProps{
		ApiId:      construct.Ref(a.api),
		StageName:  jsii.String("$default"),
		AutoDeploy: jsii.Bool(true),
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{
			DestinationArn: construct.LogGroupArn(a.accessLogs),
			Format: jsii.String(`{"time":"$context.requestTime","id":"$context.requestId","route":"$context.routeKey",` +
				`"status":"$context.status","latency":"$context.responseLatency","error":"$context.error.message",` +
				`"authorizer":"$context.authorizer.error","integration":"$context.integrationErrorMessage"}`),
		},
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			DetailedMetricsEnabled: jsii.Bool(true),
			ThrottlingRateLimit:    jsii.Number(rate),
			ThrottlingBurstLimit:   jsii.Number(construct.Or(p.Burst, min(rate, 5000))),
		},
		RouteSettings: map[string]any{
			probeRoute: map[string]any{
				"DetailedMetricsEnabled": true,
				"ThrottlingRateLimit":    healthRate,
				"ThrottlingBurstLimit":   healthBurst,
			},
		},
	})
	a.stage.AddResourceDependency(probe, nil) // API Gateway refuses settings of a route that is not there
}

func (a *RegionalAPI) addDomain(prefix, name string, certificate *string) awsapigatewayv2.CfnDomainName {
	domain := awsapigatewayv2.NewCfnDomainName(a, jsii.String(prefix+"Domain"), &awsapigatewayv2.CfnDomainNameProps{
		DomainName: &name,
		DomainNameConfigurations: []any{&awsapigatewayv2.CfnDomainName_DomainNameConfigurationProperty{
			CertificateArn: certificate,
			EndpointType:   jsii.String("REGIONAL"),
			SecurityPolicy: jsii.String("TLS_1_2"),
			IpAddressType:  jsii.String("dualstack"),
		}},
	})
	awsapigatewayv2.NewCfnApiMapping(a, jsii.String(prefix+"Mapping"), &awsapigatewayv2.CfnApiMappingProps{
		ApiId:      construct.Ref(a.api),
		DomainName: domain.Ref(),
		Stage:      jsii.String("$default"),
	}).AddResourceDependency(a.stage, nil)
	return domain
}

func (a *RegionalAPI) addAlarms(t RegionalAPIAlarms) {
	add := func(id string, spec alarm.Alarm, tuning alarm.Tuning) {
		if made := alarm.New(a, id, spec, tuning, t.Topic); made != nil {
			a.alarms = append(a.alarms, made)
		}
	}
	add("ServerErrors", alarm.Alarm{
		Namespace: "AWS/ApiGateway", Metric: "5xx", Dimensions: map[string]*string{"ApiId": construct.Ref(a.api)},
		Statistic: "Sum", Threshold: 5,
		Description: "The API answers with server errors: read its access log, then those of the functions.",
	}, t.ServerErrors)
	function := map[string]*string{schema.HealthDimension: construct.FunctionName(a.health.Lambda())}
	add("Down", alarm.Alarm{
		Namespace: schema.HealthNamespace, Metric: schema.HealthMetricDown, Dimensions: function, Statistic: "Sum", Threshold: 1,
		Description: "The region cannot serve, for a dependency fails: the health function's log says which. Clients are sent elsewhere.",
	}, t.Down)
	add("Degraded", alarm.Alarm{
		Namespace: schema.HealthNamespace, Metric: schema.HealthMetricDegraded, Dimensions: function, Statistic: "Sum", Threshold: 1, Periods: 3,
		Description: "An optional dependency of the region fails: the health function's log says which. The region still serves.",
	}, t.Degraded)
}

// API returns the API itself.
func (a *RegionalAPI) API() awsapigatewayv2.CfnApi { return a.api }

// Stage returns the stage that serves the API.
func (a *RegionalAPI) Stage() awsapigatewayv2.CfnStage { return a.stage }

// URL returns where clients reach the API: the name that the regions share, or
// without DNS the one that API Gateway gave.
func (a *RegionalAPI) URL() string { return a.url }

// HealthFunction returns the function that answers the health checks.
func (a *RegionalAPI) HealthFunction() *function.Function { return a.health }

// HealthCheck returns Route 53's health check of the region, nil without DNS.
func (a *RegionalAPI) HealthCheck() awsroute53.CfnHealthCheck {
	if a.records == nil {
		return nil
	}
	return a.records.check
}

// Record returns the record of the region that its health decides on, nil
// without DNS.
func (a *RegionalAPI) Record() awsroute53.CfnRecordSet {
	if a.records == nil {
		return nil
	}
	return a.records.record
}

// AccessLogGroup returns the log group of the access logs.
func (a *RegionalAPI) AccessLogGroup() awslogs.ILogGroup { return a.accessLogs }

// Alarms returns the alarms that were made, those of a new health function
// too.
func (a *RegionalAPI) Alarms() []awscloudwatch.CfnAlarm {
	alarms := slices.Clone(a.alarms)
	if a.ownHealth {
		alarms = append(alarms, a.health.Alarms()...)
	}
	return alarms
}
