package defaults

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Actions names what a statement allows.
type Actions []string

// On returns the statement that allows the actions on the resources.
func (a Actions) On(resources ...*string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:   jsii.Strings(a...),
		Resources: &resources,
	})
}

// Grant allows the grantee the actions on the resources.
func (a Actions) Grant(grantee awsiam.IGrantable, resources ...*string) awsiam.Grant {
	return awsiam.Grant_AddToPrincipal(&awsiam.GrantOnPrincipalOptions{
		Grantee:      grantee.GrantPrincipal(),
		Actions:      jsii.Strings(a...),
		ResourceArns: &resources,
	})
}

// GrantIf is Grant under conditions, as a policy has them: by operator.
func (a Actions) GrantIf(conditions map[string]any, grantee awsiam.IGrantable, resources ...*string) awsiam.Grant {
	byOperator := make(map[string]*map[string]any, len(conditions))
	for operator, c := range conditions {
		values := c.(map[string]any)
		byOperator[operator] = &values
	}
	return awsiam.Grant_AddToPrincipal(&awsiam.GrantOnPrincipalOptions{
		Grantee:      grantee.GrantPrincipal(),
		Actions:      jsii.Strings(a...),
		ResourceArns: &resources,
		Conditions:   &byOperator,
	})
}

// ServiceRole makes a role that an AWS service assumes for resources of this
// account only, so that nobody else's resource can borrow it (the "confused
// deputy"). The statements are part of the role itself: what depends on the
// role never runs without them.
func ServiceRole(scope constructs.Construct, id, service string, statements ...awsiam.PolicyStatement) awsiam.Role {
	return awsiam.NewRole(scope, &id, &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(&service, &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()},
			},
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"Allow": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements}),
		},
	})
}
