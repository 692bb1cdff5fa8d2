package cloudflare_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/edge/cloudflare/cloudflaretest"
	"github.com/serverless-go/cdk/patterns/edge/cloudflare/cloudflaretest/contract"
)

// TestContract holds every request of a Worker's life against Cloudflare's
// description of its API.
func TestContract(t *testing.T) {
	check := contract.New(t)
	s := cloudflaretest.New(t, check.Wrap)
	d := deployer(t, s, "me")
	if _, err := d.Apply(t.Context(), worker(1), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), worker(2), worker(1)); err != nil {
		t.Fatal(err)
	}
	renamed := worker(2)
	renamed.Name = "renamed"
	if _, err := d.Apply(t.Context(), renamed, worker(2)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"renamed", "router"} {
		w := worker(2)
		w.Name = name
		if err := d.Remove(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if left := s.State(); left != "" {
		t.Errorf("left: %s", left)
	}
	want := []string{
		"worker-deployments-create-deployment", "worker-deployments-list-deployments",
		"worker-domain-attach-to-domain", "worker-domain-detach-from-domain", "worker-domain-list-domains",
		"worker-routes-create-route", "worker-routes-delete-route", "worker-routes-list-routes", "worker-routes-update-route",
		"worker-script-delete-worker", "worker-script-get-settings", "worker-script-upload-worker-module",
		"worker-versions-get-version-detail", "worker-versions-upload-version",
		"workers-kv-namespace-create-a-namespace", "workers-kv-namespace-list-namespaces", "workers-kv-namespace-remove-a-namespace",
		"workers-kv-namespace-write-multiple-key-value-pairs",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(check.Operations))); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

// failures counts instead of failing.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Errorf(string, ...any) { f.n++ }

// TestContractRefuses spoils requests, lest the contract takes everything.
func TestContractRefuses(t *testing.T) {
	counted := &failures{TB: t}
	check := contract.New(counted).Wrap(http.NotFoundHandler())
	const scripts = "/accounts/" + cloudflaretest.Account + "/workers/scripts/router"
	form := func(metadata string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json\r\n\r\n" + metadata +
			"\r\n--b\r\nContent-Disposition: form-data; name=\"worker.mjs\"\r\nContent-Type: application/javascript+module\r\n\r\nexport default 1\r\n--b--\r\n"
	}
	for name, tt := range map[string]struct {
		method, path, kind, body string
		token                    bool
		wrong                    bool
	}{
		"good":            {"PUT", scripts, "multipart/form-data; boundary=b", form(`{"main_module": "worker.mjs", "bindings": []}`), true, false},
		"no token":        {"PUT", scripts, "multipart/form-data; boundary=b", form(`{"main_module": "worker.mjs", "bindings": []}`), false, true},
		"bindings":        {"PUT", scripts, "multipart/form-data; boundary=b", form(`{"main_module": "worker.mjs", "bindings": {}}`), true, true},
		"module":          {"PUT", scripts, "multipart/form-data; boundary=b", form(`{"main_module": 1}`), true, true},
		"long annotation": {"POST", scripts + "/versions", "multipart/form-data; boundary=b", form(`{"annotations": {"workers/tag": "` + strings.Repeat("x", 21) + `"}}`), true, true},
		"kind":            {"PUT", scripts, "application/json", `{}`, true, true},
		"path":            {"GET", scripts + "/nothing", "", "", true, true},
		"account":         {"GET", "/accounts/" + strings.Repeat("a", 33) + "/workers/scripts/router/settings", "", "", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			counted.n = 0
			r := httptest.NewRequest(tt.method, tt.path, bytes.NewBufferString(tt.body))
			r.Header.Set("Content-Type", tt.kind)
			if tt.token {
				r.Header.Set("Authorization", "Bearer token")
			}
			check.ServeHTTP(httptest.NewRecorder(), r)
			_, _ = io.Copy(io.Discard, r.Body)
			if (counted.n > 0) != tt.wrong {
				t.Errorf("%d failures", counted.n)
			}
		})
	}
}
