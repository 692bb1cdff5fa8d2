package defaults

import (
	"fmt"
	"maps"
	"sync"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
)

// Actions names what a statement allows.
type Actions []string

// What DynamoDB asks of who reads a table with a customer's key, and of who
// writes to it
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html).
var (
	ReadKey = Actions{"kms:Decrypt", "kms:DescribeKey"}
	UseKey  = Actions{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
)

// What Lambda asks of the role of a function that takes what a queue and a stream
// of a table have, and a pipe of its own
// (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions,
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html).
var (
	TakeMessages = Actions{"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
	ReadStream   = Actions{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}
)

// Through is the condition that a key is used through one of the services of the
// stack's region, and not to open what else the key has sealed.
func Through(services ...string) map[string]any {
	endpoints := make([]any, len(services))
	for i, service := range services {
		endpoints[i] = Sub(service + ".${AWS::Region}.${AWS::URLSuffix}")
	}
	if len(endpoints) == 1 {
		return map[string]any{"StringEquals": map[string]any{"kms:ViaService": endpoints[0]}}
	}
	return map[string]any{"StringEquals": map[string]any{"kms:ViaService": endpoints}}
}

// ListBelow is the condition that only objects below the prefix are listed.
func ListBelow(prefix string) map[string]any {
	return map[string]any{"StringLike": map[string]any{"s3:prefix": prefix + "*"}}
}

// Statement is a statement as it stands in a policy. Unlike the CDK's own it
// costs no call: the whole policy is handed over at once, by [Document].
type Statement map[string]any

// To returns the statement that allows the actions on the resources.
func (a Actions) To(resources ...*string) Statement {
	return Statement{"Effect": "Allow", "Action": a, "Resource": resources}
}

// If returns the statement under conditions, as a policy has them: by operator.
func (s Statement) If(conditions map[string]any) Statement {
	conditional := maps.Clone(s)
	conditional["Condition"] = conditions
	return conditional
}

// collected are the collections of grantees whose role is not made yet, by the
// grantee.
var collected sync.Map

// collection is what a grantee is granted, each statement once.
type collection struct {
	statements []Statement
	texts      map[string]bool // of the statements
}

func (c *collection) add(s Statement) {
	if text := JSON(s); !c.texts[text] {
		c.texts[text] = true
		c.statements = append(c.statements, s)
	}
}

// Collect calls grant and returns what that grants to the grantees, which stand
// for one, each statement once, instead of adding it to a policy.
func Collect(grant func(), to ...awsiam.IGrantable) []Statement {
	c := &collection{texts: map[string]bool{}}
	for _, grantee := range to {
		collected.Store(grantee, c)
		defer collected.Delete(grantee)
	}
	grant()
	return c.statements
}

// Collecting reports whether [Collect] collects what the grantee is granted.
func Collecting(grantee awsiam.IGrantable) bool {
	_, ok := collected.Load(grantee)
	return ok
}

// Grant lets the grantee do what the statements allow. What it has been granted
// before costs no call again. While [Collect] collects the grantee's, it returns
// nil.
//
// It returns the grant of the last statement, for all become part of one policy,
// the principal's: what waits for one of them waits for all, and all succeed or
// none. Only where a role's statements outgrow IAM's limit of a policy does the
// CDK put some of them into others, for which that grant does not stand.
func Grant(grantee awsiam.IGrantable, statements ...Statement) awsiam.Grant {
	if c, ok := collected.Load(grantee); ok {
		for _, s := range statements {
			c.(*collection).add(s)
		}
		return nil
	}
	to := principal(grantee)
	var last awsiam.Grant
	for _, s := range statements {
		last = construct.Once(to, "grant "+JSON(s), func() awsiam.Grant {
			actions, resources := s["Action"].(Actions), s["Resource"].([]*string)
			return awsiam.Grant_AddToPrincipal(&awsiam.GrantOnPrincipalOptions{
				Grantee: to, Actions: jsii.Strings(actions...), ResourceArns: &resources, Conditions: s.conditions(),
			})
		})
	}
	return last
}

// principal returns what the CDK can ask for the grantee's principal without
// coming back to Go for it, as it must for a function of ours.
func principal(grantee awsiam.IGrantable) awsiam.IGrantable {
	if p, ok := grantee.(awsiam.IPrincipal); ok {
		return p
	}
	return construct.GrantPrincipal(grantee)
}

// conditions returns the statement's as the CDK takes them, nil without any.
func (s Statement) conditions() *map[string]*map[string]any {
	conditions, _ := s["Condition"].(map[string]any)
	if len(conditions) == 0 {
		return nil
	}
	byOperator := make(map[string]*map[string]any, len(conditions))
	for operator, c := range conditions {
		values := c.(map[string]any)
		byOperator[operator] = &values
	}
	return &byOperator
}

// Document returns the policy of the statements.
func Document(statements ...Statement) awsiam.PolicyDocument {
	return awsiam.PolicyDocument_FromJson(map[string]any{"Version": "2012-10-17", "Statement": statements})
}

// ServiceRole makes a role that an AWS service assumes for resources of this
// account only, so that nobody else's resource can borrow it (the "confused
// deputy"). The statements are part of the role itself: what depends on the
// role never runs without them.
func ServiceRole(scope constructs.Construct, id, service string, statements ...Statement) awsiam.Role {
	if len(statements) == 0 {
		return ServiceRoleWith(scope, id, service, nil)
	}
	return ServiceRoleWith(scope, id, service, Document(statements...))
}

// ServiceRoleWith is [ServiceRole] for a policy.
func ServiceRoleWith(scope constructs.Construct, id, service string, policy awsiam.PolicyDocument) awsiam.Role {
	p := &awsiam.RoleProps{AssumedBy: servicePrincipalHere(scope, service)}
	if policy != nil {
		p.InlinePolicies = &map[string]awsiam.PolicyDocument{"Allow": policy}
	}
	return Role(scope, id, p)
}

// servicePrincipalHere returns the principal that an AWS service is when it acts
// for a resource of this account.
func servicePrincipalHere(scope constructs.Construct, service string) awsiam.ServicePrincipal {
	return construct.Constant(scope, "principal of this account "+service, func() awsiam.ServicePrincipal {
		return awsiam.NewServicePrincipal(&service, &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": AccountID()}},
		})
	})
}

