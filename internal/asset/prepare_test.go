package asset

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What Prepare finds at once is what each handler would find alone; else the
// app and a test of a stack would deploy different assets.
func TestPrepareFindsTheSameHashes(t *testing.T) {
	handlers, err := list("github.com/serverless-go/cdk/functions/...", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if len(handlers) < 7 {
		t.Fatalf("%d handlers, want at least the flash sale's 7", len(handlers))
	}
	for _, prepared := range handlers {
		alone, err := Find(prepared.Package, "arm64")
		if err != nil {
			t.Fatal(err)
		}
		hash, err := alone.SourceHash()
		if err != nil {
			t.Fatal(err)
		}
		if hash != prepared.hash || alone.Dir != prepared.Dir || alone.Module != prepared.Module {
			t.Errorf("prepared %+v, alone %+v with hash %s", prepared, alone, hash)
		}
	}
}

func writeModule(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestPrepareBuildsWhatIsMissing(t *testing.T) {
	goCache, err := run("", nil, "env", "GOCACHE")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	writeModule(t, map[string]string{
		"go.mod":          "module prepared\n\ngo 1.26\n",
		"f/cart/main.go":  "package main\n\nimport \"prepared/price\"\n\nfunc main() { println(price.Euro) }\n",
		"f/offer/main.go": "package main\n\nfunc main() {}\n",
		"price/price.go":  "package price\n\nconst Euro = 1\n",
	})
	var told []string
	progress := func(built, of int, name string) {
		if of != 2 || built != len(told)+1 {
			t.Errorf("built %d of %d", built, of)
		}
		told = append(told, name)
	}
	if err := Prepare("prepared/f/...", "arm64", progress); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(told); !slices.Equal(told, []string{"cart", "offer"}) {
		t.Errorf("told of %v", told)
	}
	h, err := Find("prepared/f/cart", "arm64")
	if err != nil || h.hash == "" {
		t.Fatalf("%+v, %v: not prepared", h, err)
	}
	if built, _ := h.built(h.hash); !built {
		t.Error("the handler is not in the cache")
	}
	told = nil
	if err := Prepare("prepared/f/...", "arm64", progress); err != nil || len(told) > 0 {
		t.Errorf("built %v again, %v", told, err)
	}
}

func TestPrepareReportsWhatDoesNotBuild(t *testing.T) {
	writeModule(t, map[string]string{
		"go.mod":         "module unprepared\n\ngo 1.26\n",
		"f/cart/main.go": "package main\n\nfunc main() { undeclared() }\n",
	})
	err := Prepare("unprepared/f/...", "arm64", nil)
	if err == nil || !strings.Contains(err.Error(), "undefined: undeclared") {
		t.Errorf("got %v", err)
	}
	if _, ok := lookup("unprepared/f/cart", "arm64"); ok {
		t.Error("a handler that does not build is prepared")
	}
}
