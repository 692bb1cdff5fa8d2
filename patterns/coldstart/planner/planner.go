package planner

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
)

// Planner computes schedules of provisioned concurrency. The zero value is
// ready to use.
type Planner struct {
	// Bound is the largest share of invocations that may meet a cold start, in
	// every hour of the week for itself. Default: 0.01.
	Bound float64
	// Quiet is a number of invocations in an hour below which the hour is not
	// held to the bound, because an environment kept for a few invocations at
	// night costs more than it is worth. Default: 0, every hour is held to it.
	Quiet float64
	// KeepAlive is how long Lambda keeps an idle environment on demand, up to
	// an hour. Default: 5 minutes, which is careful: AWS does not document it,
	// and measurements since 2019 found 5 to 10 minutes and more.
	KeepAlive time.Duration
	// Prices are what Lambda charges. Default: ARM64.
	Prices Prices
}

// DefaultBound is the bound of a zero Planner: one invocation in a hundred.
const DefaultBound = 0.01

// Plan is a schedule with what it is expected to cost and to do, beside the
// strategies that need no planning.
type Plan struct {
	// Schedule is what to deploy.
	Schedule schedule.Schedule
	// Planned is the schedule seen as a strategy.
	Planned Strategy
	// Nothing keeps no environment ready.
	Nothing Strategy
	// AlwaysOn keeps the smallest number ready at any time that keeps the bound.
	AlwaysOn Strategy
	// TargetTracking follows the traffic at 70 % utilization, late by the
	// minutes that its alarms need. It is an estimate: the mean of the hour is
	// all it knows of the traffic.
	TargetTracking Strategy

	profile Profile
	bound   float64
	held    Week[bool]
}

// Strategy is one way to provision a function through the week.
type Strategy struct {
	// Name is the strategy's name in a table.
	Name string
	// Concurrency is the provisioned concurrency of each hour.
	Concurrency Week[int]
	// ColdStarts is the share of invocations of each hour that meet a cold
	// start.
	ColdStarts Week[float64]
	// Worst is the largest of ColdStarts, quiet hours left out.
	Worst float64
	// Overall is the share of all the week's invocations.
	Overall float64
	// Cost is what Lambda charges for a week, in US dollars: requests,
	// duration, cold starts and provisioned concurrency.
	Cost float64
	// Keeps reports whether Worst is within the bound.
	Keeps bool
}

// weeksPerMonth turns a week's cost into a month's.
const weeksPerMonth = 365.25 / 7 / 12

// maxLoad is a little above the largest concurrency that Lambda's default
// quotas can be raised to without talking to AWS.
const maxLoad = 10_000

// Plan returns the cheapest schedule, with hours as its smallest unit, that
// keeps the bound in every hour that is not quiet.
//
// The result is the optimum of the package's model, never dearer than
// AlwaysOn, nor than TargetTracking or Nothing when these keep the bound.
func (p Planner) Plan(profile Profile) (*Plan, error) {
	if p.Bound == 0 {
		p.Bound = DefaultBound
	}
	if p.Prices == (Prices{}) {
		p.Prices = ARM64()
	}
	if err := errors.Join(p.validate(), profile.validate()); err != nil {
		return nil, err
	}
	m, err := newModel(p, profile)
	if err != nil {
		return nil, err
	}
	prob := m.problem()
	plan := &Plan{profile: profile, bound: p.Bound, held: m.held}
	plan.Planned = m.strategy("planned", Week[int](prob.solve()))
	plan.AlwaysOn = m.strategy("always on", m.alwaysOn(prob))
	plan.TargetTracking = m.targetTracking()
	plan.Nothing = m.strategy("nothing", Week[int]{})
	plan.Schedule = scheduleOf(plan.Planned.Concurrency, profile.zone())
	return plan, nil
}

func (p Planner) validate() error {
	var problems []error
	if !(p.Bound > 0 && p.Bound < 1) {
		problems = append(problems, fmt.Errorf("planner: Bound is %v; it must be between 0 and 1, such as 0.01 for one invocation in a hundred", p.Bound))
	}
	if p.KeepAlive < 0 || p.KeepAlive > time.Hour {
		problems = append(problems, fmt.Errorf("planner: KeepAlive is %v; it must be up to an hour", p.KeepAlive))
	}
	if !(p.Quiet >= 0) {
		problems = append(problems, fmt.Errorf("planner: Quiet is %v; it must be a number of invocations in an hour, 0 or more", p.Quiet))
	}
	for _, price := range []float64{p.Prices.Request, p.Prices.Duration, p.Prices.Provisioned, p.Prices.ProvisionedDuration} {
		if !(price >= 0) || math.IsInf(price, 0) {
			problems = append(problems, fmt.Errorf("planner: Prices has %v; prices must be 0 or more", price))
		}
	}
	return errors.Join(problems...)
}

