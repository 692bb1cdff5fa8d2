package function_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

// bundled synthesizes a stack with one Go function and returns the asset's
// hash and the bytes of its bootstrap.
func bundled(t *testing.T, entry string) (hash string, bootstrap []byte) {
	t.Helper()
	stack := cdktest.NewStack(t, cdktest.Context("aws:cdk:bundling-stacks", []string{"**"}))
	function.NewFunction(stack, "Hello", &function.Props{Entry: entry})
	template := cdktest.Synth(t, stack)
	code := template.Resources("AWS::Lambda::Function")[0].Properties["Code"].(map[string]any)
	hash = strings.TrimSuffix(code["S3Key"].(string), ".zip")
	bootstrap, err := os.ReadFile(filepath.Join(cdktest.Outdir(stack), "asset."+hash, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	return hash, bootstrap
}

func TestBundles(t *testing.T) {
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(goCache))) // moves with the next one, and its rebuild takes minutes
	t.Setenv("XDG_CACHE_HOME", t.TempDir())                 // nothing built before may answer
	hash, bootstrap := bundled(t, entry)
	file, err := elf.NewFile(strings.NewReader(string(bootstrap)))
	if err != nil {
		t.Fatal(err)
	}
	if file.Machine != elf.EM_AARCH64 {
		t.Errorf("built for %v, want arm64", file.Machine)
	}
	if strings.Contains(string(bootstrap), os.Getenv("HOME")+"/") {
		t.Error("the binary holds a path of this machine")
	}

	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	again, bytes := bundled(t, "./testdata/hello") // the same package by its folder
	if again != hash {
		t.Errorf("hashes differ: %s and %s", hash, again)
	}
	if sha256.Sum256(bytes) != sha256.Sum256(bootstrap) {
		t.Error("two builds of the same sources differ")
	}
}

func TestHashFollowsSources(t *testing.T) {
	module := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module shop\n\ngo 1.26\n")
	write("cart/main.go", "package main\n\nimport \"shop/price\"\n\nfunc main() { println(price.Euro) }\n")
	write("price/price.go", "package price\n\nimport _ \"embed\"\n\n//go:embed euro.txt\nvar Euro string\n")
	write("price/euro.txt", "1")
	write("unused/unused.go", "package unused\n")
	t.Chdir(module)

	hash, _ := bundled(t, "./cart")
	seen := map[string]string{hash: "the first"}
	for _, change := range []struct{ file, text string }{
		{"price/euro.txt", "2"},
		{"price/more.go", "package price\n"},
		{"go.mod", "module shop\n\ngo 1.26\n\n// changed\n"},
	} {
		write(change.file, change.text)
		hash, _ := bundled(t, "./cart")
		if was, ok := seen[hash]; ok {
			t.Errorf("after a change of %s the hash is still that of %s", change.file, was)
		}
		seen[hash] = change.file
	}
	hash, _ = bundled(t, "./cart")
	write("unused/unused.go", "package unused\n\n// changed\n")
	if after, _ := bundled(t, "./cart"); after != hash {
		t.Error("a file that is not built in changed the hash")
	}
}

func TestRejectsEntries(t *testing.T) {
	for entry, want := range map[string]string{
		"example.com/nowhere":                                            "example.com/nowhere",
		"./testdata/missing":                                             "testdata/missing",
		"github.com/serverless-go/cdk/patterns/props":                    "not a main package",
		"github.com/serverless-go/cdk/patterns/function/testdata/broken": "undefined: undeclared",
	} {
		stack := cdktest.NewStack(t, cdktest.Context("aws:cdk:bundling-stacks", []string{"**"}))
		cdktest.Rejects(t, func() { function.NewFunction(stack, "Hello", &function.Props{Entry: entry}) },
			"Test/Hello", fmt.Sprintf("Entry is %q", entry), want)
	}
}

// A module that depends on this one has it in the module cache, where nothing
// can be written.
func TestBundlesFromModuleCache(t *testing.T) {
	proxy, cache, app := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("GOPROXY", "file://"+filepath.ToSlash(proxy))
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOMODCACHE", cache)
	t.Cleanup(func() { // what is read-only cannot be removed
		if out, err := exec.Command("go", "clean", "-modcache").CombinedOutput(); err != nil {
			t.Errorf("clean: %v\n%s", err, out)
		}
	})
	publish(t, proxy, "example.com/lib", map[string]string{
		"go.mod":       "module example.com/lib\n\ngo 1.26\n",
		"cart/main.go": "package main\n\nfunc main() {}\n",
	})
	if err := os.WriteFile(filepath.Join(app, "go.mod"), []byte("module shop\n\ngo 1.26\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(app)
	if out, err := exec.Command("go", "get", "example.com/lib/cart@v1.0.0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, bootstrap := bundled(t, "example.com/lib/cart"); len(bootstrap) == 0 {
		t.Error("the bootstrap is empty")
	}
}

// publish puts version v1.0.0 of a module into a proxy that is a folder
// (https://go.dev/ref/mod#goproxy-protocol).
func publish(t *testing.T, proxy, module string, files map[string]string) {
	t.Helper()
	dir := filepath.Join(proxy, module, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, text := range files {
		f, err := w.Create(module + "@v1.0.0/" + name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"v1.0.0.info": `{"Version":"v1.0.0"}`, "v1.0.0.mod": files["go.mod"], "v1.0.0.zip": archive.String(), "list": "v1.0.0\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
