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

// coldStarts returns the hour's cold starts with c environments provisioned
// and before in the hour before.
//
// Environments that were provisioned and no longer are leave nothing warm
// behind at their levels, from c+1 to before.
func (s slot) coldStarts(before, c int) float64 {
	return at(s.cold, c) + max(0, at(s.lost, c)-at(s.lost, before))
}
