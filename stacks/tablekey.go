package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
)

// useTableKey lets a function use the key of a table, through DynamoDB only. The
// table's own grants would let it use the key for anything.
func useTableKey(f awsiam.IGrantable, key awskms.IKey) {
	defaults.Grant(f, defaults.UseKey.To(construct.KeyArn(key)).If(defaults.Through("dynamodb")))
}
