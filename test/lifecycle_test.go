package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLifecycle asks of every template that is pinned in this repository what
// its first deployment, a rollback, an update and its end would do. What
// CloudFormation does then is in AWS's documents; no template shows it by itself.
func TestLifecycle(t *testing.T) {
	met := map[string]int{}
	for _, golden := range goldens(t) {
		b, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range lifecycle {
			n, wrong := rule.judge(resources(t, golden, b))
			met[rule.name] += n
			for _, w := range wrong {
				t.Errorf("%s: %s: %s", golden, rule.name, w)
			}
		}
	}
	for _, rule := range lifecycle {
		if met[rule.name] < rule.least {
			t.Errorf("%s: met %d times, want %d at least: the test looks in the wrong place", rule.name, met[rule.name], rule.least)
		}
	}
}

func goldens(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../patterns/*/testdata/*.golden.json", "testdata/*.golden.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// lifecycle are the rules. Each tells how often it was met, and what breaks it.
var lifecycle = []struct {
	name  string
	least int
	judge func(resources map[string]any) (int, []string)
}{
	{
		// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html
		"a replica is made with its policy in the stack's own region only, and gets it by a custom resource elsewhere", 4, func(all map[string]any) (met int, wrong []string) {
			for _, id := range eventTables(all) {
				table := all[id].(map[string]any)
				replicas, _ := table["Properties"].(map[string]any)["Replicas"].([]any)
				if len(replicas) < 2 {
					continue
				}
				met++
				var inline, open []string
				for _, r := range replicas {
					replica := r.(map[string]any)
					if region := fmt.Sprint(replica["Region"]); replica["ResourcePolicy"] != nil {
						inline = append(inline, region)
					} else {
						open = append(open, region)
					}
				}
				if len(inline) != 1 {
					wrong = append(wrong, fmt.Sprintf("%s has policies inline in %v", id, inline))
				}
				slices.Sort(open)
				put := []string{}
				for _, p := range ofType(all, "Custom::ReplicaPolicies") {
					policies := all[p].(map[string]any)
					if policies["Properties"].(map[string]any)["Table"] != table["Properties"].(map[string]any)["TableName"] {
						continue
					}
					put = slices.Sorted(maps.Keys(policies["Properties"].(map[string]any)["Policies"].(map[string]any)))
					if !after(policies, id) {
						wrong = append(wrong, p+" does not wait for the table")
					}
					if policies["DeletionPolicy"] != table["DeletionPolicy"] || policies["UpdateReplacePolicy"] != table["UpdateReplacePolicy"] {
						wrong = append(wrong, p+" goes, and the table "+id+" stays or the other way about")
					}
				}
				if !slices.Equal(open, put) {
					wrong = append(wrong, fmt.Sprintf("%s has no policy in %v, and is given one in %v", id, open, put))
				}
			}
			return met, wrong
		},
	},
	{
		// An archive puts a managed rule on its bus, a bus with rules cannot be
		// deleted, and a replay goes to no other bus
		// (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html,
		// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteEventBus.html).
		"an archive that is kept keeps its bus, and neither is left by a first deployment that is rolled back", 9, func(all map[string]any) (met int, wrong []string) {
			for _, id := range ofType(all, "AWS::Events::Archive") {
				archive := all[id].(map[string]any)
				policy, _ := archive["DeletionPolicy"].(string)
				if !strings.HasPrefix(policy, "Retain") {
					continue
				}
				met++
				if policy != "RetainExceptOnCreate" {
					wrong = append(wrong, id+" would be left by a rollback: "+policy)
				}
				of := attributeOf(archive["Properties"].(map[string]any)["SourceArn"])
				bus, ok := all[of].(map[string]any)
				if ok && (bus["DeletionPolicy"] != policy || bus["UpdateReplacePolicy"] != archive["UpdateReplacePolicy"]) {
					wrong = append(wrong, fmt.Sprintf("%s is kept (%s) and its bus %s is not: %v", id, policy, of, bus["DeletionPolicy"]))
				}
			}
			return met, wrong
		},
	},
	{
		"entries that name origins wait for the distribution, and names for the entries", 2, func(all map[string]any) (met int, wrong []string) {
			distributions := ofType(all, "AWS::CloudFront::Distribution")
			for _, id := range ofType(all, "Custom::KeyValues") {
				for _, d := range distributions {
					met++
					if !after(all[id].(map[string]any), d) {
						wrong = append(wrong, id+" may be there before the origins of "+d)
					}
				}
				for _, record := range ofType(all, "AWS::Route53::RecordSet") {
					for _, d := range distributions {
						met++
						if text, _ := json.Marshal(all[record]); strings.Contains(string(text), d) && !after(all[record].(map[string]any), id) {
							wrong = append(wrong, record+" may lead to a router without "+id)
						}
					}
				}
			}
			return met, wrong
		},
	},
	{
		// Without the router, nothing else of the stack can fail first.
		"a named table that is kept comes after the router and the Worker", 2, func(all map[string]any) (met int, wrong []string) {
			for _, table := range eventTables(all) {
				if all[table].(map[string]any)["Properties"].(map[string]any)["TableName"] == nil {
					continue
				}
				for _, kind := range []string{"AWS::CloudFront::Distribution", "AWS::Route53::RecordSet", "Custom::KeyValues", "Custom::CloudflareWorker"} {
					for _, id := range ofType(all, kind) {
						met++
						if !reaches(all, table, id) {
							wrong = append(wrong, table+" may be left by a first deployment that "+id+" fails")
						}
					}
				}
			}
			return met, wrong
		},
	},
	{
		// Lambda keeps an asynchronous event for up to 6 hours and tries it three
		// times; CloudFormation has long rolled back by then
		// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html).
		"the function of a custom resource runs an event once and soon, and does so before the first", 24, func(all map[string]any) (met int, wrong []string) {
			limits := map[string]string{}
			for _, id := range ofType(all, "AWS::Lambda::EventInvokeConfig") {
				p := all[id].(map[string]any)["Properties"].(map[string]any)
				function, _ := p["FunctionName"].(map[string]any)
				if of, ok := function["Ref"].(string); ok && p["MaximumRetryAttempts"] == 0.0 && p["MaximumEventAgeInSeconds"] == 60.0 {
					limits[of] = id
				}
			}
			for _, id := range slices.Sorted(maps.Keys(all)) {
				resource := all[id].(map[string]any)
				if kind, _ := resource["Type"].(string); !strings.HasPrefix(kind, "Custom::") {
					continue
				}
				of := attributeOf(resource["Properties"].(map[string]any)["ServiceToken"])
				if strings.Contains(of, "CustomResourceProvider") { // the CDK's own
					continue
				}
				met++
				if limit := limits[of]; limit == "" || !after(resource, limit) {
					wrong = append(wrong, fmt.Sprintf("%s may be asked late, or twice: %s", id, of))
				}
			}
			return met, wrong
		},
	},
}

// ofType returns the ids of a type's resources, in order.
func ofType(all map[string]any, kind string) []string {
	var ids []string
	for id, r := range all {
		if r.(map[string]any)["Type"] == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// after says whether the resource depends on the other.
func after(resource map[string]any, other string) bool {
	on, _ := resource["DependsOn"].([]any)
	return slices.Contains(on, any(other)) || resource["DependsOn"] == any(other)
}

// reaches says whether one resource waits for the other, over others or not.
func reaches(all map[string]any, from, to string) bool {
	seen := map[string]bool{}
	var walk func(id string) bool
	walk = func(id string) bool {
		if id == to {
			return true
		}
		if seen[id] {
			return false
		}
		seen[id] = true
		return slices.ContainsFunc(references(all, all[id]), walk)
	}
	return walk(from)
}

// references returns the resources that v waits for: what it depends on, refers
// to or reads.
func references(all map[string]any, v any) (ids []string) {
	add := func(id any) {
		if text, ok := id.(string); ok && all[text] != nil {
			ids = append(ids, text)
		}
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			ids = append(ids, references(all, e)...)
		}
	case map[string]any:
		add(v["Ref"])
		add(attributeOf(v))
		on, _ := v["DependsOn"].([]any)
		for _, id := range append(on, v["DependsOn"]) {
			add(id)
		}
		for _, e := range v {
			ids = append(ids, references(all, e)...)
		}
	}
	return ids
}

// TestLifecycleSeesMistakes plants each mistake that a rule is for.
func TestLifecycleSeesMistakes(t *testing.T) {
	const edge, site = "testdata/TestHealthWatchEverything_us-east-1.golden.json", "testdata/TestHealthWatch_eu-central-1.golden.json"
	first := func(all map[string]any, kind string) map[string]any {
		return all[ofType(all, kind)[0]].(map[string]any)
	}
	properties := func(r map[string]any) map[string]any { return r["Properties"].(map[string]any) }
	for name, tt := range map[string]struct {
		golden string
		rule   int
		plant  func(all map[string]any)
	}{
		"policy inline": {edge, 0, func(all map[string]any) {
			for _, r := range properties(all[eventTables(all)[0]].(map[string]any))["Replicas"].([]any) {
				r.(map[string]any)["ResourcePolicy"] = map[string]any{}
			}
		}},
		"no policies": {edge, 0, func(all map[string]any) { delete(all, ofType(all, "Custom::ReplicaPolicies")[0]) }},
		"one missing": {edge, 0, func(all map[string]any) {
			delete(properties(first(all, "Custom::ReplicaPolicies"))["Policies"].(map[string]any), "eu-west-1")
		}},
		"too early":        {edge, 0, func(all map[string]any) { delete(first(all, "Custom::ReplicaPolicies"), "DependsOn") }},
		"policies removed": {edge, 0, func(all map[string]any) { first(all, "Custom::ReplicaPolicies")["DeletionPolicy"] = "Delete" }},

		"bus not kept": {site, 1, func(all map[string]any) {
			for _, bus := range ofType(all, "AWS::Events::EventBus") {
				delete(all[bus].(map[string]any), "DeletionPolicy")
			}
		}},
		"left by a rollback": {site, 1, func(all map[string]any) {
			for _, kind := range []string{"AWS::Events::EventBus", "AWS::Events::Archive"} {
				for _, id := range ofType(all, kind) {
					all[id].(map[string]any)["DeletionPolicy"] = "Retain"
				}
			}
		}},

		"entries first": {edge, 2, func(all map[string]any) { delete(first(all, "Custom::KeyValues"), "DependsOn") }},
		"name first":    {edge, 2, func(all map[string]any) { delete(first(all, "AWS::Route53::RecordSet"), "DependsOn") }},

		"tried again": {edge, 4, func(all map[string]any) {
			properties(first(all, "AWS::Lambda::EventInvokeConfig"))["MaximumRetryAttempts"] = 2.0
		}},
		"kept for hours": {edge, 4, func(all map[string]any) {
			for _, id := range ofType(all, "AWS::Lambda::EventInvokeConfig") {
				delete(all, id)
			}
		}},

		"table first": {edge, 3, func(all map[string]any) { delete(all[eventTables(all)[0]].(map[string]any), "DependsOn") }},
	} {
		b, err := os.ReadFile(tt.golden)
		if err != nil {
			t.Fatal(err)
		}
		all := resources(t, tt.golden, b)
		if _, wrong := lifecycle[tt.rule].judge(all); len(wrong) > 0 {
			t.Fatalf("before %s: %v", name, wrong)
		}
		tt.plant(all)
		if _, wrong := lifecycle[tt.rule].judge(all); len(wrong) == 0 {
			t.Errorf("%s is not seen", name)
		}
	}
}
