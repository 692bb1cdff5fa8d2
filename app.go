// Command cdk is the CDK app of this module. `cdk synth` and `cdk deploy` run
// it, as cdk.json says; what it makes is set in the context there.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/kernel"
	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/stacks/summary"
)

func main() {
	debug.SetGCPercent(400) // it ends within seconds, and collecting is a thirtieth of them
	kernel.Direct()
	err := synth()
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // before jsii, which may print a line of its own
	}
	jsii.Close()
	if err != nil {
		os.Exit(1)
	}
}

// synth makes the stacks. Wrong props panic deep inside a construct, and so
// does the CDK when it refuses something: both are the user's to mend and need
// no stack trace, which only our own mistakes keep.
func synth() (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error:
			panic(r)
		case error:
			if err = r; errors.Is(r, exec.ErrNotFound) {
				err = fmt.Errorf("%w; install Node.js 22 or later, or name it in JSII_NODE", r)
			}
		default:
			err = fmt.Errorf("%v", r)
		}
	}()
	app := awscdk.NewApp(nil)
	context, _ := app.Node().GetAllContext(nil).(map[string]any)
	options, context, problems := summary.ParseOptions(context)
	config, err := stacks.ParseConfig(context, problems...)
	if err != nil {
		return err
	}
	if summary.Bundles(context) {
		// What does not build is reported by the function that needs it, with
		// its path.
		_ = function.Prepare("github.com/serverless-go/cdk/functions/...", summary.Progress(os.Stderr))
	}
	stacks.New(app, config)
	assembly := app.Synth(nil)
	if err := summary.Write(os.Stderr, *assembly.Directory(), options, summary.Colour(os.Stderr)); err != nil {
		fmt.Fprintln(os.Stderr, err) // the stacks are made all the same
	}
	return nil
}
