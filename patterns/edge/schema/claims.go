package schema

// Attributes of an item in a table of claims: one item for each event, by the
// event's own id.
const (
	// ClaimPK is the partition key: the event's id.
	ClaimPK = "pk"
	// ClaimToken is the latest claim's.
	ClaimToken = "token"
	// ClaimUntil is when the latest claim runs out, in milliseconds since 1970.
	// An event that was applied has none.
	ClaimUntil = "until"
	// ClaimTTL is when the item may be deleted, in seconds since 1970.
	ClaimTTL = "ttl"
)

// EnvClaimsTable names the table of claims, and EnvClaimsArchive says in whole
// days how long the archives keep events.
const (
	EnvClaimsTable   = "CLAIMS_TABLE"
	EnvClaimsArchive = "CLAIMS_ARCHIVE_DAYS"
)
