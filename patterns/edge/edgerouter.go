package edge

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// EdgeRouterProps says which origins a router has, and how it is guarded.
type EdgeRouterProps struct {
	// Table names the origins: each host name in it becomes an origin of the
	// distribution, with the host name as its id. Required. The rest of the
	// table is read from Store while requests come in. A change of it needs no
	// deployment of the router, but a new host name does.
	Table routing.Table
	// Store is the key-value store that the router's function reads. Required.
	// The router does not fill it: KeyValues, or whatever else writes to the
	// store, must put Table.Entries there.
	Store awscloudfront.IKeyValueStore

	// OriginSecret is sent to the origins with every request, in the header
	// schema.OriginHeader, so that they can refuse who did not come through the
	// router: see package origin. It is a text of at least 32 characters, in the
	// stack's region, and replicated to the origins'. Whoever may read the
	// distribution's configuration can read it.
	//
	// Default: none; the origins cannot tell.
	OriginSecret awssecretsmanager.ISecret
	// OriginSecretVersion is the id of the secret's version. CloudFormation reads
	// the secret when this changes, so set it to roll a new value out.
	//
	// Default: the current one, when the router is made.
	OriginSecretVersion string

	// DomainNames are the names that clients use, which Certificate must hold.
	//
	// Default: CloudFront's own name only.
	DomainNames []string
	// Certificate is for DomainNames, in us-east-1, where CloudFront looks for
	// it. With it, clients need TLS 1.2; with CloudFront's own certificate
	// CloudFront lets them use older versions.
	//
	// Default: CloudFront's own.
	Certificate awscertificatemanager.ICertificate

	// WebACLARN is of a web ACL with the scope CLOUDFRONT, which is in
	// us-east-1.
	//
	// Default: a new one, if the stack is in us-east-1, with AWS's common rules
	// and known bad inputs and a limit of requests by address.
	WebACLARN string
	// WithoutWAF is the reason why there is no web ACL. It is kept as metadata
	// of the distribution.
	//
	// Default: there is one.
	WithoutWAF string
	// RateLimit is how many requests a new web ACL lets one address make in
	// five minutes, 10 to 2,000,000,000.
	//
	// Default: 2,000.
	RateLimit int

	// AccessLogs takes the access logs, below "cloudfront/". It must have
	// access control lists enabled and no KMS key.
	//
	// Default: a new one: private, TLS only, retained when the stack is
	// destroyed.
	AccessLogs awss3.IBucket
	// AccessLogRetention is how long a new bucket keeps logs, in whole days.
	//
	// Default: 365 days.
	AccessLogRetention time.Duration
	// PriceClass says which edge locations serve.
	//
	// Default: all.
	PriceClass awscloudfront.PriceClass

	// Alarms tunes the alarms. They are made in us-east-1 only, for CloudFront's
	// metrics are there.
	//
	// Default: all are made and notify nobody.
	Alarms EdgeRouterAlarms
}

// EdgeRouterAlarms tunes the alarms of an [EdgeRouter].
type EdgeRouterAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Errors goes off when too many responses have a 5xx status, in percent.
	// Those of maintenance count too.
	//
	// Default: 5 % in 5 periods of one minute.
	Errors alarm.Tuning
	// FunctionErrors goes off when the function fails, which the client sees
	// as a 5xx status.
	//
	// Default: one error in a minute.
	FunctionErrors alarm.Tuning
}

func (a EdgeRouterAlarms) check(c *props.Check) {
	c.Nested("Errors", a.Errors.Check)
	c.Nested("FunctionErrors", a.FunctionErrors.Check)
}

