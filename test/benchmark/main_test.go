// Package benchmark measures what it costs to synthesize our systems in Go,
// beside the same calls of the CDK in plain JavaScript, which package transcript
// writes:
//
//	go test ./test/benchmark -run '^$' -bench Synth -benchtime 5x -table
//
// Every measurement is a process of its own, or two for Go, where jsii adds the
// CDK's process of Node.
package benchmark

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/kernel"
	"github.com/serverless-go/cdk/stacks"
)

// Set in the environment of a child process: how many copies of the flash sale
// it is to synthesize, and whether it is to synthesize all systems instead.
const (
	copiesVariable  = "SYNTH_COPIES"
	systemsVariable = "SYNTH_SYSTEMS"
)

// TestMain makes the test binary also the Go app that it measures.
func TestMain(m *testing.M) {
	value, ok := os.LookupEnv(copiesVariable)
	if !ok {
		os.Exit(m.Run())
	}
	copies, err := strconv.Atoi(value)
	if err != nil {
		panic(err)
	}
	synthesize(copies)
}

// synthesize finds the context and the output folder in the environment, like
// any CDK app.
func synthesize(copies int) {
	debug.SetGCPercent(400) // as app.go
	kernel.Direct()
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	if os.Getenv(systemsVariable) != "" {
		context, _ := app.Node().GetAllContext(nil).(map[string]any)
		config, err := stacks.ParseConfig(context)
		if err != nil {
			panic(err)
		}
		stacks.New(app, config)
	} else {
		for i := range copies {
			// As before there were access references, so that what was measured then
			// compares with what is measured now.
			stacks.NewFlashSale(app, fmt.Sprintf("FlashSale%d", i+1), &stacks.FlashSaleProps{ShowTokens: true})
		}
	}
	app.Synth(nil)
}
