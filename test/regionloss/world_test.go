package regionloss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/apply"
	"github.com/serverless-go/cdk/functions/healthwatch/counts"
	"github.com/serverless-go/cdk/functions/healthwatch/intake"
	"github.com/serverless-go/cdk/functions/healthwatch/reading"
	"github.com/serverless-go/cdk/functions/healthwatch/watch"
	"github.com/serverless-go/cdk/patterns/edge/alerts"
	"github.com/serverless-go/cdk/patterns/edge/ingest"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog/eventlogtest"
	"github.com/serverless-go/cdk/test/engine"
	"github.com/serverless-go/cdk/test/route53"
)

const issuer = "https://id.example.com"

// threshold is how many readings are normal: few, so that few make an alert.
const threshold = 2

// homes are clients in each jurisdiction, by day there at noon UTC.
var homes = map[string]struct {
	client   route53.Client
	locality string
}{
	"eu": {route53.Client{Country: "DE", Continent: "EU", Near: []string{"eu-central-1"}}, "DE-BE"},
	"us": {route53.Client{Country: "US", State: "NY", Continent: "NA", Near: []string{"us-east-2"}}, "US-NY"},
	"jp": {route53.Client{Country: "JP", Continent: "AS", Near: []string{"ap-northeast-1"}}, "JP-13"},
}

// site is what runs and lies in a region. Tables, archives and queues outlive
// an outage; what is under way does not.
type site struct {
	*blueprint
	world   *world
	store   *eventlogtest.Store
	counts  counts.Table
	intake  api.Mux
	apply   *apply.Handler
	watch   *watch.Handler
	alerts  *alerts.Handler
	notices []alerts.Notice

	up, busUp bool
	archive   []event
	underway  []delivery // from the bus to queues and other buses
	copies    []event    // to the endpoint's other region
	queues    map[string][]message
	dead      map[string][]message
}

type event struct {
	source, kind, detail string
	replayed             bool
}

type delivery struct {
	rule
	event event
}

type message struct {
	body     string
	received int
	visible  int // the step from which it is
}

// sent is a reading that a client keeps until it is acknowledged.
type sent struct {
	name, digest string
	acknowledged bool
}

// world is one jurisdiction for the time of a run: nothing that happens in
// another one can reach it, which leaks would show.
type world struct {
	*rand.Rand
	t            *testing.T
	sys          *system
	jurisdiction string
	sites        map[string]*site
	known        []string // the regions that health checks know to be down
	step         int
	now          time.Time
	readings     []*sent
	leaks        []string
}

var tables atomic.Int64

func makeTable(t *testing.T, db *dynamodb.Client, keys ...string) string {
	t.Helper()
	name := fmt.Sprintf("regionloss-%d", tables.Add(1))
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
	for i, key := range keys[:min(2, len(keys))] {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &key, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
	}
	if len(keys) > 2 { // of alerts
		in.AttributeDefinitions = append(in.AttributeDefinitions,
			types.AttributeDefinition{AttributeName: aws.String(schema.AlertOutbox), AttributeType: types.ScalarAttributeTypeS},
			types.AttributeDefinition{AttributeName: aws.String(schema.AlertDue), AttributeType: types.ScalarAttributeTypeN})
		in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{
			IndexName: aws.String(schema.OutboxIndex), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String(schema.AlertOutbox), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String(schema.AlertDue), KeyType: types.KeyTypeRange}}}}
	}
	if _, err := db.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return name
}

