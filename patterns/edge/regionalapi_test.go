package edge_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
	"github.com/serverless-go/cdk/test/route53"
)

func ExampleNewRegionalAPI() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Readings"), nil)
	api := edge.NewRegionalAPI(stack, "API", &edge.RegionalAPIProps{
		JWT: &edge.JWT{Issuer: "https://login.example.com/", Audience: []string{"readings"}},
	})
	queue := awssqs.NewQueue(stack, jsii.String("Queue"), nil)
	api.AddQueueDependency("queue", queue, &edge.DependencyProps{Timeout: 500 * time.Millisecond})
	app.Synth(nil)
}

// answers makes a function that answers requests.
func answers(scope constructs.Construct, id string) *function.Function {
	return function.NewFunction(scope, id, &function.Props{
		Code:    awslambda.Code_FromInline(jsii.String("exports.handler = async () => ({})")),
		Runtime: awslambda.Runtime_NODEJS_22_X(), Handler: "index.handler",
	})
}

// regionStack returns a stack whose region is known.
func regionStack(t *testing.T, name string) awscdk.Stack {
	return awscdk.NewStack(cdktest.NewApp(t), jsii.String("Test"), &awscdk.StackProps{Env: &awscdk.Environment{Region: &name}})
}

func TestRegionalAPIDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	api := edge.NewRegionalAPI(stack, "API", nil)
	api.AddRoutes("Take", &edge.RoutesProps{Function: answers(stack, "Take"), Routes: []string{"POST /readings"}})
	api.AddQueueDependency("queue", awssqs.NewQueue(stack, jsii.String("Queue"), nil), nil)
	cdktest.Golden(t, stack)
}

func TestRegionalAPIAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	api := edge.NewRegionalAPI(stack, "API", &edge.RegionalAPIProps{
		Authorizer:     answers(stack, "Authorizer"),
		HealthFunction: answers(stack, "Health"),
		AccessLogGroup: awslogs.LogGroup_FromLogGroupName(stack, jsii.String("Logs"), jsii.String("access")),
		Dependencies: func(api *edge.RegionalAPI) {
			api.AddQueueDependency("queue", awssqs.NewQueue(stack, jsii.String("Queue"), nil), nil)
		},
	})
	api.AddTableDependency("readings", awsdynamodb.TableV2_FromTableAttributes(stack, jsii.String("Table"), &awsdynamodb.TableAttributesV2{
		TableArn: jsii.String("arn:aws:dynamodb:eu-west-1:123456789012:table/readings"),
	}), &edge.TableDependencyProps{PartitionKey: "pk", SortKey: "sk"})
	api.AddBusDependency("events", awsevents.EventBus_FromEventBusName(stack, jsii.String("Bus"), jsii.String("health")), nil)
	cdktest.Golden(t, stack)
}

// An API behind references asks its authorizer about their header, and takes it
// off every request.
func TestRegionalAPIAuthorizerHeader(t *testing.T) {
	stack := cdktest.NewStack(t)
	api := edge.NewRegionalAPI(stack, "API", &edge.RegionalAPIProps{
		Authorizer:        answers(stack, "Authorizer"),
		AuthorizerHeader:  "x-access-reference",
		RequestParameters: map[string]string{"remove:header.x-access-reference": "''"},
	})
	api.AddRoutes("Take", &edge.RoutesProps{Function: answers(stack, "Take"), Routes: []string{"POST /readings"}})
	api.AddQueueDependency("queue", awssqs.NewQueue(stack, jsii.String("Queue"), nil), nil)
	template := cdktest.Synth(t, stack)
	template.One(t, "AWS::ApiGatewayV2::Authorizer", cdktest.Match{"IdentitySource": []any{"$request.header.x-access-reference"}})
	for _, r := range template.Resources("AWS::ApiGatewayV2::Integration") {
		if got, _ := r.Properties["RequestParameters"].(map[string]any); got["remove:header.x-access-reference"] != "''" || len(got) != 1 {
			t.Errorf("%s has the mappings %v", r.ID, got)
		}
	}
}

