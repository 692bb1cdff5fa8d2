package orchestration_test

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/test/alarmtest"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestAlarms(t *testing.T) {
	stack := cdktest.NewStack(t, alarmtest.Paths())
	fn := function.NewFunction(stack, "Given", &function.Props{Entry: "example.com/shop/given"}) // with alarms, which are the user's
	none := orchestration.WorkflowAlarms{Off: true}
	pipeline := pipelineProps(stack)
	bucket := awss3.NewBucket(stack, jsii.String("Bucket"), nil)
	steps := []orchestration.Step{step(fn, "Hotel"), step(fn, "Flight")}
	arn := fn.Target().FunctionArn()
	alarmtest.Check(t, stack,
		orchestration.NewWorkflow(stack, "Greeting", &orchestration.WorkflowProps{Definition: greeting(arn), Allow: invoke(arn)}),
		orchestration.NewWorkflow(stack, "QuietGreeting", &orchestration.WorkflowProps{Definition: greeting(arn), Allow: invoke(arn),
			Alarms: orchestration.WorkflowAlarms{Failed: alarm.Tuning{Off: true}}}),
		orchestration.NewSaga(stack, "Trip", &orchestration.SagaProps{Steps: steps}),
		orchestration.NewSaga(stack, "QuietTrip", &orchestration.SagaProps{Steps: steps,
			Alarms: orchestration.SagaAlarms{DeadLetters: alarm.Tuning{Off: true}}, Workflow: orchestration.WorkflowProps{Alarms: none}}),
		orchestration.NewFanOut(stack, "Fan", &orchestration.FanOutProps{Maps: []orchestration.DistributedMap{{
			Label: "Orders", Function: fn, Items: orchestration.Items{Bucket: bucket, Key: "orders.json", Format: orchestration.FormatJSON}}}}),
		orchestration.NewTrainingPipeline(stack, "Pipeline", pipeline),
		orchestration.NewGraphLoad(stack, "Insights", insights(pipeline.Table.Lake())),
	)
}
