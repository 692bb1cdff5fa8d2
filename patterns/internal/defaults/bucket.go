package defaults

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/internal/construct"
)

// Bucket makes a private, versioned bucket that takes TLS only and is retained
// when its stack is destroyed. Given a key, S3 encrypts with it through a
// bucket key, which makes one KMS call for many objects.
func Bucket(scope constructs.Construct, id string, user *awss3.BucketProps) awss3.Bucket {
	defaults := &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
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
	return awss3.NewBucket(scope, &id, construct.Layer(defaults, user, nil))
}
