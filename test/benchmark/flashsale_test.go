package benchmark

import (
	"testing"

	"github.com/serverless-go/cdk/test/cdktest"
)

// TestDirect proves that the CDK makes the same template when Go speaks to its
// process directly, as this benchmark's app does: see docs/performance.md.
func TestDirect(t *testing.T) {
	between := goApp().synth(t, 1, "CDK_DIRECT=false")
	direct := goApp().synth(t, 1)
	cdktest.Same(t, between.template(t), direct.template(t))
}