func everyRegionalOption(stack awscdk.Stack) *edge.RegionalAPI {
	alarms := awssns.NewTopic(stack, jsii.String("Alarms"), nil)
	key := awskms.NewKey(stack, jsii.String("Key"), nil)
	table := awsdynamodb.NewTableV2(stack, jsii.String("Table"), &awsdynamodb.TablePropsV2{
		PartitionKey: &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING}})
	api := edge.NewRegionalAPI(stack, "API", &edge.RegionalAPIProps{
		Dependencies: func(api *edge.RegionalAPI) {
			api.AddTableDependency("readings", table, &edge.TableDependencyProps{PartitionKey: "pk", EncryptionKey: key})
			api.AddQueueDependency("queue", awssqs.NewQueue(stack, jsii.String("Queue"), nil),
				&edge.DependencyProps{Optional: true, Timeout: 200 * time.Millisecond})
		},
		JWT:         &edge.JWT{Issuer: "https://login.example.com/", Audience: []string{"readings"}},
		Certificate: certificate(stack, "eu-west-1"),
		DNS: &edge.DNS{Name: "api.example.com", ZoneID: "Z1",
			Geolocation: []edge.GeoRoute{
				{Name: "eu", Regions: []string{"eu-west-1", "eu-central-1"}, Continents: []string{"EU"}, Countries: []string{"MA"}, Default: true},
				{Name: "us", Regions: []string{"us-east-1"}, Countries: []string{"US"}, States: []string{"CA"}},
			},
			HealthCheck: edge.HealthCheckProps{Interval: 10 * time.Second, Failures: 2, Checkers: []string{"eu-west-1", "us-west-2", "sa-east-1"}},
		},
		RequestsPerSecond: 200,
		Burst:             50,
		Alarms: edge.RegionalAPIAlarms{Topic: alarms, ServerErrors: alarm.Tuning{Threshold: jsii.Number(1)}, Degraded: alarm.Tuning{Off: true},
			HealthFunction: function.Alarms{Throttles: alarm.Tuning{Off: true}}},
	})
	api.AddRoutes("Take", &edge.RoutesProps{Function: answers(stack, "Take"), Routes: []string{"POST /readings", "GET /readings/{id}"},
		Scopes: []string{"readings.write"}})
	api.AddRoutes("Open", &edge.RoutesProps{Function: answers(stack, "OpenFunction"), Routes: []string{"GET /terms"}, Open: true})
	api.AddBusDependency("events", awsevents.NewEventBus(stack, jsii.String("Bus"), nil), &edge.DependencyProps{Optional: true})
	return api
}

func TestRegionalAPIEverything(t *testing.T) {
	stack := regionStack(t, "eu-west-1")
	api := everyRegionalOption(stack)
	if api.URL() != "https://api.example.com" || api.HealthCheck() == nil || api.Record() == nil || len(api.Alarms()) != 4 {
		t.Errorf("the accessors are wrong: %s, %d alarms", api.URL(), len(api.Alarms()))
	}
	cdktest.Golden(t, stack)
}