// EdgeRouter is a CloudFront distribution that sends each request to the
// regional API of the client's jurisdiction:
//
//	client ──▶ CloudFront: web ACL ──▶ function (reads the table) ──▶ origin of the jurisdiction
//
// Nothing is cached, hence no response for one jurisdiction is ever served to
// another. Requests carry the client's headers but Host, for the APIs answer to
// their own names.
//
// CloudFront delivers access logs by its legacy standard logging: version 2 has
// its delivery source in us-east-1 only, while the router may be in a stack of
// any region. The bucket therefore has access control lists, and owns what is
// written to it.
//
// Sources: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html,
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html,
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/helper-functions-origin-modification.html,
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html.
type EdgeRouter struct {
	constructs.Construct
	distribution awscloudfront.CfnDistribution
	function     awscloudfront.CfnFunction
	headers      awscloudfront.CfnResponseHeadersPolicy
	cache        awscloudfront.CfnCachePolicy
	webACL       awswafv2.CfnWebACL // nil unless made here
	webACLArn    *string            // nil without WAF
	accessLogs   awss3.IBucket
	alarms       []awscloudwatch.CfnAlarm
}

// global is the region of everything that belongs to CloudFront.
const global = "us-east-1"

// allViewerExceptHost is a managed policy, which has the same id in all
// accounts. AWS documents that it passes on what the client sent, and not that
// it adds headers of CloudFront's own
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html).
const allViewerExceptHost = "b689b0a8-53d0-40ab-baf2-68738e2966ac"

// priceClasses are CloudFormation's names of the classes.
var priceClasses = map[awscloudfront.PriceClass]string{
	awscloudfront.PriceClass_PRICE_CLASS_100: "PriceClass_100",
	awscloudfront.PriceClass_PRICE_CLASS_200: "PriceClass_200",
	awscloudfront.PriceClass_PRICE_CLASS_ALL: "PriceClass_All",
}

// NewEdgeRouter makes a router. It panics with a *[props.Error] when the props
// are wrong.
func NewEdgeRouter(scope constructs.Construct, id string, p *EdgeRouterProps) *EdgeRouter {
	if p == nil {
		p = &EdgeRouterProps{}
	}
	inGlobal := construct.Region(scope) == global
	code := p.check(scope, id, inGlobal)
	r := &EdgeRouter{accessLogs: p.AccessLogs}
	construct.Init(r, scope, id)
	r.addFunction(p, code)
	r.addHeaders()
	r.addCachePolicy(p)
	r.addWebACL(p)
	r.addAccessLogs(p)
	r.addDistribution(p)
	if inGlobal {
		r.addAlarms(p)
	}
	return r
}

// check returns the function's code, for what does not compile is wrong too.
func (p *EdgeRouterProps) check(scope constructs.Construct, id string, inGlobal bool) string {
	var c props.Check
	c.Nested("Table", p.Table.Check)
	c.Require(p.Store != nil, "Store", props.Unset, "a key-value store", "set it, and fill it with Table.Entries")
	c.Require(p.OriginSecret != nil || p.OriginSecretVersion == "", "OriginSecret", props.Unset, "a secret for the OriginSecretVersion", "set it")
	c.Require(len(p.DomainNames) == 0 || p.Certificate != nil, "Certificate", props.Unset,
		"a certificate in "+global+" for the DomainNames", "set it")
	c.Require(len(p.DomainNames) > 0 || p.Certificate == nil, "DomainNames", props.Empty,
		"at least one name with a Certificate", "set them, or leave out the Certificate")
	if p.Certificate != nil {
		checkARN(&c, "Certificate", *p.Certificate.CertificateArn(), "acm", global, "certificate/", "CloudFront looks for it")
	}
	if p.WebACLARN != "" {
		checkARN(&c, "WebACLARN", p.WebACLARN, "wafv2", global, "global/webacl/", "CloudFront looks for it")
	}
	c.OneOf(map[string]bool{"WebACLARN": p.WebACLARN != "", "WithoutWAF": p.WithoutWAF != ""}, "WebACLARN", "WithoutWAF")
	made := p.WebACLARN == "" && p.WithoutWAF == ""
	c.Require(!made || inGlobal, "WebACLARN", props.Words("missing in a stack that is not known to be in "+global),
		"the ARN of a web ACL with the scope CLOUDFRONT", "set it, or set WithoutWAF to the reason why there is none")
	c.Require(made || p.RateLimit == 0, "RateLimit", props.Words("set without a new web ACL"), "unset",
		"leave it out, and set it on the web ACL itself")
	props.Between(&c, "RateLimit", p.RateLimit, 10, 2_000_000_000)
	c.Require(p.AccessLogs == nil || p.AccessLogRetention == 0, "AccessLogRetention", props.Words("set together with AccessLogs"), "one of the two",
		"leave it out, and set it on the bucket itself")
	c.Require(p.AccessLogRetention >= 0 && p.AccessLogRetention%(24*time.Hour) == 0, "AccessLogRetention", p.AccessLogRetention, "whole days", "")
	_, known := priceClasses[p.PriceClass]
	c.Require(known || p.PriceClass == "", "PriceClass", string(p.PriceClass), "one of CloudFront's price classes", "")
	c.Nested("Alarms", p.Alarms.check)
	c.Require(inGlobal || p.Alarms == EdgeRouterAlarms{}, "Alarms", props.Words("set in a stack that is not known to be in "+global),
		"unset, for CloudFront's metrics are in "+global+" only", "leave them out, or move the router to a stack there")
	code, err := routing.CloudFrontFunction()
	if err != nil {
		c.Wrong("Table", props.Words("without a function: "+err.Error()), "code that compiles", "")
	}
	c.Panic(scope, id)
	return code
}