// newWorld makes the regions of a jurisdiction. The world serves many runs,
// whose readings are of other times.
func newWorld(t *testing.T, s *synthesized, sys *system, jurisdiction string) *world {
	t.Helper()
	w := &world{t: t, sys: sys, jurisdiction: jurisdiction, sites: map[string]*site{}}
	clock := func() time.Time { return w.now }
	for region, b := range sys.sites {
		if b.plan.Jurisdiction != jurisdiction {
			continue
		}
		plan := b.plan
		plan.Thresholds = map[string]int{}
		for locality := range b.plan.Thresholds {
			plan.Thresholds[locality] = threshold
		}
		db := dynamodb.NewFromConfig(engine.DynamoDB(t).Config())
		at := &site{blueprint: b, world: w, up: true, busUp: true, queues: map[string][]message{}, dead: map[string][]message{}}
		at.store = eventlogtest.New(t, reading.Registry())
		at.store.Options.Now = clock
		at.counts = counts.Table{DynamoDB: db, Name: makeTable(t, db, healthwatch.CountPK, healthwatch.CountSK)}
		putter := &ingest.Putter{API: at, Bus: b.bus, Attempts: 2, Backoff: time.Nanosecond}
		if b.usesEndpoint {
			putter.EndpointID = "endpoint"
		}
		at.intake = (&intake.Service{Putter: putter, Plan: plan, Source: b.source, Region: region, Now: clock}).Mux()
		at.apply = &apply.Handler{
			Log: eventlogtest.Open(t, at.store.Options), Counts: at.counts, Plan: plan, Region: region,
			Claims: &ingest.DynamoDBClaims{DynamoDB: db, Table: makeTable(t, db, schema.ClaimPK), Lease: time.Millisecond, Now: clock},
		}
		at.watch = &watch.Handler{Counts: at.counts, Plan: plan, Bus: at, BusName: b.bus, Now: clock}
		at.alerts = &alerts.Handler{
			Rules: s.rules[jurisdiction], DynamoDB: db, Table: makeTable(t, db, schema.AlertPK, schema.AlertSK, schema.AlertOutbox),
			Events: eventbridge.NewFromConfig(engine.Endpoint{URL: "http://127.0.0.1:1"}.Config()), Bus: b.bus,
			Levels: [][]alerts.Channel{{phone{at}}, {phone{at}}}, Now: clock,
		}
		w.sites[region] = at
	}
	return w
}

// phone is somebody near the region.
type phone struct{ *site }

func (p phone) Name() string { return "phone" }

func (p phone) Send(_ context.Context, n *alerts.Notice) error {
	p.notices = append(p.notices, *n)
	return nil
}

// PutEvents is EventBridge as a function in the site's region sees it.
func (at *site) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	w := at.world
	to := at
	if in.EndpointId != nil {
		to = w.sites[at.endpoint.primary]
		if at.endpoint.watched && (!to.up || !to.busUp) {
			to = w.sites[at.endpoint.secondary]
		}
	}
	if !to.up || !to.busUp {
		return nil, errors.New("EventBridge does not answer")
	}
	out := &eventbridge.PutEventsOutput{}
	for _, e := range in.Entries {
		if w.IntN(8) == 0 {
			out.Entries = append(out.Entries, ebtypes.PutEventsResultEntry{ErrorCode: aws.String("ThrottlingException"), ErrorMessage: aws.String("wait")})
			continue
		}
		if *e.EventBusName == to.bus {
			made := event{source: *e.Source, kind: *e.DetailType, detail: *e.Detail}
			to.accept(made)
			if in.EndpointId != nil && at.endpoint.replicates[w.other(to).region] {
				to.copies = append(to.copies, made)
			}
		}
		out.Entries = append(out.Entries, ebtypes.PutEventsResultEntry{EventId: aws.String("x")})
	}
	if w.IntN(10) == 0 {
		return nil, errors.New("the answer is lost")
	}
	return out, nil
}

// accept takes an event on the region's bus.
func (at *site) accept(e event) {
	var detail struct {
		Data struct{ Locality string }
	}
	if e.kind == healthwatch.ReadingTaken && json.Unmarshal([]byte(e.detail), &detail) == nil {
		if _, mine := at.plan.Thresholds[detail.Data.Locality]; !mine {
			at.world.leaks = append(at.world.leaks, fmt.Sprintf("a reading of %s is on a bus in %s", detail.Data.Locality, at.region))
		}
	}
	if at.archived && !e.replayed {
		at.archive = append(at.archive, e)
	}
	for _, r := range at.rules {
		document := object{"source": e.source, "detail-type": e.kind, "detail": json.RawMessage(e.detail)}
		if r.pattern.Match(plain(document)) {
			at.underway = append(at.underway, delivery{r, e})
		}
	}
}

