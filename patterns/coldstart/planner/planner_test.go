package planner

import (
	"encoding/xml"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The values of the Erlang B table that every textbook prints.
func TestErlangB(t *testing.T) {
	tests := []struct {
		c    int
		load float64
		want float64
	}{
		{0, 3, 1},
		{1, 1, 0.5},
		{2, 1, 0.2},
		{3, 2, 4. / 19},
		{5, 1.36, 0.01},
		{10, 4.46, 0.01},
		{20, 12.03, 0.01},
		{50, 37.90, 0.01},
		{100, 84.06, 0.01},
		{10, 7.51, 0.10},
	}
	for _, tt := range tests {
		if got := ErlangB(tt.c, tt.load); math.Abs(got-tt.want) > 0.005*tt.want {
			t.Errorf("ErlangB(%d, %v) = %.5f, want %.5f", tt.c, tt.load, got, tt.want)
		}
		h := newHour(tt.load*secondsPerHour, tt.load)
		if got := ErlangB(tt.c, tt.load); tt.c < len(h.spill) && math.Abs(h.spill[tt.c]-got) > 1e-12 {
			t.Errorf("spill[%d] = %v, ErlangB says %v", tt.c, h.spill[tt.c], got)
		}
	}
	direct := func(c int, load float64) float64 {
		term, sum := 1., 1.
		for n := 1; n <= c; n++ {
			term *= load / float64(n)
			sum += term
		}
		return term / sum
	}
	for c := range 60 {
		for _, load := range []float64{0.01, 0.5, 3, 20, 55} {
			if got, want := ErlangB(c, load), direct(c, load); math.Abs(got-want) > 1e-12 {
				t.Errorf("ErlangB(%d, %v) = %v, its definition gives %v", c, load, got, want)
			}
		}
	}
}

// The time between visits to a level, from the linear equations of the
// birth-and-death process instead of the recursion over Erlang B.
func TestRateIsTheMeanFirstPassage(t *testing.T) {
	const lambda, mu = 2., 0.7
	h := newHour(lambda*secondsPerHour, lambda/mu)
	for m := 1; m <= 12; m++ {
		up := make([]float64, m) // from i to i+1
		stationary := make([]float64, 200)
		sum := 0.
		for i := range stationary {
			if i == 0 {
				stationary[i] = 1
			} else {
				stationary[i] = stationary[i-1] * lambda / (mu * float64(i))
			}
			sum += stationary[i]
		}
		mean := 0.
		for i := range up {
			up[i] = 1 / lambda
			if i > 0 {
				up[i] += mu * float64(i) / lambda * up[i-1]
			}
		}
		for start := range m {
			for i := start; i < m; i++ {
				mean += stationary[start] / sum * up[i]
			}
		}
		if got := 1 / h.rate[m]; math.Abs(got-mean) > 1e-6*mean {
			t.Errorf("level %d is reached every %v s, want %v s", m, got, mean)
		}
	}
}

func TestColdStartsOfALevel(t *testing.T) {
	const keepAlive = 300.
	integral := func(rate, previous float64) float64 {
		sum, dx := 0., 0.05
		for x := dx / 2; x < secondsPerHour; x += dx {
			sum += rate * dx * math.Exp(-rate*min(x, keepAlive)-previous*max(0, keepAlive-x))
		}
		return sum
	}
	for _, rate := range []float64{0, 1e-5, 1. / 300, 0.1} {
		for _, previous := range []float64{0, 1e-5, 1. / 300, 0.1} {
			got, want := coldStarts(rate, previous, keepAlive), integral(rate, previous)
			if math.Abs(got-want) > 1e-4*want+1e-9 {
				t.Errorf("coldStarts(%v, %v) = %v, the integral is %v", rate, previous, got, want)
			}
		}
	}
	// An environment of a busy level that is no longer provisioned starts once.
	if got := coldStarts(1e6, 0, keepAlive); math.Abs(got-1) > 1e-9 {
		t.Errorf("a busy level starts %v times, want 1", got)
	}
}

// randomProfile draws a week of day and night, weekday and weekend, from a few
// invocations a day to a few dozen at a time.
func randomProfile(r *rand.Rand) Profile {
	p := Profile{ColdStart: Constant(time.Duration(100+r.IntN(3000)) * time.Millisecond), Memory: 128 << r.IntN(5)}
	mean := time.Duration(math.Exp(math.Log(20)+r.Float64()*math.Log(1000))) * time.Millisecond
	switch r.IntN(4) {
	case 0:
		p.Duration = Constant(mean)
	case 1:
		p.Duration = Exponential(mean)
	case 2:
		p.Duration = LogNormal{Median: mean / 2, P99: 5 * mean}
	case 3:
		p.Duration = Samples{mean / 4, mean / 2, mean, 3 * mean}
	}
	busiest := math.Exp(r.Float64() * math.Log(3_000))
	night, weekend := r.Float64(), r.Float64()
	for day := range 7 {
		for hour := range 24 {
			n := busiest
			if hour < 7 || hour > 21 {
				n *= night
			}
			if day > 4 {
				n *= weekend
			}
			n *= 0.5 + r.Float64()
			if r.IntN(50) == 0 {
				n = 0
			}
			p.Arrivals[day*24+hour] = n
		}
	}
	return p
}

// Over 200 random weeks: the bound holds in the simulation, hour by hour and
// over all; the model foretells the spill-over, and the cold starts when
// nothing is provisioned, within 10 %; with something provisioned it
// foretells at most 10 % fewer and at most twice as many; and no
// baseline that keeps the bound is cheaper.
func TestSimulation(t *testing.T) {
	const profiles = 200
	var wg sync.WaitGroup
	next := make(chan int)
	for range 2 {
		wg.Go(func() {
			for i := range next {
				simulateOne(t, i)
			}
		})
	}
	for i := range profiles {
		next <- i
	}
	close(next)
	wg.Wait()
}

func simulateOne(t *testing.T, i int) {
	r := rand.New(rand.NewPCG(2026, uint64(i)))
	profile := randomProfile(r)
	pl := Planner{Bound: []float64{0.001, 0.01, 0.05}[i%3], KeepAlive: time.Duration(2+r.IntN(20)) * time.Minute}
	if i%5 == 0 {
		pl.Quiet = 30
	}
	plan, err := pl.Plan(profile)
	if err != nil {
		t.Errorf("profile %d: %v", i, err)
		return
	}
	if !plan.Planned.Keeps {
		t.Errorf("profile %d: the plan's worst hour has %v cold starts", i, plan.Planned.Worst)
	}
	for _, s := range plan.Strategies() {
		if s.Keeps && plan.Planned.Cost > s.Cost*(1+1e-9) {
			t.Errorf("profile %d: the plan costs %v, %s keeps the bound for %v", i, plan.Planned.Cost, s.Name, s.Cost)
		}
	}
	perWeek := 0.
	for _, n := range profile.Arrivals {
		perWeek += n
	}
	weeks := max(1, min(100, int(30_000/perWeek)))

	trace := pl.Simulate(profile, plan.Planned.Concurrency, weeks, r)
	cold, limit := 0, 0.
	for h, n := range trace.Cold {
		if !plan.held[h] {
			continue
		}
		allowed := pl.Bound * profile.Arrivals[h] * float64(weeks)
		if float64(n) > allowed+4*math.Sqrt(allowed)+4 {
			t.Errorf("profile %d, hour %d: %d cold starts of %d invocations, the bound allows %.1f", i, h, n, trace.Arrivals[h], allowed)
		}
		cold += n
		limit += allowed
	}
	if float64(cold) > limit+4*math.Sqrt(limit) {
		t.Errorf("profile %d: %d cold starts, the bound allows %.1f", i, cold, limit)
	}

	// Half of the plan is short of environments everywhere, and so shows many
	// cold starts to compare.
	short := plan.Planned.Concurrency
	for h := range short {
		short[h] /= 2
	}
	pl.Prices = ARM64()
	m, err := newModel(pl, profile)
	if err != nil {
		t.Errorf("profile %d: %v", i, err)
		return
	}
	for _, concurrency := range []Week[int]{{}, short, plan.Planned.Concurrency} {
		got := pl.Simulate(profile, concurrency, weeks, r)
		want := m.strategy("", concurrency)
		expected, spilled := 0., 0.
		for h, share := range want.ColdStarts {
			n := profile.Arrivals[h] * float64(weeks)
			expected += share * n
			spilled += n * ErlangB(concurrency[h], m.load(h, 0))
		}
		over := 1.10
		if concurrency != (Week[int]{}) {
			over = 2
		}
		compare(t, i, "cold starts", sum(got.Cold), expected, over)
		compare(t, i, "spilled invocations", sum(got.Spilled), spilled, 1.10)
	}
}

func sum(w Week[int]) (n int) {
	for _, v := range w {
		n += v
	}
	return n
}

// compare allows the model to be too low by 10 % and too high by a factor, and
// the simulation five standard deviations, cold starts coming in small crowds.
func compare(t *testing.T, i int, what string, got int, want, over float64) {
	noise := 5*math.Sqrt(2*want) + 2
	if n := float64(got); n > 1.10*want+noise || n < want/over-noise {
		t.Errorf("profile %d: %d %s in the simulation, the model says %.1f", i, got, what, want)
	}
}

// randomProblem draws a few hours small enough to try every week.
func randomProblem(r *rand.Rand, hours, levels int) *problem {
	p := &problem{init: r.Float64(), rise: r.Float64()}
	for range hours {
		s := slot{cold: make([]float64, levels), lost: make([]float64, levels)}
		for c := levels - 2; c >= 0; c-- {
			s.cold[c] = s.cold[c+1] + r.ExpFloat64()
			s.lost[c] = s.lost[c+1] + r.ExpFloat64()
		}
		costs := make([]float64, levels)
		for c := range costs {
			costs[c] = float64(c)*2*r.Float64() + r.Float64()
		}
		p.slots = append(p.slots, s)
		p.costs = append(p.costs, costs)
		p.limits = append(p.limits, r.ExpFloat64()*2)
	}
	return p
}

func (p *problem) total(week []int) float64 {
	sum := 0.
	for h, c := range week {
		cost, ok := p.step(h, week[(h+len(week)-1)%len(week)], c)
		if !ok {
			return math.Inf(1)
		}
		sum += cost
	}
	return sum
}

// The plan is the optimum, not near it: the factor to a search through every
// week is 1.
func TestSolveEqualsBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 3000 {
		hours, levels := 1+r.IntN(5), 2+r.IntN(4)
		p := randomProblem(r, hours, levels)
		best := math.Inf(1)
		week := make([]int, hours)
		var try func(h int)
		try = func(h int) {
			if h == hours {
				best = min(best, p.total(week))
				return
			}
			for week[h] = range levels {
				try(h + 1)
			}
		}
		try(0)
		got := p.total(p.solve())
		if math.Abs(got-best) > 1e-9*best {
			t.Fatalf("problem %d: the plan costs %v, the best week %v", round, got, best)
		}
	}
}