// checkARN records a problem if the ARN is known and not one of the service's
// resources in the region, where who needs it looks for it.
func checkARN(c *props.Check, field, arn, service, region, resource, who string) {
	if construct.DeployTime(arn) {
		return
	}
	part := strings.SplitN(arn, ":", 6)
	ok := len(part) == 6 && part[0] == "arn" && part[2] == service && part[3] == region && strings.HasPrefix(part[5], resource)
	c.Require(ok, field, arn, "an ARN like arn:aws:"+service+":"+region+":ACCOUNT:"+resource+"...",
		"make it in "+region+", where "+who)
}

// name returns a name that is unique in the account: CloudFront's names are
// not divided by region.
func (r *EdgeRouter) name() *string {
	return construct.Once(r, "name", func() *string {
		unique := awscdk.Names_UniqueResourceName(r, &awscdk.UniqueResourceNameOptions{MaxLength: jsii.Number(40)})
		return jsii.String(*unique + "-" + *construct.StackOf(r).Region())
	})
}

func (r *EdgeRouter) addFunction(p *EdgeRouterProps, code string) {
	r.function = awscloudfront.NewCfnFunction(r, jsii.String("Function"), &awscloudfront.CfnFunctionProps{
		Name:         r.name(),
		AutoPublish:  jsii.Bool(true),
		FunctionCode: &code,
		FunctionConfig: &awscloudfront.CfnFunction_FunctionConfigProperty{
			Comment: jsii.String("Sends requests to the origin of their jurisdiction."),
			Runtime: jsii.String("cloudfront-js-2.0"), // the first with key-value stores
			KeyValueStoreAssociations: []*awscloudfront.CfnFunction_KeyValueStoreAssociationProperty{
				{KeyValueStoreArn: p.Store.KeyValueStoreArn()},
			},
		},
	})
}

// addHeaders has browsers treat the responses as an API's: nothing in them is
// a page. An origin that serves pages sends a policy of its own, which wins.
func (r *EdgeRouter) addHeaders() {
	r.headers = awscloudfront.NewCfnResponseHeadersPolicy(r, jsii.String("Headers"), &awscloudfront.CfnResponseHeadersPolicyProps{
		ResponseHeadersPolicyConfig: &awscloudfront.CfnResponseHeadersPolicy_ResponseHeadersPolicyConfigProperty{
			Name: r.name(),
			SecurityHeadersConfig: &awscloudfront.CfnResponseHeadersPolicy_SecurityHeadersConfigProperty{
				StrictTransportSecurity: &awscloudfront.CfnResponseHeadersPolicy_StrictTransportSecurityProperty{
					AccessControlMaxAgeSec: jsii.Number(2 * 365 * 24 * 3600), Override: jsii.Bool(true),
				},
				ContentTypeOptions: &awscloudfront.CfnResponseHeadersPolicy_ContentTypeOptionsProperty{Override: jsii.Bool(true)},
				ContentSecurityPolicy: &awscloudfront.CfnResponseHeadersPolicy_ContentSecurityPolicyProperty{
					ContentSecurityPolicy: jsii.String("default-src 'none'; frame-ancestors 'none'"), Override: jsii.Bool(false),
				},
				FrameOptions: &awscloudfront.CfnResponseHeadersPolicy_FrameOptionsProperty{
					FrameOption: jsii.String("DENY"), Override: jsii.Bool(false),
				},
				ReferrerPolicy: &awscloudfront.CfnResponseHeadersPolicy_ReferrerPolicyProperty{
					ReferrerPolicy: jsii.String("no-referrer"), Override: jsii.Bool(false),
				},
			},
		},
	})
}

