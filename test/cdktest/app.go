package cdktest

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/kernel"
)

// Main runs a package's tests and ends the CDK's process afterwards. Call it
// from TestMain in every package that synthesizes.
//
// It turns off the CDK's validation of templates, which costs 5 to 15 seconds
// a process; `cdk synth` validates, and so does a test run with
// CDK_VALIDATION=true in its environment. And it speaks to the CDK's process
// directly: see [kernel.Direct].
func Main(m *testing.M) {
	if os.Getenv("CDK_VALIDATION") == "" {
		os.Setenv("CDK_VALIDATION", "false")
		jsii.Close() // jsii read the environment when it was loaded: let it start again
	}
	kernel.Direct()
	flag.Parse()
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// Context sets a context value of an app, as in cdk.json or `cdk -c`.
func Context(key string, value any) Option {
	return func(c map[string]any) { c[key] = value }
}

// Option changes the context of a test's app.
type Option func(context map[string]any)

// NewApp returns an app with the context of the nearest cdk.json, looked for
// in the working directory and above, so that tests see the feature flags that
// `cdk synth` sees. Go handlers and other assets are not bundled, and the
// output goes to a folder that ends with the test.
func NewApp(t testing.TB, options ...Option) awscdk.App {
	t.Helper()
	context, err := fileContext()
	if err != nil {
		t.Fatal(err)
	}
	context["aws:cdk:bundling-stacks"] = []string{}
	for _, o := range options {
		o(context)
	}
	return awscdk.NewApp(&awscdk.AppProps{
		Context: &context,
		Outdir:  jsii.String(t.TempDir()),
	})
}

// NewStack returns a stack named "Test" in a new app.
func NewStack(t testing.TB, options ...Option) awscdk.Stack {
	t.Helper()
	return awscdk.NewStack(NewApp(t, options...), jsii.String("Test"), nil)
}

func fileContext() (map[string]any, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "cdk.json"))
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
			dir = filepath.Dir(dir)
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			return map[string]any{}, nil
		}
		if err != nil {
			return nil, err
		}
		var file struct {
			Context map[string]any `json:"context"`
		}
		if err := json.Unmarshal(b, &file); err != nil {
			return nil, &fs.PathError{Op: "parse", Path: filepath.Join(dir, "cdk.json"), Err: err}
		}
		if file.Context == nil { // a cdk.json need not have one
			return map[string]any{}, nil
		}
		return file.Context, nil
	}
}
