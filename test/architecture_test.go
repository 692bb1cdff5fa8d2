package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/serverless-go/cdk"

// ban says what a part of the tree must not reach, not even through others.
type ban struct {
	from   string // packages below this folder of the module
	except string // but not those below one of these folders, separated by spaces
	reach  string // packages whose path starts with this; without a dot: of this module
	why    string
}

// The floors of DESIGN, from the lowest to the highest; a lower one never
// reaches a higher one.
var bans = []ban{
	{"patterns/eventsourcing/schema", "", "third party", "the names that constructs and handlers share stand on the standard library alone"},
	{"patterns/coldstart/schema", "", "third party", "the names that constructs and handlers share stand on the standard library alone"},
	{"patterns/edge/schema", "", "third party", "the names that constructs and handlers share stand on the standard library alone"},
	{"patterns/security/schema", "", "third party", "the names that constructs and handlers share stand on the standard library alone"},
	{"patterns/prices", "", "third party", "the planner and the summary read it"},
	{"stacks/summary", "", jsii, "it reads templates"},
	{"test/diagram", "", "third party", "it reads and writes text; whoever tests a diagram needs neither the CDK nor a layout engine"},
	{"patterns/orchestration/openwhisk/schema", "", "third party", "the names that constructs and handlers share stand on the standard library alone"},
	{"patterns/orchestration/graph", "", "third party", "the names that constructs and handlers share stand on the standard library alone"},
	{"patterns/orchestration/training", "", "third party", "the names that constructs and handlers share stand on the standard library alone"},
	{"patterns/orchestration/saga", "", "third party", "the contract of a saga's steps stands on the standard library alone"},
	{"functions/flashsale", "functions/flashsale/", "third party", "the names that the stack and its functions share stand on the standard library alone"},
	{"functions/healthwatch", "functions/healthwatch/", "third party", "the names that the stacks and their functions share stand on the standard library alone"},

	{"functions", "", cdk, "what runs in Lambda must not carry the CDK"},
	{"functions", "", jsii, "what runs in Lambda must not start Node"},
	{"patterns/eventsourcing/eventlog", "", jsii, "it runs in Lambda"},
	{"patterns/eventsourcing/projection", "", jsii, "it runs in Lambda"},
	{"patterns/eventsourcing/cascade", "", jsii, "it runs in Lambda"},
	{"patterns/orchestration/asl", "", jsii, "it runs in users' tests and in Lambda"},
	{"patterns/orchestration/graph", "", jsii, "it runs in Lambda"},
	{"patterns/orchestration/neptune", "", jsii, "it runs in Lambda"},
	{"patterns/orchestration/openwhisk", "", jsii, "it runs in an action and in Lambda"},
	{"patterns/orchestration/saga", "", jsii, "it runs in Lambda"},
	{"patterns/orchestration/training", "", jsii, "it runs in Lambda"},
	{"patterns/edge/home", "", jsii, "it runs in Lambda"},
	{"patterns/edge/alerts", "", jsii, "it runs in Lambda"},
	{"patterns/edge/health", "", jsii, "it runs in Lambda"},
	{"patterns/edge/ingest", "", jsii, "it runs in Lambda"},
	{"patterns/edge/cloudflare", "", jsii, "it runs in Lambda"},
	{"patterns/edge/origin", "", jsii, "it runs in Lambda"},
	{"patterns/security/token", "", jsii, "it runs in Lambda"},
	{"patterns/security/exchange", "", jsii, "it runs in Lambda"},
	{"patterns/security/broker", "", jsii, "it runs in Lambda"},
	{"patterns/security/opaque", "", jsii, "it runs in Lambda"},
	{"patterns/security/inner", "", jsii, "it runs in Lambda"},
	{"patterns/security/inner", "", sdk + "/service/dynamodb", "an inner function verifies and asks nobody"},
	{"patterns/security/identity", "", jsii, "it runs in Lambda"},
	{"patterns/coldstart/planner", "", jsii, "it runs without the CDK"},
	{"patterns/coldstart/schedule", "", jsii, "it is the planner's output"},
	{"patterns/coldstart/warm", "", jsii, "it runs in Lambda"},

	{"patterns", "patterns/eventsourcing/eventlog patterns/eventsourcing/projection patterns/eventsourcing/cascade patterns/coldstart/warm " +
		"patterns/edge/alerts patterns/edge/health patterns/edge/ingest patterns/edge/origin " +
		"patterns/security/broker patterns/security/exchange patterns/security/identity patterns/security/inner patterns/security/opaque " +
		"patterns/security/token " +
		"patterns/orchestration/neptune patterns/orchestration/openwhisk patterns/orchestration/saga patterns/orchestration/training", sdk,
		"a construct describes AWS and does not call it"},
	{"internal", "", sdk, "a construct describes AWS and does not call it"},
	{"patterns/edge/alerts/rules", "", sdk, "the construct checks the rules, too"},
	{"internal", "", "patterns/function", "internal is below the function"},
	{"internal", "", "patterns/eventsourcing", "internal is below the families"},
	{"internal", "", "patterns/coldstart", "internal is below the families"},
	{"internal", "", "patterns/orchestration", "internal is below the families"},
	{"internal", "", "patterns/edge", "internal is below the families"},
	{"internal", "", "patterns/security", "internal is below the families"},
	{"patterns/kernel", "", cdk, "every app and test imports it, whatever it uses of the CDK"},
	{"patterns/function", "", "patterns/security", "the function is below the families"},
	{"patterns/function", "", "patterns/eventsourcing", "the function is below the families"},
	{"patterns/function", "", "patterns/coldstart", "the function is below the families"},
	{"patterns/function", "", "patterns/orchestration", "the function is below the families"},
	{"patterns/function", "", "patterns/edge", "the function is below the families"},
	{"patterns/eventsourcing", "", "patterns/coldstart", "families meet in stacks, through AWS's interfaces"},
	{"patterns/eventsourcing", "", "patterns/orchestration", "families meet in stacks, through AWS's interfaces"},
	{"patterns/coldstart", "", "patterns/eventsourcing", "families meet in stacks, through AWS's interfaces"},
	{"patterns/coldstart", "", "patterns/orchestration", "families meet in stacks, through AWS's interfaces"},
	{"patterns/orchestration", "", "patterns/eventsourcing", "families meet in stacks, through AWS's interfaces"},
	{"patterns/orchestration", "", "patterns/coldstart", "families meet in stacks, through AWS's interfaces"},
	{"patterns/eventsourcing", "", "patterns/edge", "families meet in stacks, through AWS's interfaces"},
	{"patterns/edge", "", "patterns/eventsourcing", "families meet in stacks, through AWS's interfaces"},
	{"patterns/coldstart", "", "patterns/edge", "families meet in stacks, through AWS's interfaces"},
	{"patterns/edge", "", "patterns/coldstart", "families meet in stacks, through AWS's interfaces"},
	{"patterns/orchestration", "", "patterns/edge", "families meet in stacks, through AWS's interfaces"},
	{"patterns/edge", "", "patterns/orchestration", "families meet in stacks, through AWS's interfaces"},
	{"patterns/eventsourcing", "", "patterns/security", "families meet in stacks, through AWS's interfaces"},
	{"patterns/security", "", "patterns/eventsourcing", "families meet in stacks, through AWS's interfaces"},
	{"patterns/coldstart", "", "patterns/security", "families meet in stacks, through AWS's interfaces"},
	{"patterns/security", "", "patterns/coldstart", "families meet in stacks, through AWS's interfaces"},
	{"patterns/orchestration", "", "patterns/security", "families meet in stacks, through AWS's interfaces"},
	{"patterns/security", "", "patterns/orchestration", "families meet in stacks, through AWS's interfaces"},
	{"patterns/edge", "", "patterns/security", "families meet in stacks, through AWS's interfaces"},
	{"patterns/security", "", "patterns/edge", "families meet in stacks, through AWS's interfaces"},
	{"internal", "", "stacks", "internal is below the stacks"},
	{"patterns", "", "stacks", "stacks compose patterns, never the other way"},
	{"patterns", "", "functions", "a pattern names a handler by its import path and never compiles it in"},
	{"functions/notebook", "functions/notebook/", "third party", "the names that the stack and its functions share stand on the standard library alone"},
	{"stacks", "functions/notebook", "functions/notebook/", "a stack shares names with its functions and no code"},
	{"stacks", "functions/flashsale", "functions/flashsale/", "a stack shares names with its functions and no code"},
	{"stacks", "functions/healthwatch", "functions/healthwatch/", "a stack shares names with its functions and no code"},

	{"internal", "", awscdk + "awseventstargets", "it compiles a dozen services into every user's app; rules are L1"},
	{"internal", "", awscdk + "awscloudwatchactions", "it compiles a dozen services into every user's app; alarms are L1"},
	{"patterns", "", awscdk + "awseventstargets", "it compiles a dozen services into every user's app; rules are L1"},
	{"patterns", "", awscdk + "awscloudwatchactions", "it compiles a dozen services into every user's app; alarms are L1"},
	{"internal/defaults", "", awscdk + "awsathena", "every family would compile Athena"},
	{"patterns/function", "", awscdk + "awsstepfunctions", "every family would compile Step Functions"},
}

