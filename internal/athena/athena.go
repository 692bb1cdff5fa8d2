// Package athena makes what every construct needs whose data Athena queries. It
// stands beside package defaults, so that other constructs do not compile
// Athena.
package athena

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsathena"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
)

const day = 24 * time.Hour

// Results returns the props of a bucket for the results of queries, which
// expire, after a week unless told otherwise. Without a key S3 encrypts with
// its own.
func Results(scope constructs.Construct, key awskms.IKey, retention time.Duration) *awss3.BucketProps {
	return &awss3.BucketProps{
		EncryptionKey: key,
		Versioned:     jsii.Bool(false), // a result can be had again
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Id:                                  jsii.String("Expire"),
			Expiration:                          construct.SharedDuration(scope, construct.Or(retention, 7*day)),
			AbortIncompleteMultipartUploadAfter: construct.SharedDuration(scope, day),
		}},
	}
}

// WorkGroup makes a work group whose queries write below a prefix of a bucket,
// encrypted with its key if it has one, and read so many MB at the most each.
// It returns its name, too.
func WorkGroup(scope constructs.Construct, description string, results awss3.IBucket, prefix string, key awskms.IKey, megabytes int) (string, awsathena.CfnWorkGroup) {
	encryption := &awsathena.CfnWorkGroup_EncryptionConfigurationProperty{EncryptionOption: jsii.String("SSE_S3")}
	if key != nil {
		encryption.EncryptionOption, encryption.KmsKey = jsii.String("SSE_KMS"), construct.KeyArn(key)
	}
	// CloudFormation makes no names for work groups.
	name := *awscdk.Names_UniqueResourceName(scope, &awscdk.UniqueResourceNameOptions{MaxLength: jsii.Number(128)})
	return name, awsathena.NewCfnWorkGroup(scope, jsii.String("WorkGroup"), &awsathena.CfnWorkGroupProps{
		Name:                  &name,
		Description:           &description,
		RecursiveDeleteOption: jsii.Bool(true), // or the history of queries keeps the stack from being destroyed
		WorkGroupConfiguration: &awsathena.CfnWorkGroup_WorkGroupConfigurationProperty{
			BytesScannedCutoffPerQuery:      jsii.Number(megabytes * 1_000_000),
			EnforceWorkGroupConfiguration:   jsii.Bool(true),
			EngineVersion:                   &awsathena.CfnWorkGroup_EngineVersionProperty{SelectedEngineVersion: jsii.String("Athena engine version 3")},
			PublishCloudWatchMetricsEnabled: jsii.Bool(true),
			ResultConfiguration: &awsathena.CfnWorkGroup_ResultConfigurationProperty{
				OutputLocation:          jsii.String("s3://" + *construct.BucketName(results) + "/" + prefix),
				EncryptionConfiguration: encryption,
			},
		},
	})
}

// ToQuery returns the statement to query the account's own data catalog in the
// work group of that name.
func ToQuery(scope constructs.Construct, name string) defaults.Statement {
	arn := func(resource string) *string {
		return defaults.Text(scope, "arn:${AWS::Partition}:athena:${AWS::Region}:${AWS::AccountId}:"+resource)
	}
	return defaults.Actions{"athena:BatchGetQueryExecution", "athena:GetDataCatalog", "athena:GetQueryExecution", "athena:GetQueryResults",
		"athena:GetQueryResultsStream", "athena:GetWorkGroup", "athena:ListQueryExecutions", "athena:StartQueryExecution",
		"athena:StopQueryExecution"}.
		To(arn("datacatalog/AwsDataCatalog"), arn("workgroup/"+name))
}

// DefaultDatabase returns the ARN of the database "default", for which Athena
// asks with every query
// (https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html).
func DefaultDatabase(scope constructs.Construct) *string {
	return defaults.Text(scope, "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:database/default")
}

// ToUseResults returns the statements to read and write the results below the
// prefix, keys and the bucket's location aside.
func ToUseResults(results awss3.IBucket, prefix string) []defaults.Statement {
	return []defaults.Statement{
		defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(results)).If(defaults.ListBelow(prefix)),
		defaults.Actions{"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"}.
			To(construct.Objects(results, prefix+"*")),
	}
}