// Without credentials nothing but what is said to be open can be called, and
// nobody gets round the custom domains.
func TestRegionalAPIIsClosed(t *testing.T) {
	stack := regionStack(t, "eu-west-1")
	everyRegionalOption(stack)
	template := cdktest.Synth(t, stack)
	var open []string
	for _, route := range template.Resources("AWS::ApiGatewayV2::Route") {
		if route.Properties["AuthorizationType"] == "NONE" {
			open = append(open, route.Properties["RouteKey"].(string))
		}
	}
	slices.Sort(open)
	if want := []string{"GET /health", "GET /terms"}; !slices.Equal(open, want) {
		t.Errorf("open are %v, want %v", open, want)
	}
	template.One(t, "AWS::ApiGatewayV2::Api", cdktest.Match{"DisableExecuteApiEndpoint": true})
	for _, domain := range template.Resources("AWS::ApiGatewayV2::DomainName") {
		for _, c := range domain.Properties["DomainNameConfigurations"].([]any) {
			if c.(map[string]any)["SecurityPolicy"] != "TLS_1_2" {
				t.Errorf("%s takes more than TLS 1.2", domain.ID)
			}
		}
	}
	stage := template.One(t, "AWS::ApiGatewayV2::Stage", nil)
	format := fmt.Sprint(stage.Properties["AccessLogSettings"])
	for _, personal := range []string{"sourceIp", "path", "userAgent", "claims", "principalId", "identity"} {
		if strings.Contains(format, "$context."+personal) || strings.Contains(format, "identity."+personal) || strings.Contains(format, "authorizer."+personal) {
			t.Errorf("the access log holds %s", personal)
		}
	}
}

// The health function may make its checks and nothing else.
func TestHealthFunctionIsGrantedItsChecksOnly(t *testing.T) {
	stack := regionStack(t, "eu-west-1")
	everyRegionalOption(stack)
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), "123456789012", "eu-west-1")
	role := template.Role("APIHealthRole")
	table, queue, bus, key := template.Find("AWS::DynamoDB::GlobalTable", ""), template.Find("AWS::SQS::Queue", "Queue"),
		template.Find("AWS::Events::EventBus", ""), template.Find("AWS::KMS::Key", "")
	for _, tt := range []struct {
		action, resource string
		context          iam.Context
		want             bool
	}{
		{"dynamodb:GetItem", table, iam.Context{"dynamodb:LeadingKeys": {"serverless-go:health"}}, true},
		{"dynamodb:GetItem", table, iam.Context{"dynamodb:LeadingKeys": {"patient-1"}}, false},
		{"dynamodb:GetItem", table, nil, false},
		{"dynamodb:Query", table, iam.Context{"dynamodb:LeadingKeys": {"serverless-go:health"}}, false},
		{"dynamodb:PutItem", table, iam.Context{"dynamodb:LeadingKeys": {"serverless-go:health"}}, false},
		{"sqs:GetQueueAttributes", queue, nil, true},
		{"sqs:ReceiveMessage", queue, nil, false},
		{"sqs:SendMessage", queue, nil, false},
		{"events:DescribeEventBus", bus, nil, true},
		{"events:PutEvents", bus, nil, false},
		{"kms:Decrypt", key, iam.Context{"kms:ViaService": {"dynamodb.eu-west-1.amazonaws.com"}}, true},
		{"kms:Decrypt", key, iam.Context{"kms:ViaService": {"s3.eu-west-1.amazonaws.com"}}, false},
		{"kms:GenerateDataKey", key, iam.Context{"kms:ViaService": {"dynamodb.eu-west-1.amazonaws.com"}}, false},
	} {
		got := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: role.ARN}, Action: tt.action,
			Resource: tt.resource, Context: tt.context}, iam.Policies{Identity: role.Policies})
		if got.Allowed != tt.want {
			t.Errorf("%s on %s in %v: %v, want %v (%s)", tt.action, tt.resource, tt.context, got.Allowed, tt.want, got.Reason)
		}
	}
}

func TestRegionalAPIIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	api := edge.NewRegionalAPI(stack, "API", nil)
	api.AddQueueDependency("queue", awssqs.NewQueue(api, jsii.String("Queue"), nil), nil)
	cdktest.IsConstruct(t, api)
}

