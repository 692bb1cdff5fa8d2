// Command openwhiskconductor is the action of Apache OpenWhisk that runs a
// workflow, which it reads from the file beside it.
package main

import (
	"log/slog"
	"os"

	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/action"
)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	conductor, err := openwhisk.Open()
	if err != nil {
		slog.Error("conductor not started", "error", err)
		os.Exit(1)
	}
	action.Run(conductor.Handle)
}