// What must hold for any profile: no single hour can be changed to something
// cheaper without breaking the bound, and the schedule says what the plan says
// in every hour.
func TestPlanProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 30 {
		profile := randomProfile(r)
		profile.Zone = "Europe/Paris"
		plan, err := Planner{}.Plan(profile)
		if err != nil {
			t.Fatal(err)
		}
		m, err := newModel(Planner{Bound: DefaultBound, Prices: ARM64()}, profile)
		if err != nil {
			t.Fatal(err)
		}
		p := m.problem()
		week := slices.Clone(plan.Planned.Concurrency[:])
		least := p.total(week)
		if math.Abs(least-plan.Planned.Cost) > 1e-9*least {
			t.Errorf("profile %d: the plan says it costs %v, its hours cost %v", i, plan.Planned.Cost, least)
		}
		for h, c := range week {
			for week[h] = range p.costs[h] {
				if cost := p.total(week); cost < least*(1-1e-12) {
					t.Errorf("profile %d, hour %d: %d instead of %d keeps the bound for %v instead of %v", i, h, week[h], c, cost, least)
				}
			}
			week[h] = c
		}
		if err := plan.Schedule.Validate(); err != nil {
			t.Errorf("profile %d: %v", i, err)
		}
		if _, err := plan.Schedule.Actions(0); err != nil {
			t.Errorf("profile %d: %v", i, err)
		}
		paris, err := time.LoadLocation("Europe/Paris")
		if err != nil {
			t.Fatal(err)
		}
		monday := time.Date(2026, 11, 23, 0, 30, 0, 0, paris)
		for h, want := range plan.Planned.Concurrency {
			if got := plan.Schedule.At(monday.Add(time.Duration(h) * time.Hour)); got != want {
				t.Fatalf("profile %d, hour %d: the schedule keeps %d, the plan %d", i, h, got, want)
			}
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	_, err := Planner{Bound: 2, KeepAlive: 2 * time.Hour, Quiet: -1, Prices: Prices{Request: -1}}.Plan(Profile{
		Zone: "Paris", Arrivals: Week[float64]{0: -1}, Memory: 64,
	})
	for _, want := range []string{"Bound is 2", "KeepAlive is 2h", "Quiet is -1", "Prices has -1", `Zone "Paris"`, "Arrivals[0] is -1", "Arrivals are all 0", "Duration must", "ColdStart must", "Memory is 64"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q: %v", want, err)
		}
	}
	huge := Profile{Duration: Constant(time.Second), ColdStart: Constant(time.Second)}
	huge.Arrivals.Set(time.Monday, 9, 10, 1e9)
	if _, err := (Planner{}).Plan(huge); err == nil || !strings.Contains(err.Error(), "Arrivals[9]") {
		t.Errorf("error is %v", err)
	}
}

