package openwhisk_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
)

func TestBundle(t *testing.T) {
	w, err := openwhisk.Translate([]byte(task("")), map[string]string{"f": "/_/p/f"})
	if err != nil {
		t.Fatal(err)
	}
	executable := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(executable, []byte("ELF"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := &openwhisk.Bundle{
		Deployment: &api.Deployment{Package: "p", Workflow: "w", Actions: []api.Spec{
			{Name: "f", Kind: "go:1.20", Archive: "f.zip"},
			{Name: "not built", Kind: "go:1.20", Archive: "x.zip"},
			{Name: "w", Kind: "go:1.21", Archive: "w.zip", Conductor: true},
		}},
		Workflow:    w,
		Executables: map[string]string{"f": executable, "w": executable},
	}
	contents := map[string]map[string]string{}
	var before []byte
	for range 2 {
		dir := t.TempDir()
		if err := b.Write(dir); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"f.zip", "w.zip"} {
			contents[name] = unzip(t, filepath.Join(dir, name))
		}
		data, err := os.ReadFile(filepath.Join(dir, "w.zip"))
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !bytes.Equal(before, data) {
			t.Error("the same files make another archive")
		}
		before = data
		if _, err := os.Stat(filepath.Join(dir, "x.zip")); err == nil {
			t.Error("an action without executable has an archive")
		}
		var d api.Deployment
		data, err = os.ReadFile(filepath.Join(dir, "deployment.json"))
		if err == nil {
			err = json.Unmarshal(data, &d)
		}
		if diff := cmp.Diff(b.Deployment, &d); err != nil || diff != "" {
			t.Errorf("deployment.json: %v\n%s", err, diff)
		}
	}
	workflow, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{
		"f.zip": {"exec": "-rwxr-xr-x ELF", "exec.env": "-rw-r--r-- openwhisk/action-golang-v1.20"},
		"w.zip": {"exec": "-rwxr-xr-x ELF", "exec.env": "-rw-r--r-- openwhisk/action-golang-v1.21", "workflow.json": "-rw-r--r-- " + string(workflow)},
	}
	if diff := cmp.Diff(want, contents); diff != "" {
		t.Errorf("archives (-want +got):\n%s", diff)
	}
}

func unzip(t *testing.T, file string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = f.Mode().String() + " " + string(data)
	}
	return files
}
