// Package graph holds what the construct GraphLoad and its function share: how
// rows become nodes and relationships, what the workflow asks of the function,
// and what the function finds in its environment.
package graph

// What the function finds in its environment.
const (
	EnvBucket   = "GRAPHLOAD_BUCKET"   // the bucket of everything below Prefix
	EnvEndpoint = "GRAPHLOAD_ENDPOINT" // of the cluster or the graph, with https://
	EnvRole     = "GRAPHLOAD_ROLE"     // ARN of what the cluster reads the bucket as; empty for Neptune Analytics
)

// Prefix is what the keys of all objects start with. Under it, each load has a
// folder of its own, named by its id.
const Prefix = "loads/"

// Stamp is the property of every loaded node and relationship that holds the
// id of the load that wrote it last.
const Stamp = "load"

// Type is the type of a property, as Neptune's loader names it
// (https://docs.aws.amazon.com/neptune/latest/userguide/bulk-load-tutorial-format-gremlin.html).
type Type string

// The types of properties.
const (
	String Type = "String"
	Bool   Type = "Bool"
	Int    Type = "Int"  // 32 bits
	Long   Type = "Long" // 64 bits
	Float  Type = "Float"
	Double Type = "Double"
	Date   Type = "Date" // of a DATE or TIMESTAMP column, in UTC
)

// Types are all types of properties.
var Types = []Type{String, Bool, Int, Long, Float, Double, Date}

// Format is a CSV format of the loader. Rows are the same in all; headers are
// not.
type Format string

// The formats.
const (
	// Gremlin is what a Neptune cluster loads, since in this format alone a
	// load can change properties that are there already. The graph can be
	// asked in openCypher all the same.
	Gremlin Format = "csv"
	// OpenCypher is what Neptune Analytics imports.
	OpenCypher Format = "opencypher"
)

// Table says what the rows of a query become.
type Table struct {
	// Name is the label of nodes, or the type of relationships.
	Name string `json:"name"`
	// ID is the column that tells rows apart. A relationship without one is
	// told apart by its ends.
	ID string `json:"id,omitempty"`
	// From and To are the ends of relationships, nil for nodes.
	From *End `json:"from,omitempty"`
	To   *End `json:"to,omitempty"`
	// Columns are those that become properties.
	Columns []Column `json:"columns,omitempty"`
}

// Relationship reports whether rows become relationships rather than nodes.
func (t *Table) Relationship() bool { return t.From != nil }

// End is one end of a relationship: the node of the label whose id is in the
// column.
type End struct {
	Label  string `json:"label"`
	Column string `json:"column"`
}

// Column is a column that becomes a property.
type Column struct {
	Name     string `json:"name"`
	Property string `json:"property"`
	Type     Type   `json:"type"`
}

// Request is what the workflow asks of the function. Exactly one field is set.
type Request struct {
	Write  *Write   `json:"write,omitempty"`
	Start  *Start   `json:"start,omitempty"`
	Poll   *Load    `json:"poll,omitempty"`
	Cancel *Load    `json:"cancel,omitempty"`
	Raise  *Failure `json:"raise,omitempty"`
	Verify *Verify  `json:"verify,omitempty"`
}

// Response is the function's answer to the request's field of the same name.
type Response struct {
	*Written
	*Load
	*Progress
	*Verified
}

// Write asks for the CSV files of a table, from the files in which Athena
// unloaded it as JSON. It goes on at the cursor.
type Write struct {
	Run    string `json:"run"`   // the load's id
	Index  int    `json:"index"` // of the table
	Table  Table  `json:"table"`
	Format Format `json:"format"`
	Source string `json:"source"` // what the unloaded files' keys start with
	Target string `json:"target"` // what the CSV files' keys are to start with
	Cursor string `json:"cursor"` // the last file that is done, "" at first
}

// Written tells how far a Write came.
type Written struct {
	Rows   int    `json:"rows"` // written this time
	Cursor string `json:"cursor"`
	Done   bool   `json:"done"`
}

// Start asks for a load of the files whose keys start with the prefix. It
// starts none if there is one already that has not failed.
type Start struct {
	Prefix string `json:"prefix"`
	Resume bool   `json:"resume"` // one that failed
}

// Load names a load of the cluster's.
type Load struct {
	ID string `json:"id"`
}

// Phase is where a load stands.
type Phase string

// The phases.
const (
	Running   Phase = "running"
	Completed Phase = "completed"
	Resumable Phase = "resumable" // it failed, and may succeed if it is resumed
	Failed    Phase = "failed"    // it failed, and will again unless somebody mends the cause
)

// Progress tells where a load stands.
type Progress struct {
	Phase  Phase  `json:"phase"`
	Status string `json:"status"` // the loader's
	Detail string `json:"detail"` // what went wrong, for people
}

// Failure asks the function to fail with what a load failed with, unless the
// execution was redriven since.
type Failure struct {
	Status   string `json:"status"`
	Detail   string `json:"detail"`
	Redriven bool   `json:"redriven"`
}

// Timeout is the status of a failure that is not the loader's: it took too
// long.
const Timeout = "TIMEOUT"

// Verify asks whether the graph holds what was loaded.
type Verify struct {
	Run    string  `json:"run"`
	Tables []Count `json:"tables"`
	Checks []Check `json:"checks"`
}

// Count is how many rows a table had.
type Count struct {
	Name         string `json:"name"`
	Relationship bool   `json:"relationship"`
	Rows         int    `json:"rows"`
}

// Check is an openCypher query that returns one number, and the least that it
// must be. It may use the parameter $load, the load's id.
type Check struct {
	Query   string `json:"query"`
	AtLeast int    `json:"atLeast"`
}

// Verified tells how many rows, in all, were found in the graph.
type Verified struct {
	Found int `json:"found"`
}
