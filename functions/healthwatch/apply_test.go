package healthwatch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/serverless-go/cdk/functions/healthwatch/counts"
	"github.com/serverless-go/cdk/functions/healthwatch/reading"
	"github.com/serverless-go/cdk/patterns/edge/ingest"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/test/engine"
)

var fever = counts.KeyOf("DE-BE", "fever", noon)

// Every reading comes several times, in any order, in batches side by side,
// while the tables are throttled and answers are lost; among them is poison.
func TestApplyStorm(t *testing.T) {
	s := newSite(t, "eu-central-1")
	const readings = 200
	var messages []string
	for n := range readings {
		for range 1 + n%3 {
			messages = append(messages, message(taken(n, "DE-BE", []string{"eu-central-1", "eu-west-1"}[n%2])))
		}
	}
	const poison = 20
	for range poison {
		messages = append(messages, []string{`{`, `{"detail": {"id": "x"}}`, `{"detail": {"data": {}}}`,
			message("not-a-digest", reading.Taken{Locality: "DE-BE", Kind: "fever"})}[rand.N(4)])
	}
	rand.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	s.faults.Refuse("TransactWriteItems", "ThrottlingException", 10)
	s.faults.Refuse("UpdateItem", "ProvisionedThroughputExceededException", 10)
	s.faults.Lose("TransactWriteItems", 10)
	s.store.Faults.Lose("ExecuteTransaction", 10)

	queue := make(chan string, len(messages))
	for _, m := range messages {
		queue <- m
	}
	attempts := map[string]int{} // as the queue counts them
	var mu sync.Mutex
	var wg sync.WaitGroup
	var waiting sync.WaitGroup
	waiting.Add(len(messages))
	dead := 0
	for range 4 {
		wg.Go(func() {
			for first := range queue {
				batch := []string{first}
				for len(batch) < 10 {
					select {
					case m, open := <-queue:
						if open {
							batch = append(batch, m)
							continue
						}
					default:
					}
					break
				}
				failed := map[string]bool{}
				for _, id := range s.deliver(t.Context(), batch...) {
					failed[id] = true
				}
				for i, m := range batch {
					mu.Lock()
					attempts[m]++
					again := failed[fmt.Sprint(i)] && attempts[m] < 60
					if failed[fmt.Sprint(i)] && !again {
						dead++
					}
					mu.Unlock()
					if again {
						queue <- m
						continue
					}
					waiting.Done()
				}
			}
		})
	}
	waiting.Wait()
	close(queue)
	wg.Wait()

	var sum counts.Total
	for hour := range 2 {
		got := s.total(counts.KeyOf("DE-BE", "fever", noon.Add(-time.Duration(hour)*time.Hour)))
		sum.All, sum.Here = sum.All+got.All, sum.Here+got.Here
	}
	if want := (counts.Total{All: readings, Here: readings / 2}); sum != want {
		t.Errorf("counted %+v, want %+v", sum, want)
	}
	if n := len(s.recorded()); n != readings {
		t.Errorf("%d readings are recorded, want %d", n, readings)
	}
	if dead != poison {
		t.Errorf("%d messages are among the dead letters, want the %d that are poison", dead, poison)
	}
}

// dying is a process that ends at one of its calls, before or after the call
// takes effect.
type dying struct {
	mu     sync.Mutex
	calls  int
	effect bool
	dead   bool
}

func (d *dying) Do(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls--
	if d.dead || d.calls < 0 && !d.effect {
		d.dead = true
		return nil, errors.New("dead")
	}
	answer, err := http.DefaultClient.Do(r)
	if d.calls < 0 {
		d.dead = true
		return nil, errors.New("dead")
	}
	return answer, err
}

