// Package alarmtest tests that constructs return the alarms that they made.
package alarmtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/test/cdktest"
)

// Construct is a construct with alarms.
type Construct interface {
	constructs.Construct
	Alarms() []awscloudwatch.CfnAlarm
}

// Paths has the template say where in the tree a resource is, as Check needs
// it.
func Paths() cdktest.Option { return cdktest.Context("aws:cdk:enable-path-metadata", true) }

// Check fails the test unless each construct returns the alarms that are below
// it in the template of the stack, each once, and no others, in a list of the
// caller's own. An alarm is that of the nearest of the constructs: what is
// added to a construct is another one.
func Check(t testing.TB, stack awscdk.Stack, all ...Construct) {
	t.Helper()
	returned := map[string][]string{}
	for _, x := range all {
		path := *x.Node().Path()
		returned[path] = []string{}
		alarms := x.Alarms()
		for _, a := range alarms {
			if a != nil {
				returned[path] = append(returned[path], *a.Node().Path())
			}
		}
		if clear(alarms); slices.Contains(x.Alarms(), nil) {
			t.Errorf("%s returns its own list, or nil in it", path)
		}
	}
	var made []string
	for _, r := range cdktest.Synth(t, stack).Resources("AWS::CloudWatch::Alarm") {
		metadata, _ := r.Attributes["Metadata"].(map[string]any)
		path, ok := metadata["aws:cdk:path"].(string)
		if !ok {
			t.Fatalf("the template does not say where %s is: make the app with Paths", r.ID)
		}
		made = append(made, path)
	}
	for _, problem := range problems(made, returned) {
		t.Error(problem)
	}
}

// problems compares the paths of all alarms with those that constructs return,
// by the constructs' paths.
func problems(made []string, returned map[string][]string) (found []string) {
	want := map[string][]string{}
	for _, path := range made {
		nearest := ""
		for x := range returned {
			if construct.Below(path, x) && len(x) > len(nearest) {
				nearest = x
			}
		}
		want[nearest] = append(want[nearest], path)
	}
	for _, x := range slices.Sorted(maps.Keys(returned)) {
		got := slices.Sorted(slices.Values(returned[x]))
		if below := slices.Sorted(slices.Values(want[x])); !slices.Equal(got, below) {
			found = append(found, fmt.Sprintf("%s returns the alarms %q, and those below it are %q", x, got, below))
		}
	}
	return found
}
