package construct

import (
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Region returns the region of the construct's stack, "" if it is not known
// before the deployment.
func Region(scope constructs.Construct) string {
	return Shared(scope, "region", func() string {
		region := *StackOf(scope).Region()
		if DeployTime(region) {
			return ""
		}
		return region
	})
}

// DeployTime reports whether a text is known to CloudFormation only. Unlike
// awscdk.Token_IsUnresolved it costs no call.
func DeployTime(text string) bool { return strings.Contains(text, "${Token[") }

// BundlingRequired reports whether assets of the construct's stack are built.
func BundlingRequired(scope constructs.Construct) bool {
	all := Constant(scope, "bundles all stacks", func() bool {
		const context = "aws:cdk:bundling-stacks" // patterns, set by the CDK's command line; without them all are built
		patterns, set := Node(app(scope)).TryGetContext(jsii.String(context)).([]any)
		return !set || slices.Contains(patterns, any("**"))
	})
	return all || Shared(scope, "BundlingRequired", func() bool { return *StackOf(scope).BundlingRequired() })
}

// StackName returns the name of the construct's stack.
func StackName(scope constructs.Construct) string {
	return Shared(scope, "stack name", func() string { return *StackOf(scope).StackName() })
}

// NewStack makes a stack whose place is known, and whose name and region are if
// the props have them, so that the CDK need not be asked for them.
func NewStack(scope constructs.Construct, id string, p *awscdk.StackProps) awscdk.Stack {
	stack := awscdk.NewStack(scope, &id, p)
	Once(stack, "app", func() constructs.IConstruct { return app(scope) })
	Once(stack, "path", func() string { return strings.TrimPrefix(child(Path(scope), id), "/") })
	if p.Env != nil && p.Env.Region != nil && !DeployTime(*p.Env.Region) {
		Shared(stack, "region", func() string { return *p.Env.Region })
	}
	if p.StackName != nil {
		Shared(stack, "stack name", func() string { return *p.StackName })
	}
	return stack
}
