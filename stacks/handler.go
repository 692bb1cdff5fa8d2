package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/serverless-go/cdk/patterns/function"
)

// handler says which of our handlers a function runs, and who is told of its
// alarms.
func handler(name, description string, alarms awssns.ITopic, p function.Props) *function.Props {
	p.Entry = "github.com/serverless-go/cdk/functions/" + name
	p.Description = description
	p.Alarms.Topic = alarms
	return &p
}
