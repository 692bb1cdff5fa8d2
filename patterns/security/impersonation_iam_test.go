package security_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

const (
	impersonationAccount = "123456789012"
	impersonationRegion  = "eu-west-1"
)

// impersonationIAM is the synthesized stack of impersonationEverything, as IAM
// sees it.
type impersonationIAM struct {
	template          *iam.Synthesized
	broker, user, api *iam.TemplateRole
	sets              map[string]*iam.Policy
	carts, shared     string
	documents, key    string
}

func newImpersonationIAM(t *testing.T) *impersonationIAM {
	t.Helper()
	stack := cdktest.NewStack(t)
	impersonationEverything(stack)
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), impersonationAccount, impersonationRegion)
	e := &impersonationIAM{
		template: template, broker: template.Role("AsUserBrokerRole"), user: template.Role("AsUserUserRole"), api: template.Role("APIRole"),
		carts: template.Find("AWS::DynamoDB::GlobalTable", "Carts"), shared: template.Find("AWS::DynamoDB::GlobalTable", "Shared"),
		documents: template.Find("AWS::S3::Bucket", "Documents"), key: template.Find("AWS::KMS::Key", "Key"), sets: map[string]*iam.Policy{},
	}
	text := template.Property(template.ID("AWS::Lambda::Function", "AsUserBroker"), "Environment", "Variables", "BROKER_SETS")
	var sets map[string][]schema.Permission
	if err := json.Unmarshal([]byte(text.(string)), &sets); err != nil {
		t.Fatal(err)
	}
	for name, permissions := range sets {
		policy, err := schema.SessionPolicy(permissions)
		if err != nil {
			t.Fatal(err)
		}
		if e.sets[name], err = iam.Parse([]byte(policy)); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// The tags of a user, or of nobody.
func impersonationTags(tenant, sub string) iam.Context {
	return iam.Context{"aws:PrincipalTag/tenant": {tenant}, "aws:PrincipalTag/sub": {sub}}
}

func (c impersonationCase) context() iam.Context {
	all := iam.Context{}
	for _, part := range c.contexts {
		for key, values := range part {
			all[key] = values
		}
	}
	return all
}

type impersonationCase struct {
	name, set, action, resource string
	contexts                    []iam.Context
	want                        bool
}

func TestImpersonationMatrix(t *testing.T) {
	e := newImpersonationIAM(t)
	ann := impersonationTags("acme", "ann")
	leading := func(keys ...string) iam.Context { return iam.Context{"dynamodb:LeadingKeys": keys} }
	prefix := func(p ...string) iam.Context { return iam.Context{"s3:prefix": p} }
	via := func(service, context, value string) iam.Context {
		return iam.Context{"kms:ViaService": {service + "." + impersonationRegion + ".amazonaws.com"}, "kms:EncryptionContext:" + context: {value}}
	}
	object := func(key string) string { return e.documents + "/" + key }
	user := func(c ...iam.Context) []iam.Context { return append([]iam.Context{ann}, c...) }

	for _, c := range []impersonationCase{
		{"own item", "read-own", "dynamodb:GetItem", e.carts, user(leading("acme#ann")), true},
		{"own items", "read-own", "dynamodb:Query", e.carts, user(leading("acme#ann")), true},
		{"own batch", "read-own", "dynamodb:BatchGetItem", e.carts, user(leading("acme#ann", "acme#ann")), true},
		{"own check in a transaction", "read-own", "dynamodb:ConditionCheckItem", e.carts, user(leading("acme#ann")), true},
		{"own write", "write-own", "dynamodb:PutItem", e.carts, user(leading("acme#ann")), true},
		{"own batch write", "write-own", "dynamodb:BatchWriteItem", e.carts, user(leading("acme#ann")), true},
		{"own item of the index", "read-own", "dynamodb:Query", e.carts + "/index/byUser", user(leading("acme#ann")), true},
		{"another user's item", "read-own", "dynamodb:GetItem", e.carts, user(leading("acme#bob")), false},
		{"another tenant's item", "read-own", "dynamodb:GetItem", e.carts, user(leading("evil#ann")), false},
		{"mixed batch", "read-own", "dynamodb:BatchGetItem", e.carts, user(leading("acme#ann", "acme#bob")), false},
		{"mixed batch write", "write-own", "dynamodb:BatchWriteItem", e.carts, user(leading("acme#bob", "acme#ann")), false},
		{"foreign part of a transaction", "write-own", "dynamodb:UpdateItem", e.carts, user(leading("acme#bob")), false},
		{"foreign check in a transaction", "write-own", "dynamodb:ConditionCheckItem", e.carts, user(leading("acme#bob")), false},
		{"foreign item of the index", "read-own", "dynamodb:Query", e.carts + "/index/byUser", user(leading("acme#bob")), false},
		{"another index", "read-own", "dynamodb:Query", e.carts + "/index/byDate", user(leading("acme#ann")), false},
		{"scan of the index", "read-own", "dynamodb:Scan", e.carts + "/index/byUser", user(), false},
		{"key that begins like the own", "read-own", "dynamodb:GetItem", e.carts, user(leading("acme#ann2")), false},
		{"key with more parts", "read-own", "dynamodb:GetItem", e.carts, user(leading("acme#ann#x")), false},
		{"no tags", "read-own", "dynamodb:GetItem", e.carts, []iam.Context{leading("#")}, false},
		{"no tenant", "read-own", "dynamodb:GetItem", e.carts, []iam.Context{{"aws:PrincipalTag/sub": {"ann"}}, leading("#ann")}, false},
		{"no leading keys", "read-own", "dynamodb:GetItem", e.carts, user(), false},
		{"query without leading keys", "read-own", "dynamodb:Query", e.carts, user(), false},
		{"scan", "read-own", "dynamodb:Scan", e.carts, user(), false},
		{"scan that says it has keys", "write-own", "dynamodb:Scan", e.carts, user(leading("acme#ann")), false},
		{"PartiQL, own", "read-own", "dynamodb:PartiQLSelect", e.carts, user(leading("acme#ann")), false},
		{"PartiQL insert", "write-own", "dynamodb:PartiQLInsert", e.carts, user(leading("acme#ann")), false},
		{"PartiQL, whole table", "read-own", "dynamodb:PartiQLSelect", e.carts, user(iam.Context{"dynamodb:FullTableScan": {"true"}}), false},
		{"stream", "write-own", "dynamodb:GetRecords", e.carts + "/stream/x", user(leading("acme#ann")), false},
		{"table itself", "write-own", "dynamodb:DeleteTable", e.carts, user(leading("acme#ann")), false},
		{"own item of a shared table", "read-own", "dynamodb:GetItem", e.shared, user(leading("order:acme#ann")), true},
		{"another's item of a table that another set shares", "read-own", "dynamodb:GetItem", e.shared, user(leading("order:acme#bob")), false},
		{"write to a table that another set writes", "read-own", "dynamodb:PutItem", e.shared, user(leading("order:acme#ann")), false},
		{"another table", "write-own", "dynamodb:GetItem", e.shared, user(leading("acme#ann")), false},
		{"write with the reading set", "read-own", "dynamodb:PutItem", e.carts, user(leading("acme#ann")), false},

		{"tenant's item", "tenant", "dynamodb:GetItem", e.shared, user(leading("order:acme#bob")), true},
		{"tenant's items", "tenant", "dynamodb:BatchWriteItem", e.shared, user(leading("order:acme#bob", "order:acme#7")), true},
		{"tenant with a longer name", "tenant", "dynamodb:GetItem", e.shared, user(leading("order:acme2#bob")), false},
		{"another tenant's item by tenant", "tenant", "dynamodb:GetItem", e.shared, user(leading("order:evil#bob")), false},
		{"two tenants", "tenant", "dynamodb:BatchGetItem", e.shared, user(leading("order:acme#1", "order:evil#1")), false},
		{"tenant without prefix", "tenant", "dynamodb:GetItem", e.shared, user(leading("acme#bob")), false},
		{"tenant's items elsewhere", "tenant", "dynamodb:GetItem", e.carts, user(leading("order:acme#bob")), false},
		{"tenant's item without a subject", "tenant", "dynamodb:GetItem", e.shared, []iam.Context{{"aws:PrincipalTag/tenant": {"acme"}}, leading("order:acme#bob")}, false},
		{"tenant scan", "tenant", "dynamodb:Scan", e.shared, user(), false},

		{"own object", "read-own", "s3:GetObject", object("acme/ann/cv.pdf"), user(), true},
		{"own object written", "write-own", "s3:PutObject", object("acme/ann/cv.pdf"), user(), true},
		{"own list", "read-own", "s3:ListBucket", e.documents, user(prefix("acme/ann/")), true},
		{"own list of a folder", "read-own", "s3:ListBucket", e.documents, user(prefix("acme/ann/2026/")), true},
		{"object of another user", "read-own", "s3:GetObject", object("acme/bob/cv.pdf"), user(), false},
		{"object of another tenant", "read-own", "s3:GetObject", object("evil/ann/cv.pdf"), user(), false},
		{"object of a user whose name begins alike", "read-own", "s3:GetObject", object("acme/ann2/cv.pdf"), user(), false},
		{"object with the reading set", "read-own", "s3:PutObject", object("acme/ann/cv.pdf"), user(), false},
		{"version of an object", "write-own", "s3:GetObjectVersion", object("acme/ann/cv.pdf"), user(), false},
		{"access list of an object", "write-own", "s3:PutObjectAcl", object("acme/ann/cv.pdf"), user(), false},
		{"object without tags", "read-own", "s3:GetObject", object("//cv.pdf"), nil, false},
		{"list without prefix", "read-own", "s3:ListBucket", e.documents, user(), false},
		{"list of everything", "read-own", "s3:ListBucket", e.documents, user(prefix("")), false},
		{"list of the tenant", "read-own", "s3:ListBucket", e.documents, user(prefix("acme/")), false},
		{"list of users whose names begin alike", "read-own", "s3:ListBucket", e.documents, user(prefix("acme/ann")), false},
		{"list of another user", "read-own", "s3:ListBucket", e.documents, user(prefix("acme/bob/")), false},
		{"list of versions", "read-own", "s3:ListBucketVersions", e.documents, user(prefix("acme/ann/")), false},

		{"key by S3, for the bucket", "read-own", "kms:Decrypt", e.key, user(via("s3", "aws:s3:arn", e.documents)), true},
		{"key by S3, for the own object", "read-own", "kms:Decrypt", e.key, user(via("s3", "aws:s3:arn", object("acme/ann/cv.pdf"))), true},
		{"key by S3, for another's object", "read-own", "kms:Decrypt", e.key, user(via("s3", "aws:s3:arn", object("acme/bob/cv.pdf"))), false},
		{"key by S3, for another bucket", "read-own", "kms:Decrypt", e.key, user(via("s3", "aws:s3:arn", e.documents+"2")), false},
		{"key without tags", "read-own", "kms:Decrypt", e.key, []iam.Context{via("s3", "aws:s3:arn", e.documents)}, false},
		{"key by another service", "read-own", "kms:Decrypt", e.key, user(via("dynamodb", "aws:s3:arn", e.documents)), false},
		{"key directly", "read-own", "kms:Decrypt", e.key, user(iam.Context{"kms:EncryptionContext:aws:s3:arn": {e.documents}}), false},
		{"key to write with the reading set", "read-own", "kms:GenerateDataKey", e.key, user(via("s3", "aws:s3:arn", e.documents)), false},

		{"another role", "write-own", "sts:AssumeRole", e.broker.ARN, user(), false},
		{"the own role again", "write-own", "sts:AssumeRole", e.user.ARN, user(), false},
		{"the broker", "write-own", "lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:123456789012:function:x", user(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := e.sets[c.set]
			if set == nil {
				t.Fatalf("no permission set %s", c.set)
			}
			d := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: e.user.ARN}, Action: c.action, Resource: c.resource, Context: c.context()},
				iam.Policies{Identity: e.user.Policies, Session: []*iam.Policy{set}})
			if d.Allowed != c.want {
				t.Errorf("allowed is %t, want %t; %s", d.Allowed, c.want, d.Reason)
			}
		})
	}
}

