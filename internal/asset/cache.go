package asset

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"
)

// Cached returns a path in this module's folder of the user's cache.
func Cached(elem ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(append([]string{cache, "serverless-go-cdk"}, elem...)...), nil
}

// File writes the data into a file of the folder, which is made if need be, that
// is named by its content, and returns its path. The file appears as a whole:
// others may write it, too. What nobody has used for a month is removed from the
// folder.
func File(dir, extension string, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	file := filepath.Join(dir, hex.EncodeToString(sum[:])+extension)
	if there, err := os.ReadFile(file); err == nil && bytes.Equal(there, data) {
		use(file)
		return file, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, "write-")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", err
	}
	trim(dir)
	return file, os.Rename(tmp.Name(), file)
}

// Folder returns the folder, filled by the function if it is not there. Like
// [File]'s it appears as a whole, and what is beside it is removed after a month.
func Folder(dir string, fill func(tmp string) error) (string, error) {
	if filled(dir) {
		return dir, nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(parent, "write-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return "", err
	}
	trim(parent)
	os.Remove(dir)                                              // one that was emptied would be in the way
	if err := os.Rename(tmp, dir); err != nil && !filled(dir) { // else another process made the same meanwhile
		return "", err
	}
	return dir, nil
}

// kept is how long what nobody uses stays: each change of a handler's source
// leaves some megabytes behind.
const kept = 30 * 24 * time.Hour

// use notes that the file or folder is in use. It cannot where another user made
// it, or nobody may write: then it is kept for a month from when it was made.
func use(path string) {
	now := time.Now()
	os.Chtimes(path, now, now)
}

// filled reports whether the folder is there, and notes that it is in use. What
// clears caches may have left it empty.
func filled(dir string) bool {
	entries, err := os.ReadDir(dir)
	use(dir)
	return err == nil && len(entries) > 0
}

// trim removes from the folder what nobody has used. That it cannot is no error:
// it will be tried again.
func trim(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > kept {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}
