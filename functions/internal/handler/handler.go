// Package handler starts the functions of this module.
package handler

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Start makes a handler from the environment and serves Lambda with it; it
// does not return. Log records are JSON, one a line, as the functions' log
// format is. If the handler cannot be made, the error is logged and the process
// ends, which Lambda reports as a failed initialization.
func Start[H lambda.Handler](fromEnv func(aws.Config) (H, error)) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err == nil {
		var h H
		if h, err = fromEnv(cfg); err == nil {
			lambda.Start(h)
		}
	}
	slog.Error("handler not started", "error", err)
	os.Exit(1)
}
