// Package orchestration holds the patterns of durable workflows: a baseline for
// any Step Functions state machine, sagas that undo what they did when a later
// step fails, and work that is fanned out over the contents of a bucket.
//
//	workflow := orchestration.NewWorkflow(stack, "Orders", &orchestration.WorkflowProps{File: "orders.asl.json"})
//	workflow.GrantStart(api)
//
// What runs, and what happens when it fails:
//
//	caller ──▶ alias ──▶ state machine ──▶ functions, services
//	                      │ failed, timed out, throttled ──▶ alarms ──▶ topic, and the alias moves back
//	saga:    A ──▶ B ──▶ C fails ──▶ undo B ──▶ undo A ──▶ Saga.Compensated
//	                                   │ fails ──▶ dead-letter queue ──▶ redrive goes on here
//	fan-out: S3 ──▶ distributed map ──▶ children ──▶ function, results ──▶ S3
//
// Definitions are checked when they are given, by package asl, and users test
// what their workflows do with its interpreter.
package orchestration
