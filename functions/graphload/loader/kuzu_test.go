package loader_test

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/graphload/loader"
	"github.com/serverless-go/cdk/functions/graphload/loadertest"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
	"github.com/serverless-go/cdk/test/engine"
)

var (
	//go:embed testdata/package.json
	kuzuManifest []byte
	//go:embed testdata/package-lock.json
	kuzuLockfile []byte
)

// kuzu is an openCypher engine.
type kuzu struct {
	in  io.Writer
	out *bufio.Scanner
}

func newKuzu(t *testing.T) *kuzu {
	modules, err := engine.Install(kuzuManifest, kuzuLockfile)
	if err == nil {
		_, err = exec.LookPath("node")
	}
	if err != nil {
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			t.Fatalf("Kùzu is required: %v", err)
		}
		t.Skipf("Kùzu is missing: %v", err)
	}
	cmd := exec.Command("node", "testdata/kuzu.js", modules)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return &kuzu{in, bufio.NewScanner(out)}
}

// Query makes the engine what the handler verifies with.
func (k *kuzu) Query(_ context.Context, query string, parameters map[string]any, into any) error {
	line, err := json.Marshal(map[string]any{"statement": query, "parameters": parameters})
	if err != nil {
		return err
	}
	if _, err := k.in.Write(append(line, '\n')); err != nil {
		return err
	}
	if !k.out.Scan() {
		return fmt.Errorf("no answer to %s: %w", query, k.out.Err())
	}
	var answer struct {
		Error string
		Rows  json.RawMessage
	}
	if err := json.Unmarshal(k.out.Bytes(), &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(query + ": " + answer.Error)
	}
	if into == nil {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(answer.Rows)))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func (k *kuzu) do(t *testing.T, statement string) {
	t.Helper()
	if err := k.Query(t.Context(), statement, nil, nil); err != nil {
		t.Fatal(err)
	}
}

var kuzuTypes = map[string]string{"String": "STRING", "Bool": "BOOL", "Int": "INT32", "Long": "INT64", "Float": "FLOAT",
	"Double": "DOUBLE", "Date": "TIMESTAMP", "DateTime": "TIMESTAMP"}

// load loads a file as its own header says.
func (k *kuzu) load(t *testing.T, file, text string, table graph.Table, made map[string]bool) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(text, "\n")
	var columns, properties, names []string
	for _, column := range strings.Split(line, ",") {
		name, kind, property := strings.Cut(strings.TrimSuffix(column, "(single)"), ":")
		switch {
		case !property || name == "": // a column of the system
			name, kind = map[string]string{"~id": "id", "~label": "label", "~from": "source", "~to": "target",
				":ID": "id", ":LABEL": "label", ":TYPE": "label", ":START_ID": "source", ":END_ID": "target"}[column], "String"
		case kuzuTypes[kind] == "":
			t.Fatalf("%s has the unknown type %s", column, kind)
		}
		if name == "" {
			t.Fatalf("the loader has no column %s", column)
		}
		columns = append(columns, name+" "+kuzuTypes[kind])
		if name != "source" && name != "target" {
			names = append(names, name)
			properties = append(properties, name+" "+kuzuTypes[kind])
		}
	}
	const options = ` (HEADER=true, PARALLEL=false, QUOTE='"', ESCAPE='"')`
	if !made[table.Name] {
		made[table.Name] = true
		if table.Relationship() {
			k.do(t, fmt.Sprintf("CREATE REL TABLE %s(FROM %s TO %s, %s)", table.Name, table.From.Label, table.To.Label, strings.Join(properties, ", ")))
		} else {
			k.do(t, fmt.Sprintf("CREATE NODE TABLE %s(%s, PRIMARY KEY(id))", table.Name, strings.Join(properties, ", ")))
		}
	}
	if !table.Relationship() {
		k.do(t, fmt.Sprintf("COPY %s FROM '%s'%s", table.Name, file, options))
		return
	}
	k.do(t, fmt.Sprintf("COPY %s FROM (LOAD WITH HEADERS (%s) FROM '%s'%s RETURN source, target, %s)",
		table.Name, strings.Join(columns, ", "), file, options, strings.Join(names, ", ")))
}

// insights are what Athena unloads.
var insights = []struct {
	table graph.Table
	files []string
}{
	{graph.Table{Name: "Customer", ID: "id", Columns: []graph.Column{
		{Name: "name", Property: "name", Type: graph.String}, {Name: "vip", Property: "vip", Type: graph.Bool},
		{Name: "age", Property: "age", Type: graph.Int}, {Name: "joined", Property: "joined", Type: graph.Date},
	}}, []string{
		`{"id":7,"name":"Ada, \"Countess\"\nof Lovelace","vip":true,"age":36,"joined":"2026-01-31 13:14:15.123"}` + "\n" +
			`{"id":8,"name":"Ünïcødé; 漢字 \\ 'x'","vip":false,"age":-1,"joined":"2026-02-28"}`,
		`{"id":9,"name":null,"age":null}`,
	}},
	{graph.Table{Name: "Product", ID: "sku", Columns: []graph.Column{
		{Name: "price", Property: "price", Type: graph.Double}, {Name: "weight", Property: "weight", Type: graph.Float},
	}}, []string{`{"sku":"7","price":0.1,"weight":2.5}` + "\n" + `{"sku":"a/b","price":1.0E7}`}},
	{graph.Table{Name: "BOUGHT", From: &graph.End{Label: "Customer", Column: "customer"}, To: &graph.End{Label: "Product", Column: "sku"},
		Columns: []graph.Column{{Name: "pieces", Property: "pieces", Type: graph.Long}}},
		[]string{`{"customer":7,"sku":"7","pieces":9007199254740991}` + "\n" + `{"customer":7,"sku":"a/b","pieces":2}` + "\n" +
			`{"customer":8,"sku":"7","pieces":1}`}},
	{graph.Table{Name: "SIMILAR", ID: "pair", From: &graph.End{Label: "Product", Column: "a"}, To: &graph.End{Label: "Product", Column: "b"}},
		[]string{`{"pair":"x","a":"7","b":"a/b"}`}},
}