// impersonationSession is the context of a call of the broker, as it should be.
func impersonationSession(sub, tenant string) iam.Context {
	return iam.Context{
		"aws:RequestTag/sub": {sub}, "aws:RequestTag/tenant": {tenant}, "aws:TagKeys": {"sub", "tenant"},
		"sts:TransitiveTagKeys": {"sub", "tenant"}, "sts:SourceIdentity": {"u-abc"}, "sts:RoleSessionName": {"s-abc"},
	}
}

func TestImpersonationTrust(t *testing.T) {
	e := newImpersonationIAM(t)
	all := []string{"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"}
	change := func(key string, values ...string) func(iam.Context) { return func(c iam.Context) { c[key] = values } }
	sub := func(v string) func(iam.Context) { return change("aws:RequestTag/sub", v) }
	tenant := func(v string) func(iam.Context) { return change("aws:RequestTag/tenant", v) }
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		name   string
		by     *iam.TemplateRole
		change func(iam.Context)
		denied []string // of the three actions
	}{
		{"broker", e.broker, nil, nil},
		{"broker, longest names", e.broker, func(c iam.Context) { sub(long)(c); tenant(long)(c) }, nil},
		{"broker, hashed subject", e.broker, sub("sha256=Zm9v-_0"), nil},
		{"broker without tags", e.broker, func(c iam.Context) {
			for _, key := range []string{"aws:RequestTag/sub", "aws:RequestTag/tenant", "aws:TagKeys", "sts:TransitiveTagKeys"} {
				delete(c, key)
			}
		}, []string{"sts:AssumeRole", "sts:TagSession"}},
		{"broker without sub", e.broker, func(c iam.Context) {
			delete(c, "aws:RequestTag/sub")
			c["aws:TagKeys"], c["sts:TransitiveTagKeys"] = []string{"tenant"}, []string{"tenant"}
		}, []string{"sts:AssumeRole", "sts:TagSession"}},
		{"broker with an extra tag", e.broker, func(c iam.Context) {
			c["aws:RequestTag/admin"], c["aws:TagKeys"] = []string{"true"}, []string{"sub", "tenant", "admin"}
		}, []string{"sts:TagSession"}},
		{"broker with tags of other case", e.broker, change("aws:TagKeys", "Sub", "tenant"), []string{"sts:TagSession"}},
		{"broker, tags not transitive", e.broker, change("sts:TransitiveTagKeys"), []string{"sts:TagSession"}},
		{"broker, tenant not transitive", e.broker, change("sts:TransitiveTagKeys", "sub"), []string{"sts:TagSession"}},
		{"broker, sub not transitive", e.broker, change("sts:TransitiveTagKeys", "tenant"), []string{"sts:TagSession"}},
		{"broker, another transitive", e.broker, change("sts:TransitiveTagKeys", "sub", "tenant", "x"), []string{"sts:TagSession"}},
		{"broker without source identity", e.broker, change("sts:SourceIdentity"), []string{"sts:AssumeRole", "sts:SetSourceIdentity"}},
		{"broker, source identity of another form", e.broker, change("sts:SourceIdentity", "ann@example.com"), []string{"sts:AssumeRole", "sts:SetSourceIdentity"}},
		{"broker, session name of another form", e.broker, change("sts:RoleSessionName", "ann"), []string{"sts:AssumeRole"}},
		{"sub empty", e.broker, sub(""), []string{"sts:AssumeRole", "sts:TagSession"}},
		{"tenant empty", e.broker, tenant(""), []string{"sts:AssumeRole", "sts:TagSession"}},
		{"sub with #", e.broker, sub("ann#x"), []string{"sts:TagSession"}},
		{"tenant with #", e.broker, tenant("acme#x"), []string{"sts:TagSession"}},
		{"sub with *", e.broker, sub("*"), []string{"sts:TagSession"}},
		{"tenant with ?", e.broker, tenant("acm?"), []string{"sts:TagSession"}},
		{"sub with $", e.broker, sub("${aws:username}"), []string{"sts:TagSession"}},
		{"sub with /", e.broker, sub("ann/.."), []string{"sts:TagSession"}},
		{"sub with :", e.broker, sub("order:ann"), []string{"sts:TagSession"}},
		{"sub with a space", e.broker, sub("ann "), []string{"sts:TagSession"}},
		{"sub too long", e.broker, sub(long + "a"), []string{"sts:TagSession"}},
		{"tenant too long", e.broker, tenant(long + "a"), []string{"sts:TagSession"}},
		{"tenant with =", e.broker, tenant("sha256=x"), []string{"sts:TagSession"}},
		{"inner function directly", e.api, nil, all},
		{"the users' role itself", e.user, nil, all},
		{"administrator of the account", &iam.TemplateRole{ARN: "arn:aws:iam::123456789012:role/admin", Policies: impersonationAdmin(t)}, nil, all},
		{"broker of another account", &iam.TemplateRole{ARN: strings.Replace(e.broker.ARN, impersonationAccount, "999999999999", 1), Policies: impersonationAdmin(t)}, nil, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			context := impersonationSession("ann", "acme")
			if c.change != nil {
				c.change(context)
			}
			for _, action := range all {
				d := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: c.by.ARN}, Action: action, Resource: e.user.ARN, Context: context},
					iam.Policies{Identity: c.by.Policies, Resource: []*iam.Policy{e.user.Trust}, ResourceRules: true})
				if denied := strings.Contains(strings.Join(c.denied, " "), action); d.Allowed == denied {
					t.Errorf("%s: allowed is %t, want %t; %s", action, d.Allowed, !denied, d.Reason)
				}
			}
		})
	}
}

