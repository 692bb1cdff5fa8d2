package coldstart

import (
	"encoding/json"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/coldstart/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// PreWarm invokes each new version before it gets any traffic, and lets the
// deployment fail if one of the invocations does.
type PreWarm struct {
	// Concurrency is how many invocations are sent at the same time, 1 to 100,
	// and so about how many environments wait for the first callers.
	//
	// Default: 1.
	Concurrency int
	// Hold is how long each keeps its environment busy, so that the others
	// start environments of their own, up to 10s.
	//
	// Default: 300 milliseconds, nothing for a single invocation.
	Hold time.Duration
	// Payload is the event that is sent, JSON, for functions that do not use
	// warm.Middleware. Set Payload or Hold, not both. It is an event like any
	// other: what it does, it does.
	//
	// Default: a schema.Ping with Hold.
	Payload string
}

func (p *PreWarm) check(c *props.Check) {
	props.Between(c, "Concurrency", p.Concurrency, 1, 100)
	props.Between(c, "Hold", p.Hold, time.Millisecond, 10*time.Second)
	c.Require(p.Payload == "" || json.Valid([]byte(p.Payload)), "Payload", p.Payload, "JSON", "")
	c.Require(p.Payload == "" || p.Hold == 0, "Hold", p.Hold, "0 with a Payload", "a payload of your own holds as long as its handler does")
}

func (p *PreWarm) payload() string {
	if p.Payload != "" {
		return p.Payload
	}
	hold := p.Hold
	if hold == 0 && p.Concurrency > 1 {
		hold = 300 * time.Millisecond
	}
	return string(schema.Ping{Hold: int(hold.Milliseconds())}.Payload())
}

// releaseEntry is the function that readies new versions and deletes old ones.
const releaseEntry = "github.com/serverless-go/cdk/functions/release"

// releaseTimeout is how long the custom resources may take: time for the
// slowest start, and for SnapStart's snapshot, which takes minutes.
const releaseTimeout = 10 * time.Minute

// addRelease adds the custom resources that run before and after the alias
// moves to a new version.
func (w *WarmFunction) addRelease(p *WarmFunctionProps) {
	release := function.NewFunction(w, "Release", &function.Props{
		Entry:                  releaseEntry,
		Description:            "Readies new versions of a function and deletes old ones.",
		Architecture:           p.Function.Architecture,
		Timeout:                releaseTimeout,
		EncryptionKey:          p.Function.EncryptionKey,
		WithoutTracing:         true,
		WithoutDeadLetterQueue: true, // CloudFormation waits for its answer
		Alarms:                 function.Alarms{Off: true},
		FunctionProps:          defaults.Deployer(w, releaseTimeout, nil),
	})
	name, arn := construct.FunctionName(w.function.Lambda()), construct.FunctionArn(w.function.Lambda())
	versions := jsii.String(*arn + ":*")
	resource := func(id, operation string, properties map[string]any, after ...constructs.IDependable) awscdk.CustomResource {
		properties[schema.Operation] = operation
		properties[schema.FunctionName] = name
		properties[schema.Version] = construct.Once(w.alias, "number of its version", version(w.alias).Version)
		r := awscdk.NewCustomResource(w, &id, &awscdk.CustomResourceProps{
			ServiceToken:   construct.FunctionArn(release.Lambda()),
			ResourceType:   jsii.String("Custom::" + id),
			ServiceTimeout: construct.SharedDuration(w, defaults.DeployerWait(releaseTimeout)),
			Properties:     &properties,
		})
		r.Node().AddDependency(append(after, release)...) // its policy too
		return r
	}
	actions := []string{"lambda:DeleteFunction"}
	if p.PreWarm != nil {
		actions = append(actions, "lambda:GetFunctionConfiguration", "lambda:InvokeFunction")
		w.alias.Node().AddDependency(resource("PreWarm", schema.OpPreWarm, map[string]any{
			schema.Concurrency: construct.Or(p.PreWarm.Concurrency, 1),
			schema.Payload:     p.PreWarm.payload(),
		}))
	}
	// An ARN with a version is no match for the function itself.
	release.AddToPolicy(actions, *versions)
	release.AddToPolicy([]string{"lambda:ListAliases", "lambda:ListVersionsByFunction"}, *arn)
	resource("PruneVersions", schema.OpPrune, map[string]any{
		schema.Keep: construct.Or(p.KeepVersions, 3),
	}, w.alias)
}
