package loader_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/graphload/loader"
	"github.com/serverless-go/cdk/functions/graphload/loadertest"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
)

func write(table graph.Table) *graph.Write {
	return &graph.Write{Run: "run-1", Index: 2, Table: table, Format: graph.Gremlin, Source: "in/", Target: "out/"}
}

// values writes one row of one property and returns the property's field.
func values(t *testing.T, kind graph.Type, value string) (string, error) {
	bucket := &loadertest.Bucket{}
	bucket.Put("in/0", []byte(`{"id":"1","v":`+value+`}`)) // not compressed
	h := &loader.Handler{Objects: bucket, Bucket: "files"}
	_, err := h.Handle(t.Context(), graph.Request{Write: write(graph.Table{Name: "N", ID: "id", Columns: []graph.Column{{Name: "v", Property: "v", Type: kind}}})})
	if err != nil {
		return "", err
	}
	text, err := bucket.Text(bucket.Keys("out/")[0])
	if err != nil {
		return "", err
	}
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return "", err
	}
	return records[1][2], nil
}

func TestValues(t *testing.T) {
	for _, tt := range []struct {
		kind        graph.Type
		value, want string
	}{
		{graph.String, `"a,\"b\"\n"`, "a,\"b\"\n"},
		{graph.String, `1.50`, "1.50"},
		{graph.String, `true`, "true"},
		{graph.String, `null`, ""},
		{graph.Bool, `false`, "false"},
		{graph.Int, `-2147483648`, "-2147483648"},
		{graph.Long, `9223372036854775807`, "9223372036854775807"},
		{graph.Float, `1.5E-3`, "1.5E-3"},
		{graph.Double, `0.1`, "0.1"},
		{graph.Double, `"NaN"`, "NaN"},
		{graph.Double, `"Infinity"`, "Infinity"},
		{graph.Double, `"-Infinity"`, "-Infinity"},
		{graph.Date, `"2026-01-31"`, "2026-01-31T00:00:00Z"},
		{graph.Date, `"2026-01-31 23:59:59.999"`, "2026-01-31T23:59:59Z"},
		{graph.Date, `"2026-01-31 23:59:59.999 UTC"`, "2026-01-31T23:59:59Z"},
		{graph.Date, `"2026-01-31T23:59:59+02:00"`, "2026-01-31T21:59:59Z"},
	} {
		if got, err := values(t, tt.kind, tt.value); err != nil || got != tt.want {
			t.Errorf("%s %s became %q, %v, want %q", tt.kind, tt.value, got, err, tt.want)
		}
	}
}

func TestWrongValues(t *testing.T) {
	for _, tt := range []struct {
		kind        graph.Type
		value, want string
	}{
		{graph.String, `[1]`, "is an array, want a text"},
		{graph.String, `{}`, "is an object"},
		{graph.Bool, `"true"`, "is a text of 4 bytes, want true or false"},
		{graph.Int, `2147483648`, "is a number, want a whole number of 32 bits"},
		{graph.Long, `1.5`, "want a whole number of 64 bits"},
		{graph.Double, `"much"`, "want a number"},
		{graph.Date, `"31.1.2026"`, "want a DATE"},
		{graph.Date, `"2026-01-31 23:59:59 CET"`, "want a DATE"},
		{graph.Date, `true`, "is true or false"},
		{"Money", `1`, "Money is no type"},
	} {
		_, err := values(t, tt.kind, tt.value)
		var row *loader.RowError
		if !errors.As(err, &row) || row.Row != 1 || row.Key != "in/0" || row.Column != "v" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s gave %v, want %s", tt.kind, tt.value, err, tt.want)
		}
	}
}

func TestIDs(t *testing.T) {
	ends := graph.Table{Name: "R", From: &graph.End{Label: "A", Column: "a"}, To: &graph.End{Label: "B", Column: "b"}, ID: "id"}
	for _, tt := range []struct {
		table     graph.Table
		row, want string
	}{
		{graph.Table{Name: "N", ID: "id"}, `{"id":null}`, "row 1: column id is null or missing; an id is a text or a number"},
		{graph.Table{Name: "N", ID: "id"}, `{"id":"x"}{"id":""}`, "row 2: column id is a text of 0 bytes"},
		{ends, `{"b":1,"id":1}`, "column a is null"},
		{ends, `{"a":1,"b":true,"id":1}`, "column b is true or false"},
		{ends, `{"a":1,"b":1}`, "column id"},
		{ends, `{"a":1,"b":1,"id":1}{`, "in/0, after row 1: unexpected EOF"},
	} {
		bucket := &loadertest.Bucket{}
		bucket.Put("in/0", []byte(tt.row))
		h := &loader.Handler{Objects: bucket, Bucket: "files"}
		_, err := h.Handle(t.Context(), graph.Request{Write: write(tt.table)})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s gave %v, want %s", tt.row, err, tt.want)
		}
		if keys := bucket.Keys("out/"); len(keys) > 0 {
			t.Errorf("%s was written to %v", tt.row, keys)
		}
	}
}

// TestWriteGoesOn stops for lack of time after each file, and goes on.
func TestWriteGoesOn(t *testing.T) {
	bucket := &loadertest.Bucket{Page: 2}
	for i := range 5 {
		bucket.Put(fmt.Sprintf("in/%d.gz", i), loadertest.Compressed(fmt.Sprintf(`{"id":%d}`, i)))
	}
	bucket.Put("in/5.gz", loadertest.Compressed(""))
	h := &loader.Handler{Objects: bucket, Bucket: "files"}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second)) // the double does not look at it
	defer cancel()
	request, calls, rows := write(graph.Table{Name: "N", ID: "id"}), 0, 0
	for done := false; !done && calls < 20; calls++ {
		response, err := h.Handle(ctx, graph.Request{Write: request})
		if err != nil {
			t.Fatal(err)
		}
		request.Cursor, done, rows = response.Cursor, response.Done, rows+response.Rows
	}
	if calls != 6 || rows != 5 || len(bucket.Keys("out/")) != 5 {
		t.Errorf("%d calls, %d rows, %v", calls, rows, bucket.Keys("out/"))
	}
}

