package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// Of the replicas in other regions nothing but the policies may be changed, and
// those only by the function that puts them.
func TestImmutabilitySeesOffencesElsewhere(t *testing.T) {
	b, err := os.ReadFile("../patterns/edge/testdata/TestGlobalStoreDefaults.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	find := func(all map[string]any, kind, prefix string) string {
		for id, r := range all {
			if r.(map[string]any)["Type"] == kind && strings.HasPrefix(id, prefix) {
				return id
			}
		}
		t.Fatalf("there is no %s %s", kind, prefix)
		return ""
	}
	const elsewhere = "arn:aws:dynamodb:eu-west-3:123456789012:table/readings"
	for name, plant := range map[string]func(all map[string]any, deployer map[string]any){
		"a change": func(all, deployer map[string]any) { deployer["Action"] = []any{"dynamodb:PutItem"} },
		"wider":    func(all, deployer map[string]any) { deployer["Action"] = []any{"dynamodb:*ResourcePolicy"} },
		"this region's": func(all, deployer map[string]any) {
			deployer["Resource"] = map[string]any{"Fn::GetAtt": []any{eventTables(all)[0], "Arn"}}
		},
		"unknown": func(all, deployer map[string]any) { deployer["Resource"] = elsewhere },
		"another function's": func(all, deployer map[string]any) {
			all[find(all, "AWS::IAM::Policy", "ReadingsPolicyDeployer")].(map[string]any)["Properties"].(map[string]any)["Roles"] = []any{map[string]any{"Ref": "Other"}}
		},
		"by name": func(all, deployer map[string]any) {
			all["Planted"] = map[string]any{"Type": "AWS::IAM::Policy", "Properties": map[string]any{"PolicyDocument": map[string]any{
				"Statement": []any{map[string]any{"Effect": "Allow", "Action": "dynamodb:DeleteItem", "Resource": elsewhere}}}}}
		},
	} {
		all := resources(t, name, b)
		table := eventTables(all)[0]
		if found := offences(all, table); len(found) > 0 {
			t.Fatalf("before: %v", found)
		}
		policy := all[find(all, "AWS::IAM::Policy", "ReadingsPolicyDeployer")].(map[string]any)
		for _, statement := range statements(policy) {
			if strings.Contains(fmt.Sprint(statement["Action"]), "PutResourcePolicy") {
				plant(all, statement)
			}
		}
		if len(offences(all, table)) == 0 {
			t.Errorf("%s is not seen", name)
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
// to change an event in the table or, by its name, in one of its replicas.
func offences(resources map[string]any, table string) []string {
	var found []string
	name, _ := resources[table].(map[string]any)["Properties"].(map[string]any)["TableName"].(string)
	for id, r := range resources {
		for _, statement := range statements(r) {
			on := statement["Resource"]
			named := name != "" && strings.Contains(fmt.Sprint(on), ":table/"+name)
			if statement["Effect"] != "Allow" || !mentions(on, table) && !named || putsPolicies(resources, id, statement) {
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

// putsPolicies says whether the statement lets the function of a
// Custom::ReplicaPolicies change the policies that are that resource's, and no
// other: those of the replicas of which it has the ARN.
func putsPolicies(resources map[string]any, policy string, statement map[string]any) bool {
	for _, action := range texts(statement["Action"]) {
		switch action {
		case "dynamodb:DeleteResourcePolicy", "dynamodb:GetResourcePolicy", "dynamodb:PutResourcePolicy":
		default:
			return false
		}
	}
	properties := func(id any) map[string]any {
		r, _ := resources[fmt.Sprint(id)].(map[string]any)
		p, _ := r["Properties"].(map[string]any)
		return p
	}
	for id, r := range resources {
		if r.(map[string]any)["Type"] != "Custom::ReplicaPolicies" {
			continue
		}
		var arns []string
		for _, arn := range properties(id)["Arns"].(map[string]any) {
			arns = append(arns, fmt.Sprint(arn))
		}
		ours := func(arn string) bool { return slices.Contains(arns, arn) }
		role := properties(attributeOf(properties(id)["ServiceToken"]))["Role"]
		roles := fmt.Sprint(properties(policy)["Roles"])
		on := texts(statement["Resource"])
		if len(on) == 0 {
			on = []string{fmt.Sprint(statement["Resource"])}
		}
		if roles == fmt.Sprint([]any{map[string]any{"Ref": attributeOf(role)}}) && !slices.ContainsFunc(on, func(arn string) bool { return !ours(arn) }) {
			return true
		}
	}
	return false
}

// attributeOf returns the id of the resource that a Fn::GetAtt reads.
func attributeOf(v any) string {
	m, _ := v.(map[string]any)
	if path, _ := m["Fn::GetAtt"].([]any); len(path) == 2 {
		return fmt.Sprint(path[0])
	}
	return ""
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
