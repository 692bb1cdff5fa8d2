package asl

// An ItemReader says how to read the items of a distributed Map state out of
// what the task's Resource returns: the field ReaderConfig of the state.
type ItemReader struct {
	// InputType is CSV, JSON, JSONL, MANIFEST or PARQUET; empty when the
	// resource lists objects.
	InputType string `json:"inputType,omitempty"`
	// Transformation is NONE or LOAD_AND_FLATTEN: whether the items are the
	// listed objects or what is in them. Empty means NONE.
	Transformation string `json:"transformation,omitempty"`
	// HeaderLocation is FIRST_ROW or GIVEN, for CSV.
	HeaderLocation string `json:"headerLocation,omitempty"`
	// Headers are the names of the columns when HeaderLocation is GIVEN.
	Headers []string `json:"headers,omitempty"`
	// Delimiter is COMMA, PIPE, SEMICOLON, SPACE or TAB. Empty means COMMA.
	Delimiter string `json:"delimiter,omitempty"`
	// Pointer is the JSON pointer (RFC 6901) of the items inside a JSON file.
	// Empty means the whole file.
	Pointer string `json:"pointer,omitempty"`
	// ManifestType is ATHENA_DATA or S3_INVENTORY. Empty means S3_INVENTORY.
	ManifestType string `json:"manifestType,omitempty"`
	// MaxItems is how many items are read at most; 0 means all.
	MaxItems int `json:"maxItems,omitempty"`
}

// An itemReader is where a distributed Map state gets its items from.
type itemReader struct {
	resource  string
	arguments value
	maxItems  value
	config    ItemReader
}

// An itemBatcher groups items, so that one child execution gets several.
type itemBatcher struct {
	input    value
	maxItems value
	maxBytes value
}

// A resultWriter is where a distributed Map state puts its results.
type resultWriter struct {
	resource       string
	arguments      value
	transformation string
	outputType     string
}
