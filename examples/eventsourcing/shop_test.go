package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

func TestShop(t *testing.T) {
	cdktest.Golden(t, NewShop(cdktest.NewApp(t), "Shop"))
}

// Both the user's handler and the module's own are built, each by the go.mod
// of its own module.
func TestShopBuildsHandlers(t *testing.T) {
	var app awscdk.App = cdktest.NewApp(t, cdktest.Context("aws:cdk:bundling-stacks", []string{"**"}))
	stack := NewShop(app, "Shop")
	functions := cdktest.Synth(t, stack).Resources("AWS::Lambda::Function")
	if len(functions) != 2 {
		t.Fatalf("%d functions, want 2", len(functions))
	}
	for _, f := range functions {
		key := f.Properties["Code"].(map[string]any)["S3Key"].(string)
		dir := filepath.Join(cdktest.Outdir(stack), "asset."+strings.TrimSuffix(key, ".zip"))
		info, err := os.Stat(filepath.Join(dir, "bootstrap"))
		if err != nil {
			t.Fatalf("%s: %v", f.ID, err)
		}
		if info.Mode()&0o111 == 0 {
			t.Errorf("%s: bootstrap cannot be executed: %v", f.ID, info.Mode())
		}
	}
}