// An endpoint that checks nothing would say that all is well, or never.
func TestRegionalAPINeedsRequiredDependency(t *testing.T) {
	stack := cdktest.NewStack(t)
	api := edge.NewRegionalAPI(stack, "API", nil)
	api.AddQueueDependency("queue", awssqs.NewQueue(stack, jsii.String("Queue"), nil), &edge.DependencyProps{Optional: true})
	cdktest.Rejects(t, func() { cdktest.Synth(t, stack) }, "[Test/API]", "no required dependency", "AddTableDependency")
}

func TestRegionalAPIRejects(t *testing.T) {
	here, there := certificate(regionStack(t, "eu-west-1"), "eu-west-1"), certificate(regionStack(t, "us-east-1"), "us-east-1")
	geo := func(routes ...edge.GeoRoute) edge.RegionalAPIProps {
		return edge.RegionalAPIProps{Certificate: here, DNS: &edge.DNS{Name: "api.example.com", ZoneID: "Z1", Geolocation: routes}}
	}
	dns := func(d edge.DNS) edge.RegionalAPIProps {
		if d.Name == "" {
			d.Name, d.ZoneID = "api.example.com", "Z1"
		}
		return edge.RegionalAPIProps{Certificate: here, DNS: &d}
	}
	one := []string{"eu-west-1"}
	both := []string{"eu-west-1", "us-east-1"}
	for name, tt := range map[string]struct {
		props edge.RegionalAPIProps
		want  []string
	}{
		"two authorizers": {edge.RegionalAPIProps{JWT: &edge.JWT{Issuer: "http://a"}, Authorizer: &function.Function{}},
			[]string{"Test/API: wrong props", "Authorizer", "JWT.Issuer", "JWT.Audience is empty"}},
		"header without authorizer": {edge.RegionalAPIProps{AuthorizerHeader: "x-key"}, []string{`AuthorizerHeader is "x-key"; allowed is none without Authorizer`}},
		"no certificate":            {edge.RegionalAPIProps{DNS: &edge.DNS{Name: "api.example.com", ZoneID: "Z1", Latency: both}}, []string{"Certificate is not set"}},
		"certificate without names": {edge.RegionalAPIProps{Certificate: here}, []string{"DNS is not set", "leave out the Certificate"}},
		"certificate's region": {edge.RegionalAPIProps{Certificate: there, DNS: &edge.DNS{Name: "api.example.com", ZoneID: "Z1", Latency: both}},
			[]string{"Certificate is", "acm:us-east-1", "make it in eu-west-1"}},
		"throttling":          {edge.RegionalAPIProps{RequestsPerSecond: 20_000, Burst: -1}, []string{"RequestsPerSecond is 20000", "Burst is -1"}},
		"alarm":               {edge.RegionalAPIProps{Alarms: edge.RegionalAPIAlarms{Down: alarm.Tuning{Periods: -1}}}, []string{"Alarms.Down.Periods is -1"}},
		"name":                {dns(edge.DNS{Name: "API", Latency: both}), []string{`DNS.Name is "API"`, "DNS.ZoneID"}},
		"no policy":           {dns(edge.DNS{}), []string{"DNS.Latency, Failover, Geolocation is 0; allowed is exactly one"}},
		"mixed policies":      {dns(edge.DNS{Latency: both, Failover: both}), []string{"is 2; allowed is exactly one", "does not mix routing policies"}},
		"latency of one":      {dns(edge.DNS{Latency: one}), []string{"DNS.Latency", "at least two regions"}},
		"failover of three":   {dns(edge.DNS{Failover: append(slices.Clone(both), "sa-east-1")}), []string{"DNS.Failover", "two regions", "use Latency"}},
		"twice":               {dns(edge.DNS{Failover: []string{"eu-west-1", "eu-west-1"}}), []string{`DNS.Regions is "eu-west-1"; allowed is each region once`}},
		"elsewhere":           {dns(edge.DNS{Latency: []string{"us-east-1", "sa-east-1"}}), []string{"the stack's region eu-west-1"}},
		"no default":          {geo(edge.GeoRoute{Name: "eu", Regions: one, Continents: []string{"EU"}}), []string{"DNS.Geolocation.Default is of no route", "no answer"}},
		"two defaults":        {geo(edge.GeoRoute{Name: "eu", Regions: one, Default: true}, edge.GeoRoute{Name: "us", Regions: []string{"us-east-1"}, Default: true}), []string{"Geolocation.Default", "Places", "each place once"}},
		"a place twice":       {geo(edge.GeoRoute{Name: "eu", Regions: one, Countries: []string{"DE", "DE"}, Default: true}), []string{`Geolocation[0].Places is "country-DE"`}},
		"continent":           {geo(edge.GeoRoute{Name: "eu", Regions: one, Continents: []string{"DE"}, Default: true}), []string{`Continents is "DE"`, "Countries"}},
		"codes":               {geo(edge.GeoRoute{Name: "eu", Regions: one, Countries: []string{"de"}, States: []string{"Texas"}, Default: true}), []string{`Countries is "de"`, `States is "Texas"`}},
		"label is a region":   {geo(edge.GeoRoute{Name: "us-east-1", Regions: one, Default: true}), []string{`Geolocation[0].Name is "us-east-1"`}},
		"a label twice":       {geo(edge.GeoRoute{Name: "eu", Regions: one, Default: true}, edge.GeoRoute{Name: "eu", Regions: []string{"us-east-1"}, Countries: []string{"US"}}), []string{`Geolocation[1].Name is "eu"`}},
		"route without place": {geo(edge.GeoRoute{Name: "eu", Regions: one, Default: true}, edge.GeoRoute{Name: "us"}), []string{"Geolocation[1].Regions", "at least one place"}},
		"health check": {dns(edge.DNS{Latency: both, HealthCheck: edge.HealthCheckProps{Interval: time.Minute, Failures: 11, Checkers: []string{"eu-west-3", "us-east-1"}}}),
			[]string{"DNS.HealthCheck.Interval is 1m0s", "DNS.HealthCheck.Failures is 11", "at least three regions", `"eu-west-3"`}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := regionStack(t, "eu-west-1")
			cdktest.Rejects(t, func() { edge.NewRegionalAPI(stack, "API", &tt.props) }, tt.want...)
		})
	}
	t.Run("region not known", func(t *testing.T) {
		stack := cdktest.NewStack(t)
		p := dns(edge.DNS{Latency: both})
		cdktest.Rejects(t, func() { edge.NewRegionalAPI(stack, "API", &p) }, "a stack whose region is not known", "use MultiRegion")
	})
	t.Run("routes and dependencies", func(t *testing.T) {
		stack := cdktest.NewStack(t)
		api := edge.NewRegionalAPI(stack, "API", nil)
		fn := answers(stack, "Take")
		cdktest.Rejects(t, func() { api.AddRoutes("Take", nil) }, "Function is not set", "Routes is empty")
		cdktest.Rejects(t, func() {
			api.AddRoutes("Health", &edge.RoutesProps{Function: fn, Routes: []string{"readings", "GET /health"}, Scopes: []string{"a"}, Open: true})
		}, `id is "Health"`, `Routes is "readings"`, `Routes is "GET /health"`, "none without JWT", "Open is true")
		queue := awssqs.NewQueue(stack, jsii.String("Queue"), nil)
		api.AddQueueDependency("queue", queue, nil)
		cdktest.Rejects(t, func() { api.AddQueueDependency("queue", queue, nil) }, `name is "queue"`)
		cdktest.Rejects(t, func() { api.AddQueueDependency("My Queue", nil, &edge.DependencyProps{Timeout: 3 * time.Second}) },
			"queue is", `name is "My Queue"`, "Timeout is 3s")
		cdktest.Rejects(t, func() { api.AddTableDependency("table", nil, nil) }, "table is", "PartitionKey")
		cdktest.Rejects(t, func() { api.AddBusDependency("bus", nil, nil) }, "bus is")
	})
}

