package planner

import "math"

// secondsPerHour is the length of an hour of the profile.
const secondsPerHour = 3600.

// ErlangB returns the share of arrivals that find all c servers busy, for an
// offered load in erlangs. It holds for any distribution of the service time.
//
// Source: A. K. Erlang, "Solution of some problems in the theory of
// probabilities of significance in automatic telephone exchanges", 1917; the
// insensitivity is B. A. Sevast'yanov's, 1957.
func ErlangB(c int, load float64) float64 {
	b := 1.
	for n := 1; n <= c; n++ {
		b = load * b / (float64(n) + load*b)
	}
	return b
}

// hour is the steady state of the traffic of one hour.
type hour struct {
	arrivals float64 // in the hour
	load     float64 // mean number of invocations in flight
	// spill[c] is the share of arrivals that find c environments busy.
	spill []float64
	// rate[m] is how often a second m invocations come to be in flight at the
	// same time, counting visits to m in quick succession as one.
	rate []float64
}

// minRate is the rate below which a level counts as never reached: once in
// thirty thousand years.
const minRate = 1e-12

func newHour(arrivals, load float64) hour {
	h := hour{arrivals: arrivals, load: load, spill: []float64{1}, rate: []float64{0}}
	if arrivals == 0 {
		return h
	}
	lambda := arrivals / secondsPerHour
	for c := 1; ; c++ {
		b := load * h.spill[c-1] / (float64(c) + load*h.spill[c-1])
		h.spill = append(h.spill, b)
		if float64(c) > load && lambda*b < minRate {
			break
		}
	}
	// below[i] is the probability that at most i are in flight.
	below := make([]float64, len(h.spill))
	below[len(below)-1] = 1
	for i := len(below) - 1; i > 0; i-- {
		below[i-1] = below[i] * (1 - h.spill[i])
	}
	apart := 1e-9 // not 0: where hardly anything is below, the rate stays finite
	for m := 1; m < len(h.spill); m++ {
		// From m-1 in flight it takes 1/(lambda*spill[m-1]) seconds on average
		// to reach m.
		apart += below[m-1] / (lambda * h.spill[m-1])
		h.rate = append(h.rate, 1/apart)
	}
	return h
}

// at returns values[i], and 0 beyond the last level that is ever reached.
func at(values []float64, i int) float64 {
	if i < len(values) {
		return values[i]
	}
	return 0
}

// coldStarts returns how many of an hour's visits to a level find that its
// environment has expired, or was never there.
//
// The visits are a Poisson process of this hour's rate after one of the
// previous hour's, and a visit is cold when none precedes it by at most
// keepAlive seconds.
func coldStarts(rate, previous, keepAlive float64) float64 {
	if rate == 0 {
		return 0
	}
	early := rate * keepAlive * math.Exp(-rate*keepAlive)
	if diff := rate - previous; math.Abs(diff)*keepAlive > 1e-9 {
		early = rate * (math.Exp(-previous*keepAlive) - math.Exp(-rate*keepAlive)) / diff
	}
	return early + (secondsPerHour-keepAlive)*rate*math.Exp(-rate*keepAlive)
}

// slot is an hour with what the plan needs to know of it and the hour before.
type slot struct {
	hour
	// cold[c] is the number of cold starts with c environments provisioned in
	// this hour and no more than c in the hour before.
	cold []float64
	// lost[c] is how many more there are when the hour before had everything
	// provisioned, and left no environment on demand behind.
	lost []float64
}

func newSlot(h, previous hour, keepAlive float64) slot {
	levels := len(h.rate)
	s := slot{hour: h, cold: make([]float64, levels), lost: make([]float64, levels)}
	for m := levels - 1; m > 0; m-- {
		warm := coldStarts(h.rate[m], at(previous.rate, m), keepAlive)
		s.cold[m-1] = s.cold[m] + warm
		s.lost[m-1] = s.lost[m] + coldStarts(h.rate[m], 0, keepAlive) - warm
	}
	return s
}

// shares are the shares of cold starts at which an hour is computed to settle
// which of them it has.
var shares = [...]float64{0, 1. / 1024, 1. / 256, 1. / 64, 1. / 16, 1. / 4, 1}

// settle returns an hour in which, for each concurrency, cold starts are as
// many as they make themselves by lengthening the invocations that meet them.
// when returns the hour with invocations as long as the i-th of shares makes
// them; between two of them it is taken as linear. Those that start once after
// a decrease are left out of the lengthening: it would bind the hour to the one
// before, for a few starts of seconds.
//
// What spills over is that of warm invocations, for no other runs on a
// provisioned environment.
func settle(when func(i int) slot) slot {
	low := when(0)
	settled, levels := low, len(low.spill)
	settled.cold = make([]float64, levels)
	open := levels - 1 // the concurrencies below are not settled
	for i := 1; open > 0 && i < len(shares); i++ {
		high := when(i)
		for ; open > 0; open-- {
			c := open - 1
			more := at(low.cold, c) - shares[i-1]*low.arrivals // than make themselves
			fewer := shares[i]*low.arrivals - at(high.cold, c)
			if fewer < 0 {
				break
			}
			t := 0.
			if more > 0 {
				t = more / (more + fewer)
			}
			settled.cold[c] = max(settled.cold[c+1], between(at(low.cold, c), at(high.cold, c), t))
			if c == 0 {
				settled.lost = make([]float64, levels)
				for m := range settled.lost {
					settled.lost[m] = between(low.lostFrom(m, levels-1), high.lostFrom(m, levels-1), t)
				}
			}
		}
		low = high
	}
	for c := range open {
		settled.cold[c] = low.arrivals // every one is cold
	}
	return settled
}

func between(a, b, t float64) float64 { return a + t*(b-a) }

// lostFrom returns what was lost at the levels from c+1 to before.
func (s slot) lostFrom(c, before int) float64 { return max(0, at(s.lost, c)-at(s.lost, before)) }

// coldStarts returns the hour's cold starts with c environments provisioned
// and before in the hour before.
//
// Environments that were provisioned and no longer are leave nothing warm
// behind at their levels, from c+1 to before.
func (s slot) coldStarts(before, c int) float64 {
	return at(s.cold, c) + s.lostFrom(c, before)
}
