package defaults

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
)

// Table makes a table that is on demand, can be restored to any second of the
// last 35 days, is protected against deletion, encrypted with the key, and
// retained when its stack is destroyed. What the pattern requires wins over
// what the user gave.
func Table(scope constructs.Construct, id string, key awskms.IKey, user, required *awsdynamodb.TablePropsV2) awsdynamodb.TableV2 {
	defaults := &awsdynamodb.TablePropsV2{
		Billing:            construct.Constant(scope, "on demand", func() awsdynamodb.Billing { return awsdynamodb.Billing_OnDemand(nil) }),
		DeletionProtection: jsii.Bool(true),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
		RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	}
	props := construct.Layer(defaults, user, required)
	encrypt := key != nil && props.Encryption == nil
	if encrypt && construct.Region(scope) != "" {
		encrypt = false
		props.Encryption = construct.Once(key, "encryption of tables", func() awsdynamodb.TableEncryptionV2 {
			return awsdynamodb.TableEncryptionV2_CustomerManagedKey(key, nil)
		})
	}
	table := awsdynamodb.NewTableV2(scope, &id, props)
	if !encrypt {
		return table
	}
	// The CDK's own encryption by a customer's key cannot be rendered in a stack
	// whose region is not known until it is deployed, though CloudFormation can.
	var cfn awsdynamodb.CfnGlobalTable
	jsii.UnsafeCast(table.Node().DefaultChild(), &cfn)
	cfn.AddOverride(jsii.String("Properties"), map[string]any{
		"SSESpecification": map[string]any{"SSEEnabled": true, "SSEType": "KMS"},
		"Replicas": map[string]any{"0": map[string]any{"SSESpecification": map[string]any{
			"KMSMasterKeyId": construct.KeyArn(key),
		}}},
	})
	return table
}