func (p Planner) keepAlive() time.Duration {
	if p.KeepAlive == 0 {
		return 5 * time.Minute
	}
	return p.KeepAlive
}

func (p Profile) zone() string {
	if p.Zone == "" {
		return "UTC"
	}
	return p.Zone
}

// model is a planner at work on a profile.
type model struct {
	Planner
	profile Profile
	held    Week[bool] // held to the bound
	slots   []slot
}

func newModel(p Planner, profile Profile) (*model, error) {
	m := &model{Planner: p, profile: profile, slots: make([]slot, HoursPerWeek)}
	hours := make([][len(shares)]*hour, HoursPerWeek)
	// What would be too many in flight is refused below, not computed here.
	at := func(h, i int) hour {
		for i > 0 && m.load(h, shares[i]) > maxLoad {
			i--
		}
		if hours[h][i] == nil {
			of := newHour(profile.Arrivals[h], m.load(h, shares[i]))
			hours[h][i] = &of
		}
		return *hours[h][i]
	}
	var tooMany error
	check := func(h int, cold float64) {
		if load := m.load(h, cold); load > maxLoad && tooMany == nil {
			tooMany = fmt.Errorf("profile: Arrivals[%d] keep %.0f invocations in flight; the planner is made for up to %d", h, load, maxLoad)
		}
	}
	for h, n := range profile.Arrivals {
		check(h, 0)
		m.held[h] = n > 0 && n >= p.Quiet
	}
	for h, n := range profile.Arrivals {
		if tooMany != nil {
			return nil, tooMany
		}
		before := (h + HoursPerWeek - 1) % HoursPerWeek
		m.slots[h] = settle(func(i int) slot {
			return newSlot(at(h, i), at(before, i), seconds(m.keepAlive()))
		})
		if n > 0 {
			check(h, m.slots[h].cold[0]/n)
		}
	}
	return m, tooMany
}

// load returns the mean number of invocations in flight in an hour when a
// share of them carries a cold start.
func (m *model) load(h int, cold float64) float64 {
	each := seconds(m.profile.Duration.Mean()) + cold*seconds(m.profile.ColdStart.Mean())
	return m.profile.Arrivals[h] / secondsPerHour * each
}

func (m *model) problem() *problem {
	p := &problem{slots: m.slots, init: m.init(), rise: m.provisioned(schedule.DefaultLead.Seconds())}
	for h, s := range p.slots {
		limit := math.Inf(1)
		if m.held[h] {
			limit = m.Bound * s.arrivals
		}
		p.limits = append(p.limits, limit)
		costs := make([]float64, len(s.spill))
		for c := range costs {
			costs[c] = m.cost(s, c)
		}
		p.costs = append(p.costs, costs)
	}
	return p
}

// provisioned returns what one provisioned environment costs for some seconds.
func (m *model) provisioned(seconds float64) float64 {
	return m.profile.gigabytes() * seconds * m.Prices.Provisioned
}

// init returns what a cold start costs: Lambda bills the initialization as
// duration, since August 2025 for every function.
func (m *model) init() float64 {
	return m.profile.gigabytes() * seconds(m.profile.ColdStart.Mean()) * m.Prices.Duration
}

// cost returns what an hour costs with c environments provisioned, cold starts
// apart.
func (m *model) cost(s slot, c int) float64 {
	spill := at(s.spill, c)
	perGBSecond := spill*m.Prices.Duration + (1-spill)*m.Prices.ProvisionedDuration
	return float64(c)*m.provisioned(secondsPerHour) +
		s.arrivals*(m.Prices.Request+m.profile.gigabytes()*seconds(m.profile.Duration.Mean())*perGBSecond)
}

// strategy says what a concurrency costs and does.
func (m *model) strategy(name string, concurrency Week[int]) Strategy {
	return m.evaluate(name, concurrency, func(s slot, before, c int) (cold, cost float64) {
		rise := float64(max(0, c-before)) * m.provisioned(schedule.DefaultLead.Seconds())
		return s.coldStarts(before, c), m.cost(s, c) + rise
	})
}

