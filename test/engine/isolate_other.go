//go:build !linux

package engine

import "os/exec"

func isolate() (status int, ok bool) { return 0, false }

func dieWithParent(*exec.Cmd) {}

// Without the lock two binaries may install at the same time; the rename at
// the end lets one of them win.
func lock(string) (unlock func(), err error) { return func() {}, nil }
