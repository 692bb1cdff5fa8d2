package asset

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// age makes a file or folder one that was last used so long ago.
func age(t *testing.T, path string, d time.Duration) {
	t.Helper()
	if err := os.Chtimes(path, time.Now().Add(-d), time.Now().Add(-d)); err != nil {
		t.Fatal(err)
	}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestCacheForgetsWhatNobodyUses(t *testing.T) {
	fill := func(tmp string) error { return os.WriteFile(filepath.Join(tmp, "bootstrap"), nil, 0o755) }
	refuse := func(string) error { return errors.New("it is made again") }
	folder := func(dir string, fill func(string) error) string {
		t.Helper()
		made, err := Folder(dir, fill)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	file := func(dir, text string) string {
		t.Helper()
		made, err := File(dir, ".json", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	dir := filepath.Join(t.TempDir(), "cache")
	old, used, fresh := folder(filepath.Join(dir, "old"), fill), folder(filepath.Join(dir, "used"), fill), folder(filepath.Join(dir, "fresh"), fill)
	oldFile, usedFile := file(dir, "old"), file(dir, "used")
	for _, path := range []string{old, used, oldFile, usedFile} {
		age(t, path, kept+time.Hour)
	}
	age(t, fresh, kept-time.Hour)
	folder(used, refuse)
	file(dir, "used")
	if !there(old) || !there(oldFile) {
		t.Error("what is old is gone before anything is made")
	}
	made := folder(filepath.Join(dir, "made"), fill)
	for path, want := range map[string]bool{old: false, oldFile: false, used: true, usedFile: true, fresh: true, made: true} {
		if there(path) != want {
			t.Errorf("%s is there: %t, want %t", filepath.Base(path), !want, want)
		}
	}
	age(t, used, kept+time.Hour)
	file(dir, "another")
	if there(used) {
		t.Error("a file that is made leaves what is old")
	}
}

func TestFolderThatCannotBeFilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "handler")
	failure := errors.New("it does not build")
	if _, err := Folder(dir, func(string) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
	if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 0 {
		t.Errorf("%v is left, error %v", entries, err)
	}
}

// What clears caches may take files and leave folders.
func TestFolderThatWasEmptied(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "handler")
	for range 2 {
		if _, err := Folder(dir, func(tmp string) error { return os.WriteFile(filepath.Join(tmp, "bootstrap"), nil, 0o755) }); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "bootstrap")); err != nil {
			t.Fatal(err)
		}
	}
}

// Of two that make the same folder at a time, both have it.
func TestFolderThatAnotherMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "handler")
	_, err := Folder(dir, func(string) error {
		_, err := Folder(dir, func(tmp string) error { return os.WriteFile(filepath.Join(tmp, "bootstrap"), nil, 0o755) })
		return err
	})
	if err != nil || !there(filepath.Join(dir, "bootstrap")) {
		t.Errorf("error %v; the bootstrap is there: %t", err, there(filepath.Join(dir, "bootstrap")))
	}
}
