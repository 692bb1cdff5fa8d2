package projection_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/projection"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// queue delivers as SQS does: at least once, in turn within a group while
// visibility time-outs hold, in any order otherwise.
type queue struct {
	mu     sync.Mutex
	rng    *rand.Rand
	groups map[string][]events.SQSMessage
	busy   map[string]bool
}

func (q *queue) send(message events.SQSMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	group := message.Attributes["MessageGroupId"]
	if group == "" {
		group = message.MessageId
	}
	q.groups[group] = append(q.groups[group], message)
}

func (q *queue) receive() (batch []events.SQSMessage, groups []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	names := slices.Sorted(maps.Keys(q.groups))
	q.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		if q.busy[name] || len(batch) >= 5 {
			continue
		}
		// A visibility time-out that is too short hands a group out twice.
		q.busy[name] = q.rng.IntN(10) > 0
		groups = append(groups, name)
		batch = append(batch, q.groups[name][:1+q.rng.IntN(len(q.groups[name]))]...)
	}
	return batch, groups
}

// release ends a delivery, and deletes what was done unless the answer is lost.
func (q *queue) release(batch []events.SQSMessage, groups, failed []string, answered bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := map[string]bool{}
	for _, message := range batch {
		done[message.MessageId] = answered && !slices.Contains(failed, message.MessageId)
	}
	for _, name := range groups {
		q.busy[name] = false
		q.groups[name] = slices.DeleteFunc(q.groups[name], func(m events.SQSMessage) bool { return done[m.MessageId] })
		if len(q.groups[name]) == 0 {
			delete(q.groups, name)
		}
	}
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.groups) == 0
}

// lagging lists a stream some time after it was opened only, as a global index
// may.
type lagging struct {
	*eventlog.Log
	lag time.Duration

	mu     sync.Mutex
	opened map[string]time.Time
}

func (l *lagging) Streams(ctx context.Context, shard, after string) iter.Seq2[eventlog.Opening, error] {
	return func(yield func(eventlog.Opening, error) bool) {
		for opening, err := range l.Log.Streams(ctx, shard, after) {
			l.mu.Lock()
			opened, ok := l.opened[opening.Stream]
			l.mu.Unlock()
			if err == nil && (!ok || time.Since(opened) < l.lag) {
				continue
			}
			if !yield(opening, err) {
				return
			}
		}
	}
}

// sale is a fixture under random traffic.
type sale struct {
	*fixture
	queue   *queue
	log     *lagging
	streams []string

	mu  sync.Mutex
	rng *rand.Rand
}

func (s *sale) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// hurried returns a context that sometimes ends too early.
func (s *sale) hurried(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := time.Minute
	if s.roll(6) == 0 {
		limit = time.Duration(1+s.roll(30)) * time.Millisecond
	}
	return context.WithTimeout(ctx, limit)
}

