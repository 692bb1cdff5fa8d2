// Package eventsourcing holds the patterns of event sourcing: an append-only
// event store whose immutability IAM enforces, an outbox that loses nothing,
// projections that can be rebuilt while they are read, reactions, a long-term
// archive, and anomalies that become events themselves.
//
//	store := eventsourcing.NewEventStore(stack, "Carts", nil)
//	store.GrantAppend(checkout)
//	store.AddProjection("Totals", &eventsourcing.ProjectionProps{Function: totals})
//	store.AddReaction("Receipt", &eventsourcing.ReactionProps{
//		Events:   []string{"CartCheckedOut"},
//		Function: receipts,
//	})
//
// The whole pattern, with what happens to an event that cannot go on:
//
//	append ──▶ event table ──▶ outbox (pipe) ──▶ bus ──▶ rules ──▶ reactions
//	(insert       │   stream      │ DLQ          │ ╲        │ DLQ each
//	  only)       │               │              │  ╲──▶ queue ──▶ projection ──▶ read model
//	              │               │              │        │ DLQ      (unordered)
//	              │               │              ├──▶ archive for replay
//	              │               │              └──▶ Firehose ──▶ Parquet in S3 ──▶ Athena
//	              └──▶ pipe ──▶ FIFO queue ──▶ projection ──▶ read model
//	                    │ DLQ      │ DLQ       (ordered by stream)
//
// The code that runs in Lambda beside these constructs is in the packages
// eventlog (append and load), projection (read models and their rebuild) and
// cascade (guards of automatic remedies). None of them imports the CDK.
package eventsourcing
