package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/stacks/summary"
)

func TestAppSummarizes(t *testing.T) {
	// Without a word of the summary there is none here, where nothing is bundled.
	for shown, context := range map[bool]map[string]any{true: {"summary": "short"}, false: {}} {
		context["systems"] = "flashsale"
		context["aws:cdk:bundling-stacks"] = []string{}
		outdir, stderr, status := runApp(t, context)
		if status != 0 {
			t.Fatalf("exit status %d\n%s", status, stderr)
		}
		if got := strings.Contains(stderr, "FlashSale-dev\n  makes     "); got != shown {
			t.Errorf("with %v the summary is shown: %v\n%s", context, got, stderr)
		}
		if strings.Contains(stderr, "\x1b") {
			t.Errorf("there are control characters on what is no terminal:\n%q", stderr)
		}
		_, err := os.Stat(filepath.Join(outdir, summary.File))
		if (err == nil) != shown {
			t.Errorf("with %v the file: %v", context, err)
		}
	}
}

// What is wrong with the summary and with the systems is one list.
func TestAppRejectsWrongSummary(t *testing.T) {
	_, stderr, status := runApp(t, map[string]any{"summary": "loud", "region": "eu-wst-1"})
	want := `wrong context in cdk.json or -c:
  summary is "loud"; allowed is short, full or off
  region is "eu-wst-1"; allowed is an AWS region, such as eu-west-1
`
	if status != 1 || !strings.Contains(stderr, want) || strings.Count(stderr, "wrong context") != 1 {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
}
