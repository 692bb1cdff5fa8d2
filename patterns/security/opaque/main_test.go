package opaque

import (
	"testing"

	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }
