package benchmark

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/test/benchmark/transcript"
	"github.com/serverless-go/cdk/test/cdktest"
)

// flashSale has its transcript make as many copies as it is asked for.
var flashSale = transcript.Options{Name: "FlashSale1", Prefix: "FlashSale"}

// TestTranscript proves that the benchmark compares like with like: what a
// transcript makes is what Go makes.
func TestTranscript(t *testing.T) {
	t.Run("systems", func(t *testing.T) {
		traced := goSystems().trace(t)
		for _, lean := range []bool{false, true} {
			js := traced.javaScript(t, transcript.Options{Lean: lean})
			same(t, traced, js.synth(t, 1))
		}
	})
	t.Run("copies", func(t *testing.T) {
		js := goApp().trace(t).javaScript(t, flashSale)
		same(t, goApp().synth(t, 2), js.synth(t, 2))
	})
}

// same compares what is deployed: all templates, and all assets.
func same(t *testing.T, want, got run) {
	t.Helper()
	wanted, made := want.templates(t), got.templates(t)
	if len(wanted) == 0 {
		t.Fatal("no templates")
	}
	for name := range wanted {
		cdktest.Same(t, wanted[name], made[name])
	}
	if diff := cmp.Diff(want.assets(t), got.assets(t)); diff != "" {
		t.Errorf("the assets differ (- want, + got):\n%s", diff)
	}
	if diff := cmp.Diff(want.files(t), got.files(t)); diff != "" {
		t.Errorf("the assemblies differ (- want, + got):\n%s", diff)
	}
}

// assets returns the hashes of all assets, templates included, with where they
// come from and go to.
func (r run) assets(t *testing.T) map[string]any {
	t.Helper()
	assets := map[string]any{}
	for stack, manifest := range readJSON[struct {
		Files map[string]map[string]any `json:"files"`
	}](t, r.dir, "*.assets.json") {
		for hash, file := range manifest.Files {
			assets[stack+" "+hash] = file
		}
	}
	return assets
}

// report is the name of a file that says what a check in Go found.
var report = regexp.MustCompile(`-report\.(json|txt)$`)

// files returns the names of the files in the assembly that any app writes.
func (r run) files(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if !report.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names
}

// trace synthesizes with jsii's trace as its standard error, and leaves the
// files that the app made for the CDK, even those that it removed.
func (a app) trace(t testing.TB) run {
	t.Helper()
	temporary, kept := t.TempDir(), t.TempDir()
	env := []string{"JSII_DEBUG=1", "KEEP=" + kept, "NODE_OPTIONS=" + nodeOptions + " --require ./keep.cjs"}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		env = append(env, name+"="+temporary)
	}
	r := a.synth(t, 1, env...)
	entries, err := os.ReadDir(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		to := filepath.Join(temporary, entry.Name())
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(kept, entry.Name()), to); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// javaScript returns the app that does what was traced without jsii.
func (r run) javaScript(t testing.TB, o transcript.Options) app {
	t.Helper()
	program, err := transcript.JavaScript(r.stderr, o)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "app.js")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return nodeApp(t, file)
}
