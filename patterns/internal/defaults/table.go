package defaults

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/internal/construct"
)

// Table makes a table that is on demand, can be restored to any second of the
// last 35 days, is protected against deletion, encrypted with the key, and
// retained when its stack is destroyed. What the pattern requires wins over
// what the user gave.
func Table(scope constructs.Construct, id string, key awskms.IKey, user, required *awsdynamodb.TablePropsV2) awsdynamodb.TableV2 {
	defaults := &awsdynamodb.TablePropsV2{
		Billing:            awsdynamodb.Billing_OnDemand(nil),
		DeletionProtection: jsii.Bool(true),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
		RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	}
	props := construct.Layer(defaults, user, required)
	table := awsdynamodb.NewTableV2(scope, &id, props)
	if key == nil || props.Encryption != nil {
		return table
	}
	// TableEncryptionV2_CustomerManagedKey cannot render a stack whose region
	// is not known until it is deployed, though CloudFormation can.
	var cfn awsdynamodb.CfnGlobalTable
	jsii.UnsafeCast(table.Node().DefaultChild(), &cfn)
	cfn.AddPropertyOverride(jsii.String("SSESpecification"), map[string]any{"SSEEnabled": true, "SSEType": "KMS"})
	cfn.AddPropertyOverride(jsii.String("Replicas.0.SSESpecification.KMSMasterKeyId"), key.KeyArn())
	return table
}
