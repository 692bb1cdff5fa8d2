package loader

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/graph"
)

// tableWriter writes rows in one of the loader's CSV formats.
type tableWriter struct {
	csv    *csv.Writer
	table  *graph.Table
	run    string
	record []string
	rows   int
	size   int // bytes, without quotes
}

// newTableWriter returns a writer that has written the header.
func newTableWriter(w io.Writer, t *graph.Table, format graph.Format, run string) *tableWriter {
	out := &tableWriter{csv: csv.NewWriter(w), table: t, run: run, record: header(t, format)}
	out.put()
	return out
}

// header returns the names of the columns. In the Gremlin format, properties of
// nodes are sets unless they are said to be single.
func header(t *graph.Table, format graph.Format) []string {
	names := []string{"~id", "~label"}
	single := "(single)"
	switch {
	case format == graph.OpenCypher && t.Relationship():
		names, single = []string{":ID", ":START_ID", ":END_ID", ":TYPE"}, ""
	case format == graph.OpenCypher:
		names, single = []string{":ID", ":LABEL"}, ""
	case t.Relationship():
		names, single = []string{"~id", "~from", "~to", "~label"}, ""
	}
	for _, c := range append(t.Columns[:len(t.Columns):len(t.Columns)], graph.Column{Property: graph.Stamp, Type: graph.String}) {
		kind := c.Type
		if kind == graph.Date && format == graph.OpenCypher {
			kind = "DateTime"
		}
		names = append(names, c.Property+":"+string(kind)+single)
	}
	return names
}

// write writes a row. Its first columns are the same in both formats, in order.
func (w *tableWriter) write(row map[string]any) *RowError {
	w.record = w.record[:0]
	if w.table.Relationship() {
		from, wrong := node(row, w.table.From.Label, w.table.From.Column)
		if wrong != nil {
			return wrong
		}
		to, wrong := node(row, w.table.To.Label, w.table.To.Column)
		if wrong != nil {
			return wrong
		}
		id := w.table.Name + "/" + from + ">" + to
		if w.table.ID != "" {
			if id, wrong = node(row, w.table.Name, w.table.ID); wrong != nil {
				return wrong
			}
		}
		w.record = append(w.record, id, from, to, w.table.Name)
	} else {
		id, wrong := node(row, w.table.Name, w.table.ID)
		if wrong != nil {
			return wrong
		}
		w.record = append(w.record, id, w.table.Name)
	}
	for _, c := range w.table.Columns {
		text, wrong := value(row[c.Name], c)
		if wrong != nil {
			return wrong
		}
		w.record = append(w.record, text)
	}
	w.record = append(w.record, w.run)
	w.put()
	w.rows++
	return nil
}

// put keeps an error of the underlying writer for flush.
func (w *tableWriter) put() {
	for _, field := range w.record {
		w.size += len(field) + 1
	}
	w.csv.Write(w.record)
}

func (w *tableWriter) flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

// node returns the id of what is in the column, prefixed by the label, for
// customer 7 and product 7 are not the same.
func node(row map[string]any, label, column string) (string, *RowError) {
	switch id := row[column].(type) {
	case string:
		if id != "" {
			return label + "/" + id, nil
		}
	case json.Number:
		return label + "/" + id.String(), nil
	}
	return "", &RowError{Column: column, Reason: fmt.Sprintf("is %s; an id is a text or a number, and not empty", show(row[column]))}
}

// value returns the column's value as the loader reads it, "" for null, which
// it leaves out.
func value(v any, c graph.Column) (string, *RowError) {
	wrong := func(want string) *RowError {
		return &RowError{Column: c.Name, Reason: fmt.Sprintf("is %s, want %s", show(v), want)}
	}
	if v == nil {
		return "", nil
	}
	text, isText := v.(string)
	switch c.Type {
	case graph.String:
		switch v := v.(type) {
		case string:
			return v, nil
		case json.Number:
			return v.String(), nil
		case bool:
			return strconv.FormatBool(v), nil
		}
		return "", wrong("a text; CAST or json_format others in the query")
	case graph.Bool:
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), nil
		}
		return "", wrong("true or false")
	case graph.Int, graph.Long:
		bits := 64
		if c.Type == graph.Int {
			bits = 32
		}
		if n, ok := v.(json.Number); ok {
			if _, err := strconv.ParseInt(n.String(), 10, bits); err == nil {
				return n.String(), nil
			}
		}
		return "", wrong(fmt.Sprintf("a whole number of %d bits", bits))
	case graph.Float, graph.Double:
		if n, ok := v.(json.Number); ok {
			text, isText = n.String(), true
		}
		// Athena writes what JSON has no number for as text, and so does Neptune.
		if f, err := strconv.ParseFloat(text, 64); isText && err == nil {
			switch {
			case math.IsNaN(f):
				return "NaN", nil
			case math.IsInf(f, 1):
				return "Infinity", nil
			case math.IsInf(f, -1):
				return "-Infinity", nil
			}
			return text, nil
		}
		return "", wrong("a number")
	case graph.Date:
		if isText {
			for _, layout := range dateLayouts {
				if t, err := time.Parse(layout, text); err == nil {
					return t.UTC().Format("2006-01-02T15:04:05Z"), nil
				}
			}
		}
		return "", wrong("a DATE or a TIMESTAMP, in UTC if it names no zone")
	}
	return "", wrong(fmt.Sprintf("nothing: %s is no type", c.Type))
}

// dateLayouts are what Athena writes dates and timestamps as; fractions of a
// second are read without being named.
var dateLayouts = []string{time.DateTime, time.DateOnly, time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05 UTC"}

// show tells what kind of value it is, and not the value, which may be
// personal and would be logged.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null or missing"
	case string:
		return fmt.Sprintf("a text of %d bytes", len(v))
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "an array"
	}
	return "an object"
}
