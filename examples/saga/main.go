// Command travel is a CDK app of a user's own module: it books trips with the
// library's saga.
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	NewTravel(app, "Travel")
	app.Synth(nil)
}
