package stacks

import (
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
)

// jwksRate and jwksBurst are what strangers can run up. Each inner function's
// instance asks once in some minutes.
const jwksRate, jwksBurst = 500, 1000

// throttledKeys are the settings of a route that publishes keys.
func throttledKeys() map[string]any {
	return map[string]any{"DetailedMetricsEnabled": true, "ThrottlingRateLimit": jwksRate, "ThrottlingBurstLimit": jwksBurst}
}

// references say with which references clients call an API, see
// security.OpaqueInvocation.
type references struct {
	audience   string            // of the functions behind the API
	scopes     map[string]string // route key -> scope
	lifetime   time.Duration     // of an internal token; 0: the construct's
	revocation time.Duration     // within which a revocation holds; 0: at once
	key        awskms.IKey
	alarms     awssns.ITopic
}

// invocation makes what turns references into tokens. url is where clients, and
// the inner functions, reach the API.
func (r *references) invocation(scope constructs.Construct, url string) *security.OpaqueInvocation {
	p := &security.OpaqueInvocationProps{
		Issuer: url, Audience: r.audience, TokenLifetime: r.lifetime, RevocationWithin: r.revocation,
		EncryptionKey: r.key, Alarms: security.OpaqueInvocationAlarms{Topic: r.alarms},
	}
	if scopes := slices.Sorted(maps.Values(r.scopes)); len(scopes) > 0 {
		p.Scopes = map[string][]string{r.audience: slices.Compact(scopes)}
	}
	return security.NewOpaqueInvocation(scope, "References", p)
}

// signed reports whether a route is one that callers sign for with AWS
// credentials although others are called with references. IAM tells callers
// apart by the route; but whoever may have a reference issued with AWS
// credentials gets every scope that there is.
func signed(identity Identity, scope string) bool { return identity.Issuer == "" && scope != "" }

// behind adds the functions to those that take the API's tokens.
func behind(o *security.OpaqueInvocation, audience string, functions ...*function.Function) {
	for _, fn := range functions {
		o.AddInner(fn, audience)
	}
}