const (
	cdk    = "github.com/aws/aws-cdk-go/"
	awscdk = "github.com/aws/aws-cdk-go/awscdk/v2/"
	jsii   = "github.com/aws/jsii-runtime-go"
	sdk    = "github.com/aws/aws-sdk-go-v2"
)

// TestArchitecture fails when a package reaches what its floor must not.
func TestArchitecture(t *testing.T) {
	imports := imports(t)
	for _, b := range bans {
		matched := false
		for pkg := range imports {
			folder := strings.TrimPrefix(pkg, module+"/")
			if !below(folder, b.from) || excepted(folder, b.except) {
				continue
			}
			matched = true
			if path := reach(imports, pkg, b); path != nil {
				t.Errorf("%s must not reach %s, because %s:\n  %s", folder, b.reach, b.why, strings.Join(path, "\n  imports "))
			}
		}
		if !matched {
			t.Errorf("no package is below %s: the ban bans nothing", b.from)
		}
	}
}

// TestArchitectureSeesViolations checks the check itself.
func TestArchitectureSeesViolations(t *testing.T) {
	tree := map[string][]string{
		module + "/functions/cart":    {module + "/patterns/eventsourcing/schema", module + "/patterns/function"},
		module + "/patterns/function": {jsii},
	}
	want := []string{module + "/functions/cart", module + "/patterns/function", jsii}
	for _, banned := range []string{jsii, "third party"} { // our own schema is no third party's
		path := reach(tree, module+"/functions/cart", ban{from: "functions", reach: banned})
		if strings.Join(path, " ") != strings.Join(want, " ") {
			t.Errorf("%s: found %v, want %v", banned, path, want)
		}
	}
	if path := reach(tree, module+"/functions/cart", ban{from: "functions", reach: "stacks"}); path != nil {
		t.Errorf("found %v where there is nothing", path)
	}
}

