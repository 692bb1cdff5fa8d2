// Package warm answers the pings that keep a Lambda function warm, before they
// reach its handler:
//
//	func main() {
//		lambda.Start(warm.Middleware(lambda.NewHandler(handle)))
//	}
//
// The construct coldstart.KeepWarm sends the pings: as many at the same time as
// environments are to be kept. Each stays busy for the time that the ping asks
// for, so that the pings spread over environments instead of reaching the same
// one after the other, and then says whether it was cold.
//
// A ping costs the handler nothing; an event that is no ping costs a look at
// its length. Measured on the Runtime API, a ping without a hold is answered
// in well under a millisecond.
package warm
