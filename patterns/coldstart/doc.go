// Package coldstart holds patterns against cold starts: the time that an
// invocation waits because Lambda must start an environment for it first.
//
// [WarmFunction] is a function whose callers only ever reach a version that has
// been tried: each deployment publishes a version, may invoke it before it gets
// traffic ([PreWarm]), may shift the traffic to it little by little and back if
// an alarm goes off ([Canary], [Linear]), and deletes old versions. Its starts
// can be made rare in four ways, from dear and certain to cheap and likely:
//
//   - [ProvisionedConcurrency] keeps environments ready: a fixed number, one
//     that follows the day ([schedule.Schedule], computed by package planner),
//     one that follows the load, or both of these.
//   - SnapStart restores environments from a snapshot, for the runtimes that
//     Lambda knows how to.
//   - [KeepWarm] pings environments so that Lambda does not take them down; its
//     pings are answered by package warm and never reach the handler.
//   - PreWarm alone starts environments at a deployment, where all are new.
//
// Which one: see docs/coldstart.md, or let the planner print the prices.
//
//	coldstart.NewWarmFunction(stack, "Checkout", &coldstart.WarmFunctionProps{
//		Function:   &function.Props{Entry: "example.com/shop/functions/checkout"},
//		PreWarm:    &coldstart.PreWarm{Concurrency: 5},
//		Deployment: coldstart.Canary(10, 5*time.Minute),
//	})
//
// How a version comes to its callers:
//
//	caller ──▶ alias "live" ──▶ version 7 ──▶ environments ◀── provisioned · pinged · restored
//	deployment ──▶ version 8 ──▶ pre-warm ──▶ alias ──▶ prune versions ≤ 5
//	spill-over, under-use, slow starts ──▶ alarms ──▶ topic
package coldstart