// shop appends random events and hands them to the queue, some of them twice.
func (s *sale) shop(ctx context.Context, times int) error {
	for range times {
		stream := s.streams[s.roll(len(s.streams))]
		var list []eventlog.Event
		for range 1 + s.roll(3) {
			list = append(list, eventlog.Of([]any{
				Opened{Owner: fmt.Sprint("owner", s.roll(5))},
				Added{Item: fmt.Sprint("item", s.roll(3)), Quantity: 1 + s.roll(9)},
				Closed{},
			}[s.roll(3)]))
		}
		recorded, err := s.log.Append(ctx, stream, eventlog.Any, list...)
		if errors.Is(err, eventlog.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		s.log.mu.Lock()
		if _, ok := s.log.opened[stream]; !ok {
			s.log.opened[stream] = time.Now()
		}
		s.log.mu.Unlock()
		for _, event := range recorded {
			message := s.message(event)
			s.queue.send(message)
			if s.roll(5) == 0 {
				message.MessageId += "-again"
				s.queue.send(message)
			}
		}
	}
	return nil
}

// work delivers messages until the context ends and none is left.
func (s *sale) work(ctx context.Context) error {
	for ctx.Err() == nil || !s.queue.empty() {
		batch, groups := s.queue.receive()
		if batch == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		call, cancel := s.hurried(context.WithoutCancel(ctx))
		failed, err := s.deliver(call, batch...)
		cancel()
		var unavailable *projection.UnavailableError
		if err != nil && !errors.As(err, &unavailable) {
			return err
		}
		s.queue.release(batch, groups, failed, err == nil && s.roll(8) > 0)
		switch s.roll(12) {
		case 0:
			s.faults.Lose("TransactWriteItems", 3)
		case 1:
			s.faults.Answer("TransactWriteItems",
				`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"TransactionConflict"}]}`, 1)
		}
	}
	return nil
}

// again repeats a request until it succeeds, and sometimes once more.
func (s *sale) again(ctx context.Context, r schema.Rebuild) (schema.Rebuilt, error) {
	for {
		call, cancel := s.hurried(ctx)
		answer, err := s.request(call, r)
		cancel()
		var unavailable *projection.UnavailableError
		if err == nil && s.roll(5) > 0 || err != nil && !errors.As(err, &unavailable) {
			return answer, err
		}
	}
}

// replay pages every shard of a version, some at the same time.
func (s *sale) replay(ctx context.Context, model int) error {
	shards := make(chan int, schema.Shards)
	for i := range schema.Shards {
		shards <- i
	}
	close(shards)
	var tasks tasks
	for range 3 {
		tasks.start(func() error {
			for i := range shards {
				r := schema.Rebuild{Op: schema.OpPage, Model: model, Shard: schema.ShardName(i)}
				for done := false; !done; {
					r.Limit = 1 + s.roll(5)
					page, err := s.again(ctx, r)
					if err != nil {
						return err
					}
					r.Cursor, done = page.Cursor, page.Done
				}
			}
			return nil
		})
	}
	return tasks.wait()
}

// tasks are goroutines that may fail.
type tasks struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (t *tasks) start(f func() error) {
	t.wg.Go(func() {
		err := f()
		t.mu.Lock()
		defer t.mu.Unlock()
		t.errs = append(t.errs, err)
	})
}

func (t *tasks) wait() error {
	t.wg.Wait()
	return errors.Join(t.errs...)
}

// during runs f while three customers shop and three workers deliver, and
// returns when all is delivered.
func (s *sale) during(f func() error) {
	s.t.Helper()
	open, stop := context.WithCancel(s.t.Context())
	var workers, others tasks
	for range 3 {
		workers.start(func() error { return s.work(open) })
		others.start(func() error { return s.shop(s.t.Context(), 8) })
	}
	others.start(f)
	err := others.wait()
	stop()
	if err := errors.Join(err, workers.wait()); err != nil {
		s.t.Fatal(err)
	}
}

// Under any interleaving of traffic, duplicates, crashes and a rebuild, the old
// version, the new one and the fold of all events are the same in the end.
func TestRebuildEqualsLive(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture) {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				f := newFixture(t, f.Ordered)
				s := &sale{
					fixture: f,
					log:     &lagging{Log: f.log, lag: 300 * time.Millisecond, opened: map[string]time.Time{}},
					rng:     rand.New(rand.NewPCG(seed, 1)),
					queue:   &queue{rng: rand.New(rand.NewPCG(seed, 2)), groups: map[string][]events.SQSMessage{}, busy: map[string]bool{}},
				}
				f.Log = s.log
				for i := range 20 {
					s.streams = append(s.streams, fmt.Sprint("s", i))
				}
				var model int
				s.during(func() error {
					time.Sleep(time.Duration(100+s.roll(100)) * time.Millisecond)
					begun, err := s.again(t.Context(), schema.Rebuild{Op: schema.OpBegin, Run: "x"})
					if err != nil {
						return err
					}
					model = begun.Model
					time.Sleep(s.log.lag)
					return s.replay(t.Context(), model)
				})
				s.wantFold(1, s.streams...)
				s.wantFold(model, s.streams...)
				if t.Failed() {
					t.Fatal("the versions differ before the switch")
				}

				s.during(func() error {
					time.Sleep(time.Duration(s.roll(50)) * time.Millisecond)
					_, err := s.again(t.Context(), schema.Rebuild{Op: schema.OpSwitch, Model: model})
					return err
				})
				s.wantFold(model, s.streams...)

				s.during(func() error {
					r := schema.Rebuild{Op: schema.OpSweep, Model: 1}
					for done := false; !done; {
						r.Limit = 1 + s.roll(20)
						page, err := s.again(t.Context(), r)
						if err != nil {
							return err
						}
						r.Cursor, done = page.Cursor, page.Done
					}
					return nil
				})
				s.wantFold(model, s.streams...)
				for pk := range s.table() {
					if strings.Contains(pk, "v1#") {
						t.Errorf("item %q is left of the old version", pk)
					}
				}
				// Nothing of what was delivered is taken twice by the new version.
				before := s.dump(model)
				for _, list := range s.fixture.streams(s.streams...) {
					for _, event := range list {
						s.queue.send(s.message(event))
					}
				}
				closed, stop := context.WithCancel(t.Context())
				stop()
				if err := s.work(closed); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(before, s.dump(model)); diff != "" {
					t.Errorf("duplicates changed the model:\n%s", diff)
				}
			})
		}
	})
}
