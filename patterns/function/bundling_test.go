package function_test

import (
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
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
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // nothing built before may answer
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
