package coldstart_test

import (
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestKeepWarmIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, coldstart.NewKeepWarm(stack, "KeepWarm", &coldstart.KeepWarmProps{
		Functions: []*function.Function{function.NewFunction(stack, "Status", silent())}}))
}

func TestKeepWarmRejects(t *testing.T) {
	type keepWarm = coldstart.KeepWarmProps
	stack := cdktest.NewStack(t)
	fn := []*function.Function{function.NewFunction(stack, "Status", silent())}
	sale := schedule.Schedule{schedule.Window(saleOpens, saleCloses, 3)}
	for name, tt := range map[string]struct {
		props *keepWarm
		want  []string
	}{
		"nil":           {nil, []string{"Test/nil: wrong props", "Functions is empty; allowed is at least one"}},
		"nil function":  {&keepWarm{Functions: []*function.Function{nil}}, []string{"Functions is with a nil"}},
		"both":          {&keepWarm{Functions: fn, Concurrency: 1, Schedule: shopHours()}, []string{"Concurrency is set together with Schedule", "write schedule.Always(n)"}},
		"negative":      {&keepWarm{Functions: fn, Concurrency: -1}, []string{"concurrency is -1"}},
		"rate":          {&keepWarm{Functions: fn, Rate: 7 * time.Minute}, []string{"7m0s does not divide an hour"}},
		"window":        {&keepWarm{Functions: fn, Schedule: sale}, []string{"a window cannot be repeated; provision concurrency for it"}},
		"too many":      {&keepWarm{Functions: append(fn, fn...), Concurrency: 21}, []string{"Concurrency is 21; allowed is 40 pings at once over all functions, and these are 42"}},
		"payload":       {&keepWarm{Functions: fn, Payload: "ping"}, []string{`Payload is "ping"; allowed is JSON`}},
		"payload, hold": {&keepWarm{Functions: fn, Payload: "{}", Hold: time.Second}, []string{"Hold is 1s; allowed is 0 with a Payload"}},
		"long hold":     {&keepWarm{Functions: fn, Hold: time.Minute}, []string{"Hold is 1m0s; allowed is 1ms to 10s", "less than the function's time-out of 10s"}},
		"alarm":         {&keepWarm{Functions: fn, Alarms: coldstart.KeepWarmAlarms{Failed: alarm.Tuning{Period: time.Second}}}, []string{"Alarms.Failed.Period is 1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			cdktest.Rejects(t, func() { coldstart.NewKeepWarm(stack, name, tt.props) }, tt.want...)
		})
	}
}
