package security

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// OpaqueInvocationProps says whose JWTs stand behind references, and how long
// each lives.
type OpaqueInvocationProps struct {
	// Issuer is the "iss" of the internal JWTs, an https URL. Required.
	Issuer string
	// JWKSURL is where inner functions find the public keys, an https URL.
	//
	// Default: /.well-known/jwks.json below the issuer.
	JWKSURL string
	// Audience names the function, or the group of functions, behind the door:
	// the "aud" of the JWTs. Required.
	Audience string
	// Audiences are the audiences of routes that have another one, by route key:
	// "GET /bills/{bill}".
	//
	// Default: Audience, for every route.
	Audiences map[string]string
	// Scopes are the scopes that references may have, by audience.
	//
	// Default: none; references then open routes without scopes only.
	Scopes map[string][]string
	// TenantClaim is the claim with the caller's tenant, in the token that is
	// shown to have a reference issued, or in the provider's answer.
	//
	// Default: callers have no tenant.
	TenantClaim string
	// InternalHeaders are further names of headers, in lower case, that no client
	// may send, and that never reach a function.
	//
	// Default: none but those that begin with "x-internal-".
	InternalHeaders []string

	// Introspection asks an identity provider what its access tokens stand for.
	// There is then no table and no endpoint for references: clients show the
	// provider's tokens, which must not carry claims if they shall be opaque.
	//
	// Default: references of our own, in a table.
	Introspection *Introspection

	// TokenLifetime is how long a JWT lives, 10s to 15m. A function that holds one
	// can use it so long after its reference was revoked.
	//
	// Default: 1 minute.
	TokenLifetime time.Duration
	// RevocationWithin is the time after which the door refuses a reference that
	// was revoked, at most 5m. For so long the authorizer keeps what it found,
	// which saves reads of the table, or requests to the provider.
	//
	// Default: 0, at once: each request is looked up.
	RevocationWithin time.Duration
	// CacheResults lets API Gateway keep the authorizer's answers for
	// RevocationWithin, by reference and route, instead of the authorizer. That
	// saves invocations, too; but a request with a known reference is then not
	// looked at: what else it brings only the inner function's door refuses.
	//
	// Default: API Gateway keeps nothing.
	CacheResults bool

	// Lifetime is how long a reference lives unless its owner asks otherwise, 1m
	// to MaxLifetime.
	//
	// Default: 12 hours, or MaxLifetime if that is less.
	Lifetime time.Duration
	// MaxLifetime is the longest that an owner may ask for, up to 366 days.
	//
	// Default: 30 days.
	MaxLifetime time.Duration
	// MaxReferences is the most live references of a caller, 1 to 100.
	//
	// Default: 20.
	MaxReferences int
	// IssuesPerHour is the most references that a caller has issued in an hour, 1
	// to 1,000.
	//
	// Default: 30.
	IssuesPerHour int

	// Rotation is the generation of the signing key. Raise it by one to rotate:
	// the next key, which the JWKS has had all the time, signs from then on; the
	// one after it joins the JWKS; the one before stays for one more generation.
	// Lowering it by one undoes that.
	//
	// Default: 1.
	Rotation int
	// SigningKeys are keys of yours, one to five, of spec ECC_NIST_P256 and usage
	// SIGN_VERIFY: the first signs, all are in the JWKS. Set it or Rotation, not
	// both.
	//
	// Default: new ones, retained when they leave the stack.
	SigningKeys []awskms.IKey
	// SignaturesPerSecond is the most signatures that one instance of the
	// authorizer asks KMS for on average, 1 to 1,000; as many may be asked at once,
	// and one that fails is asked for once more.
	//
	// Default: 50.
	SignaturesPerSecond int
	// ReservedConcurrency is the most instances of the authorizer, taken from
	// the account's; times SignaturesPerSecond it bounds the calls of KMS. 0
	// lets no request in.
	//
	// Default: none reserved, the account's limit holds.
	ReservedConcurrency *int

	// Table keeps the references. It needs the keys and the TTL attribute that
	// package schema names.
	//
	// Default: a new one.
	Table awsdynamodb.ITableV2
	// TableProps changes a new table.
	//
	// Default: on demand, point-in-time recovery, deletion protection, retained
	// when the stack is destroyed.
	TableProps *awsdynamodb.TablePropsV2
	// EncryptionKey encrypts a new table, or says what encrypts Table.
	//
	// Default: a new one for a new table, retained when the stack is destroyed.
	EncryptionKey awskms.IKey
	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms OpaqueInvocationAlarms
}

