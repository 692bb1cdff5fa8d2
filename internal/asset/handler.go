// Package asset builds the Go handlers that run in Lambda.
package asset

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Handler is a main package that is built for provided.al2023.
type Handler struct {
	Package string // import path
	Dir     string // the package's folder
	Module  string // the folder of its module, where go.mod is
	Arch    string // "arm64" or "amd64"

	hash string // of the sources, if Prepare has looked them up
}

// flags make the binary small and its bytes the same on every machine: no
// paths, no version-control stamp, no build id. lambda.norpc leaves out the
// RPC server of the retired go1.x runtime.
var flags = []string{"-trimpath", "-buildvcs=false", "-tags=lambda.norpc", "-ldflags=-s -w -buildid="}

// Find resolves an entry: an import path, known to the module of the working
// directory (itself or a dependency), or a folder that starts with "./",
// "../" or "/".
func Find(entry, arch string) (*Handler, error) {
	if h, ok := lookup(entry, arch); ok {
		return h, nil
	}
	out, err := run("", nil, "list", "-find", "-json=ImportPath,Dir,Name,Module", entry)
	if err != nil {
		return nil, fmt.Errorf("find handler %s: %w", entry, err)
	}
	var pkg struct {
		ImportPath, Dir, Name string
		Module                *struct{ Dir string }
	}
	if err := json.Unmarshal(out, &pkg); err != nil {
		return nil, fmt.Errorf("find handler %s: %w", entry, err)
	}
	switch {
	case pkg.Name != "main":
		return nil, fmt.Errorf("find handler %s: package %s is not a main package", entry, pkg.Name)
	case pkg.Module == nil:
		return nil, fmt.Errorf("find handler %s: it belongs to no module", entry)
	}
	return &Handler{Package: pkg.ImportPath, Dir: pkg.Dir, Module: pkg.Module.Dir, Arch: arch}, nil
}

// SourceHash returns a hash of all that decides the binary: the names and
// bytes of the package's sources and of those it imports from modules without
// a version, go.mod and go.sum (which pin all others), and the build's flags.
// It is equal on every machine, whatever the folders are called.
func (h *Handler) SourceHash() (string, error) {
	if h.hash != "" {
		return h.hash, nil
	}
	out, err := h.run("list", append(tags(), "-deps", "-json="+hashed, h.Package)...)
	if err != nil {
		return "", fmt.Errorf("list the sources of %s: %w", h.Package, err)
	}
	hash := sha256.New()
	if err := h.begin(hash); err != nil {
		return "", err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg source
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("list the sources of %s: %w", h.Package, err)
		}
		if err := pkg.add(hash); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// begin hashes what is not in a package.
func (h *Handler) begin(hash io.Writer) error {
	fmt.Fprintf(hash, "%s %s %q\n", h.Package, h.Arch, flags)
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := add(hash, name, filepath.Join(h.Module, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// source is a package as the go command lists it. hashed names the fields that
// a hash needs.
type source struct {
	Name, ImportPath, Dir       string
	Standard, DepOnly           bool
	Imports                     []string
	GoFiles, SFiles, EmbedFiles []string
	Module                      *struct {
		Dir, Version string
		Main         bool
		Replace      *struct{ Version string }
	}
}

const hashed = "ImportPath,Dir,Standard,Module,GoFiles,SFiles,EmbedFiles"

// add hashes the package's files, unless go.sum pins them.
func (s *source) add(hash io.Writer) error {
	if s.Standard || s.Module == nil {
		return nil
	}
	if m := s.Module; !m.Main && (m.Replace == nil || m.Replace.Version != "") {
		return nil
	}
	for _, name := range slices.Concat(s.GoFiles, s.SFiles, s.EmbedFiles) {
		if err := add(hash, s.ImportPath+"/"+name, filepath.Join(s.Dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func add(w io.Writer, name, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s %d\n", filepath.ToSlash(name), len(b))
	_, err = w.Write(b)
	return err
}

// Build builds the handler as "bootstrap" and returns the folder that holds
// it, in the user's cache, named by the source hash: what was built before is
// not built again.
func (h *Handler) Build(sourceHash string) (string, error) {
	dir, err := h.folder(sourceHash)
	if err == nil {
		dir, err = Folder(dir, func(tmp string) error {
			_, err := h.run("build", append(append([]string{"-o", filepath.Join(tmp, "bootstrap")}, flags...), h.Package)...)
			return err
		})
	}
	if err != nil {
		return "", fmt.Errorf("build %s: %w", h.Package, err)
	}
	return dir, nil
}

// folder returns where the handler of that hash is built.
func (h *Handler) folder(sourceHash string) (string, error) {
	// Another toolchain makes other bytes from the same sources. The CDK would take
	// what follows a dot for the extension of the asset.
	return Cached("handlers", strings.ReplaceAll(runtime.Version(), ".", "_")+"-"+sourceHash)
}

// built reports whether the handler of that hash is built.
func (h *Handler) built(sourceHash string) (bool, error) {
	dir, err := h.folder(sourceHash)
	return err == nil && filled(dir), err
}

// Empty returns an empty folder, for apps that are not to be bundled.
func Empty() (string, error) {
	dir, err := Cached("empty")
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// run runs the go command in the handler's own module, whose go.mod pins its
// dependencies even when the module is another one's dependency and lies in
// the read-only module cache.
func (h *Handler) run(command string, args ...string) ([]byte, error) {
	return run(h.Module, environment(h.Arch), command, args...)
}

func environment(arch string) []string {
	return []string{"GOOS=linux", "GOARCH=" + arch, "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly"}
}

func tags() []string { return []string{"-tags=lambda.norpc"} }

func run(dir string, env []string, command string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{command}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go %s: %s", command, strings.TrimSpace(string(exit.Stderr)))
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("go %s: the go command is not on the PATH; install Go from https://go.dev/dl", command)
	}
	return out, err
}
