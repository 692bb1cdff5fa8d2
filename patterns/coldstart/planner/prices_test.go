package planner

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/prices"
)

func TestPricesByRegion(t *testing.T) {
	for region := range prices.Default() {
		for _, architecture := range []string{"arm64", "x86_64"} {
			if p, err := In(region, architecture); err != nil || p.ProvisionedDuration == 0 {
				t.Errorf("%s in %s: %+v, %v", architecture, region, p, err)
			}
		}
	}
	for _, wrong := range [][2]string{{"mars-east-1", "arm64"}, {prices.Home, "arm"}} {
		if _, err := In(wrong[0], wrong[1]); err == nil || !strings.Contains(err.Error(), "set the fields of Prices") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

// Twenty invocations in flight keep the first environment busy for 20/21 of
// the time. It is provisioned where that is cheaper than on demand: in
// us-east-1, and not in Tokyo.
func TestPlanFollowsTheRegion(t *testing.T) {
	busy := Profile{Memory: 1024, Duration: Constant(time.Second), ColdStart: Constant(time.Second)}
	for h := range busy.Arrivals {
		busy.Arrivals[h] = 20 * 3600
	}
	for region := range prices.Default() {
		for _, architecture := range []string{"arm64", "x86_64"} {
			p, err := In(region, architecture)
			if err != nil {
				t.Fatal(err)
			}
			cheaper := p.Provisioned < 20./21*(p.Duration-p.ProvisionedDuration)
			if known, ok := map[string]bool{prices.Home: true, "ap-northeast-1": false}[region]; ok && architecture == "arm64" && known != cheaper {
				t.Errorf("that provisioned is cheaper in %s is now %v", region, cheaper)
			}
			for _, bound := range []float64{0.01, 0.9} {
				plan, err := Planner{Bound: bound, Prices: p}.Plan(busy)
				if err != nil {
					t.Fatal(err)
				}
				if got := plan.Planned.Concurrency[0] > 0; got != cheaper {
					t.Errorf("bound %v: %s in %s provisions %d", bound, architecture, region, plan.Planned.Concurrency[0])
				}
			}
		}
	}
}

// A bound that nothing provisioned keeps as well leaves the choice to the
// price: the same environments are provisioned whatever the bound.
func TestPlanProvisionsForThePriceAlone(t *testing.T) {
	busy := Profile{Memory: 1024, Duration: Constant(time.Second), ColdStart: Constant(time.Second)}
	for h := range busy.Arrivals {
		busy.Arrivals[h] = 20 * 3600
	}
	plans := map[float64]*Plan{}
	for _, bound := range []float64{0.01, 0.3, 0.9} {
		plan, err := Planner{Bound: bound}.Plan(busy)
		if err != nil {
			t.Fatal(err)
		}
		plans[bound] = plan
		if !plan.Nothing.Keeps {
			t.Errorf("bound %v: nothing provisioned does not keep it", bound)
		}
		if diff := cmp.Diff(plans[0.01].Strategies(), plan.Strategies()); diff != "" {
			t.Errorf("bound %v plans otherwise than bound 0.01:\n%s", bound, diff)
		}
	}
	if n := plans[0.01].Planned.Concurrency[0]; n == 0 {
		t.Error("nothing is provisioned for 20 environments that are always busy")
	}
}