// Introspection is the endpoint of an identity provider (RFC 7662).
type Introspection struct {
	// URL is the endpoint, https. Required.
	URL string
	// Issuer is what the provider's answers say in "iss". Required.
	Issuer string
	// Audience must be in "aud" of the answers: the name that the provider has
	// for this API. Required.
	Audience string
	// Secret holds the client's credentials: a JSON object with client_id, and
	// client_secret or private_key and kid. Required.
	Secret awssecretsmanager.ISecret
}

// OpaqueInvocationAlarms tunes the alarms of an [OpaqueInvocation].
type OpaqueInvocationAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Refusals counts the requests that the authorizer refused: somebody guesses,
	// or a client lost its reference.
	//
	// Default: 100 in a minute.
	Refusals alarm.Tuning
	// Undecided counts the requests that were not decided because KMS, the table
	// or the provider failed or throttled.
	//
	// Default: one in a minute.
	Undecided alarm.Tuning
	// Functions tunes the alarms of the functions.
	//
	// Default: all are made, and tell the Topic here.
	Functions function.Alarms
}

func (a OpaqueInvocationAlarms) check(c *props.Check) {
	c.Nested("Refusals", a.Refusals.Check)
	c.Nested("Undecided", a.Undecided.Check)
	c.Nested("Functions", a.Functions.Check)
}

// OpaqueInvocation lets clients call an API with references that mean nothing
// (the "phantom token"): 256 random bits, of which a table has the hash. The
// authorizer turns a reference into a JWT for one audience, signed by KMS; the
// reference is taken off the request, and inner functions verify the JWT
// without asking anybody.
//
// See package opaque for the authorizer, package inner for the functions'
// door, and docs/security-opaque.md for what it costs and what it withstands.
type OpaqueInvocation struct {
	constructs.Construct
	props      *OpaqueInvocationProps
	key        awskms.IKey // encrypts the table; nil if nobody knows
	table      awsdynamodb.ITableV2
	authorizer *function.Function
	endpoint   *function.Function // nil with introspection
	jwks       *function.Function
	signing    signingKeys
	alarms     []awscloudwatch.CfnAlarm
}

// NewOpaqueInvocation makes the authorizer, the keys and their JWKS, and the
// table of references with its endpoint or none of both. It panics with a
// *[props.Error] when the props are wrong.
func NewOpaqueInvocation(scope constructs.Construct, id string, p *OpaqueInvocationProps) *OpaqueInvocation {
	if p == nil {
		p = &OpaqueInvocationProps{}
	}
	p.check(scope, id)
	o := &OpaqueInvocation{props: p.filled(), key: p.EncryptionKey, table: p.Table}
	p = o.props
	construct.Init(o, scope, id)
	if p.Introspection == nil && o.table == nil {
		o.addTable()
	}
	o.addFunctions()
	o.addKeys()
	o.addAlarms()
	return o
}

// filled returns a copy of the props with the defaults.
func (p *OpaqueInvocationProps) filled() *OpaqueInvocationProps {
	f := *p
	f.JWKSURL = construct.Or(p.JWKSURL, keysOf(p.Issuer))
	f.TokenLifetime = construct.Or(p.TokenLifetime, time.Minute)
	f.MaxLifetime = construct.Or(p.MaxLifetime, 30*24*time.Hour)
	f.Lifetime = construct.Or(p.Lifetime, min(12*time.Hour, f.MaxLifetime))
	f.MaxReferences = construct.Or(p.MaxReferences, 20)
	f.IssuesPerHour = construct.Or(p.IssuesPerHour, 30)
	f.Rotation = construct.Or(p.Rotation, 1)
	f.SignaturesPerSecond = construct.Or(p.SignaturesPerSecond, 50)
	f.Audiences, f.InternalHeaders = maps.Clone(p.Audiences), slices.Clone(p.InternalHeaders)
	f.Scopes = maps.Clone(p.Scopes)
	if f.Scopes == nil {
		f.Scopes = map[string][]string{}
	}
	for _, a := range p.audiences() {
		if f.Scopes[a] == nil {
			f.Scopes[a] = []string{}
		}
	}
	f.Alarms.Functions.Topic = construct.Or(f.Alarms.Functions.Topic, p.Alarms.Topic)
	return &f
}