func TestWeek(t *testing.T) {
	var w Week[int]
	w.Set(time.Sunday, 22, 24, 7)
	w.Set(time.Monday, 0, 1, 3)
	if w[0] != 3 || w[HoursPerWeek-1] != 7 || w.At(time.Sunday, 22) != 7 || w.At(time.Monday, 1) != 0 {
		t.Errorf("wrong week: %v", w)
	}
}

func TestDistributions(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for name, d := range map[string]Distribution{
		"constant":    Constant(50 * time.Millisecond),
		"exponential": Exponential(50 * time.Millisecond),
		"log-normal":  LogNormal{Median: 40 * time.Millisecond, P99: 400 * time.Millisecond},
		"samples":     Samples{10 * time.Millisecond, 20 * time.Millisecond, 90 * time.Millisecond},
	} {
		const n = 200_000
		draws := make([]float64, n)
		total := 0.
		for i := range draws {
			draws[i] = d.Draw(r).Seconds()
			total += draws[i]
		}
		if got, want := total/n, d.Mean().Seconds(); math.Abs(got-want) > 0.02*want {
			t.Errorf("%s: the draws have a mean of %v, want %v", name, got, want)
		}
		if name == "log-normal" {
			slices.Sort(draws)
			got := []float64{draws[n/2], draws[n*99/100]}
			if !cmp.Equal(got, []float64{0.04, 0.4}, cmpopts.EquateApprox(0.03, 0)) {
				t.Errorf("log-normal: median and 99th percentile are %v", got)
			}
		}
	}
}

