// Package function holds the one Lambda building block that every pattern of
// this module uses.
//
// A [Function] is a Lambda function with all that production asks for: arm64,
// structured logs in a log group of its own, X-Ray, a role that may do nothing
// but log and trace until something is granted, a dead-letter queue for
// asynchronous invocations that failed, and alarms. Its code is a Go main
// package, built without Docker when the app is synthesized, or code for any
// other runtime.
//
//	checkout := function.NewFunction(stack, "Checkout", &function.Props{
//		Entry:  "example.com/shop/functions/checkout",
//		Alarms: function.Alarms{Topic: onCall},
//	})
//
// What it makes, and where what fails goes:
//
//	   caller ──▶ alias (optional) ──▶ function ──▶ log group
//	                                      │  ╲──▶ X-Ray
//	failed asynchronous events ──▶ dead-letter queue ──▶ alarm ──▶ topic
//	      errors, throttles, duration near the time-out ──▶ alarms ──▶ topic
package function