// deployed synthesizes the system with an API in each region.
func deployed(t *testing.T, dns *edge.DNS) map[string]map[string]any {
	t.Helper()
	regions := dns.Regions()
	m := system(t, &edge.MultiRegionProps{Regions: regions, Resources: func(r *edge.Region) {
		api := edge.NewRegionalAPI(r.Stack(), "API", &edge.RegionalAPIProps{DNS: dns, Certificate: certificate(r.Stack(), r.Name())})
		api.AddQueueDependency("queue", awssqs.NewQueue(r.Stack(), jsii.String("Queue"), &awssqs.QueueProps{
			QueueName: jsii.String(r.SharedName("readings"))}), nil)
	}})
	templates := map[string]map[string]any{}
	for _, r := range m.Regions() {
		template := cdktest.Synth(t, r.Stack())
		var others []string
		for _, peer := range r.Peers() {
			others = append(others, "Health-"+peer)
		}
		if found := foreign(template, others); found != nil {
			t.Errorf("the template of %s refers to other stacks: %v", r.Name(), found)
		}
		templates[r.Name()] = template
	}
	return templates
}

var (
	berlin = route53.Client{Country: "DE", Continent: "EU", Near: []string{"eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-southeast-2"}}
	rabat  = route53.Client{Country: "MA", Continent: "AF", Near: []string{"eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-southeast-2"}}
	boston = route53.Client{State: "MA", Country: "US", Continent: "NA", Near: []string{"us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"}}
	la     = route53.Client{State: "CA", Country: "US", Continent: "NA", Near: []string{"us-west-2", "us-east-1", "ap-southeast-2", "eu-west-1", "eu-central-1"}}
	sydney = route53.Client{Country: "AU", Continent: "OC", Near: []string{"ap-southeast-2", "us-west-2", "us-east-1", "eu-west-1", "eu-central-1"}}
	nobody = route53.Client{Near: []string{"us-west-2", "eu-west-1", "us-east-1", "eu-central-1", "ap-southeast-2"}}
)

