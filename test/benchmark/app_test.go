package benchmark

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/internal/leastprivilege"
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
func goApp(env ...string) app {
	return app{name: "go", command: func(copies int) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append([]string{copiesVariable + "=" + strconv.Itoa(copies)}, env...)
		return cmd
	}}
}

// goSystems makes all systems, as `cdk synth` does, and no copies.
func goSystems() app { return goApp(systemsVariable + "=all") }

// The versions of the CDK and what it needs, in plain JavaScript.
var (
	//go:embed package.json
	manifest []byte
	//go:embed package-lock.json
	lockfile []byte
)

// nodeApp is a program in JavaScript, whose argument is the number of copies. It
// skips the test where there is no Node or npm cannot install the CDK.
func nodeApp(t testing.TB, program string) app {
	t.Helper()
	// The Node that jsii takes.
	node, err := exec.LookPath(cmp.Or(os.Getenv("JSII_NODE"), "node"))
	var modules string
	if err == nil {
		modules, err = engine.Install(manifest, lockfile)
	}
	if err != nil {
		refuse := t.Skipf
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			refuse = t.Fatalf
		}
		refuse("JavaScript needs Node.js 20 (or newer) with npm, and aws-cdk-lib from its registry: %v", err)
	}
	return app{name: "js", command: func(copies int) *exec.Cmd {
		cmd := exec.Command(node, program, strconv.Itoa(copies))
		// With the limit of memory that jsii sets for its own Node.
		cmd.Env = []string{"NODE_PATH=" + modules, "NODE_OPTIONS=" + nodeOptions}
		return cmd
	}}
}

// nodeOptions are those with which jsii starts Node.
const nodeOptions = "--max-old-space-size=4069"

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
		end := r.stderr[max(0, len(r.stderr)-4000):] // a trace is long, and the reason last
		t.Fatalf("%s app: %v\n%s", a.name, err, end)
	}
	// On Unix these are the times of the process and of every descendant that
	// was waited for: Go waits for jsii's launcher or program, and the launcher
	// for the program.
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r
}

// check judges the templates by least privilege and adds what that takes, so that
// both sides are validated. It is our code in either case; in a process that is
// warm it takes less than in the app's.
func (r *run) check(t testing.TB) {
	start := time.Now()
	places, err := inspection.Places(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	assembly, err := inspection.Read(places...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range inspection.NewPlugin(leastprivilege.Plugin, leastprivilege.Inspection()...).Run(assembly) {
		if f.Outcome == inspection.Violated || f.Outcome == inspection.NotJudged {
			t.Errorf("%v", f)
		}
	}
	took := time.Since(start) // of one goroutine: CPU, too
	r.time, r.cpu = r.time+took, r.cpu+took
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
	return r.templates(t)["FlashSale1.template.json"]
}

// templates returns all templates, by the names of their files.
func (r run) templates(t testing.TB) map[string]cdktest.Template {
	t.Helper()
	return readJSON[cdktest.Template](t, r.dir, "*.template.json")
}

// readJSON reads the files in the folder that the pattern names.
func readJSON[T any](t testing.TB, dir, pattern string) map[string]T {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]T{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		var value T
		if err == nil {
			err = json.Unmarshal(b, &value)
		}
		if err != nil {
			t.Fatal(err)
		}
		read[filepath.Base(file)] = value
	}
	return read
}
