//go:build unix

package kernel

import (
	"fmt"
	"os"
	"syscall"
)

// ours returns an error if somebody else may put something into the folder: what
// is there is run, and a cache may be in a folder that all users share.
func ours(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not the user's alone: %v", dir, info.Mode())
	}
	return nil
}