// addCachePolicy has CloudFront add the client's country, which the function
// decides by: it adds the headers that a cache policy lists
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/adding-cloudfront-headers.html).
// An origin request policy that adds some passes on Host, too, which an API
// refuses; and a policy without caching may list none. So a response that the
// origin says may be cached is, for a second, and for requests only that are
// the same in all that tells clients apart.
func (r *EdgeRouter) addCachePolicy(p *EdgeRouterProps) {
	headers := []string{"Authorization", "CloudFront-Viewer-Country", "Origin", schema.RoutingJurisdiction, schema.RoutingExperiments}
	// A token in another header tells clients apart, too.
	token := p.Table.Token.Header
	if token != "" && !slices.ContainsFunc(headers, func(h string) bool { return strings.EqualFold(h, token) }) {
		headers = append(headers, token)
	}
	all := jsii.String("all")
	r.cache = awscloudfront.NewCfnCachePolicy(r, jsii.String("CachePolicy"), &awscloudfront.CfnCachePolicyProps{
		CachePolicyConfig: &awscloudfront.CfnCachePolicy_CachePolicyConfigProperty{
			Name:       r.name(),
			Comment:    jsii.String("Adds the client's country."),
			MinTtl:     jsii.Number(0),
			DefaultTtl: jsii.Number(0),
			MaxTtl:     jsii.Number(1),
			ParametersInCacheKeyAndForwardedToOrigin: &awscloudfront.CfnCachePolicy_ParametersInCacheKeyAndForwardedToOriginProperty{
				EnableAcceptEncodingBrotli: jsii.Bool(true),
				EnableAcceptEncodingGzip:   jsii.Bool(true),
				CookiesConfig:              &awscloudfront.CfnCachePolicy_CookiesConfigProperty{CookieBehavior: all},
				QueryStringsConfig:         &awscloudfront.CfnCachePolicy_QueryStringsConfigProperty{QueryStringBehavior: all},
				HeadersConfig: &awscloudfront.CfnCachePolicy_HeadersConfigProperty{
					HeaderBehavior: jsii.String("whitelist"),
					Headers:        jsii.Strings(headers...),
				},
			},
		},
	})
}

func (r *EdgeRouter) addWebACL(p *EdgeRouterProps) {
	if r.webACLArn = construct.Text(p.WebACLARN); r.webACLArn != nil || p.WithoutWAF != "" {
		return
	}
	visible := func(name string) *awswafv2.CfnWebACL_VisibilityConfigProperty {
		return &awswafv2.CfnWebACL_VisibilityConfigProperty{
			MetricName: &name, CloudWatchMetricsEnabled: jsii.Bool(true), SampledRequestsEnabled: jsii.Bool(true),
		}
	}
	rule := func(name string, priority int) *awswafv2.CfnWebACL_RuleProperty {
		return &awswafv2.CfnWebACL_RuleProperty{Name: &name, Priority: jsii.Number(priority), VisibilityConfig: visible(name)}
	}
	managed := func(name, group string, priority int) *awswafv2.CfnWebACL_RuleProperty {
		out := rule(name, priority)
		out.OverrideAction = &awswafv2.CfnWebACL_OverrideActionProperty{None: map[string]any{}}
		out.Statement = &awswafv2.CfnWebACL_StatementProperty{
			ManagedRuleGroupStatement: &awswafv2.CfnWebACL_ManagedRuleGroupStatementProperty{VendorName: jsii.String("AWS"), Name: &group},
		}
		return out
	}
	rate := rule("Rate", 0) // first, for it is the cheapest to evaluate
	rate.Action = &awswafv2.CfnWebACL_RuleActionProperty{Block: map[string]any{}}
	rate.Statement = &awswafv2.CfnWebACL_StatementProperty{
		RateBasedStatement: &awswafv2.CfnWebACL_RateBasedStatementProperty{
			AggregateKeyType: jsii.String("IP"), Limit: jsii.Number(construct.Or(p.RateLimit, 2000)), EvaluationWindowSec: jsii.Number(300),
		},
	}
	r.webACL = awswafv2.NewCfnWebACL(r, jsii.String("WebACL"), &awswafv2.CfnWebACLProps{
		Scope:            jsii.String("CLOUDFRONT"),
		Description:      jsii.String("Guards a router at the edge."),
		DefaultAction:    &awswafv2.CfnWebACL_DefaultActionProperty{Allow: map[string]any{}},
		VisibilityConfig: visible("EdgeRouter"),
		Rules: []*awswafv2.CfnWebACL_RuleProperty{
			rate,
			managed("Common", "AWSManagedRulesCommonRuleSet", 1),
			managed("KnownBadInputs", "AWSManagedRulesKnownBadInputsRuleSet", 2),
		},
	})
	r.webACLArn = r.webACL.AttrArn()
}

