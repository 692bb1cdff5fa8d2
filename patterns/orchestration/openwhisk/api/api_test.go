package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/openwhisktest"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/openwhisktest/contract"
	"gopkg.in/yaml.v3"
)

const owner = "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/7f/OpenWhisk"

func key(t *testing.T) api.Key {
	t.Helper()
	k, err := api.ParseKey(openwhisktest.Auth + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func deployer(t *testing.T, host string) *api.Deployer {
	return &api.Deployer{Client: &api.Client{Host: host, Key: key(t), Backoff: time.Millisecond}, Owner: owner}
}

func first() (*api.Deployment, fstest.MapFS) {
	return &api.Deployment{Package: "shop", Workflow: "workflow",
		Actions: []api.Spec{
			{Name: "charge", Kind: "go:1.20", Archive: "charge.zip", Limits: api.Limits{Timeout: 30000, Memory: 128}},
			{Name: "reserve", Kind: "go:1.20", Archive: "charge.zip"},
			{Name: "workflow", Kind: "go:1.20", Archive: "workflow.zip", Conductor: true},
		},
		Triggers: []api.Event{{Name: "orders", Parameters: map[string]any{"shop": "Paris", "limit": 3.0}}, {Name: "nights"}},
	}, fstest.MapFS{"charge.zip": {Data: []byte("charge 1")}, "workflow.zip": {Data: []byte("workflow 1")}}
}

// second has another action, a sequence instead of the conductor, and one
// trigger less.
func second() (*api.Deployment, fstest.MapFS) {
	return &api.Deployment{Package: "shop", Workflow: "workflow",
		Actions: []api.Spec{
			{Name: "charge", Kind: "go:1.20", Archive: "charge.zip"},
			{Name: "price", Kind: "go:1.20", Archive: "price.zip"},
			{Name: "workflow", Kind: "sequence", Components: []string{"/_/shop/price", "/_/shop/charge"}},
		},
		Triggers: []api.Event{{Name: "orders"}, {Name: "days"}},
	}, fstest.MapFS{"charge.zip": {Data: []byte("charge 2")}, "price.zip": {Data: []byte("price 2")}}
}

// snapshot is what a namespace holds, without versions and times.
func snapshot(s *openwhisktest.Server) map[string]any {
	all := map[string]any{}
	for _, collection := range []string{"packages", "actions", "triggers", "rules"} {
		for _, name := range s.Entities(collection) {
			entity := maps.Clone(s.Entity(collection, name))
			delete(entity, "version")
			delete(entity, "updated")
			all[collection+" "+name] = entity
		}
	}
	return all
}

// TestContract holds every request of a deployment's life against Apache's
// description of the API, and the double's answers too.
func TestContract(t *testing.T) {
	double := openwhisktest.New(t)
	check := contract.New(t, double)
	server := httptest.NewServer(check)
	defer server.Close()
	d := deployer(t, server.URL)
	if namespace, err := d.Client.Namespace(t.Context()); err != nil || namespace != "guest" {
		t.Errorf("namespace %q, %v", namespace, err)
	}
	for _, make := range []func() (*api.Deployment, fstest.MapFS){first, second, first} {
		deployment, files := make()
		if err := d.Apply(t.Context(), deployment, files); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Client.Action(t.Context(), "shop", "charge"); err != nil {
		t.Error(err)
	}
	// The code is no archive, which the double says as OpenWhisk does.
	_, err := d.Client.Invoke(t.Context(), "shop", "charge", map[string]any{"id": 1})
	if answer := new(api.Error); !errors.As(err, &answer) || answer.Status != 502 {
		t.Errorf("invoked: %v", err)
	}
	for range 2 {
		if err := d.Remove(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
	}
	if left := snapshot(double); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	want := []string{"deleteActionInPackage", "deletePackage", "deleteRule", "deleteTrigger", "getActionInPackageByName",
		"getAllNamespaces", "getAllRules", "getAllTriggers", "getPackageByName", "getRuleByName", "getTriggerByName",
		"invokeActionInPackage", "setState", "updateActionInPackage", "updatePackage", "updateRule", "updateTrigger"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(check.Operations))); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

func TestApplyCreates(t *testing.T) {
	double := openwhisktest.New(t)
	deployment, files := first()
	if err := deployer(t, double.URL).Apply(t.Context(), deployment, files); err != nil {
		t.Fatal(err)
	}
	for collection, want := range map[string][]string{
		"packages": {"shop"},
		"actions":  {"shop/charge", "shop/reserve", "shop/workflow"},
		"triggers": {"shop.nights", "shop.orders"},
		"rules":    {"shop.nights", "shop.orders"},
	} {
		if got := double.Entities(collection); !slices.Equal(got, want) {
			t.Errorf("%s %v, want %v", collection, got, want)
		}
	}
	conductor := fmt.Sprint(double.Entity("actions", "shop/workflow")["annotations"])
	if !strings.Contains(conductor, "map[key:conductor value:true]") {
		t.Errorf("the workflow's annotations are %s", conductor)
	}
	rule := double.Entity("rules", "shop.orders")
	want := map[string]any{"path": "guest/shop", "name": "workflow"}
	if diff := cmp.Diff(want, rule["action"]); diff != "" || rule["status"] != "active" {
		t.Errorf("the rule is %v:\n%s", rule["status"], diff)
	}
}

// The same again changes nothing, not even a version: that would end workflows
// in flight.
func TestApplyIsIdempotent(t *testing.T) {
	double := openwhisktest.New(t)
	d := deployer(t, double.URL)
	deployment, files := first()
	var versions [2]any
	for i := range versions {
		if err := d.Apply(t.Context(), deployment, files); err != nil {
			t.Fatal(err)
		}
		versions[i] = double.Entity("actions", "shop/workflow")["version"]
	}
	if versions[0] != versions[1] {
		t.Errorf("versions %v", versions)
	}
}

func TestApplyUpdates(t *testing.T) {
	updated, fresh := openwhisktest.New(t), openwhisktest.New(t)
	for _, double := range []*openwhisktest.Server{updated, fresh} {
		d := deployer(t, double.URL)
		if double == updated {
			deployment, files := first()
			if err := d.Apply(t.Context(), deployment, files); err != nil {
				t.Fatal(err)
			}
		}
		deployment, files := second()
		if err := d.Apply(t.Context(), deployment, files); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(snapshot(fresh), snapshot(updated)); diff != "" {
		t.Errorf("an update differs from a new deployment (-new +updated):\n%s", diff)
	}
}

// TestApplyRollsBack fails an update, and a creation, at each of its changes.
func TestApplyRollsBack(t *testing.T) {
	for _, from := range []string{"update", "create"} {
		for fail := 1; ; fail++ {
			double := openwhisktest.New(t)
			changes, broken := 0, false
			armed := false
			double.Fault = func(r *http.Request) int {
				if r.Method == http.MethodGet || !armed {
					return 0
				}
				if changes++; changes == fail {
					broken = true
					return http.StatusInternalServerError
				}
				return 0
			}
			d := deployer(t, double.URL)
			if from == "update" {
				deployment, files := first()
				if err := d.Apply(t.Context(), deployment, files); err != nil {
					t.Fatal(err)
				}
			}
			before := snapshot(double)
			armed = true
			deployment, files := second()
			err := d.Apply(t.Context(), deployment, files)
			if !broken {
				if err != nil {
					t.Fatal(err)
				}
				if least := map[string]int{"create": 9, "update": 13}[from]; fail <= least {
					t.Errorf("%s took only %d changes", from, fail-1)
				}
				break
			}
			var answer *api.Error
			if !errors.As(err, &answer) || answer.Status != http.StatusInternalServerError {
				t.Errorf("%s, change %d: error %v", from, fail, err)
			}
			if diff := cmp.Diff(before, snapshot(double)); diff != "" {
				t.Errorf("%s: after change %d failed (-before +after):\n%s", from, fail, diff)
			}
		}
	}
}

// A roll-back that fails says so, and a time that is over does not prevent one.
func TestApplyReportsFailedRollBack(t *testing.T) {
	double := openwhisktest.New(t)
	double.Fault = func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "/triggers/") && r.Method == http.MethodPut || strings.Contains(r.URL.Path, "/actions/") && r.Method == http.MethodDelete {
			return http.StatusForbidden
		}
		return 0
	}
	deployment, files := first()
	err := deployer(t, double.URL).Apply(t.Context(), deployment, files)
	if err == nil || !strings.Contains(err.Error(), "roll back: DELETE") {
		t.Errorf("error %v", err)
	}

	double = openwhisktest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	double.Fault = func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "/triggers/") && r.Method == http.MethodPut {
			cancel()
		}
		return 0
	}
	if err := deployer(t, double.URL).Apply(ctx, deployment, files); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left := double.Entities("actions"); len(left) > 0 {
		t.Errorf("left after the time was over: %v", left)
	}
}

func TestApplyLeavesForeignEntitiesAlone(t *testing.T) {
	for _, foreign := range []struct {
		name string
		make func(*api.Client) error
	}{
		{"package shop", func(c *api.Client) error { return c.PutPackage(t.Context(), &api.Package{Name: "shop"}) }},
		{"trigger shop.orders", func(c *api.Client) error { return c.PutTrigger(t.Context(), &api.Trigger{Name: "shop.orders"}) }},
		{"rule shop.orders", func(c *api.Client) error {
			return errors.Join(
				c.PutPackage(t.Context(), &api.Package{Name: "other"}),
				c.PutAction(t.Context(), "other", &api.Action{Name: "a", Exec: api.Exec{Kind: "go:1.20", Code: "eA=="}}),
				c.PutTrigger(t.Context(), &api.Trigger{Name: "other"}),
				c.PutRule(t.Context(), &api.Rule{Name: "shop.orders", Trigger: "/_/other", Action: "/_/other/a"}))
		}},
	} {
		double := openwhisktest.New(t)
		d := deployer(t, double.URL)
		if err := foreign.make(d.Client); err != nil {
			t.Fatal(err)
		}
		before := snapshot(double)
		deployment, files := first()
		err := d.Apply(t.Context(), deployment, files)
		if !errors.Is(err, api.ErrNotOwned) || !strings.Contains(fmt.Sprint(err), foreign.name) {
			t.Errorf("%s: error %v", foreign.name, err)
		}
		if err := d.Remove(t.Context(), "shop"); err != nil {
			t.Errorf("%s: remove: %v", foreign.name, err)
		}
		if diff := cmp.Diff(before, snapshot(double)); diff != "" {
			t.Errorf("%s was changed:\n%s", foreign.name, diff)
		}
	}
}

func TestClientRepeats(t *testing.T) {
	for _, test := range []struct{ status, sent int }{{429, 4}, {502, 4}, {503, 4}, {504, 4}, {500, 1}, {401, 1}, {404, 1}, {409, 1}} {
		sent := 0
		double := openwhisktest.New(t)
		double.Fault = func(*http.Request) int { sent++; return test.status }
		_, err := deployer(t, double.URL).Client.Package(t.Context(), "shop")
		var answer *api.Error
		if !errors.As(err, &answer) || answer.Status != test.status || sent != test.sent {
			t.Errorf("%d was sent %d times, want %d: %v", test.status, sent, test.sent, err)
		}
		if errors.Is(err, api.ErrNotFound) != (test.status == 404) || errors.Is(err, api.ErrConflict) != (test.status == 409) {
			t.Errorf("%d is %v", test.status, err)
		}
	}
	invoked := 0
	double := openwhisktest.New(t)
	double.Fault = func(*http.Request) int { invoked++; return 503 }
	if _, err := deployer(t, double.URL).Client.Invoke(t.Context(), "shop", "charge", nil); err == nil || invoked != 1 {
		t.Errorf("invoked %d times: %v", invoked, err)
	}
}

func TestClientListsAllPages(t *testing.T) {
	double := openwhisktest.New(t)
	c := deployer(t, double.URL).Client
	for i := range 450 {
		if err := c.PutTrigger(t.Context(), &api.Trigger{Name: fmt.Sprintf("t%03d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := c.Triggers(t.Context())
	if err != nil || len(all) != 450 || all[449].Name != "t449" {
		t.Errorf("%d triggers, %v", len(all), err)
	}
}

// TestKeyIsNeverShown prints a key and a client in every way, and the errors of
// requests.
func TestKeyIsNeverShown(t *testing.T) {
	c := deployer(t, "http://127.0.0.1:1").Client
	c.Attempts = 1
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x %v %+v %#v\n", c.Key, c.Key, c.Key, c.Key, c.Key, c.Key, c, c, *c)
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("client", "client", c, "key", c.Key, "any", []any{c.Key})
	data, err := json.Marshal(map[string]any{"key": c.Key})
	fmt.Fprintln(&out, string(data), err)
	_, err = c.Namespace(t.Context())
	fmt.Fprintln(&out, err)
	for _, wrong := range []string{"nothing", "only-uuid:", ":only-key"} {
		_, err := api.ParseKey(wrong)
		if err == nil || strings.Contains(err.Error(), strings.Trim(wrong, ":")) {
			t.Errorf("ParseKey(%q): %v", wrong, err)
		}
	}
	user, password, _ := strings.Cut(openwhisktest.Auth, ":")
	for _, secret := range []string{user, password, fmt.Sprintf("%x", user), fmt.Sprintf("%x", password)} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("shown:\n%s", out.String())
		}
	}
}

func TestManifest(t *testing.T) {
	deployment, _ := first()
	var got any
	if err := yaml.Unmarshal(deployment.Manifest(), &got); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	want := object{"packages": object{"shop": object{
		"version": "1.0.0", "license": "unlicensed",
		"actions": object{
			"charge":   object{"function": "charge.zip", "runtime": "go:1.20", "limits": object{"timeout": 30000, "memorySize": 128}},
			"reserve":  object{"function": "charge.zip", "runtime": "go:1.20"},
			"workflow": object{"function": "workflow.zip", "runtime": "go:1.20", "annotations": object{"conductor": true}},
		},
		"triggers": object{"shop.orders": object{"inputs": object{"limit": 3, "shop": "Paris"}}, "shop.nights": object{}},
		"rules": object{
			"shop.orders": object{"trigger": "shop.orders", "action": "workflow"},
			"shop.nights": object{"trigger": "shop.nights", "action": "workflow"},
		},
	}}}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	deployment, _ = second()
	deployment.Actions[2].Components = append(deployment.Actions[2].Components, "/whisk.system/utils/echo")
	if err := yaml.Unmarshal(deployment.Manifest(), &got); err != nil {
		t.Fatal(err)
	}
	sequences := got.(object)["packages"].(object)["shop"].(object)["sequences"]
	if diff := cmp.Diff(any(object{"workflow": object{"actions": "price, charge, /whisk.system/utils/echo"}}), sequences); diff != "" {
		t.Errorf("sequences (-want +got):\n%s", diff)
	}
}
