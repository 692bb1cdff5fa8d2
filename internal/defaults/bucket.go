package defaults

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
)

// Bucket makes a private, versioned bucket that takes TLS only and is retained
// when its stack is destroyed. Given a key, S3 encrypts with it through a
// bucket key, which makes one KMS call for many objects.
func Bucket(scope constructs.Construct, id string, user *awss3.BucketProps) awss3.Bucket {
	defaults := &awss3.BucketProps{
		BlockPublicAccess: construct.Constant(scope, "BLOCK_ALL", awss3.BlockPublicAccess_BLOCK_ALL),
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
		Versioned:         jsii.Bool(true),
	}
	if user.EncryptionKey != nil {
		defaults.Encryption = awss3.BucketEncryption_KMS
		defaults.BucketKeyEnabled = jsii.Bool(true)
	}
	made := awss3.NewBucket(scope, &id, construct.Layer(defaults, user, nil))
	if user.EncryptionKey != nil || user.Encryption == "" {
		construct.KnowEncryptionKey(made, user.EncryptionKey)
	}
	return made
}

const day = 24 * time.Hour

// Tidy returns the rule that removes what nobody asks for anymore: uploads that
// were not finished, and versions that were replaced or deleted.
func Tidy(scope constructs.Construct) *awss3.LifecycleRule {
	return &awss3.LifecycleRule{
		Id:                                  jsii.String("Tidy"),
		AbortIncompleteMultipartUploadAfter: construct.SharedDuration(scope, 7*day),
		NoncurrentVersionExpiration:         construct.SharedDuration(scope, 30*day),
	}
}

// Aging returns the rules of a bucket whose objects expire after the retention,
// 0 for never, and below the prefix move to Glacier Instant Retrieval before,
// after 90 days unless told otherwise.
func Aging(scope constructs.Construct, prefix string, coldAfter, retention time.Duration) *[]*awss3.LifecycleRule {
	tidy := Tidy(scope)
	rules := []*awss3.LifecycleRule{tidy}
	if retention > 0 {
		tidy.Expiration = construct.SharedDuration(scope, retention)
	}
	if cold := construct.Or(coldAfter, 90*day); retention == 0 || cold < retention {
		rules = append(rules, &awss3.LifecycleRule{
			Id:     jsii.String("Cold"),
			Prefix: &prefix,
			Transitions: &[]*awss3.Transition{{
				StorageClass:    construct.Constant(scope, "GLACIER_INSTANT_RETRIEVAL", awss3.StorageClass_GLACIER_INSTANT_RETRIEVAL),
				TransitionAfter: construct.SharedDuration(scope, cold),
			}},
		})
	}
	return &rules
}
