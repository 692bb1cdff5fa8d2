package edge_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

const claimsEntry = "github.com/serverless-go/cdk/functions/localalertack"

func TestClaimsDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	c := edge.NewClaims(stack, "Claims", nil)
	c.GrantClaim(function.NewFunction(stack, "Consumer", &function.Props{Entry: claimsEntry, Alarms: function.Alarms{Off: true}}))
	cdktest.Golden(t, stack)
}

func TestClaimsAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	key := awskms.NewKey(stack, jsii.String("Mine"), nil)
	c := edge.NewClaims(stack, "Claims", &edge.ClaimsProps{ArchiveRetention: 400 * 24 * time.Hour, EncryptionKey: key,
		TableProps: &awsdynamodb.TablePropsV2{DeletionProtection: jsii.Bool(false), TimeToLiveAttribute: jsii.String("mine")}})
	c.GrantClaim(function.NewFunction(stack, "Consumer", &function.Props{Entry: claimsEntry, Environment: c.Environment(),
		Alarms: function.Alarms{Off: true}}))
	template := cdktest.Synth(t, stack)
	template.Count(t, "AWS::KMS::Key", 1)
	template.Has(t, "AWS::DynamoDB::GlobalTable", cdktest.Match{
		"TimeToLiveSpecification": cdktest.Match{"AttributeName": "ttl", "Enabled": true},
		"Replicas":                cdktest.Contains(cdktest.Match{"DeletionProtectionEnabled": false})})
	template.Has(t, "AWS::Lambda::Function", cdktest.Match{"Environment": cdktest.Match{"Variables": cdktest.Match{
		"CLAIMS_ARCHIVE_DAYS": "400", "CLAIMS_TABLE": cdktest.Any()}}})
}

// The region of the stack, known or not, changes nothing about the key.
func TestClaimsEncryption(t *testing.T) {
	encryption := func(stack awscdk.Stack) any {
		edge.NewClaims(stack, "Claims", nil)
		table := cdktest.Synth(t, stack).One(t, "AWS::DynamoDB::GlobalTable", cdktest.Match{}).Properties
		return []any{table["SSESpecification"], table["Replicas"].([]any)[0].(map[string]any)["SSESpecification"]}
	}
	unknown, known := encryption(cdktest.NewStack(t)), encryption(regionalStack(t, "eu-west-1"))
	if !strings.Contains(fmt.Sprint(unknown), "KMSMasterKeyId:map[Fn::GetAtt:[ClaimsKey") {
		t.Errorf("encryption is %v, want the key's", unknown)
	}
	if !reflect.DeepEqual(known, unknown) {
		t.Errorf("encryption is %v in a known region, %v otherwise", known, unknown)
	}
}

// A consumer can do what ingest.DynamoDBClaims does, and cannot forget events,
// whoever made the table and its key.
func TestClaimsPermissions(t *testing.T) {
	const theirs, theirKey = "arn:aws:dynamodb:eu-west-1:123456789012:table/marks", "arn:aws:kms:eu-west-1:123456789012:key/t"
	adopt := func(stack awscdk.Stack, key awskms.IKey) *edge.ClaimsProps {
		return &edge.ClaimsProps{Table: awsdynamodb.TableV2_FromTableAttributes(stack, jsii.String("Marks"),
			&awsdynamodb.TableAttributesV2{TableArn: jsii.String(theirs), EncryptionKey: key})}
	}
	for name, tt := range map[string]struct {
		props      func(awscdk.Stack) *edge.ClaimsProps
		table, key string
	}{
		"a new table": {props: func(awscdk.Stack) *edge.ClaimsProps { return nil }},
		"a table under its own key": {func(stack awscdk.Stack) *edge.ClaimsProps {
			return adopt(stack, awskms.Key_FromKeyArn(stack, jsii.String("Key"), jsii.String(theirKey)))
		}, theirs, theirKey},
		"a table under AWS's key": {func(stack awscdk.Stack) *edge.ClaimsProps { return adopt(stack, nil) }, theirs, ""},
	} {
		stack := cdktest.NewStack(t)
		edge.NewClaims(stack, "Claims", tt.props(stack)).
			GrantClaim(function.NewFunction(stack, "Consumer", &function.Props{Entry: claimsEntry, Alarms: function.Alarms{Off: true}}))
		template := iam.NewSynthesized(t, cdktest.Synth(t, stack), "123456789012", "eu-west-1")
		role, table, key := template.Role("ConsumerRole"), tt.table, tt.key
		if table == "" {
			table, key = template.Find("AWS::DynamoDB::GlobalTable", "Claims"), template.Find("AWS::KMS::Key", "Claims")
		}
		for _, ask := range []struct {
			action, resource, via string
			want                  bool
		}{
			{"dynamodb:UpdateItem", table, "", true},
			{"dynamodb:DeleteItem", table, "", false},
			{"dynamodb:GetItem", table, "", false},
			{"dynamodb:UpdateItem", table + "2", "", false},
			{"kms:Decrypt", key, "dynamodb.eu-west-1.amazonaws.com", key != ""},
			{"kms:Decrypt", key, "", false},
			{"kms:Decrypt", key, "s3.eu-west-1.amazonaws.com", false},
		} {
			context := iam.Context{}
			if ask.via != "" {
				context["kms:ViaService"] = []string{ask.via}
			}
			decision := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: role.ARN},
				Action: ask.action, Resource: ask.resource, Context: context}, iam.Policies{Identity: role.Policies})
			if decision.Allowed != ask.want {
				t.Errorf("%s: %s on %s via %q: allowed %t", name, ask.action, ask.resource, ask.via, decision.Allowed)
			}
		}
	}
}

func TestClaimsIsConstruct(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	cdktest.IsConstruct(t, edge.NewClaims(stack, "Claims", nil))
}

func TestClaimsRejects(t *testing.T) {
	cdktest.Rejects(t, func() { edge.NewClaims(cdktest.NewStack(t), "Claims", &edge.ClaimsProps{ArchiveRetention: time.Hour}) },
		"Test/Claims: wrong props", "ArchiveRetention", "whole days")
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() {
		edge.NewClaims(stack, "Claims", &edge.ClaimsProps{TableProps: &awsdynamodb.TablePropsV2{}, EncryptionKey: awskms.NewKey(stack, jsii.String("Key"), nil),
			Table: awsdynamodb.TableV2_FromTableName(stack, jsii.String("Marks"), jsii.String("marks"))})
	}, "TableProps is set together with Table", "EncryptionKey is set together with Table")
}

func ExampleNewClaims() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Health"), nil)
	claims := edge.NewClaims(stack, "Claims", &edge.ClaimsProps{ArchiveRetention: 30 * 24 * time.Hour})
	claims.GrantClaim(function.NewFunction(stack, "Readings", &function.Props{Entry: "./functions/readings"}))
}
