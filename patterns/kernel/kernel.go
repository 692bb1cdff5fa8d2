// Package kernel makes the CDK cheaper for Go apps.
//
// The constructs of a Go app live in a process of Node, the kernel of jsii.
// jsii does not start it itself but a launcher, which starts it and copies
// every message between the two. [Direct] leaves the launcher out.
package kernel

import (
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/aws/jsii-runtime-go"
	jsiiruntime "github.com/aws/jsii-runtime-go/runtime"
	"github.com/serverless-go/cdk/internal/asset"
)

// Direct lets Go speak to the CDK's process without jsii's launcher between, and
// that process use the code that V8 compiled in an earlier one: together a fifth
// less CPU for an app of one stack. The first app with a version of the CDK ends
// a few seconds later, when jsii has its index of it: without one, which small
// apps may wait for in vain by jsii's way, each takes three times the CPU.
//
// Call it first of all, before anything of the CDK: what was made before is lost.
//
//	func main() {
//		kernel.Direct()
//		defer jsii.Close()
//		app := awscdk.NewApp(nil)
//
// The templates are the same, and so are the CDK's errors and what it prints.
// Only what a command that the CDK starts prints itself comes to standard error
// by lines, without those that are JSON objects.
//
// Direct never fails. All stays as jsii has it when CDK_DIRECT is "false", when
// JSII_RUNTIME names a kernel, when the version of jsii is not one that this
// package knows, when the user's cache cannot be written, or others may write to
// what this package keeps there, and on Windows.
// JSII_NODE and NODE_OPTIONS keep their meaning. After [jsii.Close] the next
// kernel is jsii's again, until Direct is called again.
//
// The user's cache then holds this package's program for Node, and the code, of
// 8 MB for a version of the CDK and of Node.
func Direct() {
	if os.Getenv("CDK_DIRECT") == "false" || os.Getenv("JSII_RUNTIME") != "" || runtime.GOOS == "windows" {
		return
	}
	file, err := write()
	if err != nil {
		return
	}
	before, set := os.LookupEnv("NODE_OPTIONS")
	if os.Setenv("NODE_OPTIONS", nodeOptions(before, set, file)) != nil {
		return
	}
	// Other processes that the app starts are none of ours.
	defer func() {
		if set {
			os.Setenv("NODE_OPTIONS", before)
		} else {
			os.Unsetenv("NODE_OPTIONS")
		}
	}()
	// The CDK's packages prepare a kernel, with the environment as it was, when
	// they are loaded. The next call prepares another and starts nothing yet.
	jsii.Close()
	jsiiruntime.IsAnonymousProxy(nil)
}

// nodeOptions returns what NODE_OPTIONS must be for the kernel to load the
// file. jsii makes the heap larger only where the user has no options.
func nodeOptions(before string, set bool, file string) string {
	if !set {
		before = "--max-old-space-size=4069"
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(file)
	return strings.TrimSpace(before + ` --preserve-symlinks --require "` + quoted + `"`)
}

// program is what Node loads before jsii's launcher.
//
//go:embed kernel.cjs
var program []byte

// write writes the program into a file of the user's cache that is named by
// its content, and returns its path.
func write() (string, error) {
	dir, err := asset.Cached("kernel")
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(dir) {
		return "", errors.New("the user's cache is not an absolute path")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := errors.Join(ours(filepath.Dir(dir)), ours(dir)); err != nil {
		return "", err
	}
	return asset.File(dir, ".cjs", program)
}
