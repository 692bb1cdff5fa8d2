// Package planner finds the cheapest schedule of provisioned concurrency that
// keeps cold starts below a bound.
//
// It takes the traffic of a week, how long an invocation runs and how long a
// start takes, and returns a schedule to deploy with the construct
// coldstart.ProvisionedConcurrency, beside what it would cost and do to
// provision nothing, a constant, or to let target tracking follow the traffic.
// It imports neither the CDK nor the AWS SDK.
//
// # Model
//
// Invocations of an hour arrive as a Poisson process. Lambda gives each to a
// provisioned environment if one is free, else to an idle environment on
// demand, the one used last, else to a new one: a cold start. An idle
// environment on demand expires after [Planner.KeepAlive].
//
// The share of invocations that find all c provisioned environments busy is
// Erlang's loss formula for a load of a = rate x duration, whatever the
// distribution of the duration: [ErlangB]. These pay the price on demand. The
// duration is that of a warm invocation, for a provisioned environment never
// starts cold.
//
// With the environment used last taken first, there are as many warm
// environments as invocations were ever in flight during the last KeepAlive. So
// the m-th environment, m > c, starts cold whenever m invocations are in flight
// for the first time in KeepAlive. The mean time from an ordinary moment until
// m are in flight is, for the birth-and-death process with load a,
//
//	T(m) = sum of P(at most i in flight) / (rate x ErlangB(i, a))  for i < m
//
// and because KeepAlive is long beside an invocation, the visits to m are
// nearly a Poisson process with one visit in T(m): the m-th environment starts
// cold exp(-KeepAlive/T(m))/T(m) times a second. Where the traffic or the
// concurrency changes from one hour to the next, the visits of the last
// KeepAlive are those of both hours, and an environment that was provisioned
// and no longer is has left none warm at its level.
//
// A cold start lengthens its invocation, and so adds to the load that makes
// cold starts. For each hour and concurrency their share is the one that makes
// itself, interpolated between seven shares from 0 to 1. It depends on the
// traffic alone: the bound decides which weeks are allowed, never what one of
// them costs, and a looser bound costs no more.
//
// The plan is the exact optimum of this model over all weeks of hourly steps.
// It includes that an environment provisioned is cheaper than one on demand
// when it is busy enough, at the prices of us-east-1 more than 60 % of the
// time, so that more may be provisioned than the bound asks for, up to any
// bound.
//
// # How good it is
//
// The tests play 200 random weeks, with constant, exponential, log-normal and
// sampled durations, invocation by invocation. Cold starts with nothing
// provisioned and the spill-over agree within 10 %. With something provisioned
// the model foretells at most 10 % fewer cold starts and at most twice as many:
// invocations on demand go on when provisioned environments become free, which
// keeps more environments warm than the model counts. The bound held in every
// hour. The search equals one through every possible week: its factor to the
// optimum is 1. In short weeks at random bounds and the prices of all regions,
// what a plan is said to cost is within 1 % of a reckoning that repeats until
// each hour's share of cold starts is the one it began with, and so is the
// plan to the cheapest week by that reckoning.
//
// # Limits
//
// An hour is steady: traffic that comes in bursts within it, or all on the full
// hour, needs its Arrivals multiplied by the ratio of the busiest minutes to the
// mean. Durations must be short beside an hour. The model does not know of
// throttling, of deployments, which replace all environments, nor of Lambda
// replacing environments on its own. KeepAlive is not documented by AWS.
//
// # Sources
//
//   - A. K. Erlang, 1917, and B. A. Sevast'yanov, 1957, for the loss formula and
//     its independence of the distribution.
//   - J. Keilson, "Markov Chain Models: Rarity and Exponentiality", 1979, for
//     mean passage times and the law of rare visits.
//   - N. Mahmoudi and H. Khazaei, "Performance Modeling of Serverless Computing
//     Platforms", IEEE Transactions on Cloud Computing, 2020, for Lambda as a
//     loss system whose servers expire, confirmed on Lambda itself.
//   - M. Shilkov, "AWS Lambda Cold Starts After 10 Minutes", 2019, for KeepAlive.
//   - Lambda Developer Guide, "Configuring provisioned concurrency".
package planner
