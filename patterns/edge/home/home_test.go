package home_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/serverless-go/cdk/patterns/edge/home"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

func TestOf(t *testing.T) {
	m := home.Map{
		Prefixes: map[string]string{"eu/": "eu-west-1", "eu/x/": "us-east-1", "eu/x/y/": "eu-west-1", "ap/": home.Closed},
		Default:  "us-east-1",
	}
	for stream, want := range map[string]string{
		"eu/1": "eu-west-1", "eu": "us-east-1", "eu/x/1": "us-east-1", "eu/x/y/1": "eu-west-1",
		"eu/x": "eu-west-1", "ap/1": home.Closed, "": "us-east-1",
	} {
		if got := m.Of(stream); got != want {
			t.Errorf("Of(%q) = %q, want %q", stream, got, want)
		}
	}
	if got := (home.Map{Prefixes: map[string]string{"eu/": "eu-west-1"}}).Of("us/1"); got != "" {
		t.Errorf("a stream that no prefix fits is at home in %q, want nowhere", got)
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv(schema.EnvStoreHomes, "")
	if _, _, err := home.FromEnv(); err == nil {
		t.Error("no error without a map")
	}
	t.Setenv(schema.EnvStoreHomes, "{")
	if _, _, err := home.FromEnv(); err == nil {
		t.Error("no error with a map that is not JSON")
	}
	text, _ := json.Marshal(home.Map{Default: "us-east-1"})
	t.Setenv(schema.EnvStoreHomes, string(text))
	m, region, err := home.FromEnv()
	if err != nil || m.Default != "us-east-1" || region != "eu-west-1" {
		t.Errorf("FromEnv = %v, %q, %v", m, region, err)
	}
}

func TestGuardRefuses(t *testing.T) {
	called := false
	guard := home.Guard[string]{
		Region: "eu-west-1",
		Homes:  home.Map{Prefixes: map[string]string{"us/": "us-east-1", "ap/": home.Closed}},
		Here:   func(context.Context, string, int64, ...string) ([]string, error) { called = true; return nil, nil },
	}
	for stream, want := range map[string]string{"us/1": "us-east-1", "ap/1": home.Closed, "eu/1": ""} {
		for _, forward := range []home.Forward[string]{nil, func(context.Context, string, string, int64, []string) ([]string, error) { return nil, nil }} {
			guard.Forward = forward
			_, err := guard.Append(t.Context(), stream, 0, "event")
			if want == "us-east-1" && forward != nil {
				if err != nil {
					t.Errorf("%s is not forwarded: %v", stream, err)
				}
				continue
			}
			var refused *home.NotHereError
			if !errors.Is(err, home.ErrNotHere) || !errors.As(err, &refused) || refused.Home != want || refused.Stream != stream {
				t.Errorf("append to %s: %v, want it refused with home %q", stream, err, want)
			}
		}
	}
	if called {
		t.Error("appended here what is not at home here")
	}
}

type Measured struct{ Celsius float64 }

var readings = eventlog.NewRegistry(eventlog.Type[Measured]("Measured", 1))

// replica is one region's table of a global table.
type replica struct {
	region string
	table  string
	log    *eventlog.Log
	db     *dynamodb.Client
}

// key is the name of an item, and of an event's place.
type key struct {
	stream  string
	version string
}

// globalTable is two replicas of an eventually consistent table: each region
// checks its own, and of two writes of an item the later wins.
type globalTable struct {
	replicas [2]*replica
	late     []change // what is on its way
}

type change struct {
	to   *replica
	item map[string]types.AttributeValue
}

func newGlobalTable(t *testing.T) *globalTable {
	g := &globalTable{}
	for i, region := range []string{"eu-west-1", "us-east-1"} {
		store := eventlogtest.New(t, readings)
		g.replicas[i] = &replica{region: region, table: store.Options.Table, log: store.Log, db: store.Options.DynamoDB}
	}
	return g
}

// items returns what the replica has.
func (r *replica) items(t *testing.T) map[key]map[string]types.AttributeValue {
	t.Helper()
	items := map[key]map[string]types.AttributeValue{}
	pages := dynamodb.NewScanPaginator(r.db, &dynamodb.ScanInput{TableName: &r.table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			items[key{item["stream"].(*types.AttributeValueMemberS).Value, item["version"].(*types.AttributeValueMemberN).Value}] = item
		}
	}
	return items
}

// send puts every item of each replica on its way to the other, twice.
func (g *globalTable) send(t *testing.T) {
	t.Helper()
	for i, r := range g.replicas {
		for _, item := range r.items(t) {
			for range 2 {
				g.late = append(g.late, change{g.replicas[1-i], item})
			}
		}
	}
}

// deliver delivers a share of what is on its way, in any order.
func (g *globalTable) deliver(t *testing.T, random *mathrand.Rand, share float64) {
	t.Helper()
	random.Shuffle(len(g.late), func(i, j int) { g.late[i], g.late[j] = g.late[j], g.late[i] })
	n := int(share * float64(len(g.late)))
	for _, c := range g.late[:n] {
		// The time stands for DynamoDB's own; the id breaks a tie.
		_, err := c.to.db.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName:                &c.to.table,
			Item:                     c.item,
			ConditionExpression:      aws.String("attribute_not_exists(#s) OR #t < :t OR (#t = :t AND id < :id)"),
			ExpressionAttributeNames: map[string]string{"#s": "stream", "#t": "time"},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":t": c.item["time"], ":id": c.item["id"],
			},
		})
		if err != nil && !errors.As(err, new(*types.ConditionalCheckFailedException)) {
			t.Fatal(err)
		}
	}
	g.late = g.late[n:]
}