func below(folder, top string) bool { return folder == top || strings.HasPrefix(folder, top+"/") }

func excepted(folder, except string) bool {
	for _, top := range strings.Fields(except) {
		if below(folder, strings.TrimSuffix(top, "/")) && (!strings.HasSuffix(top, "/") || folder != strings.TrimSuffix(top, "/")) {
			return true
		}
	}
	return false
}

// reach returns a chain of imports from the package to what is banned, or nil.
func reach(imports map[string][]string, pkg string, b ban) []string {
	banned := func(path string) bool {
		switch {
		case b.reach == "third party":
			first, _, _ := strings.Cut(path, "/")
			return strings.Contains(first, ".") && !strings.HasPrefix(path, module+"/")
		case strings.Contains(b.reach, "."):
			return strings.HasPrefix(path, b.reach)
		case strings.HasSuffix(b.reach, "/"):
			return strings.HasPrefix(path, module+"/"+b.reach)
		default:
			return below(path, module+"/"+b.reach)
		}
	}
	seen := map[string]bool{pkg: true}
	queue := [][]string{{pkg}}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		for _, next := range imports[path[len(path)-1]] {
			chain := append(append([]string(nil), path...), next)
			if banned(next) {
				return chain
			}
			if !seen[next] && strings.HasPrefix(next, module) {
				seen[next] = true
				queue = append(queue, chain)
			}
		}
	}
	return nil
}

// imports returns what each package of the module imports.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[pkg.ImportPath] = pkg.Imports
	}
}
