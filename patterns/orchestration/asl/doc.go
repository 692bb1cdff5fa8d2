// Package asl is the Amazon States Language in Go: a checker that finds the
// mistakes in a workflow's definition before it is deployed, and an
// interpreter that runs the workflow, in a test or in a program.
//
// # Testing a workflow
//
// Bind the tasks to Go functions or to scripted results and run the definition
// as it will be deployed. Waits and time-outs take no time: unless told
// otherwise, the interpreter's clock jumps to whatever happens next.
//
//	func TestOrderIsRefundedWhenShippingFails(t *testing.T) {
//		in := asl.Interpreter{Tasks: map[string]asl.Handler{
//			"Charge": asl.Script(asl.Return(map[string]any{"payment": "p-1"})),
//			"Ship":   asl.Script(asl.Throw("Carrier.Closed", "holiday")),
//			"Refund": asl.Lambda(payments.Refund), // the function's own handler
//		}}
//		x, err := in.Run(t.Context(), machine, order)
//		if err != nil {
//			t.Fatal(err)
//		}
//		if got, want := x.String(), "Charge -> Ship -> Refund -> Cancelled -> Order.Cancelled"; got != want {
//			t.Errorf("the order went %s, want %s", got, want)
//		}
//	}
//
// A Result says when a task ends, too: Return(v).After(time.Hour) answers an
// hour later, Hang never does, and TimeoutSeconds, HeartbeatSeconds and the
// back-off of Retry act as in the service.
//
// # Checking a definition
//
// Parse refuses a definition that Step Functions would refuse, and one that
// cannot work: states that nothing leads to or that lead nowhere, fields of the
// other query language, paths and expressions with wrong syntax, variables that
// no state assigns before they are read, retriers and catchers that can never
// apply, names used twice, values out of range. Its error, Problems, names
// state and field of each mistake.
//
// # Driving an execution step by step
//
// An Execution does no work itself. Advance carries it on until it waits; Tasks
// and Wake say what for; SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat
// bring the answers. Between two steps it can be marshaled to JSON and resumed
// in another process, which is how a conductor that must not run while it waits
// uses it.
//
// # What is and is not interpreted
//
// All types of states, both query languages, variables, Retry and Catch, task
// tokens, heartbeats and time-outs, inline and distributed Map states with item
// readers, batches, tolerated failures and result writers, and redrive. JSONata
// is version 2.0.6, the one that Step Functions runs, with the functions that
// Step Functions adds; see the package jsonata inside. Paths follow Jayway
// JsonPath, which the specification names.
//
// The limits of the service hold as well: 256 KiB for the input and output of a
// state, 25,000 events for an execution. A JSONata expression has five seconds
// of real time, where the service gives it one, and no limit of memory.
// Numbers are IEEE 754 doubles, so that integers beyond 2^53 lose digits.
// Random numbers and UUIDs are drawn from the execution's name and are the same
// in each run; nothing secret should depend on them.
//
// Sources: the Amazon States Language specification (states-language.net) and
// the AWS Step Functions Developer Guide.
package asl
