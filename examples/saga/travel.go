package main

import (
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
)

// NewTravel makes an agency that books a hotel and a flight, or neither.
func NewTravel(scope constructs.Construct, id string) awscdk.Stack {
	stack := awscdk.NewStack(scope, &id, nil)
	bookings := awsdynamodb.NewTableV2(stack, jsii.String("Bookings"), &awsdynamodb.TablePropsV2{
		PartitionKey: &awsdynamodb.Attribute{Name: jsii.String("booking"), Type: awsdynamodb.AttributeType_STRING},
	})
	book := func(name string) orchestration.Step {
		desk := function.NewFunction(stack, name, &function.Props{
			Entry:       "example.com/travel/functions/" + strings.ToLower(name),
			Environment: map[string]string{"TABLE": *bookings.TableName()},
			Timeout:     10 * time.Second,
		})
		bookings.Grant(desk, jsii.String("dynamodb:PutItem"))
		return orchestration.Step{
			Name:         name,
			Action:       &orchestration.Action{Function: desk},
			Compensation: &orchestration.Action{Function: desk}, // the same function, asked to undo
			UndoFailed:   true,                                  // a booking that timed out may have been made
		}
	}
	orchestration.NewSaga(stack, "Trip", &orchestration.SagaProps{
		Steps: []orchestration.Step{book("Hotel"), book("Flight")},
	})
	return stack
}
