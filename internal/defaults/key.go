package defaults

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Key makes a customer-managed key that rotates every year and is retained
// when its stack is destroyed: without it nothing it encrypted can be read.
//
// The statements stand in the key's policy after the CDK's own, which lets the
// account's policies allow the use of the key.
func Key(scope constructs.Construct, id, description string, statements ...Statement) awskms.Key {
	p := keyProps(description)
	if len(statements) > 0 {
		p.Policy = Document(append([]Statement{{
			"Effect":    "Allow",
			"Principal": map[string]any{"AWS": Text(scope, "arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
			"Action":    "kms:*",
			"Resource":  "*", // of a key's policy: this key
		}}, statements...)...)
	}
	return awskms.NewKey(scope, &id, p)
}

// AliasedKey is [Key] with an alias, "alias/...".
func AliasedKey(scope constructs.Construct, id, description, alias string) awskms.Key {
	p := keyProps(description)
	p.Alias = &alias
	return awskms.NewKey(scope, &id, p)
}

func keyProps(description string) *awskms.KeyProps {
	return &awskms.KeyProps{Description: &description, EnableKeyRotation: jsii.Bool(true), RemovalPolicy: awscdk.RemovalPolicy_RETAIN}
}
