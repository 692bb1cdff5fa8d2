package defaults

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
)

// Alarms returns those of the alarms that were made, in a new list: one that
// is tuned Off is nil.
func Alarms(all ...awscloudwatch.CfnAlarm) []awscloudwatch.CfnAlarm {
	return slices.DeleteFunc(slices.Clone(all), func(a awscloudwatch.CfnAlarm) bool { return a == nil })
}
