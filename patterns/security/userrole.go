package security

import (
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// userTrust says what a role of users asks of its sessions besides the tags.
type userTrust struct {
	// transitive asks that the tags are, so that a role that is assumed from the
	// session has them, too, and cannot set others.
	transitive bool
	// named asks for our session names and source identities.
	named bool
	// federated are the conditions on who vouches for the user.
	federated policyConditions
}

// policyConditions are by operator and key.
type policyConditions map[string]map[string]any

// newUserRole makes a role whose sessions must have exactly the tags of a user,
// with values that mean nothing in a key, a path or a pattern.
//
// IAM compares strings by wildcards only, so the trust policy refuses lengths
// and those characters that STS lets through and that do harm; that a name is
// ASCII is checked where tags are set. Each negated condition has a positive
// one beside it, for it is true where the tag is absent.
//
// Each action must be allowed by itself; with it stand the conditions that AWS
// documents for it.
func newUserRole(scope constructs.Construct, id, description string, principal awsiam.IPrincipal, t userTrust) awsiam.Role {
	begin := policyConditions{"StringLike": {requestTag(schema.TagSubject): "?*", requestTag(schema.TagTenant): "?*"}}
	source := policyConditions{"StringLike": {"sts:SourceIdentity": schema.SourceIdentityPrefix + "*"}}
	tags := tagConditions(t.transitive)
	if t.named {
		begin.add(source)
		begin.add(policyConditions{"StringLike": {"sts:RoleSessionName": schema.SessionNamePrefix + "*"}})
	}
	begin.add(t.federated)
	tags.add(t.federated)
	statements := []awsiam.PolicyStatement{tags.trust(principal, "sts:TagSession")}
	if t.named {
		statements = append(statements, source.trust(principal, "sts:SetSourceIdentity"))
	}
	role := defaults.Role(scope, id, &awsiam.RoleProps{
		AssumedBy: awsiam.NewPrincipalWithConditions(principal, begin.forCDK()), Description: &description})
	role.AssumeRolePolicy().AddStatements(statements...)
	return role
}

func requestTag(key string) string { return "aws:RequestTag/" + key }

func principalTag(key string) string { return "aws:PrincipalTag/" + key }

func tagConditions(transitive bool) policyConditions {
	keys := []string{schema.TagSubject, schema.TagTenant}
	harmful := []string{"*#*", "*${*}*", "*${?}*", "*${$}*", "*/*", "*:*", "*+*", "* *", strings.Repeat("?", schema.MaxName+1) + "*"}
	c := policyConditions{
		"StringLike": {requestTag(schema.TagSubject): "?*", requestTag(schema.TagTenant): "?*"},
		// Only a subject can be a hash, which has a "=".
		"StringNotLike":             {requestTag(schema.TagSubject): harmful, requestTag(schema.TagTenant): append([]string{"*=*"}, harmful...)},
		"ForAllValues:StringEquals": {"aws:TagKeys": keys},
		"Null":                      {"aws:TagKeys": "false"},
	}
	if transitive {
		c.add(policyConditions{
			"ForAllValues:StringEquals": {"sts:TransitiveTagKeys": keys},
			// Both must be there, and a key stands once with an operator.
			"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": schema.TagSubject},
			"ForAnyValue:StringLike":   {"sts:TransitiveTagKeys": schema.TagTenant},
		})
	}
	return c
}

func (c policyConditions) add(other policyConditions) {
	for operator, keys := range other {
		if c[operator] == nil {
			c[operator] = map[string]any{}
		}
		for key, value := range keys {
			c[operator][key] = value
		}
	}
}

func (c policyConditions) forCDK() *map[string]any {
	out := map[string]any{}
	for operator, keys := range c {
		out[operator] = keys
	}
	return &out
}

func (c policyConditions) trust(principal awsiam.IPrincipal, action string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(action), Principals: &[]awsiam.IPrincipal{principal}, Conditions: c.forCDK(),
	})
}

// userGrant is a permission of users with what only the role's policy says.
type userGrant struct {
	schema.Permission
	conditions policyConditions
}

func (g userGrant) to(role awsiam.IRole) {
	conditions := policyConditions(g.Conditions())
	if conditions == nil {
		conditions = policyConditions{}
	}
	conditions.add(g.conditions)
	conditions.add(policyConditions{"Null": tagged()})
	all := map[string]any{}
	for operator, keys := range conditions {
		all[operator] = keys
	}
	var resources []*string
	for _, r := range g.Resources() {
		resources = append(resources, &r)
	}
	defaults.Grant(role, defaults.Actions(g.Actions()).To(resources...).If(all))
}

func addGrants(role awsiam.IRole, grants []userGrant) {
	for _, g := range grants {
		g.to(role)
	}
}

// tagged is the condition that a session has the tags; without it a condition
// on an absent one could be true.
func tagged() map[string]any {
	return map[string]any{principalTag(schema.TagSubject): "false", principalTag(schema.TagTenant): "false"}
}

