package kernel

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp/cmpopts"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestMain makes the test binary also the app that it starts.
func TestMain(m *testing.M) {
	switch os.Getenv("KERNEL_APP") {
	case "":
		dir, err := os.MkdirTemp("", "kernel")
		if err != nil {
			panic(err)
		}
		cache = dir
		code := m.Run()
		os.RemoveAll(dir)
		os.Exit(code)
	case "tree":
		app(false)
	case "wrong":
		app(true)
	}
}

// cache is a user's cache for these tests.
var cache string

// app makes a tree of constructs, two of the same id when it is to be wrong.
func app(wrong bool) {
	Direct()
	defer jsii.Close()
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintln(os.Stderr, "panic:", r)
			jsii.Close()
			os.Exit(3)
		}
	}()
	root := constructs.NewRootConstruct(jsii.String("Root"))
	child := constructs.NewConstruct(root, jsii.String("Child"))
	for i := range 20 {
		constructs.NewConstruct(child, jsii.String(fmt.Sprint("Leaf", i)))
	}
	if wrong {
		constructs.NewConstruct(root, jsii.String("Child"))
	}
	tree := fmt.Sprint(*child.Node().Path(), " ", len(*root.Node().FindAll("")))
	jsii.Close() // so that all that the program printed is here before
	fmt.Println(tree, os.Getenv("NODE_OPTIONS"))
}

// node is a process of Node as testdata/probe.cjs sees it when it ends.
type node struct {
	Program, Options, Main string
	Args, ExecArgv         []string
	Stdin, Kept            int
	Terminal               []bool
}

// result is what an app did.
type result struct {
	stdout, stderr string
	status         int
	nodes          []node
}

// programs returns what the processes of Node ran, in order.
func (r result) programs() string {
	var all []string
	for _, n := range r.nodes {
		all = append(all, n.Program)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

const (
	directly = "program.js"
	usually  = "jsii-runtime.js program.js"
)

// start runs an app of TestMain with the probe in its processes of Node.
func start(t *testing.T, app string, env ...string) result {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "KERNEL_APP="+app, probe(t), "XDG_CACHE_HOME="+cache)
	if runtime.GOOS == "darwin" {
		cmd.Env = append(cmd.Env, "HOME="+cache)
	}
	return run(t, cmd, env...)
}

// probe returns the setting with which Node loads testdata/probe.cjs.
func probe(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs("testdata/probe.cjs")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("NODE_OPTIONS=--max-http-header-size=20000 --require %q", file)
}

func run(t *testing.T, cmd *exec.Cmd, env ...string) result {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the launcher stays on Windows")
	}
	log := filepath.Join(t.TempDir(), "log")
	cmd.Env = append(append(cmd.Env, "PROBE_LOG="+log), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	err := cmd.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	mask := func(b bytes.Buffer) string { return changing.ReplaceAllString(b.String(), "") }
	r := result{stdout: mask(stdout), stderr: mask(stderr), status: cmd.ProcessState.ExitCode()}
	text, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var n node
		if err := json.Unmarshal(line, &n); err != nil {
			t.Fatal(err)
		}
		r.nodes = append(r.nodes, n)
	}
	return r
}

// TestDirect compares an app without the launcher with one that has it.
func TestDirect(t *testing.T) {
	direct, usual := start(t, "tree"), start(t, "tree", "CDK_DIRECT=false")
	if direct.programs() != directly || usual.programs() != usually {
		t.Fatalf("Node ran %q and %q, want %q and %q\n%s", direct.programs(), usual.programs(), directly, usually, direct.stderr)
	}
	program := slices.IndexFunc(usual.nodes, func(n node) bool { return n.Program == directly })
	if diff := gocmp.Diff(usual.nodes[program], direct.nodes[0], cmpopts.IgnoreFields(node{}, "Kept")); diff != "" {
		t.Errorf("the program sees another process than from the launcher (-usual +direct):\n%s", diff)
	}
	same(t, direct, usual)
	if !strings.Contains(direct.stdout, "Root/Child 22 --max-http-header-size=20000 --require") || strings.Contains(direct.stdout, "preserve") {
		t.Errorf("printed %q, want the tree and the options as they were", direct.stdout)
	}
}

