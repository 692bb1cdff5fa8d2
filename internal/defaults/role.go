package defaults

import (
	"maps"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
)

// rolePolicy is a policy of all roles below a construct path.
type rolePolicy struct {
	below, name string
	policy      awsiam.PolicyDocument
}

func rolePolicies(scope constructs.Construct) *[]rolePolicy {
	return construct.Constant(scope, "policies of roles", func() *[]rolePolicy { return &[]rolePolicy{} })
}

// AddRolePolicy has each role that [Role] makes below the construct from now on
// carry the policy. Roles share it, so that it costs no call for each.
func AddRolePolicy(below constructs.Construct, name string, policy awsiam.PolicyDocument) {
	all := rolePolicies(below)
	*all = append(*all, rolePolicy{construct.Path(below), name, policy})
}

// Role makes a role, with the policies that [AddRolePolicy] was given.
func Role(scope constructs.Construct, id string, p *awsiam.RoleProps) awsiam.Role {
	policies := map[string]awsiam.PolicyDocument{}
	if p.InlinePolicies != nil {
		maps.Copy(policies, *p.InlinePolicies)
	}
	path := construct.Path(scope)
	carried := map[string]bool{}
	for _, r := range *rolePolicies(scope) {
		if construct.Below(path, r.below) {
			policies[r.name] = r.policy
			carried[r.name] = true
		}
	}
	own := *p
	if len(policies) > 0 {
		own.InlinePolicies = &policies
	}
	role := awsiam.NewRole(scope, &id, &own)
	construct.Once(role, carriedPolicies, func() map[string]bool { return carried })
	return role
}

const carriedPolicies = "policies from above"

// CarriesRolePolicy reports whether [Role] gave the role the policy.
func CarriesRolePolicy(role awsiam.IRole, name string) bool {
	return construct.Once(role, carriedPolicies, func() map[string]bool { return nil })[name]
}
