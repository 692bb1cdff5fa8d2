package schema

// ReferenceHeader carries the caller's reference. It is not Authorization,
// which an HTTP API can neither overwrite nor remove on the way to a function
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html).
const ReferenceHeader = "x-access-reference"

// InternalHeaderPrefix begins the names of headers that only our own functions
// may send to each other.
const InternalHeaderPrefix = "x-internal-"

// ReferencePrefix begins every reference, so that scanners for secrets find
// those that were published by mistake.
const ReferencePrefix = "sgref_"

// OpaqueToken is the key of the internal JWT in the context that the authorizer
// hands on: requestContext.authorizer.lambda.
const OpaqueToken = "token"

// ProviderClaim is the claim of the internal JWT that says who vouches for its
// subject: the issuer of the identity provider, or one of the two below. With the
// subject it names a person as the provider's own token did.
const ProviderClaim = "idp"

// Providers that are no issuers.
const (
	ProviderIAM     = "iam"     // the subject is the ARN of a principal
	ProviderCognito = "cognito" // the subject is an identity of an identity pool
)

// JWKSPath is where the JWKS of the internal JWTs is, below the issuer.
const JWKSPath = "/.well-known/jwks.json"

// Routes of the endpoint that issues, lists and revokes references.
const (
	RouteIssue     = "POST /references"
	RouteList      = "GET /references"
	RouteRevoke    = "POST /references/revoke" // RFC 7009
	RouteRevokeOne = "DELETE /references/{" + RouteIDParameter + "}"
	RouteRevokeAll = "DELETE /references"

	// RouteIDParameter is the part of a path that names a reference's id.
	RouteIDParameter = "id"
)

// Attributes of an item in the table of references. A reference has two items:
// one that it is looked up by, under its hash, and one that its owner lists,
// under the owner's partition. The owner's head says how many there were.
const (
	// ReferencePK is the partition key: ReferenceHashPrefix and the hash of a
	// reference, or ReferenceOwnerPrefix and its owner.
	ReferencePK = "pk"
	// ReferenceSK is the sort key: ReferenceItem, ReferenceHead, or
	// ReferenceIDPrefix and the id of a reference.
	ReferenceSK = "sk"
	// ReferenceTTL is when DynamoDB may delete the item, in seconds since 1970.
	ReferenceTTL = "ttl"

	ReferenceHashPrefix  = "hash#"
	ReferenceOwnerPrefix = "owner#"
	ReferenceIDPrefix    = "id#"
	ReferenceItem        = "reference"
	ReferenceHead        = "head"
)

// Environment variables of the functions of an OpaqueInvocation.
const (
	// EnvReferencesTable names the table.
	EnvReferencesTable = "REFERENCES_TABLE"
	// EnvReferencesMax is the most live references of a subject.
	EnvReferencesMax = "REFERENCES_MAX"
	// EnvReferencesPerHour is the most that a subject may have issued in an
	// hour.
	EnvReferencesPerHour = "REFERENCES_PER_HOUR"
	// EnvReferencesLife and EnvReferencesMaxLife are how long a reference lives
	// unless its owner asks otherwise, and at most: Go durations.
	EnvReferencesLife    = "REFERENCES_LIFE"
	EnvReferencesMaxLife = "REFERENCES_MAX_LIFE"
	// EnvReferencesTenant is the claim of the provider's token that names the
	// caller's tenant, empty for none.
	EnvReferencesTenant = "REFERENCES_TENANT_CLAIM"
	// EnvOpaqueScopes are the scopes that may be asked for, by audience, in
	// JSON.
	EnvOpaqueScopes = "OPAQUE_SCOPES"

	// EnvOpaqueIssuer is the issuer of the internal JWTs.
	EnvOpaqueIssuer = "OPAQUE_ISSUER"
	// EnvOpaqueAudience is the audience of routes that EnvOpaqueAudiences, JSON
	// by route key, does not name.
	EnvOpaqueAudience  = "OPAQUE_AUDIENCE"
	EnvOpaqueAudiences = "OPAQUE_AUDIENCES"
	// EnvOpaqueKey is the ARN of the key that signs.
	EnvOpaqueKey = "OPAQUE_KEY"
	// EnvOpaqueTokenLife is how long an internal JWT lives, a Go duration.
	EnvOpaqueTokenLife = "OPAQUE_TOKEN_LIFE"
	// EnvOpaqueSignatures is the most signatures a second that an instance of the
	// authorizer asks KMS for.
	EnvOpaqueSignatures = "OPAQUE_SIGNATURES_PER_SECOND"
	// EnvOpaqueRevocation is the time within which a revoked reference is
	// refused, a Go duration.
	EnvOpaqueRevocation = "OPAQUE_REVOCATION"
	// EnvOpaqueGatewayCache is "true" where API Gateway, not the function, keeps
	// answers for EnvOpaqueRevocation.
	EnvOpaqueGatewayCache = "OPAQUE_GATEWAY_CACHE"
	// EnvOpaqueInternal are further names of headers that no client may send,
	// separated by commas.
	EnvOpaqueInternal = "OPAQUE_INTERNAL_HEADERS"
	// EnvOpaqueIntrospection is the URL of the provider's introspection
	// endpoint, instead of a table, EnvOpaqueIntrospectionSecret the ARN of the
	// secret with the client's credentials, EnvOpaqueIntrospectionIssuer and
	// EnvOpaqueIntrospectionAudience what its answers must name.
	EnvOpaqueIntrospection         = "OPAQUE_INTROSPECTION_URL"
	EnvOpaqueIntrospectionSecret   = "OPAQUE_INTROSPECTION_SECRET"
	EnvOpaqueIntrospectionIssuer   = "OPAQUE_INTROSPECTION_ISSUER"
	EnvOpaqueIntrospectionAudience = "OPAQUE_INTROSPECTION_AUDIENCE"

	// EnvInnerIssuer, EnvInnerAudience and EnvInnerJWKS tell an inner function
	// whose tokens it takes, its own name, and where the keys are.
	EnvInnerIssuer   = "INNER_ISSUER"
	EnvInnerAudience = "INNER_AUDIENCE"
	EnvInnerJWKS     = "INNER_JWKS"
)

// Messages of log records that the construct's metrics count, and the field
// with the function's name.
const (
	OpaqueRefusedMessage     = "access refused"
	OpaqueUnavailableMessage = "access not decided"
	OpaqueFunctionField      = "function"
)
