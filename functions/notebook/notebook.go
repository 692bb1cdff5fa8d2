// Package notebook holds the names that the stack of the gateway and the
// functions behind it must agree on: routes, scopes, keys, environment
// variables. It imports the standard library only.
//
// What the functions do lies in the packages below this one:
//
//   - notes: each user's notes and files, read and written with the user's own
//     rights
//   - journal: who changed which note, written before the note is
package notebook

// The routes of the API, as an HTTP API of API Gateway keys them.
const (
	RouteList    = "GET /notes"
	RouteRead    = "GET /notes/{note}"
	RouteWrite   = "PUT /notes/{note}"
	RouteDelete  = "DELETE /notes/{note}"
	RouteFile    = "GET /notes/{note}/file"
	RoutePutFile = "PUT /notes/{note}/file"

	// RouteRecord is how the journal names the one call that it answers. It is
	// no route of the API.
	RouteRecord = "RecordChange"
)

// Routes returns the routes of the function notes.
func Routes() []string {
	return []string{RouteList, RouteRead, RouteWrite, RouteDelete, RouteFile, RoutePutFile}
}

// NoteParameter is the path parameter that holds a note's name.
const NoteParameter = "note"

// Scopes of references.
const (
	ReadScope  = "notes:read"
	WriteScope = "notes:write"
)

// Scopes returns the scopes that routes need.
func Scopes() map[string]string {
	return map[string]string{
		RouteList: ReadScope, RouteRead: ReadScope, RouteFile: ReadScope,
		RouteWrite: WriteScope, RouteDelete: WriteScope, RoutePutFile: WriteScope,
		RouteRecord: WriteScope,
	}
}

// Audiences of internal tokens: each function takes only its own.
const (
	NotesAudience   = "notes"
	JournalAudience = "journal"
)

// Permission sets, which the notes ask the broker for.
const (
	ReadSet  = "read-own"
	WriteSet = "write-own"
)

// Attributes of the notes and of the journal.
const (
	PK  = "pk"  // whose it is; of a note the key that IAM compares
	SK  = "sk"  // a note's name; of an entry its time and id
	TTL = "ttl" // of an entry, seconds since 1970
)

// Environment variables of the functions.
const (
	EnvNotes    = "NOTES_TABLE"
	EnvFiles    = "NOTES_BUCKET"
	EnvJournal  = "JOURNAL_FUNCTION"   // name of the function that the notes call
	EnvExchange = "TOKEN_EXCHANGE_URL" // where the notes get a token for it
	EnvEntries  = "JOURNAL_TABLE"
)

// The kinds of changes.
const (
	Written     = "written"
	Deleted     = "deleted"
	FileWritten = "file written"
)

// Change tells the journal what is about to happen to a note. It must not be
// logged, for it carries a token.
type Change struct {
	Token   string `json:"token"` // of the user, for the journal
	Action  string `json:"action"`
	Note    string `json:"note"`
	Request string `json:"request"` // id of the API's request
}

// Recorded is the journal's answer: an entry, or a refusal.
type Recorded struct {
	Entry string `json:"entry,omitempty"`
	Error string `json:"error,omitempty"`
}

// RefusedToken is the refusal of a token that is not the journal's, or not any
// more.
const RefusedToken = "invalid_token"