func plain(v any) (out any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// other returns the jurisdiction's other region.
func (w *world) other(at *site) *site {
	for _, s := range w.sites {
		if s != at {
			return s
		}
	}
	return nil
}

// pull takes an element out, wherever it stands, and mostly leaves none behind.
func pull[T any](w *world, list *[]T) T {
	i := w.IntN(len(*list))
	e := (*list)[i]
	if w.IntN(5) > 0 {
		*list = slices.Delete(*list, i, i+1)
	}
	return e
}

// work lets a region do something of what it has to do.
func (at *site) work() {
	w := at.world
	if !at.up {
		return
	}
	if len(at.copies) > 0 && at.busUp && w.other(at).up && w.other(at).busUp {
		w.other(at).accept(pull(w, &at.copies))
	}
	if len(at.underway) > 0 && at.busUp {
		at.deliver()
	}
	for _, queue := range slices.Sorted(mapKeys(at.queues)) {
		at.receive(queue)
	}
}

func (at *site) deliver() {
	w := at.world
	d := at.underway[w.IntN(len(at.underway))]
	i := slices.IndexFunc(at.underway, func(x delivery) bool { return x == d })
	if d.bus != "" {
		to := w.sites[d.region]
		if to == nil {
			to = &site{blueprint: w.sys.sites[d.region], world: w, up: true, busUp: true}
		}
		if !to.up || !to.busUp {
			return // tried again, for a day
		}
		if to.blueprint != nil && to.bus == d.bus {
			to.accept(event{source: d.event.source, kind: d.event.kind, detail: d.event.detail})
		}
	} else {
		body, err := json.Marshal(object{"id": fmt.Sprint(w.Uint64()), "source": d.event.source, "detail-type": d.event.kind,
			"time": w.now.Format(time.RFC3339), "detail": json.RawMessage(d.event.detail)})
		if err != nil {
			panic(err)
		}
		at.queues[d.queue] = append(at.queues[d.queue], message{body: string(body)})
	}
	if w.IntN(5) > 0 {
		at.underway = slices.Delete(at.underway, i, i+1)
	}
}

// receive hands a batch of a queue to its function.
func (at *site) receive(queue string) {
	w := at.world
	var batch, rest []message
	for _, m := range at.queues[queue] {
		if m.visible <= w.step && len(batch) < 10 {
			batch = append(batch, m)
		} else {
			rest = append(rest, m)
		}
	}
	kind := at.mapped[queue]
	if len(batch) == 0 || kind == "" {
		return
	}
	var in events.SQSEvent
	for i, m := range batch {
		in.Records = append(in.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: m.body})
	}
	payload, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	handler := at.apply.Invoke
	if kind == schema.EnvAlertsTable {
		handler = at.alerts.Invoke
	}
	answer, err := handler(w.t.Context(), payload)
	var out events.SQSEventResponse
	if err = errors.Join(err, json.Unmarshal(answer, &out)); err != nil {
		w.t.Error(err)
	}
	for i, m := range batch {
		failed := slices.ContainsFunc(out.BatchItemFailures, func(f events.SQSBatchItemFailure) bool { return f.ItemIdentifier == fmt.Sprint(i) })
		// A message comes again also when its removal fails.
		if !failed && w.IntN(6) > 0 {
			continue
		}
		m.received, m.visible = m.received+1, w.step+3
		if m.received >= at.receives[queue] && failed {
			at.dead[queue] = append(at.dead[queue], m)
		} else {
			rest = append(rest, m)
		}
	}
	at.queues[queue] = rest
	if kind == schema.EnvClaimsTable {
		at.stream()
	}
}

// stream hands the counts' changes to the function that watches them.
func (at *site) stream() {
	w := at.world
	key := w.key()
	payload := fmt.Sprintf(`{"Records": [{"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "1", "StreamViewType": "KEYS_ONLY",
		"Keys": {"pk": {"S": %q}, "sk": {"S": "%s#%s#0"}}}}]}`, key.Locality, key.Window.Format(time.RFC3339), key.Kind)
	for attempt := 0; ; attempt++ { // a stream tries again, for a day
		if _, err := at.watch.Invoke(w.t.Context(), []byte(payload)); err == nil || attempt == 20 {
			break
		}
	}
}

// key is what the run's readings are counted under.
func (w *world) key() counts.Key {
	return counts.KeyOf(homes[w.jurisdiction].locality, "fever", w.now)
}

// fail takes a region down, or its EventBridge, which health checks of the API
// do not see: they look the bus up.
func (at *site) fail(busOnly bool) {
	if busOnly {
		at.busUp = false
		return
	}
	at.up, at.underway, at.copies = false, nil, nil
}

