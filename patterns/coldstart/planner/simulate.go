package planner

import (
	"math/rand/v2"
	"time"
)

// Trace counts what happened in each hour of the week in a simulation.
type Trace struct {
	Arrivals Week[int] // invocations
	Spilled  Week[int] // invocations that found no provisioned environment free
	Cold     Week[int] // spilled invocations that found no warm environment either
}

// Simulate plays a number of weeks, invocation by invocation: provisioned
// environments first, then the environment on demand that was used last, then
// a new one. It is the check of the model and makes no use of it.
func (p Planner) Simulate(profile Profile, concurrency Week[int], weeks int, r *rand.Rand) *Trace {
	s := simulation{keepAlive: p.keepAlive().Seconds()}
	trace := new(Trace)
	// The hour before the first fills the pool and is not counted.
	s.hour(profile, HoursPerWeek-1, concurrency[HoursPerWeek-1], r, new(Trace))
	for range weeks {
		for h := range HoursPerWeek {
			s.hour(profile, h, concurrency[h], r, trace)
		}
	}
	return trace
}

// simulation is the state of the environments; its times are in seconds.
type simulation struct {
	keepAlive float64
	start     float64      // of the current hour
	inFlight  []completion // a heap, the next to end first
	busy      int          // provisioned environments in use
	idle      []float64    // when the idle environments on demand became so, ascending
}

type completion struct {
	at          float64
	provisioned bool
}

func (s *simulation) hour(p Profile, h, provisioned int, r *rand.Rand, trace *Trace) {
	end := s.start + secondsPerHour
	for now := s.next(s.start, p.Arrivals[h], r); now < end; now = s.next(now, p.Arrivals[h], r) {
		s.advance(now)
		trace.Arrivals[h]++
		duration := seconds(p.Duration.Draw(r))
		isProvisioned := s.busy < provisioned
		if isProvisioned {
			s.busy++
		} else {
			trace.Spilled[h]++
			if n := len(s.idle); n > 0 {
				s.idle = s.idle[:n-1]
			} else {
				trace.Cold[h]++
				duration += seconds(p.ColdStart.Draw(r))
			}
		}
		s.push(completion{now + duration, isProvisioned})
	}
	s.start = end
}

// next returns the time of the next arrival.
func (s *simulation) next(now, perHour float64, r *rand.Rand) float64 {
	return now + r.ExpFloat64()*secondsPerHour/perHour
}

// advance ends what ends until now and lets environments expire.
func (s *simulation) advance(now float64) {
	for len(s.inFlight) > 0 && s.inFlight[0].at <= now {
		done := s.pop()
		if done.provisioned {
			s.busy--
		} else {
			s.idle = append(s.idle, done.at)
		}
	}
	expired := 0
	for expired < len(s.idle) && s.idle[expired] < now-s.keepAlive {
		expired++
	}
	s.idle = s.idle[expired:]
}

func (s *simulation) push(c completion) {
	h := append(s.inFlight, c)
	i := len(h) - 1
	for i > 0 && h[(i-1)/2].at > c.at {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = c
	s.inFlight = h
}

func (s *simulation) pop() completion {
	h := s.inFlight
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if h[child].at >= last.at {
			break
		}
		h[i] = h[child]
		i = child
	}
	if len(h) > 0 {
		h[i] = last
	}
	s.inFlight = h
	return top
}

func seconds(d time.Duration) float64 { return d.Seconds() }
