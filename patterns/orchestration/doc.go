// Package orchestration holds the patterns of durable workflows: a baseline for
// any Step Functions state machine, sagas that undo what they did when a later
// step fails, and work that is fanned out over the contents of a bucket.
//
//	workflow := orchestration.NewWorkflow(stack, "Orders", &orchestration.WorkflowProps{File: "orders.asl.json"})
//	workflow.GrantStart(api)
//
// Definitions are checked when they are given, by package asl, and users test
// what their workflows do with its interpreter.
package orchestration
