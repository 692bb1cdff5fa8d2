package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// builtApp is the app's binary, which takes seconds to link.
var builtApp = sync.OnceValues(func() (string, error) {
	binary, err := filepath.Abs(filepath.Join("cdk.out", "app"))
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", binary, module).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return binary, err
})

// runApp runs the app as the CDK's command line does, with the context in its
// environment.
func runApp(t *testing.T, context map[string]any) (outdir, stderr string, status int) {
	t.Helper()
	binary, err := builtApp()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	outdir = t.TempDir()
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "CDK_CONTEXT_JSON="+string(b), "CDK_OUTDIR="+outdir, "CDK_VALIDATION=false")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outdir, errs.String(), cmd.ProcessState.ExitCode()
}

func TestAppSynthesizes(t *testing.T) {
	outdir, stderr, status := runApp(t, map[string]any{"environment": "prod", "aws:cdk:bundling-stacks": []string{}})
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, stderr)
	}
	if _, err := os.Stat(filepath.Join(outdir, "FlashSale-prod.template.json")); err != nil {
		t.Error(err)
	}
}

func TestAppRejectsWrongContext(t *testing.T) {
	outdir, stderr, status := runApp(t, map[string]any{"enviroment": "prod", "region": "Europe"})
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	for _, want := range []string{"enviroment is not a key", `region is "Europe"`} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the message lacks %q:\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr, "goroutine") {
		t.Errorf("the message has a stack trace:\n%s", stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(outdir, "*")); len(left) > 0 {
		t.Errorf("it left %v behind", left)
	}
}
