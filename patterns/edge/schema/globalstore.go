package schema

// EnvStoreHomes is the environment variable that tells a function in which
// region each stream of a global store may be appended to: a home.Map in JSON.
const EnvStoreHomes = "GLOBAL_STORE_HOMES"

// What an event store's table is made of. These are the names of
// eventsourcing's schema, repeated because families do not import each other;
// a test compares the two.
const (
	StoreStream  = "stream"  // partition key, a string
	StoreVersion = "version" // sort key, a number
	StoreIndex   = "streams" // the index that lists the streams
	StoreShard   = "shard"   // partition key of the index
	StoreOpened  = "opened"  // sort key of the index
)