// TestKuzu loads the CSV files that the function writes into an openCypher
// engine, in both formats, and asks what they hold: by the queries that verify
// a load, and by others.
func TestKuzu(t *testing.T) {
	for _, format := range []graph.Format{graph.Gremlin, graph.OpenCypher} {
		t.Run(string(format), func(t *testing.T) {
			engine := newKuzu(t)
			bucket := &loadertest.Bucket{Page: 1}
			h := &loader.Handler{Objects: bucket, Bucket: "files", Graph: engine}
			made := map[string]bool{}
			verify := &graph.Verify{Run: "run-1", Checks: []graph.Check{
				{Query: "MATCH (:Customer)-[b:BOUGHT]->(:Product) WHERE b.load = $load RETURN count(b)", AtLeast: 3},
			}}
			for i, in := range insights {
				source := fmt.Sprintf("loads/run-1/unload/%d-0-0/", i)
				for j, text := range in.files {
					bucket.Put(fmt.Sprintf("%s%d.gz", source, j), loadertest.Compressed(text))
				}
				response, err := h.Handle(t.Context(), graph.Request{Write: &graph.Write{Run: "run-1", Index: i, Table: in.table,
					Format: format, Source: source, Target: "loads/run-1/csv/"}})
				if err != nil {
					t.Fatal(err)
				}
				keys := bucket.Keys(fmt.Sprintf("loads/run-1/csv/%03d-", i))
				if len(keys) != len(in.files) || !response.Done {
					t.Fatalf("%d files became %v, done %t", len(in.files), keys, response.Done)
				}
				for _, key := range keys {
					text, err := bucket.Text(key)
					if err != nil {
						t.Fatal(err)
					}
					engine.load(t, filepath.Join(t.TempDir(), filepath.Base(key)+".csv"), text, in.table, made)
				}
				verify.Tables = append(verify.Tables, graph.Count{Name: in.table.Name, Relationship: in.table.Relationship(), Rows: response.Rows})
			}
			response, err := h.Handle(t.Context(), graph.Request{Verify: verify})
			if err != nil || response.Found != 9 {
				t.Errorf("verified %+v, %v", response.Verified, err)
			}
			verify.Tables[0].Rows++
			var wrong *loader.VerificationError
			if _, err := h.Handle(t.Context(), graph.Request{Verify: verify}); !errors.As(err, &wrong) {
				t.Errorf("a row that is not there was verified: %v", err)
			}

			for query, want := range map[string]string{
				"MATCH (c:Customer) RETURN c.id, c.label, c.name, c.vip, c.age, string(c.joined) AS joined ORDER BY c.id": `[
					{"c.id": "Customer/7", "c.label": "Customer", "c.name": "Ada, \"Countess\"\nof Lovelace", "c.vip": true, "c.age": 36, "joined": "2026-01-31 13:14:15"},
					{"c.id": "Customer/8", "c.label": "Customer", "c.name": "Ünïcødé; 漢字 \\ 'x'", "c.vip": false, "c.age": -1, "joined": "2026-02-28 00:00:00"},
					{"c.id": "Customer/9", "c.label": "Customer", "c.name": null, "c.vip": null, "c.age": null, "joined": null}]`,
				"MATCH (p:Product) RETURN p.id, p.price, p.weight ORDER BY p.id": `[
					{"p.id": "Product/7", "p.price": 0.1, "p.weight": 2.5}, {"p.id": "Product/a/b", "p.price": 1e7, "p.weight": null}]`,
				"MATCH (c:Customer)-[b:BOUGHT]->(p:Product) RETURN b.id, b.label, b.pieces ORDER BY b.id": `[
					{"b.id": "BOUGHT/Customer/7>Product/7", "b.label": "BOUGHT", "b.pieces": 9007199254740991},
					{"b.id": "BOUGHT/Customer/7>Product/a/b", "b.label": "BOUGHT", "b.pieces": 2},
					{"b.id": "BOUGHT/Customer/8>Product/7", "b.label": "BOUGHT", "b.pieces": 1}]`,
				// Who bought what is similar to what Grace bought, and not by her.
				"MATCH (:Customer {id: 'Customer/8'})-[:BOUGHT]->(:Product)-[s:SIMILAR]->(:Product)<-[:BOUGHT]-(other:Customer) RETURN other.id, s.id": `[
					{"other.id": "Customer/7", "s.id": "SIMILAR/x"}]`,
			} {
				var got, expected []map[string]any
				if err := engine.Query(t.Context(), query, nil, &got); err != nil {
					t.Fatal(err)
				}
				decoder := json.NewDecoder(strings.NewReader(want))
				decoder.UseNumber()
				if err := decoder.Decode(&expected); err != nil {
					t.Fatal(err)
				}
				same := cmp.Comparer(func(a, b json.Number) bool {
					x, _ := a.Float64()
					y, _ := b.Float64()
					return a == b || x == y
				})
				if diff := cmp.Diff(expected, got, same); diff != "" {
					t.Errorf("%s: %s", query, diff)
				}
			}
		})
	}
}
