package engine

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

var (
	//go:embed package.json
	manifest []byte
	//go:embed package-lock.json
	lockfile []byte
)

// Install returns the node_modules folder that holds what npm's lockfile names.
// It lies in the user's cache under the lockfile's hash, so that it is made
// once for each set of versions. Scripts of the packages do not run.
func Install(manifest, lockfile []byte) (modules string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, "serverless-go-engines")
	dir := filepath.Join(root, fmt.Sprintf("%x", sha256.Sum256(lockfile))[:16])
	modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(dir); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(root, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return modules, nil
	}

	// The rename makes the installation appear as a whole or not at all.
	work, err := os.MkdirTemp(root, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	err = errors.Join(
		os.WriteFile(filepath.Join(work, "package.json"), manifest, 0o644),
		os.WriteFile(filepath.Join(work, "package-lock.json"), lockfile, 0o644))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("npm is not installed")
	} else if err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(work, dir); err != nil {
		if _, statErr := os.Stat(dir); statErr != nil {
			return "", err
		}
	}
	return modules, nil
}