// evaluate sums up hours.
func (m *model) evaluate(name string, concurrency Week[int], hour func(s slot, before, c int) (cold, cost float64)) Strategy {
	s := Strategy{Name: name, Concurrency: concurrency}
	invocations, coldStarts := 0., 0.
	for h, n := range m.profile.Arrivals {
		cold, cost := hour(m.slots[h], concurrency[(h+HoursPerWeek-1)%HoursPerWeek], concurrency[h])
		s.Cost += cost + cold*m.init()
		if n == 0 {
			continue
		}
		invocations += n
		coldStarts += min(cold, n)
		s.ColdStarts[h] = min(1, cold/n)
		if m.held[h] {
			s.Worst = max(s.Worst, s.ColdStarts[h])
		}
	}
	s.Overall = coldStarts / invocations
	s.Keeps = s.Worst <= m.Bound*(1+1e-9)
	return s
}

// alwaysOn returns the smallest constant that keeps every limit.
func (m *model) alwaysOn(p *problem) (w Week[int]) {
	n := 0
	for h, s := range p.slots {
		for at(s.cold, n) > p.limits[h] {
			n++
		}
	}
	for h := range w {
		w[h] = n
	}
	return w
}

// Target tracking as the constructs deploy it: 70 % of the maximum; an increase
// takes three datapoints of a minute and then the allocation, a decrease
// fifteen datapoints. It cannot go below 1, for without provisioned
// concurrency there is no utilization to track.
//
// Source: Lambda Developer Guide, "Configuring provisioned concurrency".
const (
	targetUtilization = 0.7
	scaleOutSeconds   = 5 * 60
	scaleInSeconds    = 15 * 60
)

func (m *model) targetTracking() Strategy {
	var concurrency Week[int]
	for h, s := range m.slots {
		peak := 0
		for level, rate := range s.rate {
			if rate >= 1./60 {
				peak = level
			}
		}
		concurrency[h] = max(1, int(math.Ceil(float64(peak)/targetUtilization)))
	}
	return m.evaluate("target tracking", concurrency, func(s slot, before, c int) (cold, cost float64) {
		cold, cost = s.coldStarts(before, c), m.cost(s, c)
		if c > before {
			const late = scaleOutSeconds / secondsPerHour
			cold = late*s.coldStarts(before, before) + (1-late)*cold
			cost -= float64(c-before) * m.provisioned(scaleOutSeconds)
		} else {
			cost += float64(before-c) * m.provisioned(scaleInSeconds)
		}
		return cold, cost
	})
}

// scheduleOf writes a concurrency for each hour as entries: what is always
// ready, then runs of hours above it, days with the same run together.
func scheduleOf(w Week[int], zone string) schedule.Schedule {
	var s schedule.Schedule
	floor := slices.Min(w[:])
	if floor > 0 {
		s = append(s, schedule.Always(floor))
	}
	for day := range 7 {
		for from := 0; from < 24; {
			n := w[day*24+from]
			to := from + 1
			for to < 24 && w[day*24+to] == n {
				to++
			}
			if n > floor {
				s = add(s, time.Weekday((day+1)%7), schedule.Entry{
					Zone: zone, From: time.Duration(from) * time.Hour, To: time.Duration(to) * time.Hour, Concurrency: n,
				})
			}
			from = to
		}
	}
	return s
}

// add makes the entry apply on a day, with an entry that has the same times if
// there is one.
func add(s schedule.Schedule, day time.Weekday, e schedule.Entry) schedule.Schedule {
	for i, o := range s {
		if o.Zone == e.Zone && o.From == e.From && o.To == e.To && o.Concurrency == e.Concurrency {
			s[i].Days = append(s[i].Days, day)
			return s
		}
	}
	e.Days = []time.Weekday{day}
	return append(s, e)
}

// Strategies returns the plan and its alternatives in the order of a table.
func (p *Plan) Strategies() []Strategy {
	return []Strategy{p.Nothing, p.AlwaysOn, p.TargetTracking, p.Planned}
}

// String returns a table of the strategies: how many environments they keep
// ready, what they cost in a month, and the share of cold starts in the worst
// hour and overall.
func (p *Plan) String() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "strategy\tready\tUSD/month\tworst hour\toverall\tkeeps %s\t\n", percent(p.bound))
	for _, s := range p.Strategies() {
		ready := fmt.Sprint(slices.Min(s.Concurrency[:]))
		if most := slices.Max(s.Concurrency[:]); fmt.Sprint(most) != ready {
			ready += fmt.Sprintf("-%d", most)
		}
		keeps := "no"
		if s.Keeps {
			keeps = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%s\t%s\t%s\t\n", s.Name, ready, s.Cost*weeksPerMonth, percent(s.Worst), percent(s.Overall), keeps)
	}
	t.Flush()
	return b.String()
}

// percent writes a share with two significant digits.
func percent(share float64) string {
	if share >= 0.1 {
		return fmt.Sprintf("%.0f %%", 100*share)
	}
	return fmt.Sprintf("%.2g %%", 100*share)
}