// Which region answers whom while which regions are down, as the synthesized
// records and health checks have it.
func TestRegionLoss(t *testing.T) {
	type row struct {
		client route53.Client
		down   string
		want   string
	}
	for name, tt := range map[string]struct {
		dns   edge.DNS
		table []row
	}{
		"latency": {edge.DNS{Latency: []string{"eu-west-1", "us-east-1", "ap-southeast-2"}}, []row{
			{berlin, "", "eu-west-1"}, {boston, "", "us-east-1"}, {sydney, "", "ap-southeast-2"},
			{berlin, "eu-west-1", "us-east-1"}, {boston, "eu-west-1", "us-east-1"}, {sydney, "eu-west-1", "ap-southeast-2"},
			{berlin, "us-east-1", "eu-west-1"}, {boston, "us-east-1", "eu-west-1"}, {sydney, "us-east-1", "ap-southeast-2"},
			{berlin, "ap-southeast-2", "eu-west-1"}, {boston, "ap-southeast-2", "us-east-1"}, {sydney, "ap-southeast-2", "us-east-1"},
			{berlin, "eu-west-1 us-east-1", "ap-southeast-2"}, {sydney, "ap-southeast-2 us-east-1", "eu-west-1"},
			{berlin, "eu-west-1 us-east-1 ap-southeast-2", "eu-west-1"}, // all are taken for healthy
		}},
		"failover": {edge.DNS{Failover: []string{"eu-west-1", "us-east-1"}}, []row{
			{berlin, "", "eu-west-1"}, {boston, "", "eu-west-1"}, {sydney, "", "eu-west-1"},
			{berlin, "eu-west-1", "us-east-1"}, {boston, "eu-west-1", "us-east-1"}, {sydney, "eu-west-1", "us-east-1"},
			{berlin, "us-east-1", "eu-west-1"}, {boston, "us-east-1", "eu-west-1"}, {sydney, "us-east-1", "eu-west-1"},
			{berlin, "eu-west-1 us-east-1", "eu-west-1"},
		}},
		"geolocation": {edge.DNS{Geolocation: []edge.GeoRoute{
			{Name: "eu", Regions: []string{"eu-west-1", "eu-central-1"}, Continents: []string{"EU"}, Countries: []string{"MA"}},
			{Name: "us", Regions: []string{"us-east-1", "us-west-2"}, Countries: []string{"US"}, Default: true},
			{Name: "ap", Regions: []string{"ap-southeast-2"}, Continents: []string{"OC"}, States: []string{"CA"}},
		}}, []row{
			{berlin, "", "eu-central-1"}, {rabat, "", "eu-west-1"}, {boston, "", "us-east-1"}, {la, "", "ap-southeast-2"},
			{sydney, "", "ap-southeast-2"}, {nobody, "", "us-west-2"},
			{berlin, "eu-central-1", "eu-west-1"}, {rabat, "eu-central-1", "eu-west-1"}, {boston, "eu-central-1", "us-east-1"},
			{berlin, "eu-west-1", "eu-central-1"}, {rabat, "eu-west-1", "eu-central-1"}, {sydney, "eu-west-1", "ap-southeast-2"},
			{boston, "us-east-1", "us-west-2"}, {nobody, "us-east-1", "us-west-2"}, {berlin, "us-east-1", "eu-central-1"},
			{boston, "us-west-2", "us-east-1"}, {nobody, "us-west-2", "us-east-1"}, {la, "us-west-2", "ap-southeast-2"},
			// Its only region is down: clients are not sent to where their data must not go.
			{sydney, "ap-southeast-2", "ap-southeast-2"}, {la, "ap-southeast-2", "ap-southeast-2"}, {boston, "ap-southeast-2", "us-east-1"},
			{berlin, "eu-west-1 eu-central-1", "eu-central-1"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.dns.Name, tt.dns.ZoneID = "api.example.com", "Z1"
			zone, err := route53.Load(deployed(t, &tt.dns))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := zone.Regions(), slices.Sorted(slices.Values(tt.dns.Regions())); !slices.Equal(got, want) {
				t.Errorf("health checks are about %v, want %v", got, want)
			}
			for _, row := range tt.table {
				got, err := zone.Answer(tt.dns.Name, row.client, strings.Fields(row.down)...)
				if err != nil || got != row.want {
					t.Errorf("%s, while %q is down: %s, %v; want %s", row.client.Country, row.down, got, err, row.want)
				}
			}
			alwaysAnswered(t, zone, &tt.dns)
		})
	}
}

// alwaysAnswered fails the test unless every client is sent to a region that
// lives while there is one for it, whichever regions are down, and by
// geolocation to none but its own.
func alwaysAnswered(t *testing.T, zone *route53.Zone, dns *edge.DNS) {
	t.Helper()
	all := dns.Regions()
	for subset := range 1 << len(all) {
		var down []string
		for i, r := range all {
			if subset&(1<<i) != 0 {
				down = append(down, r)
			}
		}
		for name, client := range map[string]route53.Client{"berlin": berlin, "rabat": rabat, "boston": boston, "la": la, "sydney": sydney, "nobody": nobody} {
			mine := all
			if dns.Geolocation != nil {
				mine = dns.Geolocation[map[string]int{"berlin": 0, "rabat": 0, "boston": 1, "nobody": 1, "la": 2, "sydney": 2}[name]].Regions
			}
			got, err := zone.Answer(dns.Name, client, down...)
			lives := slices.ContainsFunc(mine, func(r string) bool { return !slices.Contains(down, r) })
			if err != nil || !slices.Contains(mine, got) || lives && slices.Contains(down, got) {
				t.Errorf("%s, while %v are down: %s, %v", name, down, got, err)
			}
		}
	}
}

// The simulation refuses what Route 53 would refuse, and sees a record that
// ignores its region's health.
func TestRegionLossIsSeen(t *testing.T) {
	load := func() map[string]map[string]any {
		return deployed(t, &edge.DNS{Name: "api.example.com", ZoneID: "Z1", Latency: []string{"eu-west-1", "us-east-1"}})
	}
	// each changes the records of both address families.
	each := func(templates map[string]map[string]any, change func(map[string]any)) {
		changed := 0
		for _, r := range (cdktest.Template)(templates["eu-west-1"]).Resources("AWS::Route53::RecordSet") {
			if r.Properties["SetIdentifier"] != nil {
				change(r.Properties)
				changed++
			}
		}
		if changed != 2 {
			t.Fatalf("%d records, want one of IPv4 and one of IPv6", changed)
		}
	}
	for name, change := range map[string]func(map[string]any){
		"policies of two kinds": func(p map[string]any) { delete(p, "Region"); p["Failover"] = "PRIMARY" },
		"the same region twice": func(p map[string]any) { p["Region"] = "us-east-1" },
		"no set identifier":     func(p map[string]any) { delete(p, "SetIdentifier") },
		"another's check":       func(p map[string]any) { p["HealthCheckId"] = map[string]any{"Ref": "Elsewhere"} },
	} {
		templates := load()
		each(templates, change)
		if _, err := route53.Load(templates); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	for name, change := range map[string]func(map[string]any){
		"IPv6 elsewhere": func(p map[string]any) {
			if p["Type"] == "AAAA" {
				delete(p, "HealthCheckId")
			}
		},
		"no IPv6": func(p map[string]any) { p["Type"] = "A" },
	} {
		templates := load()
		each(templates, change)
		if _, err := route53.Load(templates); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	templates := load()
	for _, d := range (cdktest.Template)(templates["eu-west-1"]).Resources("AWS::ApiGatewayV2::DomainName") {
		delete(d.Properties["DomainNameConfigurations"].([]any)[0].(map[string]any), "IpAddressType")
	}
	if _, err := route53.Load(templates); err == nil {
		t.Error("loaded, though an API has no IPv6")
	}
	templates = load()
	each(templates, func(p map[string]any) { delete(p, "HealthCheckId") })
	zone, err := route53.Load(templates)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := zone.Answer("api.example.com", berlin, "eu-west-1"); got != "eu-west-1" {
		t.Errorf("without a health check %s answers", got)
	}
	if _, err := zone.Answer("www.example.com", berlin); err == nil {
		t.Error("a name without records is answered")
	}
}

// Each region stands alone: its template, deployed first or last, holds all
// that it refers to.
func TestRegionStandsAlone(t *testing.T) {
	for region, template := range deployed(t, &edge.DNS{Name: "api.example.com", ZoneID: "Z1", Geolocation: []edge.GeoRoute{
		{Name: "eu", Regions: []string{"eu-west-1", "eu-central-1"}, Default: true}}}) {
		resources := template["Resources"].(map[string]any)
		known := slices.Collect(maps.Keys(resources))
		if parameters, ok := template["Parameters"].(map[string]any); ok {
			known = slices.AppendSeq(known, maps.Keys(parameters))
		}
		for _, ref := range refs(resources) {
			if !strings.HasPrefix(ref, "AWS::") && !slices.Contains(known, ref) {
				t.Errorf("%s refers to %s, which it does not have", region, ref)
			}
		}
	}
}

func refs(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["Ref"].(string); ok {
			all = append(all, ref)
		}
		if get, ok := v["Fn::GetAtt"].([]any); ok {
			all = append(all, get[0].(string))
		}
		for _, e := range v {
			all = append(all, refs(e)...)
		}
	case []any:
		for _, e := range v {
			all = append(all, refs(e)...)
		}
	}
	return all
}
