// Package benchmark measures what it costs to synthesize the flash sale in Go,
// beside the same resources in plain JavaScript:
//
//	go test ./test/benchmark -run '^$' -bench Synth -benchtime 5x -table
//
// Every measurement is a process of its own, or three for Go, where jsii adds
// the CDK's process of Node and one that stands between the two.
package benchmark

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/stacks"
)

// copiesVariable is set in the environment of a child process: how many copies
// of the flash sale it is to synthesize.
const copiesVariable = "SYNTH_COPIES"

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
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	for i := range copies {
		stacks.NewFlashSale(app, fmt.Sprintf("FlashSale%d", i+1), nil)
	}
	app.Synth(nil)
}
