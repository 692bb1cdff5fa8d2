// Command cdk is the CDK app of this module. `cdk synth` and `cdk deploy` run
// it, as cdk.json says; what it makes is set in the context there.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/stacks"
)

func main() {
	err := synth()
	jsii.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
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
			err = r
		default:
			err = fmt.Errorf("%v", r)
		}
	}()
	app := awscdk.NewApp(nil)
	context, _ := app.Node().GetAllContext(nil).(map[string]any)
	config, err := stacks.ParseConfig(context)
	if err != nil {
		return err
	}
	stacks.New(app, config)
	app.Synth(nil)
	return nil
}