// audiences returns every audience, once.
func (p *OpaqueInvocationProps) audiences() []string {
	all := append(slices.Collect(maps.Values(p.Audiences)), p.Audience)
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	opaqueScope  = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // RFC 6749, section 3.3
	opaqueHeader = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	// opaqueReserved are headers that an HTTP API does not let a mapping remove.
	opaqueReserved = regexp.MustCompile(`^(access-control-.*|apigw-.*|authorization|connection|content-(encoding|length|location)|forwarded|keep-alive|` +
		`origin|proxy-authenticate|proxy-authorization|te|trailers|transfer-encoding|upgrade|x-amzn?-.*|x-forwarded-(for|host|proto)|via)$`)
	opaqueRoute = regexp.MustCompile(`^(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) /\S*$|^\$default$`)
)

// Bounds of what package opaque takes for one reference, and of what audiences
// and scopes take of the 4 KB of a function's environment, in bytes.
const (
	opaqueAudiences   = 10
	opaqueScopes      = 1_000
	opaqueEnvironment = 2_500
)

func (p *OpaqueInvocationProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(isURL(p.Issuer), "Issuer", p.Issuer, "an https:// URL", "it is the iss of the internal JWTs")
	c.Require(p.JWKSURL == "" || isURL(p.JWKSURL), "JWKSURL", p.JWKSURL, "an https:// URL", "")
	opaqueText(&c, "Audience", p.Audience)
	for route, audience := range p.Audiences {
		c.Require(opaqueRoute.MatchString(route), "Audiences", route, `route keys, such as "GET /bills/{bill}"`, "")
		opaqueText(&c, "Audiences", audience)
	}
	all := p.audiences()
	c.Require(len(all) <= opaqueAudiences, "Audiences", len(all), fmt.Sprintf("%d with Audience", opaqueAudiences),
		"a reference is for no more: use one audience for several routes")
	total := 0
	for audience, scopes := range p.Scopes {
		c.Require(slices.Contains(all, audience), "Scopes", audience, "the audiences: "+strings.Join(all, ", "), "")
		for _, s := range scopes {
			c.Require(opaqueScope.MatchString(s), "Scopes", s, "one scope each, as RFC 6749 spells it", "")
			total += len(s) + 1
		}
	}
	c.Require(total <= opaqueScopes, "Scopes", props.Words(fmt.Sprintf("%d bytes", total)), fmt.Sprintf("%d bytes", opaqueScopes),
		"a JWT in a request's context holds no more: use shorter names")
	size := len(opaqueJSON(p.Audiences)) + len(opaqueJSON(p.Scopes))
	c.Require(size <= opaqueEnvironment, "Audiences", props.Words(fmt.Sprintf("%d bytes with Scopes", size)),
		fmt.Sprintf("%d bytes", opaqueEnvironment), "a function's environment holds no more: use fewer audiences, or one for several routes")
	for _, name := range p.InternalHeaders {
		c.Require(opaqueHeader.MatchString(name) && !opaqueReserved.MatchString(name) && name != schema.ReferenceHeader, "InternalHeaders", name,
			"names in lower case that API Gateway can remove", "")
	}
	props.Between(&c, "TokenLifetime", p.TokenLifetime, 10*time.Second, 15*time.Minute)
	props.Between(&c, "RevocationWithin", p.RevocationWithin, time.Second, 5*time.Minute)
	if p.CacheResults {
		c.Require(p.RevocationWithin > 0 && p.RevocationWithin%time.Second == 0, "RevocationWithin", p.RevocationWithin, "whole seconds with CacheResults", "")
		life := construct.Or(p.TokenLifetime, time.Minute)
		c.Require(life >= 2*p.RevocationWithin, "TokenLifetime", life, "twice RevocationWithin with CacheResults",
			"or API Gateway hands on JWTs that have expired")
	}
	p.checkReferences(&c)
	props.Between(&c, "Rotation", p.Rotation, 1, 10_000)
	c.OneOf(map[string]bool{"SigningKeys": p.SigningKeys != nil, "Rotation": p.Rotation != 0}, "SigningKeys", "Rotation")
	c.Require(p.SigningKeys == nil || len(p.SigningKeys) >= 1 && len(p.SigningKeys) <= 5, "SigningKeys", len(p.SigningKeys), "one to five keys", "")
	props.Between(&c, "SignaturesPerSecond", p.SignaturesPerSecond, 1, 1000)
	if p.ReservedConcurrency != nil {
		c.Require(*p.ReservedConcurrency >= 0, "ReservedConcurrency", *p.ReservedConcurrency, "0 or more", "")
	}
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

// checkReferences checks the props of the table or of the provider instead.
func (p *OpaqueInvocationProps) checkReferences(c *props.Check) {
	if i := p.Introspection; i != nil {
		c.Nested("Introspection", func(c *props.Check) {
			c.Require(isURL(i.URL), "URL", i.URL, "an https:// URL", "")
			c.Require(i.Issuer != "" && schema.Visible(i.Issuer), "Issuer", i.Issuer, "the provider's iss", "")
			c.Require(i.Audience != "", "Audience", i.Audience, "the provider's name for this API",
				"without it a token that was made for somebody else lets its bearer in")
			c.Require(i.Secret != nil, "Secret", props.Unset, "a secret with the client's credentials", "")
		})
		set := map[string]bool{"Introspection": true, "Table": p.Table != nil, "TableProps": p.TableProps != nil, "EncryptionKey": p.EncryptionKey != nil,
			"Scopes": p.Scopes != nil, "Lifetime": p.Lifetime != 0, "MaxLifetime": p.MaxLifetime != 0, "MaxReferences": p.MaxReferences != 0,
			"IssuesPerHour": p.IssuesPerHour != 0}
		for _, field := range []string{"Table", "TableProps", "EncryptionKey", "Scopes", "Lifetime", "MaxLifetime", "MaxReferences", "IssuesPerHour"} {
			c.OneOf(set, field, "Introspection")
		}
		return
	}
	props.Between(c, "MaxLifetime", p.MaxLifetime, time.Minute, 366*24*time.Hour)
	props.Between(c, "Lifetime", p.Lifetime, time.Minute, construct.Or(p.MaxLifetime, 30*24*time.Hour))
	props.Between(c, "MaxReferences", p.MaxReferences, 1, 100)
	props.Between(c, "IssuesPerHour", p.IssuesPerHour, 1, 1000)
	c.OneOf(map[string]bool{"TableProps": p.TableProps != nil, "Table": p.Table != nil}, "TableProps", "Table")
}

// opaqueText records a problem unless s can be an audience.
func opaqueText(c *props.Check, field, s string) {
	c.Require(s != "" && len(s) <= 256 && !strings.Contains(s, " ") && schema.Visible(s), field, s,
		"a name of 1 to 256 bytes without spaces and characters that are not seen", "it is the aud of JWTs")
}

func opaqueJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings can be written
	}
	return string(b)
}

