// Package schedule says how many execution environments of a Lambda function
// are kept ready, and when.
//
// A schedule is a list of entries. Some come back every week and are written
// on the clock of a place, daylight saving included; some happen once:
//
//	s := schedule.Schedule{
//		schedule.Always(2),
//		schedule.Weekdays("Europe/Paris", 8, 20, 40),
//		schedule.Window(opens, closes, 400),
//	}
//
// The construct coldstart.ProvisionedConcurrency deploys it, and the package
// planner computes one from a traffic profile. This package imports neither the
// CDK nor the AWS SDK.
//
// # The rule for overlaps and gaps
//
// Where entries overlap, the largest wins; an entry never takes away what
// another one asks for, and their order means nothing. Where no entry applies,
// nothing is kept ready.
//
// # The rule for clock changes
//
// Weekly entries follow the wall clock: 8 is eight o'clock in Paris, in summer
// and in winter. A change that falls into an hour that the zone's clock skips
// in spring or repeats in autumn is moved out of it, so that never less is
// ready than asked for: an increase to the minute before that hour, a decrease
// to its end. Only the weekdays on which the zone changes its clock are
// affected, Sunday in Europe and America. The reason is that Application Auto
// Scaling does not say what it does with such an hour.
//
// All weekly entries of one schedule use the same zone. Two zones whose clocks
// change on different dates would swap the order of their actions twice a year,
// and each action overwrites the one before.
package schedule
