// Package schema holds the names that the event-sourcing constructs and the
// code running in Lambda must agree on: attributes of the tables, environment
// variables, the shape of an event on the bus, and the requests of a rebuild.
//
// It imports the standard library only, so that both sides can import it: a
// handler without pulling in the CDK, a construct without the AWS SDK.
package schema

import (
	"fmt"
	"hash/fnv"
	"strconv"
)

// Attributes of an event in the event store's table. Every event carries every
// attribute of the envelope, empty where it has no value: the outbox's input
// template names them all, and a path that is missing would spoil its output.
const (
	// Stream is the partition key: the stream the event belongs to.
	Stream = "stream"
	// Version is the sort key: 1 for a stream's first event, without gaps.
	Version = "version"
	// Position is "stream#version", the event's name in FIFO deduplication.
	Position = "position"
	// ID is the event's own id, unique across streams.
	ID = "id"
	// Type is the event's type, such as "CartOpened".
	Type = "type"
	// TypeVersion is the version of the type's payload, 1 or more.
	TypeVersion = "typeVersion"
	// Time is when the event was recorded, in RFC 3339 with nanoseconds, UTC.
	Time = "time"
	// Causation is the id of the event or command that caused this one.
	Causation = "causation"
	// Correlation is the id shared by all events of one business transaction.
	Correlation = "correlation"
	// Hops counts the events between this one and the outside world: 0 for an
	// event caused by a person, one more for each automatic reaction.
	Hops = "hops"
	// Origin names the reaction that appended the event, empty for a command.
	Origin = "origin"
	// Subject is the person whose key seals the event's personal fields.
	Subject = "subject"
	// Data is the payload, JSON in bytes; empty when Ref is set.
	Data = "data"
	// Ref is the key of the payload's S3 object; empty when Data is set.
	Ref = "ref"

	// Shard and Opened stand on a stream's first event only. They key
	// StreamIndex, which therefore lists streams and not events.
	Shard = "shard"
	// Opened is the time of a stream's first event and its id, sortable.
	Opened = "opened"
)

// StreamIndex is the sparse global index that lists the streams, one entry
// each, by Shard and Opened.
const StreamIndex = "streams"

// Shards is the number of partitions of StreamIndex. It bounds how fast new
// streams can be opened (1,000 a second and shard, DynamoDB's limit of a
// partition) and how many workers can share a rebuild.
const Shards = 16

// ShardOf returns the partition of StreamIndex that lists the stream.
func ShardOf(stream string) string {
	h := fnv.New32a()
	h.Write([]byte(stream))
	return ShardName(int(h.Sum32() % Shards))
}

// ShardName returns the name of the i-th shard, "00" to "15".
func ShardName(i int) string { return fmt.Sprintf("%02d", i) }

// PositionOf returns the position of an event: "stream#version".
func PositionOf(stream string, version int64) string {
	return stream + "#" + strconv.FormatInt(version, 10)
}

// TombstoneType is the type of the event that records that a subject was
// forgotten. It carries no personal data.
const TombstoneType = "SubjectForgotten"

// Prefixes of the keys in the payloads' bucket.
const (
	PayloadPrefix  = "payloads/"  // payloads too large for an item
	SnapshotPrefix = "snapshots/" // states of aggregates
)

// Attributes of the table of the subjects' keys.
const (
	// SubjectKey is its partition key.
	SubjectKey = "subject"
	// WrappedKey is the subject's data key, encrypted by KMS; absent once the
	// subject is forgotten.
	WrappedKey = "wrapped"
	// ForgottenAt is when the subject was forgotten, RFC 3339.
	ForgottenAt = "forgottenAt"
)

// Attributes of a read model's table.
const (
	// PK is the partition key, prefixed with the model's version.
	PK = "pk"
	// SK is the sort key.
	SK = "sk"
	// TTL is when DynamoDB may delete the item, in Unix seconds.
	TTL = "ttl"
	// ModelKey is PK and SK of the item that says which version is read.
	ModelKey = "#model"
)

// Attributes of a cascade's guard table.
const (
	// GuardKey is its partition key.
	GuardKey = "guard"
)

// CascadePrefix begins the name of every cascade, which is the origin of the
// events that its remedies append. The metrics of anomalies leave such events
// out: no remedy can look like the anomaly that it, or another one, is for.
const CascadePrefix = "cascade."