// A shop with up to 60 invocations in flight at noon.
func benchmarkProfile() Profile {
	p := Profile{
		Zone: "Europe/Paris", Memory: 512,
		Duration:  LogNormal{Median: 200 * time.Millisecond, P99: 1500 * time.Millisecond},
		ColdStart: Constant(800 * time.Millisecond),
	}
	for h := range p.Arrivals {
		p.Arrivals[h] = 400_000 * (1 + 0.9*math.Sin(float64(h%24-6)/24*2*math.Pi))
	}
	return p
}

// A week's plan, with its baselines, must take less than 50 ms.
func BenchmarkPlan(b *testing.B) {
	profile := benchmarkProfile()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Planner{}).Plan(profile); err != nil {
			b.Fatal(err)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

func TestSVG(t *testing.T) {
	shop := Profile{Duration: Constant(time.Second), ColdStart: Constant(time.Second), Memory: 1024}
	for h := range shop.Arrivals {
		shop.Arrivals[h] = 300
		if hour := float64(h % 24); hour >= 8 && hour < 22 {
			shop.Arrivals[h] += 6000 * math.Sin((hour-7)/15*math.Pi) * (1 - float64(h/24/5)/2)
		}
	}
	plan, err := Planner{Bound: 0.001}.Plan(shop)
	if err != nil {
		t.Fatal(err)
	}
	got := plan.SVG()
	if err := xml.Unmarshal(got, new(any)); err != nil {
		t.Errorf("not XML: %v", err)
	}
	const golden = "testdata/week.svg"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the picture has changed; look at it, then run the test with -update:\n%s", diff)
	}
}