// same compares what two apps printed and how they ended.
func same(t *testing.T, direct, usual result) {
	t.Helper()
	direct.nodes, usual.nodes = nil, nil
	if diff := gocmp.Diff(usual, direct, gocmp.AllowUnexported(result{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("not the same as with the launcher (-usual +direct):\n%s", diff)
	}
}

// changing is what differs between any two runs: numbers of processes, folders,
// and what jsii says when two of its goroutines wait for the process at once.
var changing = regexp.MustCompile(`\(node:\d+\)|jsii-(runtime|kernel)[.-]\w+|Runtime process exited abnormally: waitid: no child processes`)

func TestErrorsAreTheSame(t *testing.T) {
	direct, usual := start(t, "wrong"), start(t, "wrong", "CDK_DIRECT=false")
	same(t, direct, usual)
	if want := "panic: There is already a Construct with name 'Child' in RootConstruct [Root]"; direct.status != 3 || !strings.Contains(direct.stderr, want) {
		t.Errorf("status %d and %q, want 3 and %q", direct.status, direct.stderr, want)
	}
}

func TestOutputIsTheSame(t *testing.T) {
	silent := start(t, "tree")
	for name, script := range map[string]string{
		"console":            `console.log('to out'); console.error('to err'); console.log({ json: true })`,
		"JSON":               `process.stdout.write('{"stderr":"QQ=="}\n'); process.stderr.write('{"a":1}\n')`,
		"no newline":         `process.stdout.write('a'); process.stderr.write('b'); process.stdout.write('c\n')`,
		"encoding":           `process.stdout.write('68c3a9', 'hex'); process.stdout.write('é'); process.stderr.write(Buffer.from([0, 255, 10]))`,
		"called back":        `process.stdout.write('a\n', () => process.stderr.write('b\n', 'utf8', () => console.log('c')))`,
		"corked":             `process.stdout.cork(); console.log('a'); console.log('b'); process.stdout.uncork()`,
		"more than a pipe":   `console.log('é'.repeat(1 << 20)); console.error('x'.repeat(1 << 20))`,
		"warning":            `process.emitWarning('mind this')`,
		"a command's errors": `require('child_process').spawnSync('echo here; echo there >&2', { shell: true, stdio: ['ignore', process.stderr, 'inherit'] })`,
	} {
		t.Run(name, func(t *testing.T) {
			direct, usual := start(t, "tree", "PROBE_RUN="+script), start(t, "tree", "PROBE_RUN="+script, "CDK_DIRECT=false")
			if direct.programs() != directly {
				t.Errorf("Node ran %q", direct.programs())
			}
			if len(direct.stdout)+len(direct.stderr) <= len(silent.stdout)+len(silent.stderr) {
				t.Error("nothing was printed")
			}
			same(t, direct, usual)
		})
	}
}

// TestCommandsLeaveTheMessagesAlone runs a command that reads and writes what
// the program got from Go.
func TestCommandsLeaveTheMessagesAlone(t *testing.T) {
	r := start(t, "tree", `PROBE_RUN=require('child_process').execSync('cat; echo here; echo there >&2', { stdio: 'inherit' })`)
	if r.programs() != directly || r.status != 0 || !strings.Contains(r.stdout, "Root/Child 22") {
		t.Errorf("Node ran %q; status %d, printed %q", r.programs(), r.status, r.stdout)
	}
	if !strings.HasSuffix(r.stderr, "here\nthere\n") {
		t.Errorf("printed %q, want what the command printed", r.stderr)
	}
}

// TestCrashes ends the program early. Go learns the same as from the launcher,
// which breaks, too, with an error of its own, and may lose what was printed.
func TestCrashes(t *testing.T) {
	const panicked = "panic: " // in a request, before it or after: what jsii says differs
	for _, test := range []struct{ name, script, printed string }{
		{"exception", `throw new Error('lost')`, "Error: lost\n    at "},
		{"rejection", `Promise.reject(new Error('lost'))`, "Error: lost\n    at "},
		{"status", `console.error('going'); process.exit(7)`, "going\n"},
		{"success", `console.error('going'); process.exit(0)`, "going\n"},
		{"signal", `console.error('going'); process.kill(process.pid, 'SIGKILL')`, "going\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			usual := start(t, "tree", "PROBE_RUN="+test.script, "CDK_DIRECT=false")
			for tries := 1; tries < 5 && !strings.Contains(usual.stderr, panicked); tries++ {
				usual = start(t, "tree", "PROBE_RUN="+test.script, "CDK_DIRECT=false")
			}
			if usual.status != 3 || usual.stdout != "" || !strings.Contains(usual.stderr, panicked) {
				t.Errorf("with the launcher: %d, %q, %q", usual.status, usual.stdout, usual.stderr)
			}
			direct := start(t, "tree", "PROBE_RUN="+test.script)
			// Go may end before it has read, beside its answers, what the process
			// printed last: with the launcher, too.
			for tries := 1; tries < 5 && !strings.Contains(direct.stderr, test.printed); tries++ {
				direct = start(t, "tree", "PROBE_RUN="+test.script)
			}
			if direct.status != 3 || direct.stdout != "" || !strings.Contains(direct.stderr, panicked) {
				t.Errorf("directly: %d, %q, %q", direct.status, direct.stdout, direct.stderr)
			}
			if !strings.Contains(direct.stderr, test.printed) {
				t.Errorf("%q is not in %q", test.printed, direct.stderr)
			}
		})
	}
}

// modules tells what modules know of each other, and where an error comes from.
const modules = `PROBE_RUN=
	for (const { id, loaded, children, paths, parent } of Object.values(require.cache).filter(({ id }) => id.includes('node_modules'))) {
		console.log(id, loaded, children.map(({ id }) => id), paths, parent?.id, require.main?.id);
	}
	const { exports: { Construct, RootConstruct } } = require.cache[Object.keys(require.cache).find((id) => id.endsWith('lib/construct.js'))];
	const root = new RootConstruct('R');
	new Construct(root, 'twice');
	try { new Construct(root, 'twice'); } catch (e) { console.log(e.stack); }
	console.log(String(Construct));
	const { addChild } = root.node.constructor.prototype;
	root.node.constructor.prototype.addChild = function () {
		console.log(new Error('called by the program').stack);
		return addChild.apply(this, arguments);
	};`

// TestCodeIsKept runs an app before and after there is code from another.
func TestCodeIsKept(t *testing.T) {
	dir := t.TempDir()
	env := []string{modules, "XDG_CACHE_HOME=" + dir, "HOME=" + dir, "JSII_RUNTIME_PACKAGE_CACHE_ROOT=" + filepath.Join(cache, "jsii")}
	usual := start(t, "tree", append(env, "CDK_DIRECT=false")...)
	for _, want := range []string{"There is already a Construct with name 'twice'", "program.js:1:"} {
		if !strings.Contains(usual.stdout, want) {
			t.Fatalf("%q is not in %q, %q", want, usual.stdout, usual.stderr)
		}
	}
	cold := start(t, "tree", env...)
	same(t, cold, usual)
	file := codeFile(t, dir)
	written := read(t, file)
	warm := start(t, "tree", env...)
	same(t, warm, usual)
	if cold.nodes[0].Kept != 0 || warm.nodes[0].Kept < 4 {
		t.Errorf("used kept code of %d and %d modules, want none and those of constructs and jsii", cold.nodes[0].Kept, warm.nodes[0].Kept)
	}
	if !bytes.Equal(read(t, file), written) {
		t.Error("the code was written again, though nothing was new")
	}

	t.Run("damaged", func(t *testing.T) {
		for name, damage := range map[string]func([]byte) []byte{
			"empty":       func(b []byte) []byte { return nil },
			"cut":         func(b []byte) []byte { return b[:len(b)/2] },
			"head":        func(b []byte) []byte { b[3]++; return b },
			"index":       func(b []byte) []byte { b[headLength+3]++; return b },
			"code":        func(b []byte) []byte { b[len(b)-1]++; return b },
			"code of all": func(b []byte) []byte { clear(b[len(b)/100:]); return b },
			"of others": func(b []byte) []byte {
				return reindexed(t, b, func(entries [][]any) [][]any {
					first, second := entries[0], entries[1]
					first[0], second[0] = second[0], first[0]
					return entries
				})
			},
		} {
			if err := os.WriteFile(file, damage(bytes.Clone(written)), 0o600); err != nil {
				t.Fatal(err)
			}
			r := start(t, "tree", env...)
			same(t, r, usual)
			if r.nodes[0].Kept >= warm.nodes[0].Kept {
				t.Errorf("%s: used kept code of %d modules, as if nothing were wrong", name, r.nodes[0].Kept)
			}
			if again := start(t, "tree", env...); again.nodes[0].Kept != warm.nodes[0].Kept {
				t.Errorf("%s: used kept code of %d modules in the next process, want %d", name, again.nodes[0].Kept, warm.nodes[0].Kept)
			}
		}
	})

	t.Run("too much", func(t *testing.T) {
		unused := make([]byte, 1<<26)
		large := append(reindexed(t, bytes.Clone(written), func(entries [][]any) [][]any {
			last := entries[len(entries)-1]
			end := last[1].(float64) + last[2].(float64)
			last[0] = "another source, so that one is compiled"
			return append(entries, []any{"unused", end, len(unused), hash(unused)})
		}), unused...)
		if err := os.WriteFile(file, large, 0o600); err != nil {
			t.Fatal(err)
		}
		start(t, "tree", env...)
		if length := len(read(t, file)); length > 2*len(written) {
			t.Errorf("the file has %d bytes, want about %d", length, len(written))
		}
		if r := start(t, "tree", env...); r.nodes[0].Kept != warm.nodes[0].Kept {
			t.Errorf("used kept code of %d modules, want %d", r.nodes[0].Kept, warm.nodes[0].Kept)
		}
	})

	t.Run("cannot be written", func(t *testing.T) {
		if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
			t.Fatal(err)
		}
		same(t, start(t, "tree", env...), usual)
		if left, err := filepath.Glob(file + ".*"); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
	})

	t.Run("coverage", func(t *testing.T) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		start(t, "tree", append(env, "NODE_V8_COVERAGE="+t.TempDir())...)
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("code of a process whose coverage is measured was kept: %v", err)
		}
	})
}

