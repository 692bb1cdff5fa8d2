// Command securedapi is a CDK app of a user's own module: an API whose clients
// hold references that mean nothing, and whose function acts as its user.
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/security"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	security.NewLeastPrivilege(app, "LeastPrivilege", nil) // fails the synth when something allows too much
	NewFavourites(app, "Favourites")
	app.Synth(nil)
}
