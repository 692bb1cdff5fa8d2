package benchmark

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/engine"
)

// app is a CDK app that synthesizes copies of the flash sale.
type app struct {
	name    string
	command func(copies int) *exec.Cmd
}

// run is what one process made, and what it took.
type run struct {
	dir    string // the assembly
	stderr []byte
	time   time.Duration
	cpu    time.Duration // of the process and of all that it started
	peak   int64         // bytes; 0 where the system does not tell
}

// goApp is this binary: see TestMain.
func goApp() app {
	return app{name: "go", command: func(copies int) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{copiesVariable + "=" + strconv.Itoa(copies)}
		return cmd
	}}
}

// javascript is embedded so that go test runs again when a file of it changes.
//
//go:embed javascript/*.js javascript/*.json
var javascript embed.FS

// jsApp is the app in plain JavaScript. It skips the test where there is no Node
// or npm cannot install the CDK.
func jsApp(t testing.TB) app {
	t.Helper()
	// The Node that jsii takes.
	node, err := exec.LookPath(cmp.Or(os.Getenv("JSII_NODE"), "node"))
	var modules string
	if err == nil {
		modules, err = install()
	}
	if err != nil {
		refuse := t.Skipf
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			refuse = t.Fatalf
		}
		refuse("the flash sale in JavaScript needs Node.js 20 (or newer) with npm, and aws-cdk-lib from its registry: %v", err)
	}
	return app{name: "js", command: func(copies int) *exec.Cmd {
		cmd := exec.Command(node, "javascript/app.js", strconv.Itoa(copies))
		// With the limit of memory that jsii sets for its own Node.
		cmd.Env = []string{"NODE_PATH=" + modules, "NODE_OPTIONS=--max-old-space-size=4069"}
		return cmd
	}}
}

func install() (modules string, err error) {
	manifest, err := javascript.ReadFile("javascript/package.json")
	if err != nil {
		return "", err
	}
	lockfile, err := javascript.ReadFile("javascript/package-lock.json")
	if err != nil {
		return "", err
	}
	return engine.Install(manifest, lockfile)
}

// synth runs the app as the CDK's command line does, but for the validation of
// templates, which would take most of the time in either language.
func (a app) synth(t testing.TB, copies int, env ...string) run {
	t.Helper()
	r := run{dir: filepath.Join(t.TempDir(), "cdk.out")}
	cmd := a.command(copies)
	cmd.Env = append(append(os.Environ(), cmd.Env...), "CDK_VALIDATION=false", "CDK_CONTEXT_JSON="+context(t), "CDK_OUTDIR="+r.dir)
	cmd.Env = append(cmd.Env, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr

	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	peak := make(chan int64)
	go func() { peak <- watch(cmd.Process.Pid, stop) }()
	err := cmd.Wait()
	r.time = time.Since(start)
	close(stop)
	r.peak = <-peak
	r.stderr = stderr.Bytes()
	if err != nil {
		t.Fatalf("%s app: %v\n%s", a.name, err, r.stderr)
	}
	// On Unix these are the times of the process and of every descendant that
	// was waited for: Go waits for jsii's process, and that one for the CDK's.
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r
}

// context returns the context of cdk.json, with nothing to bundle.
func context(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Context map[string]any `json:"context"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	file.Context["aws:cdk:bundling-stacks"] = []string{}
	if b, err = json.Marshal(file.Context); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// template returns the template of the first copy.
func (r run) template(t testing.TB) cdktest.Template {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "FlashSale1.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template cdktest.Template
	if err := json.Unmarshal(b, &template); err != nil {
		t.Fatal(err)
	}
	return template
}