// TestWriteSplits writes more than the loader should take at once.
func TestWriteSplits(t *testing.T) {
	var text bytes.Buffer
	long := strings.Repeat("x", 100)
	for i := range 40 {
		fmt.Fprintf(&text, `{"id":%d,"v":"%s"}`+"\n", i, long)
	}
	bucket := &loadertest.Bucket{}
	bucket.Put("in/0", text.Bytes())
	h := &loader.Handler{Objects: bucket, Bucket: "files", FileSize: 3000}
	table := graph.Table{Name: "N", ID: "id", Columns: []graph.Column{{Name: "v", Property: "v", Type: graph.String}}}
	response, err := h.Handle(t.Context(), graph.Request{Write: write(table)})
	if err != nil || response.Rows != 40 {
		t.Fatalf("%+v, %v", response, err)
	}
	keys := bucket.Keys("out/")
	if diff := cmp.Diff([]string{"out/002-0-0000.csv.gz", "out/002-0-0001.csv.gz"}, keys); diff != "" {
		t.Fatal(diff)
	}
	rows := 0
	for _, key := range keys {
		file, err := bucket.Text(key)
		if err != nil || !strings.HasPrefix(file, "~id,~label,v:String(single),load:String(single)\n") {
			t.Errorf("%s: %v", key, err)
		}
		rows += strings.Count(file, "\n") - 1
	}
	if rows != 40 {
		t.Errorf("%d rows", rows)
	}
}

func TestInvoke(t *testing.T) {
	t.Setenv(graph.EnvBucket, "files")
	t.Setenv(graph.EnvEndpoint, "https://graph.invalid")
	for _, role := range []string{"", "arn:aws:iam::123456789012:role/loader"} {
		t.Setenv(graph.EnvRole, role)
		h, err := loader.FromEnv(aws.Config{Region: "eu-central-1"})
		if err != nil || (h.Cluster == nil) != (role == "") || h.Graph == nil {
			t.Fatalf("%+v, %v", h, err)
		}
		for request, want := range map[string]string{
			`{"raise":{"status":"X","detail":"d","redriven":true}}`:  "",
			`{"raise":{"status":"X","detail":"d","redriven":false}}`: "LoadFailedError",
			`{}`:            "InvalidRequestError",
			`{"start":1}`:   "InvalidRequestError",
			`{"unknown":1}`: "InvalidRequestError",
		} {
			out, err := h.Invoke(t.Context(), []byte(request))
			if want == "" {
				if string(out) != "{}" || err != nil {
					t.Errorf("%s gave %s, %v", request, out, err)
				}
				continue
			}
			if err == nil || reflect.TypeOf(err).Elem().Name() != want {
				t.Errorf("%s gave %T %v, want %s", request, err, err, want)
			}
		}
	}
	t.Setenv(graph.EnvEndpoint, "")
	if _, err := loader.FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), graph.EnvEndpoint) {
		t.Errorf("got %v", err)
	}
	h := &loader.Handler{}
	if _, err := h.Handle(t.Context(), graph.Request{Poll: &graph.Load{ID: "1"}}); err == nil || !strings.Contains(err.Error(), "without a cluster") {
		t.Errorf("polled no cluster: %v", err)
	}
}

// TestErrorsOfS3 names them for the workflow, which retries one of the two.
func TestErrorsOfS3(t *testing.T) {
	for code, tt := range map[string]struct {
		fault smithy.ErrorFault
		want  any
	}{
		"AccessDenied":  {smithy.FaultClient, &loader.RefusedError{}},
		"SlowDown":      {smithy.FaultClient, &loader.UnavailableError{}},
		"InternalError": {smithy.FaultServer, &loader.UnavailableError{}},
	} {
		bucket := &loadertest.Bucket{Err: &smithy.GenericAPIError{Code: code, Fault: tt.fault}}
		h := &loader.Handler{Objects: bucket, Bucket: "files"}
		_, err := h.Handle(t.Context(), graph.Request{Write: write(graph.Table{Name: "N", ID: "id"})})
		if reflect.TypeOf(err) != reflect.TypeOf(tt.want) || !strings.Contains(err.Error(), code) {
			t.Errorf("%s became %T %v", code, err, err)
		}
	}
}

// answers is a graph that gives one answer to every query.
type answers []map[string]any

func (a answers) Query(_ context.Context, _ string, _ map[string]any, into any) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func TestChecks(t *testing.T) {
	for name, tt := range map[string]struct {
		rows answers
		want string
	}{
		"enough":     {answers{{"n": 2}}, ""},
		"fractions":  {answers{{"n": 2.5}}, ""},
		"too little": {answers{{"n": 1}}, `"RETURN 1" returns 1, want at least 2`},
		"none":       {answers{}, "want one row with one number"},
		"two rows":   {answers{{"n": 2}, {"n": 3}}, "want one row"},
		"two values": {answers{{"n": 2, "m": 3}}, "want one row"},
		"text":       {answers{{"n": "2"}}, "want one row with one number"},
	} {
		h := &loader.Handler{Graph: tt.rows}
		_, err := h.Handle(t.Context(), graph.Request{Verify: &graph.Verify{Checks: []graph.Check{{Query: "RETURN 1", AtLeast: 2}}}})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}