// ServicePrincipal returns the principal that an AWS service is.
func ServicePrincipal(scope constructs.Construct, service string) awsiam.ServicePrincipal {
	return construct.Constant(scope, "principal "+service, func() awsiam.ServicePrincipal {
		return awsiam.NewServicePrincipal(&service, nil)
	})
}

// AllowEvents lets EventBridge act on the resource, a queue or a topic, for one
// rule or bus. The scope is one of the constructs around.
func AllowEvents(scope constructs.Construct, resource awsiam.IResourceWithPolicyV2, action string, arn, source *string) {
	// As a condition of the principal it serves all resources of the rule.
	events := construct.Shared(scope, "principal of "+*source, func() awsiam.ServicePrincipal {
		return awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": source}},
		})
	})
	allow(events, resource, arn, action)
}

// AllowServiceHere lets a service act on the resource on behalf of this account's
// resources. The scope is one of the constructs around.
func AllowServiceHere(scope constructs.Construct, resource awsiam.IResourceWithPolicyV2, service string, arn *string, actions ...string) {
	allow(servicePrincipalHere(scope, service), resource, arn, actions...)
}

// allow adds a statement to the policy of the resource. The principal is a
// service, so that there is no policy of the principal to add it to.
func allow(principal awsiam.ServicePrincipal, resource awsiam.IResourceWithPolicyV2, arn *string, actions ...string) {
	awsiam.Grant_AddToPrincipalOrResource(&awsiam.GrantWithResourceOptions{
		Grantee: principal, Actions: jsii.Strings(actions...), ResourceArns: &[]*string{arn}, Resource: resource,
	})
}

// AllowService adds the statement, with the service as its principal unless it
// names others, to the policy of the resource. The scope is one of the
// constructs around.
func AllowService(scope constructs.Construct, resource awsiam.IResourceWithPolicyV2, service string, s Statement) {
	// AddToResourcePolicy would do, but each field of its result costs a call.
	// All but the statement and the resource is for error messages.
	awsiam.Grant_AddStatementToResourcePolicy(&awsiam.GrantPolicyWithResourceOptions{
		Statement:    awsiam.PolicyStatement_FromJson(s.of(service)),
		Resource:     resource,
		Grantee:      ServicePrincipal(scope, service),
		Actions:      &[]*string{},
		ResourceArns: &[]*string{},
	})
}

// AllowServiceKey is [AllowService] for a key, whose method has one argument
// more, so that for Go it is another interface. A key that was imported does not
// take the statement: a warning then asks its owner for it.
func AllowServiceKey(scope constructs.Construct, key awskms.IKey, service string, s Statement) {
	s = s.of(service)
	if _, ours := key.(awskms.Key); ours {
		var resource awsiam.IResourceWithPolicyV2
		jsii.UnsafeCast(key, &resource)
		AllowService(scope, resource, service, s)
		return
	}
	if *key.AddToResourcePolicy(awsiam.PolicyStatement_FromJson(s), nil).StatementAdded { // an alias of one of ours
		return
	}
	awscdk.Annotations_Of(scope).AddWarningV2(jsii.String("serverless-go:keyPolicy"), jsii.String(fmt.Sprintf(
		"the policy of the key %s, which was imported, is not changed: see that it has the statement %s",
		*construct.Node(key).Path(), JSON(s))))
}

// of returns the statement with the service as its principal unless it names
// others.
func (s Statement) of(service string) Statement {
	if s["Principal"] == nil {
		s = maps.Clone(s)
		s["Principal"] = map[string]any{"Service": service}
	}
	return s
}