const headLength = 128

// reindexed returns a file of code with another index.
func reindexed(t *testing.T, file []byte, change func([][]any) [][]any) []byte {
	t.Helper()
	var head struct {
		Hash   string `json:"hash"`
		Length int    `json:"length"`
	}
	var entries [][]any
	if err := json.Unmarshal(file[:headLength], &head); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file[headLength:headLength+head.Length], &entries); err != nil {
		t.Fatal(err)
	}
	code := file[headLength+head.Length:]
	index, err := json.Marshal(change(entries))
	if err != nil {
		t.Fatal(err)
	}
	head.Hash, head.Length = hash(index), len(index)
	start, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(fmt.Appendf(nil, "%-*s", headLength, start), index, code)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func codeFile(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".code") {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v, want one file of code", found, err)
	}
	return found[0]
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestIndexIsWritten has an app that ends before jsii's worker does.
func TestIndexIsWritten(t *testing.T) {
	dir := t.TempDir()
	r := start(t, "tree", "JSII_RUNTIME_PACKAGE_CACHE_ROOT="+dir, "PROBE_WORKERS_WAIT=2000")
	indexes, err := filepath.Glob(filepath.Join(dir, "constructs", "*", "*", ".jsii.runtime.v1.json"))
	if err != nil || len(indexes) != 1 || r.status != 0 || r.programs() != directly {
		t.Errorf("indexes %v, %v; status %d; Node ran %q\n%s", indexes, err, r.status, r.programs(), r.stderr)
	}
}

