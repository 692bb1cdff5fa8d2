package coldstart_test

import (
	"testing"

	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/alarmtest"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestAlarms(t *testing.T) {
	stack := cdktest.NewStack(t, alarmtest.Paths())
	warm := func(id string, change func(*coldstart.WarmFunctionProps)) *coldstart.WarmFunction {
		p := &coldstart.WarmFunctionProps{Function: goFunction()}
		change(p)
		return coldstart.NewWarmFunction(stack, id, p)
	}
	given := goFunction() // with alarms, which are the user's
	given.Alias = "live"
	fn := function.NewFunction(stack, "Given", given)
	off := alarm.Tuning{Off: true}
	alarmtest.Check(t, stack,
		warm("Default", func(*coldstart.WarmFunctionProps) {}),
		warm("Provisioned", func(p *coldstart.WarmFunctionProps) {
			p.ProvisionedConcurrency = &coldstart.ProvisionedConcurrencyProps{Concurrency: 3}
		}),
		warm("Pinged", func(p *coldstart.WarmFunctionProps) { p.KeepWarm = &coldstart.KeepWarmProps{} }),
		warm("Silent", func(p *coldstart.WarmFunctionProps) {
			p.Function.Alarms.Off, p.Alarms.Init = true, off
		}),
		coldstart.NewKeepWarm(stack, "KeepWarm", &coldstart.KeepWarmProps{Functions: []*function.Function{fn}}),
		coldstart.NewKeepWarm(stack, "SilentKeepWarm", &coldstart.KeepWarmProps{
			Functions: []*function.Function{fn}, Alarms: coldstart.KeepWarmAlarms{Failed: off}}),
		coldstart.NewProvisionedConcurrency(stack, "Ready", &coldstart.ProvisionedConcurrencyProps{
			Function: fn, Schedule: schedule.Schedule{schedule.Always(2)}}),
		coldstart.NewProvisionedConcurrency(stack, "SilentReady", &coldstart.ProvisionedConcurrencyProps{
			Function: fn, Schedule: schedule.Schedule{schedule.Always(2)},
			Alarms: coldstart.ProvisionedConcurrencyAlarms{Spillover: off, Underuse: off}}),
	)
}
