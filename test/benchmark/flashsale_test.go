package benchmark

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/serverless-go/cdk/test/cdktest"
)

// TestSameTemplate proves that the benchmark compares like with like.
func TestSameTemplate(t *testing.T) {
	js := jsApp(t).synth(t, 1)
	cdktest.Same(t, goApp().synth(t, 1).template(t), js.template(t))
}

// callBudget is how many calls to the CDK's process a resource of the flash
// sale may take, each through three processes. Lower it when calls are saved.
const callBudget = 5.6

func TestCalls(t *testing.T) {
	sale := goApp().synth(t, 1, "JSII_DEBUG=1")
	calls, resources := calls(sale.stderr), len(sale.template(t).Resources(""))
	perResource := float64(calls) / float64(resources)
	t.Logf("%d calls for %d resources, %.2f a resource", calls, resources, perResource)
	if calls < resources/2 {
		t.Errorf("%d calls cannot make %d resources: does jsii still trace them?", calls, resources)
	}
	if perResource > callBudget {
		t.Errorf("%.2f calls a resource, want at most %.1f: read attributes once, and give props at once rather than by setters",
			perResource, callBudget)
	}
}

// calls counts the requests in jsii's trace.
func calls(trace []byte) int {
	n := 0
	for line := range bytes.Lines(trace) {
		if request, ok := bytes.CutPrefix(line, []byte("> ")); ok && json.Valid(request) {
			n++
		}
	}
	return n
}
