package function_test

import (
	"testing"

	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

// What functions share within a kernel must not outlive it: apps close jsii and
// go on, in their tests at least.
func TestAnotherKernel(t *testing.T) {
	synth := func() cdktest.Template {
		stack := cdktest.NewStack(t)
		function.NewFunction(stack, "Hello", &function.Props{Entry: entry})
		return cdktest.Synth(t, stack)
	}
	before := synth()
	jsii.Close()
	cdktest.Same(t, before, synth())
}
