package security

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// signingKeys are the ARNs of keys that sign tokens: the one that does, and all
// whose public keys are published.
type signingKeys struct {
	own *string
	all []*string
}

// newSigningKeys makes the keys of a generation: the previous one, its own and
// the next. Verifiers know the next before it signs, and the previous until
// what it signed has expired. They are retained: without its public key nothing
// that a key signed can be checked.
func newSigningKeys(scope constructs.Construct, generation int, description string, signer, publisher awsiam.IRole) signingKeys {
	var keys signingKeys
	policy := signingKeyPolicy(signer, publisher)
	for n := max(generation-1, 1); n <= generation+1; n++ {
		key := awskms.NewCfnKey(scope, jsii.String("SigningKey"+strconv.Itoa(n)), &awskms.CfnKeyProps{
			Description: jsii.String(fmt.Sprintf("%s, generation %d", description, n)),
			KeySpec:     jsii.String("ECC_NIST_P256"), KeyUsage: jsii.String("SIGN_VERIFY"),
			PendingWindowInDays: jsii.Number(30), KeyPolicy: policy,
		})
		key.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
		arn := key.AttrArn()
		keys.all = append(keys.all, arn)
		if n == generation {
			keys.own = arn
		}
	}
	return keys
}

// signingKeyPolicy lets one role sign, and nobody else: the account's
// administrators look after the key and can neither use it nor hand its use on.
func signingKeyPolicy(signer, publisher awsiam.IRole) map[string]any {
	return map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{
			map[string]any{"Sid": "Sign", "Effect": "Allow", "Resource": "*", "Action": "kms:Sign",
				"Principal": map[string]any{"AWS": construct.RoleArn(signer)}, "Condition": signsTokens()},
			map[string]any{"Sid": "Publish", "Effect": "Allow", "Resource": "*", "Action": "kms:GetPublicKey",
				"Principal": map[string]any{"AWS": []any{construct.RoleArn(signer), construct.RoleArn(publisher)}}},
			map[string]any{"Sid": "Administer", "Effect": "Allow", "Resource": "*",
				"Principal": map[string]any{"AWS": defaults.Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
				"Action": []string{"kms:CancelKeyDeletion", "kms:DescribeKey", "kms:DisableKey", "kms:EnableKey", "kms:GetKeyPolicy", "kms:GetPublicKey",
					"kms:ListGrants", "kms:ListKeyPolicies", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:RevokeGrant", "kms:ScheduleKeyDeletion",
					"kms:TagResource", "kms:UntagResource", "kms:UpdateKeyDescription"}},
		},
	}
}

// signsTokens is the condition that a digest is signed as ES256 has it.
func signsTokens() map[string]any {
	return map[string]any{"StringEquals": map[string]any{"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}}
}

// adoptSigningKeys grants the use of the user's keys, of which the first signs.
func adoptSigningKeys(keys []awskms.IKey, signer, publisher awsiam.IGrantable) signingKeys {
	var adopted signingKeys
	for _, key := range keys {
		adopted.all = append(adopted.all, construct.KeyArn(key))
	}
	adopted.own = adopted.all[0]
	publish := defaults.Actions{"kms:GetPublicKey"}.To(adopted.all...)
	defaults.Grant(signer, defaults.Actions{"kms:Sign"}.To(adopted.own).If(signsTokens()), publish)
	defaults.Grant(publisher, publish)
	return adopted
}

// arns returns the ARNs of the keys that are published.
func (k signingKeys) arns() []string {
	var arns []string
	for _, arn := range k.all {
		arns = append(arns, *arn)
	}
	return arns
}

// keysOf returns where an issuer publishes its keys.
func keysOf(issuer string) string { return strings.TrimSuffix(issuer, "/") + schema.JWKSPath }

// seconds returns whole seconds, 0 for the default.
func seconds(d time.Duration) int { return int(d / time.Second) }
