// Package cascade is what an automatic remediation runs under. It is the
// library of the functions behind eventsourcing.Cascade.
//
// A cascade is choreography: an alarm becomes an event and independent
// reactions pick it up. Nothing in the middle stops a reaction that feeds the
// alarm it reacts to, or one that an alarm calls a thousand times. [Guard] does,
// in the reaction itself:
//
//	alarm, err := cascade.ParseAlarm(event)
//	...
//	err = guard.Do(ctx, alarm.Cause(), cart, func(ctx context.Context) error {
//		_, err := log.Append(ctx, "offer/"+cart, eventlog.NoStream, eventlog.Of(OfferMade{Percent: 10}))
//		return err
//	})
//	if cascade.Refused(err) {
//		return nil // nothing to do, now or in a retry
//	}
//	return err
//
// # What it guards against
//
//   - A loop: the event was caused by this cascade, or stands at the end of more
//     automatic reactions than allowed. What the remedy appends to the event log
//     carries the cascade's name and one hop more, without the remedy's doing.
//   - Flapping: after a remedy its key is left alone for the cool-down.
//   - A storm: one window of time has room for so many remedies.
//   - Repetition: the same event is remedied once per key. If an attempt failed
//     or crashed, its retry gets through and costs no further budget.
//
// Windows are cut from the epoch on, so two budgets can be spent around the
// border of two windows. Budget and cool-down are spent when a remedy starts and
// are not given back when it fails: a remedy that fails halfway has acted.
//
// # Costs
//
// Starting a remedy is one transaction on three items, six write units; its end
// one more. All remedies of one window write to the same item, so that DynamoDB
// lets a few dozen start in a second, no more. Budgets are small numbers.
package cascade
