// Command checkmanifest checks the manifest of a data set.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/training/manifest"
)

func main() { handler.Start(manifest.FromEnv) }
