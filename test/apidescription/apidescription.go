// Package apidescription reads the API descriptions of other clouds that tests
// hold their doubles and clients against. They are not part of this module.
package apidescription

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Read returns a description that lies beside the module, by its path from the
// module's parent. Of names whose API it is. The test is skipped where the file
// is not there, unless the environment has REQUIRE_ENGINES=1.
func Read(t testing.TB, of, file string) []byte {
	t.Helper()
	data, err := find(file)
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("REQUIRE_ENGINES") == "1" {
			t.Fatalf("%s's API description is missing: put %s beside the module", of, file)
		}
		t.Skipf("%s's API description is missing: put %s beside the module to hold the requests against it", of, file)
	}
	if err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	return data
}

// find looks for the file beside the module that the working directory is in.
func find(file string) ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return os.ReadFile(filepath.Join(dir, "..", filepath.FromSlash(file)))
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, fs.ErrNotExist
		}
		dir = parent
	}
}
