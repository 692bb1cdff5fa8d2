package e2e

import (
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
)

// Faults are what goes wrong, each with its probability from 0 to 1. Only what
// the services may really do is done: a FIFO queue is never reordered.
type Faults struct {
	// Seed makes the draws the same in each run; what they hit still depends on
	// timing. Default: 0.
	Seed uint64
	// Crash kills a function's process in an invocation: after one of its first
	// calls to AWS took effect, or when it answers.
	Crash float64
	// CrashFirst kills the process in a function's first invocation, after as
	// many of its calls to AWS took effect, at least one. The key is a prefix of
	// the function's logical id.
	CrashFirst map[string]int
	// Throttle answers a handler's call to DynamoDB with
	// ProvisionedThroughputExceededException.
	Throttle float64
	// DuplicateRecords makes a pipe send a batch twice, as after a lost answer.
	DuplicateRecords float64
	// DuplicateEvents makes a rule deliver an event to a target twice.
	DuplicateEvents float64
	// DuplicateMessages hands a batch that was handled to the function again, as
	// when the visibility time-out ends before the deletion.
	DuplicateMessages float64
	// Reorder shuffles what a rule delivers, within what waits at that moment.
	Reorder float64
}

type faults struct {
	Faults
	mu       sync.Mutex
	random   *rand.Rand
	injected map[string]int
	first    map[string]int // what is left of CrashFirst
}

func newFaults(f Faults) *faults {
	return &faults{Faults: f, random: rand.New(rand.NewPCG(f.Seed, 1)), injected: map[string]int{}, first: maps.Clone(f.CrashFirst)}
}

// hit decides whether a fault happens, and counts it by its name.
func (f *faults) hit(name string, probability float64) bool {
	if probability <= 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.Float64() >= probability {
		return false
	}
	f.injected[name]++
	return true
}

// crash returns after how many calls the process of a function's next invocation
// dies, 0: never.
func (f *faults) crash(function string) int {
	if calls := f.crashFirst(function); calls > 0 {
		return calls
	}
	if !f.hit("Crash", f.Crash) {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return 1 + f.random.IntN(4)
}

func (f *faults) crashFirst(function string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for prefix, calls := range f.first {
		if strings.HasPrefix(function, prefix) {
			delete(f.first, prefix)
			f.injected["CrashFirst"]++
			return calls
		}
	}
	return 0
}

func shuffle[T any](f *faults, items []T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
}

// Injected returns how often each fault happened, by its field in Faults.
func (d *Deployment) Injected() map[string]int {
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	return maps.Clone(d.faults.injected)
}
