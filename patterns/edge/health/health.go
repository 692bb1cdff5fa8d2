// Package health tells whether a region can serve: it checks the dependencies
// that requests need, and says ok, degraded or down.
//
//	checker := health.New([]health.Check{
//		health.Table("readings", tables, &dynamodb.GetItemInput{…}),
//		{Name: "cache", Optional: true, Run: ping},
//	}, health.Options{})
//	report := checker.Report(ctx)
//
// It fails closed. A check that panics, hangs or ends with its context has
// failed, and a checker without checks is down, for it knows nothing.
package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Status is how well a region, or a dependency of it, is.
type Status string

// The statuses, from the best to the worst.
const (
	OK       Status = "ok"
	Degraded Status = "degraded" // an optional dependency failed: keep sending requests
	Down     Status = "down"     // a required one failed: send requests elsewhere
)

// Check is one dependency.
type Check struct {
	// Name tells checks apart in reports and logs.
	Name string
	// Optional says that requests can be served without the dependency.
	//
	// Default: it is required.
	Optional bool
	// Timeout is how long the check may take.
	//
	// Default: 1 second.
	Timeout time.Duration
	// Run returns why the dependency cannot be used, nil if it can. It should
	// end with its context; if it does not it counts as failed all the same,
	// and is not run again before it has ended.
	Run func(context.Context) error
}

// Result is the outcome of one check.
type Result struct {
	Name     string        `json:"name"`
	Status   Status        `json:"status"` // OK, or what its failure makes of the region
	Duration time.Duration `json:"-"`
	Err      error         `json:"-"` // nil for OK
}

// Report is the outcome of all checks.
type Report struct {
	Status Status    `json:"status"`
	At     time.Time `json:"at"` // when the last check ended
	Checks []Result  `json:"checks"`
}

// Options changes how a Checker works.
type Options struct {
	// Fresh is how long a report is given again, so that many health checkers
	// at once cost one round of checks; negative for never.
	//
	// Default: 1 second.
	Fresh time.Duration
	// OnReport is called with every new report, before it is returned.
	//
	// Default: not called.
	OnReport func(Report)
	// Now is the clock.
	//
	// Default: time.Now.
	Now func() time.Time
}

// Checker runs checks. It may be used concurrently.
type Checker struct {
	checks  []Check
	running []atomic.Bool // by check, until Run has ended
	options Options

	mu   sync.Mutex // held while checks run, so that callers share a round
	last Report
}

// New returns a checker of the checks.
func New(checks []Check, o Options) *Checker {
	if o.Fresh == 0 {
		o.Fresh = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Checker{checks: slices.Clone(checks), running: make([]atomic.Bool, len(checks)), options: o}
}

// Report runs all checks side by side, or returns the last report if that is
// fresh. It takes no longer than the longest time-out of a check. A report that
// was cut short by the caller's context is not given to others.
func (c *Checker) Report(ctx context.Context) Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := c.options.Now().Sub(c.last.At)
	if !c.last.At.IsZero() && age >= 0 && age < c.options.Fresh {
		return c.last.clone()
	}
	r := c.run(ctx)
	if ctx.Err() == nil {
		c.last = r
	}
	if c.options.OnReport != nil {
		c.options.OnReport(r.clone())
	}
	return r.clone()
}

func (r Report) clone() Report {
	r.Checks = slices.Clone(r.Checks)
	return r
}

func (c *Checker) run(ctx context.Context) Report {
	r := Report{Status: OK, Checks: make([]Result, len(c.checks))}
	var wg sync.WaitGroup
	for i := range c.checks {
		wg.Go(func() { r.Checks[i] = c.check(ctx, i) })
	}
	wg.Wait()
	if len(c.checks) == 0 {
		r.Status = Down
	}
	for _, result := range r.Checks {
		if result.Status == Down || r.Status == OK {
			r.Status = result.Status
		}
	}
	r.At = c.options.Now()
	return r
}

var errRunning = errors.New("the check before this one has not ended")

func (c *Checker) check(ctx context.Context, i int) Result {
	check := c.checks[i]
	began := time.Now()
	err := errRunning
	if c.running[i].CompareAndSwap(false, true) {
		err = c.within(ctx, i)
	}
	result := Result{Name: check.Name, Status: OK, Duration: time.Since(began), Err: err}
	switch {
	case err != nil && check.Optional:
		result.Status = Degraded
	case err != nil:
		result.Status = Down
	}
	return result
}

// within runs a check and waits no longer than its time-out.
func (c *Checker) within(ctx context.Context, i int) error {
	timeout := c.checks[i].Timeout
	if timeout == 0 {
		timeout = time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer c.running[i].Store(false)
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v", r)
			}
		}()
		done <- c.checks[i].Run(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("after %s: %w", timeout, ctx.Err())
	}
}
