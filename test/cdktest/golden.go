package cdktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

var update = flag.Bool("update", false, "write the golden files of templates instead of comparing with them")

// Golden compares the stack's template with testdata/<test>.golden.json, and
// fails the test with the difference. Run the test with -update to write the
// file. It also fails if resources depend on each other in a circle.
//
// What differs between machines and toolchains, though the template means the
// same, is masked: hashes of assets and of Lambda versions, and the parameter
// and the rule by which the CDK checks its bootstrap version.
func Golden(t *testing.T, stack awscdk.Stack) {
	t.Helper()
	GoldenTemplate(t, Synth(t, stack))
}

// GoldenTemplate is Golden for a template that is at hand.
func GoldenTemplate(t *testing.T, template Template) {
	t.Helper()
	if circle := cycle(template); circle != nil {
		t.Fatalf("these resources depend on each other, and CloudFormation will refuse them: %s", strings.Join(circle, " -> "))
	}
	got, err := mask(template)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", strings.ReplaceAll(t.Name(), "/", "_")+".golden.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("there is no golden file %s yet: run the test with -update, read the file and commit it", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	var was, now any
	if err := errors.Join(json.Unmarshal(want, &was), json.Unmarshal(got, &now)); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if lines := difference("", was, now); len(lines) > 0 {
		t.Errorf("the template differs from %s (- golden, + now). If that is what you want, run the test with -update.\n%s",
			file, strings.Join(lines, "\n"))
	}
}

var (
	assetHash = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	// A version's logical id ends in a hash of the function's configuration,
	// and so of its asset.
	versionID = regexp.MustCompile(`(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}\b`)
)

// mask returns the template as indented JSON without what differs between
// machines.
func mask(template Template) ([]byte, error) {
	b, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	b = assetHash.ReplaceAll(b, []byte("<asset>"))
	b = versionID.ReplaceAll(b, []byte("$1<hash>"))
	var masked map[string]any
	if err := json.Unmarshal(b, &masked); err != nil {
		return nil, err
	}
	drop(masked, "Parameters", "BootstrapVersion")
	drop(masked, "Rules", "CheckBootstrapVersion")
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(masked)
	return out.Bytes(), err
}

// drop removes the entry from the section, and the section if it is then empty.
func drop(template map[string]any, section, entry string) {
	if s, ok := template[section].(map[string]any); ok {
		if delete(s, entry); len(s) == 0 {
			delete(template, section)
		}
	}
}