func (o *OpaqueInvocation) addTable() {
	attribute := func(name string) *awsdynamodb.Attribute {
		return &awsdynamodb.Attribute{Name: jsii.String(name), Type: awsdynamodb.AttributeType_STRING}
	}
	if o.key == nil {
		o.key = defaults.Key(o, "Key", "Encrypts the references")
	}
	o.table = defaults.Table(o, "Table", o.key, o.props.TableProps, &awsdynamodb.TablePropsV2{
		PartitionKey: attribute(schema.ReferencePK), SortKey: attribute(schema.ReferenceSK), TimeToLiveAttribute: jsii.String(schema.ReferenceTTL),
	})
}

func (o *OpaqueInvocation) addFunctions() {
	const module = "github.com/serverless-go/cdk/functions/"
	p := o.props
	environment := map[string]string{
		schema.EnvOpaqueIssuer: p.Issuer, schema.EnvOpaqueAudience: p.Audience, schema.EnvOpaqueTokenLife: p.TokenLifetime.String(),
		schema.EnvOpaqueRevocation: p.RevocationWithin.String(), schema.EnvOpaqueSignatures: strconv.Itoa(p.SignaturesPerSecond),
	}
	if len(p.InternalHeaders) > 0 {
		environment[schema.EnvOpaqueInternal] = strings.Join(p.InternalHeaders, ",")
	}
	if len(p.Audiences) > 0 {
		environment[schema.EnvOpaqueAudiences] = opaqueJSON(p.Audiences)
	}
	if p.CacheResults {
		environment[schema.EnvOpaqueGatewayCache] = "true"
	}
	if i := p.Introspection; i != nil {
		environment[schema.EnvOpaqueIntrospection] = i.URL
		environment[schema.EnvOpaqueIntrospectionIssuer] = i.Issuer
		environment[schema.EnvOpaqueIntrospectionAudience] = i.Audience
		environment[schema.EnvOpaqueIntrospectionSecret] = *i.Secret.SecretArn()
		if p.TenantClaim != "" {
			environment[schema.EnvReferencesTenant] = p.TenantClaim
		}
	} else {
		environment[schema.EnvReferencesTable] = *construct.TableName(o.table)
	}
	made := &function.Props{
		Entry: module + "opaqueauthorizer", Description: "Turns references into internal tokens", Environment: environment,
		Timeout: 8 * time.Second, // API Gateway waits 10
		// More memory is more CPU, and all requests wait for it.
		Memory: 512, WithoutDeadLetterQueue: true, Alarms: p.Alarms.Functions,
		ReservedConcurrency: p.ReservedConcurrency,
	}
	if p.Introspection == nil {
		made.Grants = o.allowLookup
	}
	o.authorizer = function.NewFunction(o, "Authorizer", made)
	o.jwks = function.NewFunction(o, "JWKS", &function.Props{
		Entry: module + "jwks", Description: "Publishes the keys of the internal tokens", WithoutDeadLetterQueue: true, Alarms: p.Alarms.Functions,
	})
	if p.Introspection != nil {
		p.Introspection.Secret.GrantRead(o.authorizer.GrantPrincipal(), nil)
		return
	}
	o.addEndpoint(module)
}

// allowLookup lets the authorizer look references up, and see no list of
// anybody's.
func (o *OpaqueInvocation) allowLookup(authorizer *function.Function) {
	defaults.Grant(authorizer, defaults.Actions{"dynamodb:GetItem"}.To(construct.TableArn(o.table)).If(map[string]any{
		"ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": schema.ReferenceHashPrefix + "*"},
		"Null":                    map[string]any{"dynamodb:LeadingKeys": "false"},
	}))
	o.useKey(authorizer, defaults.ReadKey)
}

func (o *OpaqueInvocation) addEndpoint(module string) {
	p := o.props
	environment := map[string]string{
		schema.EnvReferencesTable: *construct.TableName(o.table), schema.EnvOpaqueScopes: opaqueJSON(p.Scopes),
		schema.EnvReferencesMax: strconv.Itoa(p.MaxReferences), schema.EnvReferencesPerHour: strconv.Itoa(p.IssuesPerHour),
		schema.EnvReferencesLife: p.Lifetime.String(), schema.EnvReferencesMaxLife: p.MaxLifetime.String(),
	}
	if p.TenantClaim != "" {
		environment[schema.EnvReferencesTenant] = p.TenantClaim
	}
	o.endpoint = function.NewFunction(o, "Endpoint", &function.Props{
		Entry: module + "accessreferences", Description: "Issues, lists and revokes references", Environment: environment,
		WithoutDeadLetterQueue: true, Alarms: p.Alarms.Functions,
		Grants: func(f *function.Function) {
			defaults.Grant(f, defaults.Actions{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"}.To(construct.TableArn(o.table)))
			o.useKey(f, defaults.UseKey)
		},
	})
}

// useKey lets the grantee use the table's key through DynamoDB only.
func (o *OpaqueInvocation) useKey(grantee awsiam.IGrantable, actions defaults.Actions) {
	if o.key != nil {
		defaults.Grant(grantee, actions.To(construct.KeyArn(o.key)).If(defaults.Through("dynamodb")))
	}
}

// addKeys makes the signing keys, or adopts the user's, and names them to who
// uses them.
func (o *OpaqueInvocation) addKeys() {
	if len(o.props.SigningKeys) > 0 {
		o.signing = adoptSigningKeys(o.props.SigningKeys, o.authorizer, o.jwks)
	} else {
		o.signing = newSigningKeys(o, o.props.Rotation, "Signs internal tokens", o.authorizer.Role(), o.jwks.Role())
	}
	o.authorizer.AddEnvironment(schema.EnvOpaqueKey, *o.signing.own)
	o.jwks.AddEnvironment(schema.EnvSigningKeys, strings.Join(o.SigningKeyARNs(), " "))
}

func (o *OpaqueInvocation) addAlarms() {
	const namespace = "ServerlessGo/OpaqueInvocation"
	add := func(metric, message string, threshold float64, description string, tuning alarm.Tuning) {
		if tuning.Off {
			return
		}
		awslogs.NewCfnMetricFilter(o, jsii.String(metric+"Metric"), &awslogs.CfnMetricFilterProps{
			LogGroupName:  o.authorizer.LogGroup(),
			FilterPattern: jsii.String(`{ $.msg = "` + message + `" }`),
			MetricTransformations: []any{&awslogs.CfnMetricFilter_MetricTransformationProperty{
				MetricName: jsii.String(metric), MetricNamespace: jsii.String(namespace), MetricValue: jsii.String("1"),
				Dimensions: []any{&awslogs.CfnMetricFilter_DimensionProperty{
					Key: jsii.String("FunctionName"), Value: jsii.String("$." + schema.OpaqueFunctionField)}},
			}},
		})
		o.alarms = append(o.alarms, alarm.New(o, metric+"Alarm", alarm.Alarm{
			Namespace: namespace, Metric: metric, Statistic: "Sum", Threshold: threshold, Description: description,
			Dimensions: map[string]*string{"FunctionName": construct.FunctionName(o.authorizer.Lambda())},
		}, tuning, o.props.Alarms.Topic))
	}
	add("Refusals", schema.OpaqueRefusedMessage, 100,
		"Many requests are refused: somebody guesses references, or a client has lost its own. The authorizer's log says why.", o.props.Alarms.Refusals)
	add("Undecided", schema.OpaqueUnavailableMessage, 1,
		"Requests get status 500, for KMS, the table or the provider fails or throttles: the authorizer's log says which.", o.props.Alarms.Undecided)
}

// AddAuthorizer makes the authorizer of an HTTP API and lets the API invoke the
// function. Routes use it with the authorization type CUSTOM, and their
// integrations need [OpaqueInvocation.RequestParameters]. It panics with a
// *[props.Error] when an argument is wrong.
func (o *OpaqueInvocation) AddAuthorizer(id string, api awsapigatewayv2.CfnApi) awsapigatewayv2.CfnAuthorizer {
	var c props.Check
	c.Require(api != nil, "api", props.Words("nil"), "an HTTP API", "")
	c.Panic(o, id)
	arn := construct.FunctionArn(o.authorizer.Target())
	identity := []string{"$request.header." + schema.ReferenceHeader}
	ttl := time.Duration(0)
	if o.props.CacheResults {
		ttl = o.props.RevocationWithin
		// A kept answer would hold for every route, and with it the audience.
		identity = append(identity, "$context.routeKey")
	}
	id = "API " + id // the user's ids must not meet ours
	made := awsapigatewayv2.NewCfnAuthorizer(o, &id, &awsapigatewayv2.CfnAuthorizerProps{
		ApiId: construct.Ref(api), Name: jsii.String("reference"), AuthorizerType: jsii.String("REQUEST"),
		AuthorizerPayloadFormatVersion: jsii.String("2.0"), EnableSimpleResponses: jsii.Bool(true),
		AuthorizerResultTtlInSeconds: jsii.Number(ttl.Seconds()), IdentitySource: jsii.Strings(identity...),
		AuthorizerUri: defaults.Text(o,
			"arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function}/invocations",
			defaults.Values{"Function": arn}),
	})
	awslambda.NewCfnPermission(o, jsii.String(id+" Permission"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: arn, Principal: jsii.String("apigateway.amazonaws.com"),
		SourceArn: defaults.Text(o, "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/authorizers/${Authorizer}",
			defaults.Values{"Api": construct.Ref(api), "Authorizer": construct.Ref(made)}),
	})
	return made
}

// RequestParameters returns the parameter mapping that an integration behind the
// authorizer needs: it takes the reference, and headers that no client may
// send, off the request. An inner function refuses a request that still has
// them.
func (o *OpaqueInvocation) RequestParameters() map[string]string {
	mapping := map[string]string{}
	for _, name := range append([]string{schema.ReferenceHeader}, o.props.InternalHeaders...) {
		mapping["remove:header."+name] = "''"
	}
	return mapping
}

// AddInner tells an inner function, by its environment, whose tokens it takes
// and that it is of the audience; see inner.FromEnv. The function needs no
// permission: the keys are public. The environment of a function that was adopted
// by reference is its owner's to set. It panics with a *[props.Error] when an
// argument is wrong.
func (o *OpaqueInvocation) AddInner(fn *function.Function, audience string) {
	var c props.Check
	c.Require(fn != nil, "fn", props.Words("nil"), "a function", "")
	c.Require(slices.Contains(o.props.audiences(), audience), "audience", audience,
		"the audiences: "+strings.Join(o.props.audiences(), ", "), "")
	c.Panic(o, "AddInner")
	fn.AddEnvironment(schema.EnvInnerIssuer, o.props.Issuer)
	fn.AddEnvironment(schema.EnvInnerAudience, audience)
	fn.AddEnvironment(schema.EnvInnerJWKS, o.props.JWKSURL)
}

// ReferenceRoutes returns the keys of the routes that the endpoint answers. They
// need an authorizer that knows callers by a token of the identity provider, or
// IAM, and not this one.
func (o *OpaqueInvocation) ReferenceRoutes() []string {
	if o.endpoint == nil {
		return nil
	}
	return []string{schema.RouteIssue, schema.RouteList, schema.RouteRevoke, schema.RouteRevokeAll, schema.RouteRevokeOne}
}

// Authorizer returns the function that turns references into JWTs.
func (o *OpaqueInvocation) Authorizer() *function.Function { return o.authorizer }

// Endpoint returns the function that issues, lists and revokes references, nil
// with Introspection.
func (o *OpaqueInvocation) Endpoint() *function.Function { return o.endpoint }

// JWKS returns the function that publishes the keys. Its route,
// "GET /.well-known/jwks.json" at JWKSURL, is open to everybody.
func (o *OpaqueInvocation) JWKS() *function.Function { return o.jwks }

// Table returns the table of references, nil with Introspection.
func (o *OpaqueInvocation) Table() awsdynamodb.ITableV2 { return o.table }

// SigningKeyARNs returns the ARNs of the keys in the JWKS.
func (o *OpaqueInvocation) SigningKeyARNs() []string { return o.signing.arns() }

// RevokedWithin returns the time after which the door refuses a reference that
// was revoked; a JWT made before lives on for TokenLifetime at most.
func (o *OpaqueInvocation) RevokedWithin() time.Duration { return o.props.RevocationWithin }

// Alarms returns the alarms that were made, those of the functions too.
func (o *OpaqueInvocation) Alarms() []awscloudwatch.CfnAlarm {
	alarms := slices.Concat(o.alarms, o.authorizer.Alarms(), o.jwks.Alarms())
	if o.endpoint != nil {
		alarms = append(alarms, o.endpoint.Alarms()...)
	}
	return alarms
}
