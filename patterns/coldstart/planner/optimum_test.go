package planner

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/prices"
)

// shortWeek draws a profile with traffic in a few hours in a row, and tells
// which these are.
func shortWeek(r *rand.Rand) (Profile, []int) {
	p := Profile{
		Memory:    128 << r.IntN(5),
		Duration:  Constant(time.Duration(math.Exp(math.Log(20)+r.Float64()*math.Log(200)) * float64(time.Millisecond))),
		ColdStart: Constant(time.Duration(100+r.IntN(5000)) * time.Millisecond),
	}
	var hours []int
	start := r.IntN(HoursPerWeek)
	for i := range 1 + r.IntN(3) {
		h := (start + i) % HoursPerWeek
		hours = append(hours, h)
		if load := math.Exp(r.Float64()*math.Log(800)) / 100; r.IntN(6) > 0 {
			p.Arrivals[h] = load * secondsPerHour / seconds(p.Duration.Mean())
		}
	}
	p.Arrivals[start] = max(p.Arrivals[start], 30)
	return p, hours
}

// referenceHours says what a week of a profile costs and its worst share of
// cold starts: with every hour at the very load that its own cold starts make,
// whatever the bound, and each price applied to what Lambda applies it to.
func referenceHours(pl Planner, p Profile, hours []int, week Week[int]) (cost, worst float64) {
	var share Week[float64]
	warm, start := seconds(p.Duration.Mean()), seconds(p.ColdStart.Mean())
	gb := p.gigabytes()
	for range 60 {
		cost, worst = 0, 0
		next, moved := share, 0.
		for _, h := range hours {
			before := (h + HoursPerWeek - 1) % HoursPerWeek
			rise := max(0, week[h]-week[before])
			cost += gb * pl.Prices.Provisioned * (secondsPerHour*float64(week[h]) + schedule.DefaultLead.Seconds()*float64(rise))
			n := p.Arrivals[h]
			if n == 0 {
				continue
			}
			at := func(h int) hour {
				return newHour(p.Arrivals[h], p.Arrivals[h]/secondsPerHour*(warm+share[h]*start))
			}
			cold := newSlot(at(h), at(before), seconds(pl.keepAlive())).coldStarts(week[before], week[h])
			next[h] = min(1, cold/n)
			moved = max(moved, math.Abs(next[h]-share[h]))
			if n >= pl.Quiet {
				worst = max(worst, next[h])
			}
			onDemand := n * ErlangB(week[h], n/secondsPerHour*warm)
			cost += n*pl.Prices.Request + gb*(onDemand*warm*pl.Prices.Duration+(n-onDemand)*warm*pl.Prices.ProvisionedDuration+cold*start*pl.Prices.Duration)
		}
		if moved < 1e-7 {
			break
		}
		share = next
	}
	return cost, worst
}

// everyWeek tries all concurrencies up to most in some hours.
func everyWeek(hours []int, most int, try func(Week[int])) {
	var week Week[int]
	var from func(i int)
	from = func(i int) {
		if i == len(hours) {
			try(week)
			return
		}
		for week[hours[i]] = range most + 1 {
			from(i + 1)
		}
	}
	from(0)
}

