package openwhisk

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/schema"
)

// A Bundle is a folder with all that is needed to deploy a workflow: archives
// of its actions, what is deployed, the same as manifest.yaml, which
// `wskdeploy -p folder` deploys, and the workflow for people to read.
type Bundle struct {
	Deployment *api.Deployment
	// Workflow is what the conductor reads; nil when a sequence runs the
	// workflow.
	Workflow *Workflow
	// Executables are the actions' files, built for Linux on amd64, by the name
	// of the action. Actions without one get no archive.
	Executables map[string]string
}

// Write writes the bundle into an existing folder.
func (b *Bundle) Write(dir string) error {
	deployment, err := json.MarshalIndent(b.Deployment, "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{schema.Deployment: deployment, schema.Manifest: b.Deployment.Manifest()}
	if b.Workflow != nil {
		if files[FileName], err = json.MarshalIndent(b.Workflow, "", "  "); err != nil {
			return err
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	for _, spec := range b.Deployment.Actions {
		executable, ok := b.Executables[spec.Name]
		if spec.Archive == "" || !ok {
			continue
		}
		var workflow *Workflow
		if spec.Conductor {
			workflow = b.Workflow
		}
		if err := archive(filepath.Join(dir, spec.Archive), spec.Kind, executable, workflow); err != nil {
			return fmt.Errorf("archive action %s: %w", spec.Name, err)
		}
	}
	return nil
}

// archive writes an action's archive. The Go runtime runs the file exec, if
// exec.env names the image that it was made for.
//
// Source: https://github.com/apache/openwhisk-runtime-go/blob/master/docs/ENVVARS.md.
func archive(file, kind, executable string, w *Workflow) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	in, err := os.Open(executable)
	if err != nil {
		return err
	}
	defer in.Close()
	z := zip.NewWriter(out)
	if err := entry(z, "exec", 0o755, in); err != nil {
		return err
	}
	if err := entry(z, "exec.env", 0o644, strings.NewReader(image(kind))); err != nil {
		return err
	}
	if w != nil {
		data, err := json.Marshal(w)
		if err != nil {
			return err
		}
		if err := entry(z, FileName, 0o644, strings.NewReader(string(data))); err != nil {
			return err
		}
	}
	return z.Close()
}

// entry adds a file without its time, so that the same files make the same
// archive.
func entry(z *zip.Writer, name string, mode os.FileMode, from io.Reader) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(mode)
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, from)
	return err
}

// image returns the name of the image that runs a kind such as "go:1.20".
func image(kind string) string {
	return "openwhisk/action-golang-v" + strings.TrimPrefix(kind, "go:")
}
