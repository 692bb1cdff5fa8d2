package test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesAreExplained fails when a direct dependency, of a Go module
// or from npm, has no line in the design, or a line has no dependency.
func TestDependenciesAreExplained(t *testing.T) {
	page, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## Dependencies\n")
	if !ok {
		t.Fatal("docs/design.md has no section on dependencies")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	used := map[string]bool{}
	explained := func(dependency string) bool {
		found := false
		for _, name := range codeSpans(section) {
			if name == dependency || strings.Contains(dependency+"/", "/"+name+"/") {
				used[name], found = true, true
			}
		}
		return found
	}
	for _, file := range files(t, "go.mod") {
		for _, path := range directModules(t, file) {
			if path != module && !explained(path) {
				t.Errorf("%s requires %s, which docs/design.md does not explain", file, path)
			}
		}
	}
	for _, file := range files(t, "package.json") {
		for name := range readPackage(t, file).all() {
			if !explained(name) {
				t.Errorf("%s needs %s, which docs/design.md does not explain", file, name)
			}
		}
	}
	table, _, _ := strings.Cut(section, "\n\nIn tests")
	for _, row := range strings.Split(table, "\n") {
		name, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		for _, name := range codeSpans(name) {
			_, err := os.Stat("../" + name)
			folder := err == nil
			if !used[name] && !folder && !strings.Contains(name, "@") {
				t.Errorf("docs/design.md explains %s, on which nothing depends", name)
			}
		}
	}
}

// TestVersionsArePinned fails on ranges, on packages without a lock, and on
// tools that are run at whatever version is the latest.
func TestVersionsArePinned(t *testing.T) {
	for _, file := range files(t, "package.json") {
		for _, problem := range unpinned(t, file) {
			t.Error(problem)
		}
	}
	for _, file := range files(t, ".ci/*", "*.md", "*.sh", "*.go") {
		text, err := os.ReadFile("../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range loose(string(text)) {
			t.Errorf("%s runs %q, which is not a fixed version", file, run)
		}
	}
}

func TestSupplyChainSeesProblems(t *testing.T) {
	const pinned = "1" + ".2.3"
	for text, want := range map[string]int{
		"npx --yes " + "aws-cdk synth":                     1,
		"npx " + "aws-cdk@latest":                          1,
		"npx --yes " + "aws-cdk@" + pinned + " synth":      0,
		"go run " + "example.com/tool@latest ./...":        1,
		"go run " + "example.com/tool/cmd@v" + pinned:      0,
		"go install " + "example.com/tool@main":            1,
		"go run " + ". -flag a@b, go run ./cmd/tool":       0,
		"npm install " + "left-pad":                        1,
		"npm ci " + "--ignore-scripts, go run main.go x@y": 0,
	} {
		if got := loose(text); len(got) != want {
			t.Errorf("%q: found %q, want %d", text, got, want)
		}
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "package.json")
	write("package.json", `{"dependencies":{"a":"^1.0.0"},"devDependencies":{"b":"latest","c":"1.0.0"}}`)
	if got := unpinned(t, file); len(got) != 3 {
		t.Errorf("without a lock: found %q, want two ranges and the lock", got)
	}
	write("package.json", `{"dependencies":{"c":"1.0.0"}}`)
	write("package-lock.json", `{"packages":{"":{},"node_modules/c":{"version":"1.0.0"}}}`)
	if got := unpinned(t, file); len(got) != 1 || !strings.Contains(got[0], "integrity") {
		t.Errorf("without an integrity: found %q", got)
	}
	write("package-lock.json", `{"packages":{"":{},"node_modules/d":{"version":"1.0.0","integrity":"sha512-x"}}}`)
	if got := unpinned(t, file); len(got) != 1 || !strings.Contains(got[0], "lock") {
		t.Errorf("with another lock: found %q", got)
	}
	write("package-lock.json", `{"packages":{"":{},"node_modules/c":{"version":"1.0.0","integrity":"sha512-x"}}}`)
	if got := unpinned(t, file); len(got) != 0 {
		t.Errorf("pinned: found %q", got)
	}
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

func codeSpans(text string) []string {
	var names []string
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// files returns the files of the repository that are of the patterns, which
// are names or folders with a name, such as "*.go" and ".ci/*".
func files(t *testing.T, patterns ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "node_modules" || strings.HasPrefix(name, "cdk.out")):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		path = filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		for _, pattern := range patterns {
			against := name
			if strings.Contains(pattern, "/") {
				against = path
			}
			if ok, _ := filepath.Match(pattern, against); ok {
				found = append(found, path)
				break
			}
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("no file is %s (%v)", patterns, err)
	}
	return found
}

func directModules(t *testing.T, file string) []string {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json", "../"+file).Output()
	if err != nil {
		t.Fatalf("go mod edit %s: %v", file, err)
	}
	var parsed struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &parsed); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range parsed.Require {
		if !r.Indirect {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

type npmPackage struct {
	Dependencies, DevDependencies, OptionalDependencies map[string]string
}

func (p npmPackage) all() map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{p.Dependencies, p.DevDependencies, p.OptionalDependencies} {
		for name, version := range m {
			all[name] = version
		}
	}
	return all
}

func readPackage(t *testing.T, file string) npmPackage {
	t.Helper()
	var p npmPackage
	readJSON(t, file, &p)
	return p
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	if !filepath.IsAbs(file) {
		file = "../" + file
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

var exactVersion = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// unpinned returns what a package.json and the lock beside it leave open.
func unpinned(t *testing.T, file string) []string {
	t.Helper()
	var problems []string
	wanted := readPackage(t, file).all()
	for name, version := range wanted {
		if !exactVersion.MatchString(version) {
			problems = append(problems, fmt.Sprintf("%s: %s is %s, not one version", file, name, version))
		}
	}
	lock := filepath.Join(filepath.Dir(file), "package-lock.json")
	at := lock
	if !filepath.IsAbs(at) {
		at = "../" + at
	}
	if _, err := os.Stat(at); err != nil {
		return append(problems, file+" has no package-lock.json beside it")
	}
	var locked struct {
		Packages map[string]struct {
			Version, Integrity string
			InBundle           bool
		}
	}
	readJSON(t, lock, &locked)
	for path, p := range locked.Packages {
		if path != "" && p.Integrity == "" && !p.InBundle {
			problems = append(problems, fmt.Sprintf("%s: %s has no integrity", lock, path))
		}
	}
	for name, version := range wanted {
		if locked.Packages["node_modules/"+name].Version != version {
			problems = append(problems, fmt.Sprintf("%s does not lock %s at %s", lock, name, version))
		}
	}
	slices.Sort(problems)
	return problems
}

// The lines by which tools are run: what follows npx's flags, and modules of
// go run and go install, which have a dot in their first element.
var (
	npxRuns = regexp.MustCompile(`\bnpx (?:-[-a-z]+ )*([a-z@][^\s"'` + "`" + `]*)`)
	goRuns  = regexp.MustCompile(`\bgo (?:run|install) ([a-z0-9-]+(?:\.[a-z0-9-]+)+/[^\s"'` + "`" + `]+)`)
	npmAdds = regexp.MustCompile(`\bnpm (?:i|install|add) (?:-[-a-z]+ )*([a-z@][^\s"'` + "`" + `]*)`)
	atFixed = regexp.MustCompile(`@v?\d+\.\d+\.\d+`)
)

func loose(text string) []string {
	var found []string
	for _, pattern := range []*regexp.Regexp{npxRuns, goRuns, npmAdds} {
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			if !atFixed.MatchString(m[1]) {
				found = append(found, m[0])
			}
		}
	}
	return found
}
