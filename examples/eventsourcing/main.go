// Command shop is a CDK app of a user's own module: it takes the event store
// from this library and adds a handler of its own.
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	NewShop(app, "Shop")
	app.Synth(nil)
}
