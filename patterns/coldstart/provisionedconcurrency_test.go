package coldstart_test

import (
	"testing"
	"time"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestProvisionedConcurrencyIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	props := silent()
	props.Alias = "live"
	cdktest.IsConstruct(t, coldstart.NewProvisionedConcurrency(stack, "Ready", &coldstart.ProvisionedConcurrencyProps{
		Function: function.NewFunction(stack, "Checkout", props), TargetTracking: &coldstart.TargetTracking{Max: 5}}))
}

func TestProvisionedConcurrencyRejects(t *testing.T) {
	type provisioned = coldstart.ProvisionedConcurrencyProps
	tracking := &coldstart.TargetTracking{Max: 5}
	stack := cdktest.NewStack(t)
	aliased := silent()
	aliased.Alias = "live"
	fn, bare := function.NewFunction(stack, "Aliased", aliased), function.NewFunction(stack, "Bare", silent())
	resources := len(*stack.Node().FindAll(constructs.ConstructOrder_PREORDER))
	for name, tt := range map[string]struct {
		props *provisioned
		want  []string
	}{
		"nil":            {nil, []string{"Test/nil: wrong props", "Function is not set; allowed is a function with an alias", "or let package planner compute a schedule"}},
		"no alias":       {&provisioned{Function: bare, Concurrency: 1}, []string{"Function is Test/Bare without an alias", "set its Alias"}},
		"nothing":        {&provisioned{Function: fn}, []string{"Concurrency is 0; allowed is 1 or more, or a Schedule, or TargetTracking"}},
		"negative":       {&provisioned{Function: fn, Concurrency: -1}, []string{"Concurrency is -1; allowed is 1 or more"}},
		"fixed schedule": {&provisioned{Function: fn, Concurrency: 1, Schedule: shopHours()}, []string{"Concurrency is set together with Schedule; allowed is one of the two; add schedule.Always(n)"}},
		"fixed tracking": {&provisioned{Function: fn, Concurrency: 1, TargetTracking: tracking}, []string{"Concurrency is set together with TargetTracking; allowed is one of the two; set TargetTracking.Min"}},
		"wrong schedule": {&provisioned{Function: fn, Schedule: schedule.Schedule{schedule.Always(0), schedule.Daily("Paris", 1, 2, 3)}}, []string{"schedule entry 1 (always: 0): concurrency is 0", `zone "Paris" is not an IANA time zone`}},
		"wrong lead":     {&provisioned{Function: fn, Schedule: shopHours(), Lead: time.Second}, []string{"lead is 1s; it must be whole minutes"}},
		"no maximum":     {&provisioned{Function: fn, TargetTracking: &coldstart.TargetTracking{}}, []string{"TargetTracking.Max is 0; allowed is 1 or more; it bounds what tracking can cost"}},
		"minimum":        {&provisioned{Function: fn, TargetTracking: &coldstart.TargetTracking{Min: 6, Max: 5}}, []string{"TargetTracking.Min is 6; allowed is 0 for the default, or 1 to Max"}},
		"two minima":     {&provisioned{Function: fn, Schedule: shopHours(), TargetTracking: &coldstart.TargetTracking{Min: 1, Max: 50}}, []string{"TargetTracking.Min is 1; allowed is 0 with a Schedule"}},
		"below the peak": {&provisioned{Function: fn, Schedule: shopHours(), TargetTracking: tracking}, []string{"TargetTracking.Max is 5; allowed is 40 or more, the schedule's peak"}},
		"utilization":    {&provisioned{Function: fn, TargetTracking: &coldstart.TargetTracking{Max: 5, Utilization: 70}}, []string{"TargetTracking.Utilization is 70; allowed is 0.1 to 0.9"}},
		"alarms":         {&provisioned{Function: fn, Concurrency: 1, Alarms: coldstart.ProvisionedConcurrencyAlarms{Spillover: alarm.Tuning{Periods: -1}, Underuse: alarm.Tuning{Period: time.Second}}}, []string{"Alarms.Spillover.Periods is -1", "Alarms.Underuse.Period is 1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			cdktest.Rejects(t, func() { coldstart.NewProvisionedConcurrency(stack, name, tt.props) }, tt.want...)
			if now := len(*stack.Node().FindAll(constructs.ConstructOrder_PREORDER)); now != resources {
				t.Error("something half-made stays behind")
			}
		})
	}
}