func impersonationAdmin(t *testing.T) []*iam.Policy {
	p, err := iam.Parse([]byte(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return []*iam.Policy{p}
}

// IAM takes trust policies of 2,048 characters, spaces aside.
func TestImpersonationTrustFits(t *testing.T) {
	e := newImpersonationIAM(t)
	text, err := json.Marshal(e.template.Property(e.user.ID, "AssumeRolePolicyDocument"))
	if err != nil {
		t.Fatal(err)
	}
	// The broker's role may have a name of 64 characters.
	size := len(text) + 3*(64-len(e.broker.ID))
	if size > 2048 {
		t.Errorf("the trust policy has %d characters", size)
	}
}

// The functions can ask the broker, and the broker can begin sessions and
// nothing else.
func TestImpersonationCallers(t *testing.T) {
	e := newImpersonationIAM(t)
	broker := e.template.Find("AWS::Lambda::Function", "AsUserBroker")
	for _, c := range []struct {
		by               *iam.TemplateRole
		action, resource string
		want             bool
	}{
		{e.api, "lambda:InvokeFunction", broker, true},
		{e.api, "sts:AssumeRole", e.user.ARN, false},
		{e.api, "dynamodb:GetItem", e.carts, false},
		{e.api, "s3:GetObject", e.documents + "/acme/ann/cv.pdf", false},
		{e.broker, "sts:AssumeRole", e.user.ARN, true},
		{e.broker, "sts:AssumeRole", e.api.ARN, false},
		{e.broker, "dynamodb:GetItem", e.carts, false},
		{e.broker, "kms:Decrypt", e.key, false},
		{e.user, "lambda:InvokeFunction", broker, false},
	} {
		d := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: c.by.ARN}, Action: c.action, Resource: c.resource}, iam.Policies{Identity: c.by.Policies})
		if d.Allowed != c.want {
			t.Errorf("%s may %s on %s: %t, want %t; %s", c.by.ID, c.action, c.resource, d.Allowed, c.want, d.Reason)
		}
	}
}
