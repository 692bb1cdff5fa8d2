package planner

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// HoursPerWeek is the length of a Week.
const HoursPerWeek = 7 * 24

// Week holds a value for each hour of the week on the wall clock, Monday 00:00
// first.
type Week[T any] [HoursPerWeek]T

// At returns the value of an hour, 0 to 23, of a day.
func (w *Week[T]) At(day time.Weekday, hour int) T { return w[index(day)*24+hour] }

// Set gives a value to the hours from..to of a day, to excluded.
func (w *Week[T]) Set(day time.Weekday, from, to int, value T) {
	for hour := from; hour < to; hour++ {
		w[index(day)*24+hour] = value
	}
}

// index counts the days from Monday.
func index(day time.Weekday) int { return (int(day) + 6) % 7 }

// Profile describes the traffic of one function through a week.
type Profile struct {
	// Zone is the IANA name of the place whose clock Arrivals follows, such as
	// "Europe/Paris". Default: "UTC".
	Zone string
	// Arrivals is the mean number of invocations in each hour of the week.
	// Within an hour they are taken to come at random, independent of each
	// other; multiply them when they come in bursts.
	Arrivals Week[float64]
	// Duration is how long a warm invocation runs. Only its mean decides the
	// plan; see the package's model.
	Duration Distribution
	// ColdStart is how much longer an invocation takes when an environment
	// must be started for it.
	ColdStart Distribution
	// Memory is the function's memory in MB, 128 to 10,240. Default: 256, as
	// patterns/function's.
	Memory int
}

// Distribution is a distribution of durations.
type Distribution interface {
	// Mean returns the expected duration.
	Mean() time.Duration
	// Draw returns a random duration; only simulations use it.
	Draw(*rand.Rand) time.Duration
}

// Constant is a duration that is always the same.
type Constant time.Duration

// Mean returns the duration.
func (d Constant) Mean() time.Duration { return time.Duration(d) }

// Draw returns the duration.
func (d Constant) Draw(*rand.Rand) time.Duration { return time.Duration(d) }

// Exponential is an exponentially distributed duration with the given mean.
type Exponential time.Duration

// Mean returns the mean.
func (d Exponential) Mean() time.Duration { return time.Duration(d) }

// Draw returns a random duration.
func (d Exponential) Draw(r *rand.Rand) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(d))
}

// LogNormal is the distribution that fits most handlers: given by the median
// and the 99th percentile, as CloudWatch shows them.
type LogNormal struct{ Median, P99 time.Duration }

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

func (d LogNormal) sigma() float64 { return math.Log(float64(d.P99)/float64(d.Median)) / z99 }

// Mean returns the mean, which is above the median.
func (d LogNormal) Mean() time.Duration {
	return time.Duration(float64(d.Median) * math.Exp(d.sigma()*d.sigma()/2))
}

// Draw returns a random duration.
func (d LogNormal) Draw(r *rand.Rand) time.Duration {
	return time.Duration(float64(d.Median) * math.Exp(d.sigma()*r.NormFloat64()))
}

// Samples are durations that were measured, each as likely as the others.
type Samples []time.Duration

// Mean returns the average, 0 without samples.
func (d Samples) Mean() time.Duration {
	if len(d) == 0 {
		return 0
	}
	var sum time.Duration
	for _, s := range d {
		sum += s
	}
	return sum / time.Duration(len(d))
}

// Draw returns one of the samples.
func (d Samples) Draw(r *rand.Rand) time.Duration { return d[r.IntN(len(d))] }

// maxDuration is Lambda's longest timeout.
const maxDuration = 15 * time.Minute

// validate returns every problem of the profile, joined into one error.
func (p Profile) validate() error {
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf("profile: "+format, args...)) }
	if _, err := time.LoadLocation(p.Zone); err != nil || p.Zone == "Local" {
		report("Zone %q is not an IANA time zone; write a name such as \"Europe/Paris\"", p.Zone)
	}
	for i, n := range p.Arrivals {
		if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
			report("Arrivals[%d] is %v; it must be a number of invocations, 0 or more", i, n)
		}
	}
	if slices.Max(p.Arrivals[:]) == 0 {
		report("Arrivals are all 0; there is nothing to plan for")
	}
	if p.Duration == nil || p.Duration.Mean() <= 0 || p.Duration.Mean() > maxDuration {
		report("Duration must have a mean above 0 and up to %v, Lambda's longest timeout", maxDuration)
	}
	if p.ColdStart == nil || p.ColdStart.Mean() <= 0 || p.ColdStart.Mean() > maxDuration {
		report("ColdStart must have a mean above 0 and up to %v", maxDuration)
	}
	if p.Memory != 0 && (p.Memory < 128 || p.Memory > 10240) {
		report("Memory is %d; it must be 128 to 10240 MB", p.Memory)
	}
	return errors.Join(problems...)
}

// gigabytes returns the memory in GB, as Lambda bills it.
func (p Profile) gigabytes() float64 {
	if p.Memory == 0 {
		return 256. / 1024
	}
	return float64(p.Memory) / 1024
}