// recover brings the region back. Whoever runs the system then replays the
// archives and redrives dead letters, as its alarms say.
func (w *world) recover() {
	for _, region := range slices.Sorted(mapKeys(w.sites)) {
		at := w.sites[region]
		at.up, at.busUp = true, true
		for _, e := range at.archive {
			e.replayed = true
			at.accept(e)
		}
	}
	for _, at := range w.sites {
		for queue, list := range at.dead {
			for _, m := range list {
				at.queues[queue] = append(at.queues[queue], message{body: m.body, visible: w.step})
			}
		}
		at.dead = map[string][]message{}
	}
}

// down returns the regions that are.
func (w *world) down() (regions []string) {
	for region, at := range w.sites {
		if !at.up {
			regions = append(regions, region)
		}
	}
	slices.Sort(regions)
	return regions
}

// send has the clients send what is not acknowledged.
func (w *world) send() {
	home := homes[w.jurisdiction]
	for _, r := range w.readings {
		if r.acknowledged || w.IntN(2) == 0 {
			continue
		}
		regions, status, err := w.sys.route(home.client.Country, home.client, w.known...)
		if err != nil || status != 200 || len(regions) == 0 {
			w.leaks = append(w.leaks, fmt.Sprintf("a request from %s is answered %d, %v", home.client.Country, status, err))
			continue
		}
		at := w.sites[regions[0]] // a request that writes is tried once
		if at == nil {
			w.leaks = append(w.leaks, fmt.Sprintf("a reading of %s is sent to %s", w.jurisdiction, regions[0]))
			continue
		}
		if !at.up {
			continue
		}
		body, err := json.Marshal(reading.Sent{ID: r.name, Locality: home.locality, Kind: "fever", TakenAt: w.now})
		if err != nil {
			panic(err)
		}
		in := events.APIGatewayV2HTTPRequest{RouteKey: healthwatch.RouteTake, Body: string(body), Headers: map[string]string{"content-type": "application/json"}}
		in.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"iss": issuer, "sub": "ann"}}}
		payload, err := json.Marshal(in)
		if err != nil {
			panic(err)
		}
		answer, err := at.intake.Invoke(w.t.Context(), payload)
		var out events.APIGatewayV2HTTPResponse
		if err = errors.Join(err, json.Unmarshal(answer, &out)); err != nil {
			w.t.Error(err)
		}
		switch out.StatusCode {
		case http.StatusAccepted:
			r.acknowledged = w.IntN(8) > 0 // the answer may be lost
		case http.StatusServiceUnavailable:
		default:
			w.leaks = append(w.leaks, fmt.Sprintf("%s answered %d: %s", at.region, out.StatusCode, out.Body))
			r.acknowledged = true
		}
	}
}

// outcome is what became of a run.
type outcome struct {
	unacknowledged int // after the recovery
	waited         int // readings that no client had acknowledged before it
	lost, twice    []string
	missing        int // in the standby
	alertsBefore   int // the recovery
	alerts         int
	left           int // messages that nobody took
	leaks          []string
}

// run plays an outage of some regions, one after the other, or of EventBridge
// there. Each comes right after something was acknowledged.
func (w *world) run(seed uint64, readings int, busOnly bool, fails ...string) outcome {
	w.Rand, w.step, w.readings, w.leaks = rand.New(rand.NewPCG(seed, 7)), 0, nil, nil
	// Ten days after the run before: its readings are no longer the normal.
	w.now = time.Date(2026, 7, 1, 12, 10, 0, 0, time.UTC).AddDate(0, 0, int(10*seed))
	for _, at := range w.sites {
		at.up, at.busUp, at.archive, at.underway, at.copies, at.notices = true, true, nil, nil, nil, nil
		at.queues, at.dead = map[string][]message{}, map[string][]message{}
	}
	const steps = 45
	from, between, known := 3+w.IntN(5), 8, 2
	var o outcome
	w.known = nil
	for w.step = range steps {
		if w.step%3 == 0 && len(w.readings) < readings {
			name := fmt.Sprintf("%s-%d-%d", w.jurisdiction, seed, len(w.readings))
			digest, _, err := reading.Take(reading.Sent{ID: name, Locality: homes[w.jurisdiction].locality, Kind: "fever", TakenAt: w.now},
				api.Pseudonym(issuer, "ann"), "", w.plan(), w.now)
			if err != nil {
				w.t.Fatal(err)
			}
			w.readings = append(w.readings, &sent{name: name, digest: digest})
		}
		w.send()
		for i, region := range fails {
			switch w.step {
			case from + i*between:
				for n := w.acknowledged(); n == w.acknowledged() && n < len(w.readings) && w.sites[w.leader()].up; {
					w.send()
				}
				w.sites[region].fail(busOnly)
			case from + i*between + known:
				w.known = w.down()
			}
		}
		w.tick()
	}
	o.waited = len(w.readings) - w.acknowledged()
	o.alertsBefore = w.alerts()
	w.recover()
	w.known = nil
	for ; w.step < steps+2000 && w.busy(); w.step++ {
		w.send()
		w.tick()
	}
	w.judge(&o)
	return o
}