// Environment variables, set by the constructs and read by the libraries.
const (
	EnvStoreTable    = "EVENT_STORE_TABLE"    // the event table's name
	EnvStorePayloads = "EVENT_STORE_PAYLOADS" // the bucket of large payloads
	EnvStoreSubjects = "EVENT_STORE_SUBJECTS" // the table of the subjects' keys
	EnvStoreKey      = "EVENT_STORE_KEY"      // ARN of the KMS key that wraps them
	EnvReadModel     = "READ_MODEL_TABLE"     // the read model's table
	EnvProjection    = "PROJECTION_NAME"      // the projection's name
	EnvOrdered       = "PROJECTION_ORDERED"   // "true" for an ordered projection
	EnvEvents        = "PROJECTION_EVENTS"    // the event types it takes, comma-separated; empty: all
	EnvCascade       = "CASCADE_NAME"         // the cascade a reaction belongs to
	EnvGuardTable    = "CASCADE_GUARD_TABLE"  // its guard table
	EnvCoolDown      = "CASCADE_COOL_DOWN"    // Go duration, such as "15m0s"
	EnvBudget        = "CASCADE_BUDGET"       // most remediations in one window
	EnvBudgetWindow  = "CASCADE_WINDOW"       // Go duration of that window
	EnvMaxHops       = "CASCADE_MAX_HOPS"     // events with as many hops or more are not reacted to
)

// Envelope is an event as it travels: the detail of an EventBridge event and
// the body of a message in an ordered projection's queue.
//
// Numbers travel as strings, for DynamoDB's stream writes them so and a pipe
// passes them on unchanged; a rule must match "hops": ["0"], not a number.
type Envelope struct {
	Stream      string `json:"stream"`
	Version     int64  `json:"version,string"`
	Position    string `json:"position"`
	ID          string `json:"id"`
	Type        string `json:"type"`
	TypeVersion int    `json:"typeVersion,string"`
	Time        string `json:"time"`
	Causation   string `json:"causation"`
	Correlation string `json:"correlation"`
	Hops        int    `json:"hops,string"`
	Origin      string `json:"origin"`
	Subject     string `json:"subject"`
	// Data is the payload; it travels in base64, as every []byte in JSON.
	Data []byte `json:"data"`
	Ref  string `json:"ref"`
}

// EnvelopeAttributes lists the attributes of an event that travel, with their
// DynamoDB types, in the order in which a pipe's template writes them.
func EnvelopeAttributes() [][2]string {
	return [][2]string{
		{Stream, "S"}, {Version, "N"}, {Position, "S"}, {ID, "S"}, {Type, "S"}, {TypeVersion, "N"},
		{Time, "S"}, {Causation, "S"}, {Correlation, "S"}, {Hops, "N"}, {Origin, "S"}, {Subject, "S"},
		{Data, "B"}, {Ref, "S"},
	}
}

// Rebuild is the request that a rebuild's workflow sends to a projection's
// function, wrapped as {"rebuild": ...}.
type Rebuild struct {
	Op     string `json:"op"`               // one of the Op constants
	Model  int    `json:"model,omitempty"`  // the version being built or swept
	Shard  string `json:"shard,omitempty"`  // OpPage: which streams
	Cursor string `json:"cursor,omitempty"` // OpPage, OpSweep: where to go on, empty at first
	Limit  int    `json:"limit,omitempty"`  // most events (OpPage) or items (OpSweep) of one call
	Run    string `json:"run,omitempty"`    // the execution's name; a retried OpBegin finds its own model
}

// The operations of a rebuild.
const (
	OpBegin   = "begin"   // allocate the next version and let live events flow into it too
	OpPage    = "page"    // replay a page of one shard's streams
	OpSwitch  = "switch"  // make the new version the one that is read
	OpSweep   = "sweep"   // delete a page of the version that was read before
	OpAbandon = "abandon" // give the new version up; the old one goes on being read
)

// Rebuilt is the answer to a Rebuild request.
type Rebuilt struct {
	Model    int    `json:"model"`              // the version built, switched to or swept
	Previous int    `json:"previous,omitempty"` // OpSwitch: the version read before
	Cursor   string `json:"cursor,omitempty"`   // OpPage, OpSweep: where to go on
	Done     bool   `json:"done"`               // OpPage, OpSweep: nothing is left
	Applied  int    `json:"applied"`            // events applied or items deleted by this call
}
