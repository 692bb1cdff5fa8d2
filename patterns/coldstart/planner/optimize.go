package planner

import "math"

// problem is a cycle of hours, for each of which a concurrency is sought.
type problem struct {
	slots  []slot
	limits []float64   // most cold starts of each hour
	costs  [][]float64 // costs[h][c] is what c environments cost in hour h, cold starts apart
	init   float64     // what a cold start costs
	rise   float64     // what it costs to provision one environment more than in the hour before
}

// step returns the cost of hour h with c environments after before ones, and
// whether the hour keeps its limit.
func (p *problem) step(h, before, c int) (cost float64, ok bool) {
	cold := p.slots[h].coldStarts(before, c)
	return p.costs[h][c] + p.init*cold + p.rise*float64(max(0, c-before)), cold <= p.limits[h]
}

// solve returns the cheapest concurrency for each hour that keeps every limit.
// It is exact.
//
// The weeks that start from different concurrencies in the hour before the
// first need never cross: where two do, they can change places at no cost,
// because the cost of a step is submodular. So the best week from a middle
// start separates those from lower starts from those from higher ones, and the
// search takes levels x log(levels) steps for each hour instead of levels².
func (p *problem) solve() []int {
	hours := len(p.slots)
	low, high := make([]int, hours), make([]int, hours)
	for h := range high {
		high[h] = len(p.costs[h]) - 1
	}
	var best []int
	least := math.Inf(1)
	var search func(from, to int, low, high []int)
	search = func(from, to int, low, high []int) {
		if from > to {
			return
		}
		start := (from + to) / 2
		week, cost := p.shortest(start, low, high)
		if week == nil { // a lower start leaves even less provisioned at the end
			search(start+1, to, low, high)
			return
		}
		if cost < least {
			best, least = week, cost
		}
		search(from, start-1, low, week)
		search(start+1, to, week, high)
	}
	search(0, high[hours-1], low, high)
	return best
}

// shortest returns the cheapest week between low and high that both begins
// after and ends with start, nil when none keeps the limits.
func (p *problem) shortest(start int, low, high []int) ([]int, float64) {
	hours := len(p.slots)
	from := make([][]int, hours) // from[h][c-low[h]] is the best hour before c
	first, cost := start, []float64{0}
	for h := range hours {
		lo, hi := low[h], high[h]
		if h == hours-1 {
			lo, hi = max(lo, start), min(hi, start)
		}
		next := make([]float64, max(0, hi-lo+1))
		from[h] = make([]int, len(next))
		p.advance(h, first, cost, lo, next, from[h])
		first, cost = lo, next
	}
	if len(cost) == 0 || math.IsInf(cost[0], 1) {
		return nil, 0
	}
	week := make([]int, hours)
	c := start
	for h := hours - 1; h >= 0; h-- {
		week[h] = c
		lo := low[h]
		if h == hours-1 {
			lo = start
		}
		c = from[h][c-lo]
	}
	return week, cost[0]
}

// advance fills in, for hour h and each concurrency from lo on, the least cost
// of reaching it and from which concurrency of the hour before, whose costs
// are those from first on.
//
// From below, the least cost is a running minimum. From above, it is the
// minimum over those that the limit allows, which are a window that only moves
// up: the more is provisioned now, the more may have been lost.
func (p *problem) advance(h, first int, cost []float64, lo int, next []float64, from []int) {
	s, limit := p.slots[h], p.limits[h]
	below, bestBelow := first, -1
	leastBelow := math.Inf(1)
	var window []int // concurrencies of the hour before, their costs ascending
	end := first
	above := func(before int) float64 { return cost[before-first] - p.init*at(s.lost, before) }
	for i := range next {
		c := lo + i
		next[i] = math.Inf(1)
		if at(s.cold, c) > limit {
			continue
		}
		for ; below <= c && below < first+len(cost); below++ {
			if v := cost[below-first] - p.rise*float64(below); v < leastBelow {
				leastBelow, bestBelow = v, below
			}
		}
		for ; end < first+len(cost) && s.coldStarts(end, c) <= limit; end++ {
			for len(window) > 0 && above(window[len(window)-1]) >= above(end) {
				window = window[:len(window)-1]
			}
			window = append(window, end)
		}
		for len(window) > 0 && window[0] <= c {
			window = window[1:]
		}
		own := p.costs[h][c] + p.init*at(s.cold, c)
		if bestBelow >= 0 {
			next[i], from[i] = own+leastBelow+p.rise*float64(c), bestBelow
		}
		if len(window) > 0 {
			if v := own + above(window[0]) + p.init*at(s.lost, c); v < next[i] {
				next[i], from[i] = v, window[0]
			}
		}
	}
}