// ItemsProps says which of a user's items are reached and how.
type ItemsProps struct {
	// Write lets users put, update and delete items, too.
	//
	// Default: they read.
	Write bool
	// KeyPrefix is what the partition keys begin with, before the tenant. It
	// ends with ":" and has letters, digits, "_", "-", "." and ":" only: no
	// tenant can be named so that its keys look like those of a prefix.
	//
	// Default: none.
	KeyPrefix string
	// Indexes are the global secondary indexes that may be queried. Their
	// partition keys must have the form of the table's.
	//
	// Default: none.
	Indexes []string
	// EncryptionKey is the customer's key of the table, which DynamoDB uses with
	// the rights of the user.
	//
	// Default: that of the table, as far as the CDK knows it.
	EncryptionKey awskms.IKey
}

var (
	keyPrefix = regexp.MustCompile(`^([A-Za-z0-9._-]*:)*$`)
	indexName = regexp.MustCompile(`^[A-Za-z0-9._-]{3,255}$`)
)

// grants returns the statements of a grant on a table. A request's leading
// keys are all partition keys that it names: a batch with one foreign key is
// refused as a whole. Scan names none, and is not allowed.
func (p *ItemsProps) grants(scope constructs.Construct, verb, keys string, table awsdynamodb.ITable) []userGrant {
	if p == nil {
		p = &ItemsProps{}
	}
	var c props.Check
	c.Require(table != nil, "table", props.Words("nil"), "a table", "")
	c.Require(keyPrefix.MatchString(p.KeyPrefix), "KeyPrefix", p.KeyPrefix, `words of letters, digits, "_", "-" and ".", each followed by ":"`,
		"a prefix with # could be the name of a tenant")
	for _, index := range p.Indexes {
		c.Require(indexName.MatchString(index), "Indexes", index, "names of indexes", "")
	}
	c.Panic(scope, verb)

	use := schema.UseReadItems
	if p.Write {
		use = schema.UseWriteItems
	}
	arn := *construct.TableArn(table)
	present := policyConditions{"Null": {"dynamodb:LeadingKeys": "false"}}
	grants := []userGrant{{schema.Permission{Use: use, On: []string{arn}, Keys: keys, Prefix: p.KeyPrefix}, present}}
	if len(p.Indexes) > 0 {
		var indexes []string
		for _, index := range p.Indexes {
			indexes = append(indexes, arn+"/index/"+index)
		}
		grants = append(grants, userGrant{schema.Permission{Use: schema.UseIndex, On: indexes, Keys: keys, Prefix: p.KeyPrefix}, present})
	}
	key := p.EncryptionKey
	if key == nil {
		key = construct.EncryptionKey(table)
	}
	if key != nil {
		use := schema.UseKeyOfTable
		if p.Write {
			use = schema.UseKeyOfTableToWrite
		}
		grants = append(grants, keyGrant(key, use, "dynamodb",
			policyConditions{"StringEquals": {"kms:EncryptionContext:aws:dynamodb:tableName": construct.TableName(table)}}))
	}
	return grants
}

// keyGrant lets users use a key through a service and for what the conditions
// name, and not to open what else the key has sealed.
func keyGrant(key awskms.IKey, use, service string, conditions policyConditions) userGrant {
	conditions.add(policyConditions{"StringEquals": {
		"kms:ViaService": defaults.Sub(service + ".${AWS::Region}.${AWS::URLSuffix}")}})
	return userGrant{schema.Permission{Use: use, On: []string{*construct.KeyArn(key)}}, conditions}
}

// ObjectsProps says how a user's objects are reached.
type ObjectsProps struct {
	// Write lets users put and delete objects, too. In a bucket with versions a
	// deleted one can be brought back, not by the user.
	//
	// Default: they read and list.
	Write bool
	// EncryptionKey is the customer's key of the bucket, which S3 uses with the
	// rights of the user.
	//
	// Default: that of the bucket, as far as the CDK knows it.
	EncryptionKey awskms.IKey
}

// grants returns the statements of a grant on a bucket.
func (p *ObjectsProps) grants(scope constructs.Construct, verb string, bucket awss3.IBucket) []userGrant {
	if p == nil {
		p = &ObjectsProps{}
	}
	var c props.Check
	c.Require(bucket != nil, "bucket", props.Words("nil"), "a bucket", "")
	c.Panic(scope, verb)

	use := schema.UseReadObjects
	if p.Write {
		use = schema.UseWriteObjects
	}
	arn := *construct.BucketArn(bucket)
	grants := []userGrant{
		{schema.Permission{Use: use, On: []string{arn}}, nil},
		{schema.Permission{Use: schema.UseListObjects, On: []string{arn}}, nil},
	}
	key := p.EncryptionKey
	if key == nil {
		key = construct.EncryptionKey(bucket)
	}
	if key != nil {
		use := schema.UseKeyOfBucket
		if p.Write {
			use = schema.UseKeyOfBucketToWrite
		}
		// With a bucket key the context is the bucket, without it each object.
		grants = append(grants, keyGrant(key, use, "s3", policyConditions{
			"StringLike": {"kms:EncryptionContext:aws:s3:arn": []string{arn, arn + "/" + schema.OwnObjects + "*"}}}))
	}
	return grants
}
