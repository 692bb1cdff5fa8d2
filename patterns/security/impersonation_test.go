package security_test

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/security"
	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/cdktest"
)

func impersonationProps() *security.ImpersonationProps {
	return &security.ImpersonationProps{Issuer: "https://id.example.com", Audience: "shop"}
}

func impersonationTable(scope constructs.Construct, id string) awsdynamodb.TableV2 {
	return awsdynamodb.NewTableV2(scope, &id, &awsdynamodb.TablePropsV2{
		PartitionKey: &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING},
		SortKey:      &awsdynamodb.Attribute{Name: jsii.String("sk"), Type: awsdynamodb.AttributeType_STRING},
	})
}

func impersonationFunction(scope constructs.Construct, id string) *function.Function {
	return function.NewFunction(scope, id, &function.Props{Entry: "example.com/shop/functions/carts"})
}

func TestImpersonationDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	user := security.NewImpersonation(stack, "AsUser", impersonationProps())
	user.AddPermissionSet("read-own").GrantOwnItems(impersonationTable(stack, "Carts"), nil)
	user.GrantImpersonate(impersonationFunction(stack, "API"))
	cdktest.Golden(t, stack)
}

func TestImpersonationAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	key := awskms.Key_FromKeyArn(stack, jsii.String("Key"), jsii.String("arn:aws:kms:eu-west-1:123456789012:key/k"))
	p := impersonationProps()
	p.Tenant, p.Providers = "shop", []string{"https://login.example.com", schema.ProviderIAM}
	user := security.NewImpersonation(stack, "AsUser", p)
	own := user.AddPermissionSet("own")
	own.GrantOwnItems(awsdynamodb.TableV2_FromTableArn(stack, jsii.String("Carts"), jsii.String("arn:aws:dynamodb:eu-west-1:123456789012:table/carts")),
		&security.ItemsProps{Write: true, EncryptionKey: key})
	own.GrantOwnObjects(awss3.Bucket_FromBucketName(stack, jsii.String("Documents"), jsii.String("documents")),
		&security.ObjectsProps{Write: true, EncryptionKey: key})
	caller := awscdk.NewStack(awscdk.App_Of(stack.Node().Root()), jsii.String("Caller"), nil)
	user.GrantImpersonate(function.Adopt(caller, "API", impersonationFunction(caller, "Function").Lambda()))
	cdktest.Golden(t, stack)
}

// impersonationEverything is the stack that the engine tests of package broker
// play, by its golden file.
func impersonationEverything(stack awscdk.Stack) *security.Impersonation {
	p := impersonationProps()
	p.JWKSURL = "https://id.example.com/keys"
	p.Types, p.Algorithms = []string{"at+jwt", "JWT"}, []string{"ES256", "RS256"}
	p.TenantClaim, p.Subjects = "org", schema.SubjectsHashLong
	p.EncryptionKey = awskms.NewKey(stack, jsii.String("Key"), nil)
	p.LogRetention = "ONE_MONTH"
	p.ReservedConcurrency = new(20)
	topic := awssns.NewTopic(stack, jsii.String("Alarms"), nil)
	p.Alarms = function.Alarms{Topic: topic, Duration: alarm.Tuning{Off: true}}
	user := security.NewImpersonation(stack, "AsUser", p)

	carts, shared := impersonationTable(stack, "Carts"), impersonationTable(stack, "Shared")
	documents := awss3.NewBucket(stack, jsii.String("Documents"), &awss3.BucketProps{
		EncryptionKey: p.EncryptionKey, BucketKeyEnabled: jsii.Bool(true)})
	read := user.AddPermissionSet("read-own")
	read.GrantOwnItems(carts, &security.ItemsProps{Indexes: []string{"byUser"}})
	read.GrantOwnItems(shared, &security.ItemsProps{KeyPrefix: "order:"})
	read.GrantOwnObjects(documents, nil)
	write := user.AddPermissionSet("write-own")
	write.GrantOwnItems(carts, &security.ItemsProps{Write: true})
	write.GrantOwnObjects(documents, &security.ObjectsProps{Write: true})
	user.AddPermissionSet("tenant").GrantTenantItems(shared, &security.ItemsProps{KeyPrefix: "order:", Write: true})
	user.GrantImpersonate(impersonationFunction(stack, "API"))
	return user
}

func TestImpersonationEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	impersonationEverything(stack)
	cdktest.Golden(t, stack)
}

func TestImpersonationIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	user := security.NewImpersonation(stack, "AsUser", impersonationProps())
	user.AddPermissionSet("read-own").GrantOwnItems(impersonationTable(stack, "Carts"), nil)
	cdktest.IsConstruct(t, user)
	if user.Broker() == nil || user.UserRole() == nil {
		t.Error("accessors return nil")
	}
}

func TestImpersonationRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { security.NewImpersonation(stack, "Nil", nil) }, "Test/Nil: wrong props", "Issuer", "Audience")
	p := impersonationProps()
	p.Issuer, p.JWKSURL = "http://id.example.com", "keys"
	p.Algorithms = []string{"ES256", "HS256"}
	p.Tenant, p.TenantClaim, p.Subjects = "a#b", "org", "escape"
	p.Providers = []string{schema.ProviderIAM, ""}
	p.Alarms.Errors.Periods = -1
	cdktest.Rejects(t, func() { security.NewImpersonation(stack, "Wrong", p) }, `Issuer is "http://id.example.com"`, `JWKSURL is "keys"`,
		`Algorithms is "HS256"`, "Tenant is set together with TenantClaim", `Tenant is "a#b"`, `Subjects is "escape"`, `Providers is ""`, "Alarms.Errors.Periods")
	p = impersonationProps()
	p.Providers = []string{}
	cdktest.Rejects(t, func() { security.NewImpersonation(stack, "Nobody", p) }, "Providers is empty")
	user := security.NewImpersonation(stack, "AsUser", impersonationProps())
	cdktest.Rejects(t, func() { user.AddPermissionSet("Read own") }, "Test/AsUser/AddPermissionSet", `name is "Read own"`)
	set := user.AddPermissionSet("read-own")
	cdktest.Rejects(t, func() { user.AddPermissionSet("read-own") }, "a name once")
	cdktest.Rejects(t, func() { set.GrantOwnItems(nil, nil) }, "Test/AsUser/GrantOwnItems", "table is nil")
	cdktest.Rejects(t, func() { set.GrantOwnObjects(nil, nil) }, "Test/AsUser/GrantOwnObjects", "bucket is nil")
	separated := impersonationProps()
	separated.Tenant = "a#b"
	cdktest.Rejects(t, func() { security.NewImpersonation(stack, "Separated", separated) }, `Tenant is "a#b"; allowed is a plain name; letters, digits`)
}

// What is known only at synth is reported at synth.
func TestImpersonationValidates(t *testing.T) {
	for want, change := range map[string]func(*security.Impersonation, awsdynamodb.ITable){
		"there is no permission set":                func(*security.Impersonation, awsdynamodb.ITable) {},
		`permission set "empty" is granted nothing`: func(u *security.Impersonation, _ awsdynamodb.ITable) { u.AddPermissionSet("empty") },
		`permission set "large": about: its session policy has`: func(u *security.Impersonation, table awsdynamodb.ITable) {
			impersonationFill(u.AddPermissionSet("large"), table, 8)
		},
		"all permission sets have about": func(u *security.Impersonation, table awsdynamodb.ITable) {
			for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
				impersonationFill(u.AddPermissionSet(name), table, 4)
			}
		},
	} {
		stack := cdktest.NewStack(t)
		change(security.NewImpersonation(stack, "AsUser", impersonationProps()), impersonationTable(stack, "Carts"))
		cdktest.Rejects(t, func() { cdktest.Synth(t, stack) }, want)
	}
}

func impersonationFill(s *security.PermissionSet, table awsdynamodb.ITable, n int) {
	for range n {
		s.GrantOwnItems(table, &security.ItemsProps{Write: true})
	}
}