func (r *EdgeRouter) addAccessLogs(p *EdgeRouterProps) {
	if r.accessLogs != nil {
		return
	}
	r.accessLogs = defaults.Bucket(r, "Logs", &awss3.BucketProps{
		ObjectOwnership: awss3.ObjectOwnership_BUCKET_OWNER_PREFERRED,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Id:                          jsii.String("Expire"),
			Expiration:                  construct.SharedDuration(r, construct.Or(p.AccessLogRetention, 365*24*time.Hour)),
			NoncurrentVersionExpiration: construct.SharedDuration(r, 24*time.Hour),
		}},
	})
}

// hosts returns the table's host names, sorted and each once.
func hosts(t routing.Table) []string {
	var all []string
	for j := range maps.Values(t.Jurisdictions) {
		all = append(all, j.Origins...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (r *EdgeRouter) addDistribution(p *EdgeRouterProps) {
	var headers any // none at all without a secret
	if p.OriginSecret != nil {
		value := awscdk.SecretValue_SecretsManager(p.OriginSecret.SecretArn(),
			&awscdk.SecretsManagerSecretOptions{VersionId: construct.Text(p.OriginSecretVersion)})
		headers = []*awscloudfront.CfnDistribution_OriginCustomHeaderProperty{
			{HeaderName: jsii.String(schema.OriginHeader), HeaderValue: value.UnsafeUnwrap()},
		}
	}
	var origins []*awscloudfront.CfnDistribution_OriginProperty
	for _, host := range hosts(p.Table) {
		origins = append(origins, &awscloudfront.CfnDistribution_OriginProperty{
			Id: &host, DomainName: &host, OriginCustomHeaders: headers,
			CustomOriginConfig: &awscloudfront.CfnDistribution_CustomOriginConfigProperty{
				OriginProtocolPolicy: jsii.String("https-only"),
				OriginSslProtocols:   jsii.Strings("TLSv1.2"),
			},
		})
	}
	certificate := &awscloudfront.CfnDistribution_ViewerCertificateProperty{CloudFrontDefaultCertificate: jsii.Bool(true)}
	var aliases *[]*string
	if p.Certificate != nil {
		aliases = jsii.Strings(p.DomainNames...)
		certificate = &awscloudfront.CfnDistribution_ViewerCertificateProperty{
			AcmCertificateArn:      p.Certificate.CertificateArn(),
			MinimumProtocolVersion: jsii.String("TLSv1.2_2021"),
			SslSupportMethod:       jsii.String("sni-only"),
		}
	}
	r.distribution = awscloudfront.NewCfnDistribution(r, jsii.String("Distribution"), &awscloudfront.CfnDistributionProps{
		DistributionConfig: &awscloudfront.CfnDistribution_DistributionConfigProperty{
			Enabled:           jsii.Bool(true),
			Comment:           jsii.String("Sends requests to the API of their jurisdiction."),
			Aliases:           aliases,
			ViewerCertificate: certificate,
			HttpVersion:       jsii.String("http2and3"),
			Ipv6Enabled:       jsii.Bool(true),
			PriceClass:        jsii.String(priceClasses[construct.Or(p.PriceClass, awscloudfront.PriceClass_PRICE_CLASS_ALL)]),
			WebAclId:          r.webACLArn,
			Logging: &awscloudfront.CfnDistribution_LoggingProperty{
				Bucket: r.accessLogs.BucketRegionalDomainName(), Prefix: jsii.String("cloudfront/"), IncludeCookies: jsii.Bool(false),
			},
			Origins: origins,
			DefaultCacheBehavior: &awscloudfront.CfnDistribution_DefaultCacheBehaviorProperty{
				// CloudFront wants one; the function chooses for every request.
				TargetOriginId:          origins[0].Id,
				ViewerProtocolPolicy:    jsii.String("https-only"), // a redirect would come after a token was sent in the clear
				AllowedMethods:          jsii.Strings("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"),
				CachePolicyId:           r.cache.Ref(),
				OriginRequestPolicyId:   jsii.String(allViewerExceptHost),
				ResponseHeadersPolicyId: r.headers.AttrId(),
				FunctionAssociations: []*awscloudfront.CfnDistribution_FunctionAssociationProperty{
					{EventType: jsii.String("viewer-request"), FunctionArn: r.function.AttrFunctionArn()},
				},
			},
		},
	})
	if p.WithoutWAF != "" {
		r.distribution.AddMetadata(jsii.String("WithoutWAF"), p.WithoutWAF)
	}
}

func (r *EdgeRouter) addAlarms(p *EdgeRouterProps) {
	add := func(id string, a alarm.Alarm, t alarm.Tuning) {
		a.Namespace = "AWS/CloudFront"
		a.Dimensions["Region"] = jsii.String("Global")
		if made := alarm.New(r, id, a, t, p.Alarms.Topic); made != nil {
			r.alarms = append(r.alarms, made)
		}
	}
	add("ErrorsAlarm", alarm.Alarm{
		Metric:      "5xxErrorRate",
		Dimensions:  map[string]*string{"DistributionId": r.distribution.AttrId()},
		Statistic:   "Average",
		Threshold:   5,
		Periods:     5,
		Description: "Clients get errors of the edge or of the APIs behind it: see which origin in the access logs, and take it out of the table.",
	}, p.Alarms.Errors)
	add("FunctionErrorsAlarm", alarm.Alarm{
		Metric:      "FunctionExecutionErrors",
		Dimensions:  map[string]*string{"FunctionName": r.function.Name()}, // Ref is its ARN
		Statistic:   "Sum",
		Threshold:   1,
		Description: "The router's function fails: see its log group in us-east-1, and whether the key-value store holds a whole table.",
	}, p.Alarms.FunctionErrors)
}

// DomainName returns CloudFront's own name of the distribution, for DNS records.
func (r *EdgeRouter) DomainName() string { return *r.distribution.AttrDomainName() }

// Distribution returns the distribution.
func (r *EdgeRouter) Distribution() awscloudfront.CfnDistribution { return r.distribution }

// Function returns the function that chooses origins.
func (r *EdgeRouter) Function() awscloudfront.CfnFunction { return r.function }

// ResponseHeaders returns the policy of the security headers.
func (r *EdgeRouter) ResponseHeaders() awscloudfront.CfnResponseHeadersPolicy { return r.headers }

// CachePolicy returns the policy that adds the client's country.
func (r *EdgeRouter) CachePolicy() awscloudfront.CfnCachePolicy { return r.cache }

// WebACL returns the web ACL that was made, nil if none was.
func (r *EdgeRouter) WebACL() awswafv2.CfnWebACL { return r.webACL }

// AccessLogs returns the bucket of the access logs.
func (r *EdgeRouter) AccessLogs() awss3.IBucket { return r.accessLogs }

// Alarms returns the alarms, none outside us-east-1.
func (r *EdgeRouter) Alarms() []awscloudwatch.CfnAlarm { return slices.Clone(r.alarms) }
