package asset

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"sync"
)

// prepared are the handlers that Prepare has looked up, with their hashes.
var prepared = struct {
	sync.Mutex
	handlers map[string]Handler // by package and architecture
}{handlers: map[string]Handler{}}

func lookup(entry, arch string) (*Handler, bool) {
	prepared.Lock()
	defer prepared.Unlock()
	h, ok := prepared.handlers[entry+" "+arch]
	return &h, ok
}

// Prepare looks up all handlers that the pattern matches ("example.com/shop/functions/...")
// with one call of the go command, where each handler would take two of its
// own, and builds those that are not in the cache, side by side. From then on
// the process takes their sources as they are now.
//
// It tells progress, if not nil, of each handler that was built.
func Prepare(pattern, arch string, progress func(built, of int, name string)) error {
	handlers, err := list(pattern, arch)
	if err != nil {
		return err
	}
	var missing []*Handler
	for _, h := range handlers {
		if built, err := h.built(h.hash); err != nil {
			return err
		} else if !built {
			missing = append(missing, h)
		}
	}
	if err := buildAll(missing, progress); err != nil {
		return err
	}
	prepared.Lock()
	defer prepared.Unlock()
	for _, h := range handlers {
		prepared.handlers[h.Package+" "+arch] = *h
	}
	return nil
}

// list returns the main packages of the pattern, with their hashes.
func list(pattern, arch string) ([]*Handler, error) {
	out, err := run("", environment(arch), "list", append(tags(), "-deps", "-json=Name,Imports,DepOnly,"+hashed, pattern)...)
	if err != nil {
		return nil, fmt.Errorf("list the handlers %s: %w", pattern, err)
	}
	packages := map[string]*source{}
	var mains []*source
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg source
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list the handlers %s: %w", pattern, err)
		}
		packages[pkg.ImportPath] = &pkg
		if pkg.Name == "main" && !pkg.DepOnly && pkg.Module != nil {
			mains = append(mains, &pkg)
		}
	}
	handlers := make([]*Handler, len(mains))
	for i, main := range mains {
		h := &Handler{Package: main.ImportPath, Dir: main.Dir, Module: main.Module.Dir, Arch: arch}
		hash := sha256.New()
		if err := h.begin(hash); err != nil {
			return nil, err
		}
		for _, pkg := range main.dependencies(packages) {
			if err := pkg.add(hash); err != nil {
				return nil, err
			}
		}
		h.hash = hex.EncodeToString(hash.Sum(nil))
		handlers[i] = h
	}
	return handlers, nil
}

// dependencies returns the package and all that it imports, in the order in
// which the go command lists them: each after what it imports itself.
func (s *source) dependencies(packages map[string]*source) []*source {
	seen := map[*source]bool{}
	var all []*source
	var walk func(*source)
	walk = func(pkg *source) {
		// The standard library imports nothing outside and is not hashed.
		if pkg == nil || pkg.Standard || seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, name := range pkg.Imports {
			walk(packages[name])
		}
		all = append(all, pkg)
	}
	walk(s)
	return all
}

// buildAll builds the handlers, a few at a time, and returns what failed.
func buildAll(handlers []*Handler, progress func(built, of int, name string)) error {
	var mutex sync.Mutex
	var failed []error
	built := 0
	var running sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, h := range handlers {
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			_, err := h.Build(h.hash)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				failed = append(failed, err)
				return
			}
			built++
			if progress != nil {
				progress(built, len(handlers), path.Base(h.Package))
			}
		})
	}
	running.Wait()
	return errors.Join(failed...)
}