// The process dies at each of its calls, and another one takes over.
func TestApplyCrashes(t *testing.T) {
	for calls := 0; ; calls++ {
		for _, effect := range []bool{false, true} {
			s := newSite(t, "eu-central-1")
			sound := *s.Handler
			d := &dying{calls: calls, effect: effect}
			cfg := engine.DynamoDB(t).Config()
			cfg.HTTPClient = d
			db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
			options := s.store.Options
			options.DynamoDB = db
			s.Log = eventlogtest.Open(t, options)
			claims := sound.Claims.(*ingest.DynamoDBClaims)
			s.Claims = &ingest.DynamoDBClaims{DynamoDB: db, Table: claims.Table}
			claims.Now = func() time.Time { return time.Now().Add(time.Minute) } // the claim has run out
			m := message(taken(1, "DE-BE", "eu-central-1"))
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			failed := s.deliver(ctx, m)
			cancel()
			*s.Handler = sound
			for attempt := 0; len(s.deliver(t.Context(), m)) > 0; attempt++ {
				if attempt == 5 {
					t.Fatalf("dead at call %d (effect %t): the next ones fail, too", calls, effect)
				}
			}
			if got := s.total(counts.KeyOf("DE-BE", "fever", noon)); got.All != 1 {
				t.Errorf("dead at call %d (effect %t): counted %d times", calls, effect, got.All)
			}
			if n := len(s.recorded()); n != 1 {
				t.Errorf("dead at call %d (effect %t): recorded %d times", calls, effect, n)
			}
			if !d.dead {
				if calls < 4 || failed != nil {
					t.Errorf("it made %d calls and failed %v", calls, failed)
				}
				return
			}
		}
	}
}

func TestApplyForgottenPerson(t *testing.T) {
	s := newSite(t, "eu-central-1")
	id, first := taken(1, "DE-BE", "eu-central-1")
	if failed := s.deliver(t.Context(), message(id, first)); failed != nil {
		t.Fatal(failed)
	}
	if err := s.store.Log.Forget(t.Context(), first.Person); err != nil {
		t.Fatal(err)
	}
	other, second := taken(2, "DE-BE", "eu-central-1")
	second.Person = first.Person
	if failed := s.deliver(t.Context(), message(other, second), message(other, second)); failed != nil {
		t.Fatal(failed)
	}
	all := s.recorded()
	if e := all[reading.Stream(id)]; !e.Forgotten || e.Payload.(reading.Taken).Contact != "" {
		t.Errorf("the contact of a forgotten person is %+v", e.Payload)
	}
	if got := all[reading.Stream(other)].Payload.(reading.Taken); got.Person != reading.Nobody || got.Contact != "" {
		t.Errorf("a later reading is recorded as %+v", got)
	}
	if got := s.total(fever); got.All != 2 {
		t.Errorf("counted %d, want 2", got.All)
	}
}

// Another reading under the same id changes nothing.
func TestApplyFirstWins(t *testing.T) {
	s := newSite(t, "eu-central-1")
	id, first := taken(1, "DE-BE", "eu-central-1")
	_, second := taken(1, "FR-IDF", "eu-central-1")
	s.faults.Refuse("TransactWriteItems", "ValidationException", 1) // recorded, and not counted
	if failed := s.deliver(t.Context(), message(id, first)); len(failed) != 1 {
		t.Fatal("it did not fail")
	}
	time.Sleep(5 * time.Millisecond)
	if failed := s.deliver(t.Context(), message(id, second)); failed != nil {
		t.Fatal(failed)
	}
	if got := s.total(fever); got.All != 1 {
		t.Errorf("Berlin has %d readings, want 1", got.All)
	}
	if got := s.total(counts.KeyOf("FR-IDF", "fever", noon)); got.All != 0 {
		t.Errorf("Paris has %d readings, want 0", got.All)
	}
}

func TestApplyRefusesForeignReadings(t *testing.T) {
	s := newSite(t, "eu-central-1")
	id, r := taken(1, "DE-BE", "eu-central-1")
	r.Locality = "US-NY"
	if failed := s.deliver(t.Context(), message(id, r)); len(failed) != 1 {
		t.Error("a reading of another jurisdiction was applied")
	}
	if n := len(s.recorded()); n != 0 {
		t.Errorf("%d readings are recorded, want none", n)
	}
}