// The plan of short weeks, at any bound and any region's prices: costs what
// the cheapest of all weeks costs in the model; is within 1 % of the cheapest
// by a reckoning that knows no bound, and its cost within 1 % of that; and
// costs no more when the bound is looser.
func TestPlanIsTheOptimumAtAnyBound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	regions := slices.Sorted(maps.Keys(prices.Default()))
	worse, estimate, excess := 0., 0., 0.
	provisioned, free := 0, 0 // plans that provision, and those for the price alone
	for i := range 120 {
		profile, hours := shortWeek(r)
		price, err := In(regions[r.IntN(len(regions))], []string{"arm64", "x86_64"}[r.IntN(2)])
		if err != nil {
			t.Fatal(err)
		}
		bounds := []float64{0.001 + 0.999*math.Pow(r.Float64(), 3), 0.5 * r.Float64(), 0.5 + 0.499*r.Float64()}
		slices.Sort(bounds)
		previous := math.Inf(1)
		for _, bound := range bounds {
			pl := Planner{Bound: bound, Prices: price, KeepAlive: time.Duration(2+i%20) * time.Minute, Quiet: []float64{0, 0, 1000}[i%3]}
			plan, err := pl.Plan(profile)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Planned.Cost > previous*(1+1e-12) {
				t.Errorf("week %d: bound %v costs %v, a stricter one %v", i, bound, plan.Planned.Cost, previous)
			}
			previous = plan.Planned.Cost
			got, worst := referenceHours(pl, profile, hours, plan.Planned.Concurrency)
			estimate = max(estimate, math.Abs(plan.Planned.Cost/got-1))
			excess = max(excess, worst/bound)
			if worst > bound*1.05 {
				t.Errorf("week %d: bound %v, cold starts are %v", i, bound, worst)
			}
			if plan.Planned.Concurrency != (Week[int]{}) {
				provisioned++
				if plan.Nothing.Keeps {
					free++
				}
			}

			m, err := newModel(pl, profile)
			if err != nil {
				t.Fatal(err)
			}
			p := m.problem()
			least, best := math.Inf(1), math.Inf(1)
			everyWeek(hours, 11, func(week Week[int]) {
				within := true
				for _, h := range hours {
					within = within && week[h] < len(p.costs[h])
				}
				if within {
					least = min(least, p.total(week[:]))
				}
				if bound := bound / 1.05; len(hours) < 3 || i%8 == 0 || week == (Week[int]{}) {
					if cost, worst := referenceHours(pl, profile, hours, week); worst <= bound {
						best = min(best, cost)
					}
				}
			})
			if plan.Planned.Cost > least*(1+1e-9) {
				t.Errorf("week %d, bound %v: the plan costs %v, the best week %v", i, bound, plan.Planned.Cost, least)
			}
			worse = max(worse, got/best)
			if got > best*1.01 {
				t.Errorf("week %d, bound %v: %v costs %v, with every hour at its own load the best week costs %v", i, bound, plan.Planned.Concurrency, got, best)
			}
		}
	}
	t.Logf("%d plans provision, %d of them for the price alone; at worst %.4f of the cheapest week, its cost %.5f off, cold starts %.4f of the bound", provisioned, free, worse, estimate, excess)
	if estimate > 0.01 {
		t.Errorf("a plan's cost is %v off", estimate)
	}
	if free < 10 {
		t.Errorf("only %d plans provision for the price alone", free)
	}
}

// Over whole weeks, ordinary and extreme, a looser bound costs no more, and
// what keeps the bound is never cheaper than the plan.
func TestLooserBoundsCostNoMore(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	regions := slices.Sorted(maps.Keys(prices.Default()))
	for i := range 24 {
		profile := randomProfile(r)
		pl := Planner{Quiet: float64(i % 2 * 20)}
		var err error
		if pl.Prices, err = In(regions[i%len(regions)], "arm64"); err != nil {
			t.Fatal(err)
		}
		switch i % 6 {
		case 4: // nothing stays warm
			pl.KeepAlive = time.Millisecond
		case 5: // all that counts is the start
			profile.Duration, profile.ColdStart = Constant(time.Millisecond), Exponential(10*time.Minute)
			pl.KeepAlive = time.Hour
		}
		previous := math.Inf(1)
		for _, bound := range []float64{1e-5, 0.001, 0.02, 0.3, 0.6, 0.999} {
			pl.Bound = bound
			plan, err := pl.Plan(profile)
			if err != nil {
				t.Fatal(err)
			}
			if !plan.Planned.Keeps {
				t.Errorf("profile %d: bound %v is not kept: %v", i, bound, plan.Planned.Worst)
			}
			if plan.Planned.Cost > previous*(1+1e-12) {
				t.Errorf("profile %d: bound %v costs %v, a stricter one %v", i, bound, plan.Planned.Cost, previous)
			}
			previous = plan.Planned.Cost
			for _, s := range plan.Strategies() {
				if !(s.Cost > 0) || s.Keeps && plan.Planned.Cost > s.Cost*(1+1e-9) {
					t.Errorf("profile %d, bound %v: the plan costs %v, %s %v", i, bound, plan.Planned.Cost, s.Name, s.Cost)
				}
			}
		}
	}
}