// TestStaysUsual has the settings with which the launcher stays.
func TestStaysUsual(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	copied := resources(t)
	for name, env := range map[string][]string{
		"turned off":         {"CDK_DIRECT=false"},
		"no cache":           {"XDG_CACHE_HOME=" + file, "HOME=" + file},
		"cache not absolute": {"XDG_CACHE_HOME=cache", "HOME=."},
		"another kernel":     {fmt.Sprintf("JSII_RUNTIME=exec %q %q", nodeCommand(), filepath.Join(copied, "bin", "jsii-runtime.js"))},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "tree", append(env, "JSII_RUNTIME_PACKAGE_CACHE_ROOT="+t.TempDir())...)
			if r.programs() != usually || r.status != 0 {
				t.Errorf("Node ran %q; status %d\n%s", r.programs(), r.status, r.stderr)
			}
		})
	}
}

// TestOthersMayWrite has folders into which somebody else could put a program.
func TestOthersMayWrite(t *testing.T) {
	for name, open := range map[string]func(parent, dir string) error{
		"the folder":   func(_, dir string) error { return os.Chmod(dir, 0o777) },
		"the group":    func(_, dir string) error { return os.Chmod(dir, 0o770) },
		"the one over": func(parent, _ string) error { return os.Chmod(parent, 0o777) },
		"a link": func(parent, dir string) error {
			return errors.Join(os.Rename(dir, parent+"/elsewhere"), os.Symlink("elsewhere", dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			cache := home
			if runtime.GOOS == "darwin" {
				cache = filepath.Join(home, "Library", "Caches")
			}
			parent := filepath.Join(cache, "serverless-go-cdk")
			dir := filepath.Join(parent, "kernel")
			if err := errors.Join(os.MkdirAll(dir, 0o700), open(parent, dir)); err != nil {
				t.Fatal(err)
			}
			r := start(t, "tree", "XDG_CACHE_HOME="+home, "HOME="+home, "JSII_RUNTIME_PACKAGE_CACHE_ROOT="+t.TempDir())
			if r.programs() != usually || r.status != 0 {
				t.Errorf("Node ran %q; status %d\n%s", r.programs(), r.status, r.stderr)
			}
		})
	}
}

// TestPaths has paths that must be quoted in NODE_OPTIONS.
func TestPaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a "b" \c é`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skip("no such path here:", err)
	}
	r := start(t, "tree", "XDG_CACHE_HOME="+dir, "HOME="+dir, "TMPDIR="+dir, "JSII_RUNTIME_PACKAGE_CACHE_ROOT="+dir)
	if r.programs() != directly || r.status != 0 {
		t.Errorf("Node ran %q; status %d\n%s", r.programs(), r.status, r.stderr)
	}
}

// TestUsersOptions has options that make Node load and run programs otherwise.
func TestUsersOptions(t *testing.T) {
	for _, options := range []string{
		"--import data:text/javascript,", "--enable-source-maps", "--inspect=127.0.0.1:0", "--disallow-code-generation-from-strings",
	} {
		for range 2 { // without kept code and with it
			r := start(t, "tree", "NODE_OPTIONS="+options)
			if want := "Root/Child 22 " + options + "\n"; r.status != 0 || r.stdout != want {
				t.Errorf("%s: status %d, printed %q, want %q\n%s", options, r.status, r.stdout, want, r.stderr)
			}
		}
	}
}

func TestNodeOptions(t *testing.T) {
	for _, test := range []struct {
		before string
		set    bool
		want   string
	}{
		{"", false, `--max-old-space-size=4069 --preserve-symlinks --require "/a"`},
		{"", true, `--preserve-symlinks --require "/a"`},
		{"--no-deprecation", true, `--no-deprecation --preserve-symlinks --require "/a"`},
	} {
		if got := nodeOptions(test.before, test.set, "/a"); got != test.want {
			t.Errorf("%q: %s, want %s", test.before, got, test.want)
		}
	}
}

// TestUnknown starts kernels whose files were changed, as in another version.
func TestUnknown(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", cache)
	file, err := write()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ changed, want string }{
		{"", directly},
		{"bin/jsii-runtime.js", usually},
		{"lib/program.js", usually},
	} {
		t.Run(test.changed, func(t *testing.T) {
			copied := resources(t)
			if test.changed != "" {
				path := filepath.Join(copied, filepath.FromSlash(test.changed))
				if err := os.WriteFile(path, append(read(t, path), "//"...), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(nodeCommand(), filepath.Join(copied, "bin", "jsii-runtime.js"))
			before := strings.TrimPrefix(probe(t), "NODE_OPTIONS=")
			cmd.Env = append(os.Environ(), "NODE_OPTIONS="+nodeOptions(before, true, file))
			cmd.Stdin = strings.NewReader(`{"api":"stats"}` + "\n" + `{"exit":0}` + "\n")
			r := run(t, cmd)
			if r.programs() != test.want || r.status != 0 {
				t.Errorf("Node ran %q, want %q; status %d\n%s", r.programs(), test.want, r.status, r.stderr)
			}
			if !strings.Contains(r.stdout, `{"ok":{"objectCount":0}}`) {
				t.Errorf("answered %q", r.stdout)
			}
			for _, n := range r.nodes {
				if n.Options != before {
					t.Errorf("%s leaves its children the options %q, want %q", n.Program, n.Options, before)
				}
			}
		})
	}
}

// TestKnown fails when another version of jsii is required than kernel.cjs
// knows, which would be of no use then.
func TestKnown(t *testing.T) {
	files := resources(t)
	sum := hash(slices.Concat(read(t, filepath.Join(files, "bin", "jsii-runtime.js")), read(t, filepath.Join(files, "lib", "program.js"))))
	if !bytes.Contains(program, []byte("'"+sum+"'")) {
		t.Errorf("kernel.cjs does not know %s of jsii, so its launcher stays. "+
			"Read what changed in @jsii/runtime (bin/jsii-runtime.ts, lib/program.ts, lib/sync-stdio.ts; the .map files have them): "+
			"does the launcher still only warn of Node's version before it starts the program, and the program talk on file 3, synchronously? "+
			"Then add to known in kernel.cjs: '%s'", module(t, "{{.Version}}"), sum)
	}
}

// resources returns a copy of jsii's files.
func resources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(module(t, "{{.Dir}}"), "internal", "embedded", "resources"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func module(t *testing.T, format string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", format, "github.com/aws/jsii-runtime-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func nodeCommand() string { return cmp.Or(os.Getenv("JSII_NODE"), "node") }
