package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// A workflow that asks a person and gives up after a day.
var approval = asl.MustParse(`{
	"QueryLanguage": "JSONata",
	"StartAt": "Price",
	"States": {
		"Price": {
			"Type": "Task",
			"Resource": "arn:aws:states:::lambda:invoke",
			"Arguments": {"FunctionName": "pricing", "Payload": {"sku": "{% $states.input.sku %}"}},
			"Assign": {"price": "{% $states.result.Payload.price %}"},
			"Retry": [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 2, "MaxAttempts": 4}],
			"Next": "Expensive?"
		},
		"Expensive?": {
			"Type": "Choice",
			"Choices": [{"Condition": "{% $price > 1000 %}", "Next": "Approve"}],
			"Default": "Buy"
		},
		"Approve": {
			"Type": "Task",
			"Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
			"Arguments": {"QueueUrl": "approvals", "MessageBody": {"price": "{% $price %}", "token": "{% $states.context.Task.Token %}"}},
			"TimeoutSeconds": 86400,
			"Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Expired"}],
			"Next": "Buy"
		},
		"Buy": {"Type": "Pass", "Output": {"paid": "{% $price %}"}, "End": true},
		"Expired": {"Type": "Fail", "Error": "Approval.Expired", "Cause": "nobody answered in a day"}
	}
}`)

// The function behind the state Price, as it is deployed.
func price(_ context.Context, event struct{ SKU string }) (map[string]any, error) {
	return map[string]any{"price": 40 * len(event.SKU)}, nil
}

func ExampleInterpreter() {
	in := asl.Interpreter{Tasks: map[string]asl.Handler{
		"pricing": asl.Lambda(price),
	}}
	x, err := in.Run(context.Background(), approval, map[string]string{"sku": "chair"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(x)
	fmt.Println(x.Status(), x.Output())
	// Output:
	// Price -> Expensive? -> Buy
	// SUCCEEDED map[paid:200]
}

func ExampleScript() {
	throttled := asl.Throw("Lambda.TooManyRequestsException", "Rate exceeded")
	priced := asl.Return(map[string]any{"Payload": map[string]any{"price": 5000}})
	in := asl.Interpreter{Tasks: map[string]asl.Handler{
		"Price":   asl.Script(throttled, throttled, priced),
		"Approve": asl.Script(asl.Hang()),
	}}
	x, err := in.Run(context.Background(), approval, map[string]string{"sku": "yacht"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(x)
	fmt.Println("the price took", x.Visits("Price")[0].Exited.Sub(x.Visits("Price")[0].Entered))
	fmt.Println("the approval took", x.Visits("Approve")[0].Exited.Sub(x.Visits("Approve")[0].Entered))
	// Output:
	// Price -> Expensive? -> Approve -> Expired -> Approval.Expired
	// the price took 6s
	// the approval took 24h0m0s
}

func ExampleParse() {
	_, err := asl.Parse([]byte(`{
		"StartAt": "Load",
		"States": {
			"Load": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {}, "Next": "Sore"},
			"Store": {"Type": "Pass", "End": true}
		}
	}`))
	fmt.Println(err)
	// Output:
	// the state machine definition has 3 problems:
	// 	state "Load", field Arguments: is a JSONata field, but the state uses JSONPath: use Parameters
	// 	state "Load", field Next: names no state of the machine: "Sore"; do you mean Store?
	// 	state "Store": no state leads here: remove it, or name it in a Next, Default, Choices or Catch
}

// A program that cannot wait stores the execution and resumes it later.
func ExampleMachine_Resume() {
	start := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	x, err := approval.Start(map[string]string{"sku": "chair"}, asl.StartOptions{Name: "order-7", Time: start})
	if err != nil {
		fmt.Println(err)
		return
	}
	x.Advance(start)
	task := x.Tasks()[0]
	fmt.Println("calls", task.Resource, "for", task.State)

	stored, err := json.Marshal(x)
	if err != nil {
		fmt.Println(err)
		return
	}
	later, err := approval.Resume(stored)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := map[string]any{"Payload": map[string]any{"price": 200}}
	if err := later.SendTaskSuccess(task.Token, answer); err != nil {
		fmt.Println(err)
		return
	}
	later.Advance(start.Add(time.Minute))
	fmt.Println(later.Status(), later.Output())
	// Output:
	// calls arn:aws:states:::lambda:invoke for Price
	// SUCCEEDED map[paid:200]
}
