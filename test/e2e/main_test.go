package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) {
	engine.Main(m, func() {
		// The tests build the app, which has modules that they have not. What
		// could not be had the build names again.
		download := exec.Command("go", "mod", "download")
		download.Stdout, download.Stderr = os.Stderr, os.Stderr
		download.Run()
	})
}

// testAssembly makes a cloud assembly of the test stack once: its template from
// testdata and its only asset, built for this machine.
var testAssembly = sync.OnceValues(func() (string, error) {
	const dir = "cdk.out/shop"
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	template, err := os.ReadFile("testdata/Shop.template.json")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "Shop.template.json"), template, 0o644); err != nil {
		return "", err
	}
	asset := func(path, key string) map[string]any {
		return map[string]any{"source": map[string]any{"path": path}, "destinations": map[string]any{"here": map[string]any{"objectKey": key}}}
	}
	manifest, err := json.Marshal(map[string]any{"files": map[string]any{"handler": asset("asset.handler", "handler.zip"), "template": asset("Shop.template.json", "template.zip")}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "Shop.assets.json"), manifest, 0o644); err != nil {
		return "", err
	}
	// For another architecture, so that the harness has to build it again.
	cmd := exec.Command("go", "build", "-tags=lambda.norpc", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "asset.handler", "bootstrap"), "./shop")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return dir, cmd.Run()
})

func shop(t testing.TB) *Template {
	t.Helper()
	// Where the engines are missing, the test is skipped before it builds.
	engine.DynamoDB(t)
	engine.Fauxqs(t)
	dir, err := testAssembly()
	if err != nil {
		t.Fatal(err)
	}
	template, err := Load(dir, "Shop")
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// options point at the engines.
func options(t testing.TB) Options {
	t.Helper()
	return Options{DynamoDB: engine.DynamoDB(t).URL, Fauxqs: engine.Fauxqs(t).URL, KMS: engine.NewKMS(t).URL, Speed: 600}
}

func deploy(t testing.TB, template *Template, o Options) *Deployment {
	t.Helper()
	d, err := Deploy(t.Context(), template, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func settle(t testing.TB, d *Deployment) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := d.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}