func (w *world) acknowledged() (n int) {
	for _, r := range w.readings {
		if r.acknowledged {
			n++
		}
	}
	return n
}

// leader returns the region that clients are sent to.
func (w *world) leader() string {
	home := homes[w.jurisdiction]
	regions, _, _ := w.sys.route(home.client.Country, home.client, w.known...)
	return regions[0]
}

func (w *world) plan() healthwatch.Plan {
	for _, at := range w.sites {
		return at.plan
	}
	return healthwatch.Plan{}
}

func (w *world) tick() {
	for range 2 {
		for _, region := range slices.Sorted(mapKeys(w.sites)) {
			w.sites[region].work()
		}
	}
}

func (w *world) alerts() (n int) {
	for _, at := range w.sites {
		for _, notice := range at.notices {
			if notice.Jurisdiction == w.jurisdiction && notice.Locality == homes[w.jurisdiction].locality && notice.WindowStart.Equal(w.key().Window) {
				n++
			}
		}
	}
	return n
}

// busy says whether something is left to do that somebody would do.
func (w *world) busy() bool {
	if w.acknowledged() < len(w.readings) {
		return true
	}
	for _, at := range w.sites {
		n := len(at.underway) + len(at.copies)
		for queue, list := range at.queues {
			if at.mapped[queue] != "" {
				n += len(list)
			}
		}
		if n > 0 {
			return true
		}
	}
	return false
}

// judge looks into the tables.
func (w *world) judge(o *outcome) {
	o.leaks, o.alerts, o.unacknowledged = w.leaks, w.alerts(), len(w.readings)-w.acknowledged()
	for region, at := range w.sites {
		recorded := 0
		for _, r := range w.readings {
			n := 0
			for e, err := range at.store.Log.Load(w.t.Context(), reading.Stream(r.digest), 0) {
				if err != nil {
					w.t.Error(err)
				}
				if err == nil && e.Type == healthwatch.ReadingTaken {
					n++
				}
			}
			switch {
			case n > 1:
				o.twice = append(o.twice, region+" recorded "+r.name+" twice")
			case n == 1:
				recorded++
			case at.endpoint == nil:
				o.missing++
			case r.acknowledged:
				o.lost = append(o.lost, r.name)
			}
		}
		total, err := at.counts.Total(w.t.Context(), w.key())
		if err != nil {
			w.t.Error(err)
		}
		if total.All > recorded {
			o.twice = append(o.twice, fmt.Sprintf("%s counted %d of %d", region, total.All, recorded))
		}
		if total.All < recorded {
			o.lost = append(o.lost, fmt.Sprintf("%s counted %d of %d", region, total.All, recorded))
		}
		for queue, list := range at.queues {
			if at.mapped[queue] == "" {
				o.left += len(list)
			}
		}
		for _, list := range at.dead {
			o.left += len(list)
		}
	}
	slices.Sort(o.lost)
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// problems says what is wrong with an outcome, nothing if all is well.
func (o outcome) problems(fails []string, busOnly bool, sites int) (all []string) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	alive := sites > len(fails)
	add(len(o.lost) > 0, "lost: %v", o.lost)
	add(len(o.twice) > 0, "twice: %v", o.twice)
	add(len(o.leaks) > 0, "left the jurisdiction: %v", slices.Compact(slices.Sorted(slices.Values(o.leaks))))
	add(o.unacknowledged > 0, "%d readings are never acknowledged", o.unacknowledged)
	add(o.left > 0, "%d messages are left", o.left)
	add(o.alerts == 0, "no alert")
	add(alive && o.waited > 0, "%d readings waited for the recovery, though a region is alive", o.waited)
	// The region that took the readings in tells of them, and it does not have
	// them while its EventBridge is down.
	add(alive && !busOnly && o.alertsBefore == 0, "no alert before the recovery, though a region is alive")
	add(len(fails) == 0 && o.missing > 0, "the standby lacks %d readings", o.missing)
	return all
}
