// Package eventlog appends events to an event store and reads them back. It is
// the side of eventsourcing.EventStore that runs in Lambda.
//
// An event is a fact, told by a Go value: its payload. A Registry says which Go
// type stands for which type of event, a Log appends and loads, an Aggregate
// folds a stream into a state and appends what the state allows. The package's
// example shows all three.
//
// # Streams and versions
//
// Events live in streams, one for each thing that has a history, such as a
// cart. A stream's events are numbered from 1 without gaps; the number is the
// event's version. Append names the version that it expects the stream to be
// at, and fails with a ConflictError when somebody else was faster: the
// optimistic concurrency control that EventStoreDB and others use. All events
// of one Append are recorded or none is, up to DynamoDB's limits of 100 items
// and 4 MB for a transaction.
//
// An event cannot be changed or deleted. The permission that
// EventStore.GrantAppend gives is dynamodb:PartiQLInsert, and an INSERT fails
// where an item exists.
//
// # Once, whatever happens
//
// An Append whose answer is lost can be tried again. Within one call the Log
// does so itself, with the request token that makes DynamoDB recognize the
// transaction for ten minutes. A later call that brings the same event ids
// finds them in the store and returns what was recorded then. Ids are the same
// in a handler that is invoked again when its context tells what it handles:
// see WithCommand and WithCause.
//
// # Personal data
//
// An event can name a subject: the person it tells about, by a pseudonym, as
// the name can never be erased. Fields tagged eventlog:"personal" are sealed by
// AES-256-GCM with a data key that belongs to the subject; KMS wraps that key.
// Forget destroys the key. From then on the fields are unreadable everywhere:
// in the table, in its backups, in the archive, in snapshots. Reading such an
// event is no error; its personal fields are zero and Event.Forgotten is true.
//
// What Forget cannot reach: a process that has the key in memory uses it until
// Options.KeyTTL is over, and a point-in-time backup of the table of keys can
// bring a key back until it expires. A sealed field shows the length of its
// content. Read models and logs hold what handlers wrote there; the tombstone
// that Forget appends tells projections to erase it.
//
// # Large payloads
//
// A payload over Options.InlineLimit goes to S3 before the event is recorded,
// and the event carries its key. The key holds the SHA-256 of the content,
// which is checked on reading. A crash between the two steps leaves an object
// that no event names; it costs storage and nothing else.
//
// # Retries
//
// Calls that are throttled, collide with another transaction, or fail on their
// way are tried up to ten times with exponential back-off and full jitter (see
// "Exponential Backoff And Jitter" in the AWS Architecture Blog), as long as
// the context's deadline leaves time. The clients' own retries are switched
// off, as two layers would multiply.
package eventlog
