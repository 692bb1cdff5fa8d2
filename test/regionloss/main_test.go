package regionloss

import (
	"log/slog"
	"os"
	"testing"

	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the faults are meant
	os.Setenv("CDK_VALIDATION", "false")           // as cdktest.Main does; the process that the engines need inherits it
	engine.Main(m)
}
