package eventsourcing_test

import (
	"testing"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestMain(m *testing.M) { cdktest.Main(m) }

// handler makes a function whose code is never built.
func handler(scope constructs.Construct, id string) *function.Function {
	return function.NewFunction(scope, id, &function.Props{
		Entry:                  "example.com/shop/" + id,
		WithoutDeadLetterQueue: true,
		Alarms:                 function.Alarms{Off: true},
	})
}