// run has both regions append to the same streams at once, round after round,
// while replication is late, doubled and out of order. It returns the ids that
// were acknowledged and the ids that are in each replica in the end.
func (g *globalTable) run(t *testing.T, appends [2]home.Append[eventlog.Event]) (acknowledged map[string]bool, refused int, stored [2]map[string]int) {
	t.Helper()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	acknowledged = map[string]bool{}
	var mu sync.Mutex
	for range 6 {
		var wg sync.WaitGroup
		for i := range g.replicas {
			for _, stream := range []string{"eu/ward-1", "us/ward-2"} {
				wg.Go(func() {
					head, err := g.replicas[i].log.Head(t.Context(), stream)
					if err != nil {
						t.Error(err)
						return
					}
					event := eventlog.Of(Measured{Celsius: 37})
					event.ID = rand.Text()
					_, err = appends[i](t.Context(), stream, head, event)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						acknowledged[event.ID] = true
					case errors.Is(err, home.ErrNotHere), errors.Is(err, eventlog.ErrConflict), errors.Is(err, eventlog.ErrGap):
						refused++ // and the caller knows
					default:
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		g.send(t)
		g.deliver(t, random, 0.4)
	}
	g.deliver(t, random, 1)
	g.send(t)
	g.deliver(t, random, 1)
	for i, r := range g.replicas {
		stored[i] = map[string]int{}
		for _, item := range r.items(t) {
			stored[i][item["id"].(*types.AttributeValueMemberS).Value]++
		}
	}
	return acknowledged, refused, stored
}

func missing(acknowledged map[string]bool, stored map[string]int) (lost int) {
	for id := range acknowledged {
		if stored[id] == 0 {
			lost++
		}
	}
	return lost
}

// Without a home an event vanishes that its appender was told is recorded.
func TestWithoutHomeEventsVanish(t *testing.T) {
	g := newGlobalTable(t)
	acknowledged, _, stored := g.run(t, [2]home.Append[eventlog.Event]{g.replicas[0].log.Append, g.replicas[1].log.Append})
	for i := range stored {
		lost := missing(acknowledged, stored[i])
		t.Logf("%d of %d acknowledged events are not in region %d", lost, len(acknowledged), i)
		if lost == 0 {
			t.Errorf("no event vanished: the simulation does not show the danger")
		}
	}
}

// With a home none does, whether appends elsewhere are refused or forwarded.
func TestWithHomeNoEventVanishes(t *testing.T) {
	homes := home.Map{Prefixes: map[string]string{"eu/": "eu-west-1"}, Default: "us-east-1"}
	for _, forwarded := range []bool{false, true} {
		t.Run(fmt.Sprintf("forwarded=%t", forwarded), func(t *testing.T) {
			g := newGlobalTable(t)
			var appends [2]home.Append[eventlog.Event]
			for i, r := range g.replicas {
				guard := home.Guard[eventlog.Event]{Region: r.region, Homes: homes, Here: r.log.Append}
				if forwarded {
					guard.Forward = func(ctx context.Context, region, stream string, expected int64, events []eventlog.Event) ([]eventlog.Event, error) {
						if region != g.replicas[1-i].region {
							return nil, fmt.Errorf("forwarded to %s", region)
						}
						return g.replicas[1-i].log.Append(ctx, stream, expected, events...)
					}
				}
				appends[i] = guard.Append
			}
			acknowledged, refused, stored := g.run(t, appends)
			if len(acknowledged) < 12 || refused == 0 {
				t.Errorf("%d acknowledged, %d refused; want each home's 12 and some refusals", len(acknowledged), refused)
			}
			for i := range stored {
				if lost := missing(acknowledged, stored[i]); lost != 0 {
					t.Errorf("%d acknowledged events are not in region %d", lost, i)
				}
				if len(stored[i]) != len(acknowledged) {
					t.Errorf("region %d has %d events, %d were acknowledged", i, len(stored[i]), len(acknowledged))
				}
				for id, n := range stored[i] {
					if n != 1 {
						t.Errorf("event %s is %d times in region %d", id, n, i)
					}
				}
			}
			for _, r := range g.replicas {
				for _, stream := range []string{"eu/ward-1", "us/ward-2"} {
					version := int64(0)
					for e, err := range r.log.Load(t.Context(), stream, 0) {
						if err != nil || e.Version != version+1 {
							t.Errorf("%s in %s after version %d: version %d, %v", stream, r.region, version, e.Version, err)
							break
						}
						version = e.Version
					}
				}
			}
		})
	}
}
