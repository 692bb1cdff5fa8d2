package defaults

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
)

// LogGroup makes a log group that outlives its stack. Retention defaults to
// three months, for the CDK's own default, two years, surprises on the bill.
func LogGroup(scope constructs.Construct, id string, retention awslogs.RetentionDays, key awskms.IKey) awslogs.LogGroup {
	if retention == "" {
		retention = awslogs.RetentionDays_THREE_MONTHS
	}
	p := &awslogs.LogGroupProps{Retention: retention, RemovalPolicy: awscdk.RemovalPolicy_RETAIN}
	if key != nil {
		p.EncryptionKey = key
	}
	return awslogs.NewLogGroup(scope, &id, p)
}
