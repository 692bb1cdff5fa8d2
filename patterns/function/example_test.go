package function_test

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/function"
)

func ExampleNewFunction() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)
	onCall := awssns.NewTopic(stack, jsii.String("OnCall"), nil)
	invoices := awss3.NewBucket(stack, jsii.String("Invoices"), nil)

	bill := function.NewFunction(stack, "Bill", &function.Props{
		Entry:   "example.com/shop/functions/bill",
		Timeout: time.Minute,
		Alarms: function.Alarms{
			Topic:  onCall,
			Errors: alarm.Tuning{Threshold: jsii.Number(5), Period: 5 * time.Minute},
		},
	})
	invoices.GrantPut(bill, nil)
}

func ExampleAdopt() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Shop"), nil)

	legacy := function.Adopt(stack, "Legacy", awslambda.Function_FromFunctionAttributes(stack, jsii.String("Imported"),
		&awslambda.FunctionAttributes{
			FunctionArn:     jsii.String("arn:aws:lambda:eu-west-1:123456789012:function:legacy"),
			SameEnvironment: jsii.Bool(true),
		}))
	legacy.GrantInvoke(function.NewFunction(stack, "Caller", &function.Props{Entry: "example.com/shop/functions/caller"}))
}
