package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/iam"
)

// changes are the actions that change or remove an item of a table, or undo
// what keeps it from being changed.
var changes = []string{
	"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
	"dynamodb:PartiQLDelete", "dynamodb:PartiQLUpdate", "dynamodb:DeleteTable", "dynamodb:UpdateTable",
	"dynamodb:UpdateTimeToLive", "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy",
}

// TestEventsAreImmutable reads every template that is pinned in this repository.
func TestEventsAreImmutable(t *testing.T) {
	var goldens []string
	for _, pattern := range []string{"../patterns/*/testdata/*.golden.json", "testdata/*.golden.json", "consumer/testdata/*.golden.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		goldens = append(goldens, found...)
	}
	tables := 0
	for _, golden := range goldens {
		b, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		resources := resources(t, golden, b)
		for _, table := range eventTables(resources) {
			tables++
			for _, offence := range offences(resources, table) {
				t.Errorf("%s: %s", golden, offence)
			}
		}
	}
	if tables < 10 {
		t.Errorf("only %d event tables in %d templates: the test looks in the wrong place", tables, len(goldens))
	}
}

func TestImmutabilitySeesOffences(t *testing.T) {
	b, err := os.ReadFile("testdata/TestFlashSale.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, action := range map[string]string{"update": "dynamodb:UpdateItem", "wildcard": "dynamodb:*Item", "everything": "*"} {
		for _, onTable := range []bool{true, false} {
			resources := resources(t, name, b)
			table := eventTables(resources)[0]
			var on any = "*"
			if onTable {
				on = map[string]any{"Fn::GetAtt": []any{table, "Arn"}}
			}
			resources["Planted"] = map[string]any{"Type": "AWS::IAM::Policy", "Properties": map[string]any{
				"PolicyDocument": map[string]any{"Statement": []any{map[string]any{"Effect": "Allow", "Action": action, "Resource": on}}}}}
			if len(offences(resources, table)) == 0 {
				t.Errorf("%s on %v is not seen", action, on)
			}
		}
	}
}

func resources(t *testing.T, name string, b []byte) map[string]any {
	t.Helper()
	var template struct{ Resources map[string]any }
	if err := json.Unmarshal(b, &template); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return template.Resources
}

// eventTables returns the ids of the event tables, known by their index.
func eventTables(resources map[string]any) []string {
	var ids []string
	for id, r := range resources {
		properties, _ := r.(map[string]any)["Properties"].(map[string]any)
		indexes, _ := properties["GlobalSecondaryIndexes"].([]any)
		for _, index := range indexes {
			if index.(map[string]any)["IndexName"] == schema.StreamIndex {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// offences returns the statements, of any policy in the template, that allow
// to change an event in the table.
func offences(resources map[string]any, table string) []string {
	var found []string
	for id, r := range resources {
		for _, statement := range statements(r) {
			if statement["Effect"] != "Allow" || !mentions(statement["Resource"], table) {
				continue
			}
			if statement["NotAction"] != nil || statement["NotResource"] != nil {
				found = append(found, fmt.Sprintf("%s allows all but some: %v", id, statement))
			}
			for _, pattern := range texts(statement["Action"]) {
				for _, action := range changes {
					if iam.Match(strings.ToLower(pattern), strings.ToLower(action)) {
						found = append(found, fmt.Sprintf("%s allows %s on the event table", id, pattern))
					}
				}
			}
		}
	}
	return found
}

// statements returns the statements of all policies within v, that of a
// resource's own included.
func statements(v any) []map[string]any {
	var found []map[string]any
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			found = append(found, statements(e)...)
		}
	case map[string]any:
		list, ok := v["Statement"].([]any)
		if one, single := v["Statement"].(map[string]any); single {
			list, ok = []any{one}, true
		}
		if ok {
			for _, s := range list {
				if statement, ok := s.(map[string]any); ok {
					found = append(found, statement)
				}
			}
		}
		for _, e := range v {
			found = append(found, statements(e)...)
		}
	}
	return found
}

// mentions says whether the resources of a statement may include the table.
func mentions(resource any, table string) bool {
	switch resource := resource.(type) {
	case nil: // NotResource
		return true
	case string:
		return strings.Contains(resource, "*") && iam.Match(resource, "arn:aws:dynamodb:eu-west-1:123456789012:table/"+table) || resource == "*"
	default:
		return strings.Contains(fmt.Sprint(resource), table)
	}
}

func texts(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	var all []string
	list, _ := v.([]any)
	for _, e := range list {
		all = append(all, fmt.Sprint(e))
	}
	return all
}
