package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	security "github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/test/e2e"
	"github.com/serverless-go/cdk/test/engine"
)

var (
	// A minute with fewer than 20 carts has no rate of abandonment.
	cartCount = flag.Int("carts", 300, "how many carts TestFlashSale opens, 300 or more")
	waveCount = flag.Int("waves", 1, "how many more waves of abandonment must not set off another offer")
	probeSize = flag.Int("probe", 6, "how many carts are opened to notice what is broken in a template, 4 or more")
	assembly  = flag.String("assembly", "", "cloud assembly whose stacks FlashSale-dev and Gateway-dev are driven; default: one that the tests synthesize")
)

const (
	issuer = "https://id.example.com"
	// calm and spike are minutes; a cart opened in a spike is mostly abandoned.
	calm, spike = 12, 3
)

// synthesized synthesizes the systems that the tests here drive, once and in one
// process of their own, as cdk synth would, with an identity provider for their
// APIs. It returns the cloud assembly.
var synthesized = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs("cdk.out/systems")
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	document, err := os.ReadFile("../../cdk.json")
	if err != nil {
		return "", err
	}
	var cdk struct{ Context map[string]any }
	if err := json.Unmarshal(document, &cdk); err != nil {
		return "", err
	}
	cdk.Context["identity"] = map[string]any{"issuer": issuer, "audience": []string{"carts"}}
	cdk.Context["systems"] = []string{"flashsale", "gateway"}
	context, err := json.Marshal(cdk.Context)
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CDK_OUTDIR="+dir, "CDK_CONTEXT_JSON="+string(context), "CDK_VALIDATION=false", "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("synthesize: %w: %s", err, out)
	}
	return dir, nil
})

// system returns the template of a system, to be changed as a test likes.
func system(t *testing.T, stack string) *e2e.Template {
	t.Helper()
	// Where the engines are missing, the test is skipped before it synthesizes.
	engine.DynamoDB(t)
	engine.Fauxqs(t)
	dir, err := *assembly, error(nil)
	if dir == "" {
		dir, err = synthesized()
	}
	if err != nil {
		t.Fatal(err)
	}
	template, err := e2e.Load(dir, stack)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func flashSale(t *testing.T) *e2e.Template {
	t.Helper()
	return system(t, "FlashSale-dev")
}

// sale drives a deployed flash sale and remembers what its clients were told.
type sale struct {
	*e2e.Deployment
	db *dynamodb.Client

	mu         sync.Mutex
	references map[string]string   // of the customers
	carts      map[string][]string // stream -> the types of its events
	owners     map[string]string   // stream -> the pseudonym of its customer
	poison     map[string]bool     // streams with an event that nobody can digest
	random     *rand.Rand
	opened     int
	began      time.Time
}

func deploySale(t *testing.T, template *e2e.Template, faults e2e.Faults) (*sale, error) {
	t.Helper()
	d, err := e2e.Deploy(t.Context(), template, e2e.Options{
		DynamoDB: engine.DynamoDB(t).URL, Fauxqs: engine.Fauxqs(t).URL, KMS: engine.NewKMS(t).URL,
		Speed: 3000, Patience: 10, Concurrency: 3, Faults: faults,
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { d.Close() })
	return &sale{
		Deployment: d, db: dynamodb.NewFromConfig(engine.DynamoDB(t).Config()),
		references: map[string]string{}, carts: map[string][]string{}, owners: map[string]string{}, poison: map[string]bool{}, random: rand.New(rand.NewPCG(1, 2)), began: time.Now().UTC(),
	}, nil
}

// ask sends a request as a careful client does: again when the answer says
// nothing about what became of it.
func (s *sale) ask(ctx context.Context, request e2e.Request) (*e2e.Response, error) {
	var r *e2e.Response
	for attempt := range 30 {
		var err error
		if r, err = s.Request(ctx, "APIApi", request); err != nil {
			return nil, err
		}
		if r.Status < 500 && r.Status != http.StatusTooManyRequests && r.Header["retry-after"] == "" {
			return r, nil
		}
		pause := time.Duration(attempt) * time.Millisecond
		if r.Status == http.StatusServiceUnavailable {
			// What could not be had is not asked for again within a second.
			pause = min(time.Second, time.Millisecond<<attempt)
		}
		time.Sleep(pause)
	}
	logs, err := s.Logs("APIReferencesAuthorizerFunction")
	return nil, errors.Join(fmt.Errorf("%s: still status %d: %s; the authorizer logged %q", request.Path, r.Status, r.Body, logs[max(0, len(logs)-1):]), err)
}

// reference returns the customer's reference, which is issued once, for the
// provider's token.
func (s *sale) reference(ctx context.Context, customer, scope string) (string, error) {
	s.mu.Lock()
	reference := s.references[customer]
	s.mu.Unlock()
	if reference != "" {
		return reference, nil
	}
	r, err := s.ask(ctx, e2e.Request{
		Method: http.MethodPost, Path: "/references",
		Claims: map[string]string{"iss": issuer, "aud": "carts", "sub": customer, "scope": scope},
	})
	var issued struct{ Reference string }
	if err == nil {
		err = json.Unmarshal(r.Body, &issued)
	}
	if err != nil || r.Status != http.StatusCreated {
		return "", fmt.Errorf("issue a reference: %w: %+v", err, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.references[customer] = issued.Reference
	return issued.Reference, nil
}

// post sends a command, with an idempotency key.
func (s *sale) post(ctx context.Context, customer, path, key, body string) (*e2e.Response, error) {
	reference, err := s.reference(ctx, customer, "")
	if err != nil {
		return nil, err
	}
	return s.ask(ctx, e2e.Request{
		Method: http.MethodPost, Path: path, Body: []byte(body), Header: map[string]string{"Idempotency-Key": key, security.ReferenceHeader: reference},
	})
}

// shop opens a cart, adds to it and ends it.
func (s *sale) shop(ctx context.Context, n int, items int, abandon bool) error {
	customer := fmt.Sprintf("customer-%d", n%500)
	opened, err := s.post(ctx, customer, "/carts", fmt.Sprintf("open-%d", n), fmt.Sprintf(`{"email":"c%d@example.com"}`, n%500))
	if err != nil {
		return err
	}
	if opened.Status != http.StatusCreated {
		return fmt.Errorf("open: status %d: %s", opened.Status, opened.Body)
	}
	path := opened.Header["location"]
	stream := "cart-" + strings.TrimPrefix(path, "/carts/")
	happened := []string{flashsale.CartOpened}
	type step struct{ path, body, event string }
	var steps []step
	for i := range items {
		steps = append(steps, step{"/items", fmt.Sprintf(`{"sku":"sku-%d","quantity":1,"price":{"amount":1999,"currency":"EUR"}}`, i), flashsale.ItemAdded})
	}
	if abandon {
		steps = append(steps, step{"/abandon", "", flashsale.CartAbandoned})
	} else {
		steps = append(steps, step{"/checkout", "", flashsale.CartCheckedOut})
	}
	for i, step := range steps {
		r, err := s.post(ctx, customer, path+step.path, fmt.Sprintf("step-%d-%d", n, i), step.body)
		if err != nil {
			return err
		}
		if r.Status != http.StatusOK {
			return fmt.Errorf("%s: status %d: %s", step.path, r.Status, r.Body)
		}
		happened = append(happened, step.event)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carts[stream], s.owners[stream] = happened, api.Pseudonym(issuer, customer)
	return nil
}

// minute lets a number of customers shop, abandoning with the probability, and
// one minute pass.
func (s *sale) minute(ctx context.Context, carts int, abandoning float64) error {
	type visit struct {
		n, items int
		abandon  bool
	}
	visits := make(chan visit)
	var clients sync.WaitGroup
	var failed error
	for range 6 {
		clients.Go(func() {
			for v := range visits {
				if err := s.shop(ctx, v.n, v.items, v.abandon); err != nil {
					s.mu.Lock()
					failed = errors.Join(failed, err)
					s.mu.Unlock()
				}
			}
		})
	}
	// The same share in each minute but for a little noise.
	abandoned := int(float64(carts)*abandoning) + s.random.IntN(1+carts/50)
	for i := range carts {
		s.opened++
		visits <- visit{s.opened, 1 + s.random.IntN(8)/7, i < abandoned}
	}
	close(visits)
	clients.Wait()
	if failed != nil {
		return failed
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return s.Advance(ctx, 1)
}

// settle waits until nothing moves. Settle itself notices what is stuck and what
// goes round; the clock is for what neither is nor ends.
func (s *sale) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return s.Settle(ctx)
}

// insertPoison writes events into the table that no handler of ours would:
// digestible by the pipes, but not by the projections; or not even by the
// pipes. They are not listed among the streams, for a rebuild must refuse them.
func (s *sale) insertPoison(ctx context.Context) error {
	table, err := s.Table("CartsEvents")
	if err != nil {
		return err
	}
	for i := range 3 {
		stream := fmt.Sprintf("cart-poison%d", i)
		item := map[string]types.AttributeValue{schema.Version: &types.AttributeValueMemberN{Value: "1"}}
		for _, attribute := range schema.EnvelopeAttributes() {
			if attribute[1] == "S" {
				item[attribute[0]] = &types.AttributeValueMemberS{}
			}
		}
		for name, value := range map[string]string{
			schema.Stream: stream, schema.Position: schema.PositionOf(stream, 1), schema.ID: stream, schema.Type: flashsale.CartOpened,
			schema.Time: time.Now().UTC().Format(time.RFC3339Nano), schema.Causation: stream, schema.Correlation: stream,
		} {
			item[name] = &types.AttributeValueMemberS{Value: value}
		}
		item[schema.TypeVersion] = &types.AttributeValueMemberN{Value: "1"}
		item[schema.Hops] = &types.AttributeValueMemberN{Value: "0"}
		item[schema.Data] = &types.AttributeValueMemberB{Value: []byte("poison")}
		if i == 0 {
			delete(item, schema.Ref) // spoils the pipes' template
		}
		if _, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
			return err
		}
		s.poison[stream] = true
	}
	return nil
}

// position names an event.
type position struct {
	Stream  string `json:"stream"`
	Version string `json:"version"`
}

// problems collects what does not hold.
type problems struct {
	errs []error
	seen map[string]int
}

// add notes a problem. Of those that a loop finds over and over, which share
// their format, three are enough.
func (p *problems) add(format string, args ...any) {
	if p.seen == nil {
		p.seen = map[string]int{}
	}
	if p.seen[format]++; p.seen[format] <= 3 {
		p.errs = append(p.errs, fmt.Errorf(format, args...))
	}
}

func (p *problems) err() error { return errors.Join(p.errs...) }

// store reads every event in the table: position -> type.
func (s *sale) store(ctx context.Context) (map[position]string, error) {
	table, err := s.Table("CartsEvents")
	if err != nil {
		return nil, err
	}
	found := map[position]string{}
	pages := dynamodb.NewScanPaginator(s.db, &dynamodb.ScanInput{
		TableName: &table, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("#s, #v, #t"),
		ExpressionAttributeNames: map[string]string{"#s": schema.Stream, "#v": schema.Version, "#t": schema.Type},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			stream, _ := item[schema.Stream].(*types.AttributeValueMemberS)
			version, _ := item[schema.Version].(*types.AttributeValueMemberN)
			kind, _ := item[schema.Type].(*types.AttributeValueMemberS)
			found[position{stream.Value, version.Value}] = kind.Value
		}
	}
	return found, nil
}

// check compares the store with what clients were told, and with it everything
// that is made of it.
func (s *sale) check(ctx context.Context) error {
	var p problems
	// One of each tells enough: a refused call is tried again and again.
	for _, denial := range s.Denials() {
		p.add("denied: %+v", denial)
		break
	}
	for _, dropped := range s.Dropped() {
		p.add("dropped by %s: %v", dropped.By, dropped.Err)
		break
	}
	stored, err := s.store(ctx)
	if err != nil {
		return err
	}
	for stream, happened := range s.carts {
		for i, kind := range happened {
			if at := (position{stream, strconv.Itoa(i + 1)}); stored[at] != kind {
				p.add("store: %v is %q, want %q", at, stored[at], kind)
			}
		}
		if extra := stored[position{stream, strconv.Itoa(len(happened) + 1)}]; extra != "" {
			p.add("store: %s has a %s that nobody was told of", stream, extra)
		}
	}
	spoilt := position{"cart-poison0", "1"}

	archived, err := s.Archived("Carts")
	if err != nil {
		return err
	}
	onBus := map[position]bool{}
	for _, e := range archived {
		if e.Source == "eventstore.Carts" {
			var at position
			if err := json.Unmarshal(e.Detail, &at); err != nil {
				p.add("bus archive: %v", err)
			}
			onBus[at] = true
		}
	}
	records, failed, err := s.Delivered("CartsHistoryStream")
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		p.add("archive feed: %d records failed", len(failed))
	}
	inFeed := map[position]bool{}
	for _, r := range records {
		var at position
		if err := json.Unmarshal([]byte(r), &at); err != nil {
			p.add("archive feed: %v", err)
		}
		inFeed[at] = true
	}
	for at := range stored {
		if at == spoilt {
			continue
		}
		if !onBus[at] {
			p.add("bus archive: %v is missing", at)
		}
		if !inFeed[at] {
			p.add("archive feed: %v is missing", at)
		}
	}
	if extra := len(onBus) - len(stored); extra > 0 {
		p.add("bus archive: %d events that are not in the store", extra)
	}
	s.checkCartView(ctx, &p)
	s.checkTotals(ctx, &p)
	s.checkDeadLetters(ctx, &p)
	return p.err()
}

// checkDeadLetters asserts that each poison event is dead once in each path,
// and that nothing else is.
func (s *sale) checkDeadLetters(ctx context.Context, p *problems) {
	for queue, want := range map[string]int{"CartsCartViewDeadLetters": 2, "CartsSaleTotalsDeadLetters": 2, "CartsOutboxPipeDeadLetters": 1, "CartsCartViewPipeDeadLetters": 1,
		"CartsSaleTotalsEventsDeadLetters": 0, "CartsHistoryDeadLetters": 0, "CartsAbandonmentAbandonmentCascadeDeadLetters": 0,
		"CartsAbandonmentAbandonmentCascadeAlertDeadLetters": 0, "CartsAbandonmentAbandonmentCascadeLogDeadLetters": 0,
		"CartsAbandonmentAbandonmentCascadeOfferDeadLetters": 0, "OfferHandlerDeadLetters": 0} {
		bodies, err := s.Messages(ctx, queue)
		if err != nil {
			p.add("%s: %v", queue, err)
			continue
		}
		if len(s.poison) == 0 {
			want = 0
		}
		dead := map[string]bool{}
		for _, body := range bodies {
			var message struct {
				position
				Detail             *position
				DDBStreamBatchInfo *struct{ StartSequenceNumber string }
			}
			if err := json.Unmarshal([]byte(body), &message); err != nil {
				p.add("%s: %v", queue, err)
			}
			name := message.Stream
			if message.Detail != nil {
				name = message.Detail.Stream
			}
			if message.DDBStreamBatchInfo != nil {
				name = message.DDBStreamBatchInfo.StartSequenceNumber
			} else if !s.poison[name] {
				p.add("%s: %s should have been handled", queue, name)
			}
			dead[name] = true
		}
		if len(dead) != want {
			p.add("%s: %d dead letters, want %d: %v", queue, len(dead), want, slices.Sorted(maps.Keys(dead)))
		}
	}
}

// checkCartView reads every cart through the API.
func (s *sale) checkCartView(ctx context.Context, p *problems) {
	table, err := s.Table("CartsCartViewReadModel")
	if err != nil {
		p.add("cart view: %v", err)
		return
	}
	// The items as they are, for ten thousand requests say no more.
	versions := map[string]string{}
	states, customers := map[string]string{}, map[string]string{}
	pages := dynamodb.NewScanPaginator(s.db, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			p.add("cart view: %v", err)
			return
		}
		for _, item := range page.Items {
			pk, _ := item[schema.PK].(*types.AttributeValueMemberS)
			sk, _ := item[schema.SK].(*types.AttributeValueMemberS)
			version, ok := item["version"].(*types.AttributeValueMemberN)
			if _, id, cut := strings.Cut(pk.Value, "v1#"); ok && cut && sk.Value == "cart" {
				state, _ := item["state"].(*types.AttributeValueMemberS)
				versions["cart-"+id], states["cart-"+id] = version.Value, state.Value
				customer, _ := item["customer"].(*types.AttributeValueMemberS)
				customers["cart-"+id] = customer.Value
			}
		}
	}
	for stream, happened := range s.carts {
		if versions[stream] != strconv.Itoa(len(happened)) {
			p.add("cart view: %s is in version %q, want %d", stream, versions[stream], len(happened))
		}
		// As with the provider's own token: carts from before are still theirs.
		if customers[stream] != s.owners[stream] {
			p.add("cart view: %s is of %q, want %q", stream, customers[stream], s.owners[stream])
		}
		want := "checkedOut"
		if happened[len(happened)-1] == flashsale.CartAbandoned {
			want = "abandoned"
		}
		if !strings.EqualFold(strings.ReplaceAll(states[stream], "-", ""), want) {
			p.add("cart view: %s is %q, want %s", stream, states[stream], want)
		}
	}
}

type hour struct {
	Opened, CheckedOut, Abandoned int
	Money                         []struct{ Revenue, Abandoned int }
}

// totals asks the API for the sums of the sale.
func (s *sale) totals(ctx context.Context) (hour, error) {
	var sum hour
	now := time.Now().UTC()
	reference, err := s.reference(ctx, "manager", flashsale.TotalsScope)
	if err != nil {
		return sum, err
	}
	r, err := s.ask(ctx, e2e.Request{
		Method: http.MethodGet, Path: "/totals?from=" + s.began.Format("2006-01-02T15") + "&to=" + now.Format("2006-01-02T15"),
		Header: map[string]string{security.ReferenceHeader: reference},
	})
	if err != nil {
		return sum, err
	}
	var body struct{ Hours []hour }
	if err := json.Unmarshal(r.Body, &body); err != nil || r.Status != http.StatusOK {
		return sum, fmt.Errorf("totals: status %d: %s", r.Status, r.Body)
	}
	for _, h := range body.Hours {
		sum.Opened += h.Opened
		sum.CheckedOut += h.CheckedOut
		sum.Abandoned += h.Abandoned
		sum.Money = append(sum.Money, h.Money...)
	}
	return sum, nil
}

// checkTotals asserts that each cart was counted exactly once.
func (s *sale) checkTotals(ctx context.Context, p *problems) {
	got, err := s.totals(ctx)
	if err != nil {
		p.add("%v", err)
		return
	}
	var want hour
	revenue, lost := 0, 0
	for _, happened := range s.carts {
		want.Opened++
		worth := (len(happened) - 2) * 1999
		if happened[len(happened)-1] == flashsale.CartAbandoned {
			want.Abandoned++
			lost += worth
		} else {
			want.CheckedOut++
			revenue += worth
		}
	}
	for _, m := range got.Money {
		revenue -= m.Revenue
		lost -= m.Abandoned
	}
	if got.Opened != want.Opened || got.CheckedOut != want.CheckedOut || got.Abandoned != want.Abandoned || revenue != 0 || lost != 0 {
		p.add("totals: %+v, want %+v; revenue off by %d, abandoned by %d", got, want, revenue, lost)
	}
}

// cascade asserts how often the three reactions to a spike have acted.
func (s *sale) checkCascade(ctx context.Context, alarms, offers int) error {
	var p problems
	alerts, err := s.Published("Alarms")
	if err != nil {
		return err
	}
	abandonment := 0
	for _, a := range alerts {
		if strings.Contains(a, "CloudWatch Alarm State Change") && strings.Contains(a, "AbandonmentAlarm") {
			abandonment++
		}
	}
	if abandonment < alarms {
		p.add("alert: %d messages, want %d", abandonment, alarms)
	}
	lines, err := s.Lines("AbandonmentLog")
	if err != nil {
		return err
	}
	if len(lines) < alarms {
		p.add("log: %d lines, want %d", len(lines), alarms)
	}
	stored, err := s.store(ctx)
	if err != nil {
		return err
	}
	issued := 0
	for _, kind := range stored {
		if kind == flashsale.RetentionOfferIssued {
			issued++
		}
	}
	if issued != offers {
		logs, _ := s.Logs("OfferHandlerFunction")
		p.add("offer: %d issued, want %d; the function logged %s", issued, offers, strings.Join(logs, "\n"))
	}
	return p.err()
}

// perMinute is how many carts are opened in each minute of the sale.
func perMinute() int { return (*cartCount + calm + spike - 1) / (calm + spike) }

// run is the whole sale: calm minutes, a spike, and what must follow.
func (s *sale) run(ctx context.Context) error {
	for range calm {
		if err := s.minute(ctx, perMinute(), 0.1); err != nil {
			return err
		}
	}
	if err := s.checkCascade(ctx, 0, 0); err != nil {
		return fmt.Errorf("before the spike: %w", err)
	}
	for range spike {
		if err := s.minute(ctx, perMinute(), 0.7); err != nil {
			return err
		}
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if state, err := s.AlarmState("CartsAbandonmentAlarm"); err != nil || state != "ALARM" {
		return fmt.Errorf("after the spike the alarm is %s, error %v", state, err)
	}
	if err := s.checkCascade(ctx, 1, 1); err != nil {
		return fmt.Errorf("after the spike: %w", err)
	}
	return s.check(ctx)
}

func TestFlashSale(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := deploySale(t, flashSale(t), e2e.Faults{
		Seed: 1, Crash: 0.003, Throttle: 0.003, DuplicateRecords: 0.02, DuplicateEvents: 0.02, DuplicateMessages: 0.02, Reorder: 0.5,
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of no effect on events: how a function is warmed, and what describes data.
	known := []string{
		"AWS::ApiGatewayV2::Stage", "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::Athena::WorkGroup", "AWS::CDK::Metadata", "AWS::CloudWatch::Dashboard",
		"AWS::Glue::Database", "AWS::Glue::Table", "AWS::Logs::LogStream", "AWS::Logs::MetricFilter", "Custom::PruneVersions",
	}
	for _, kind := range s.Undriven() {
		if !slices.Contains(known, kind) {
			t.Errorf("the harness does not drive %s", kind)
		}
	}
	if err := s.insertPoison(ctx); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.run(ctx); err != nil {
		t.Fatal(err)
	}
	events := 0
	for _, happened := range s.carts {
		events += len(happened)
	}
	t.Logf("%d carts with %d events in %v; injected: %v", len(s.carts), events, time.Since(start), s.Injected())
	for _, fault := range []string{"Crash", "Throttle", "DuplicateRecords", "DuplicateEvents", "DuplicateMessages", "Reorder"} {
		if s.Injected()[fault] == 0 {
			t.Errorf("there was no %s", fault)
		}
	}

	t.Run("loop guard", func(t *testing.T) { s.testLoopGuard(t) })
	t.Run("replay", func(t *testing.T) { s.testReplay(t) })
	t.Run("forget", func(t *testing.T) { s.testForget(t) })
	t.Run("rebuild", func(t *testing.T) { s.testRebuild(t) })
	t.Run("origin", func(t *testing.T) { s.testOrigin(t) })
}

// testLoopGuard lets the alarm go off again and again: within the cool-down no
// further offer may be issued.
func (s *sale) testLoopGuard(t *testing.T) {
	ctx := t.Context()
	for range *waveCount {
		// Quiet, then another wave: the alarm recovers and goes off again.
		for range 3 {
			if err := s.Advance(ctx, 1); err != nil {
				t.Fatal(err)
			}
		}
		for range spike {
			if err := s.minute(ctx, min(30, perMinute()), 0.9); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.checkCascade(ctx, 1+*waveCount, 1); err != nil {
		t.Error(err)
	}
}

// testReplay replays the archive: live consumers must not see it.
func (s *sale) testReplay(t *testing.T) {
	ctx := t.Context()
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
	before, err := s.totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replay("Carts", "again"); err != nil {
		t.Fatal(err)
	}
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
	after, err := s.totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if after.Opened != before.Opened || after.Abandoned != before.Abandoned {
		t.Errorf("totals are %+v after the replay, %+v before", after, before)
	}
}

// testForget forgets a customer, whose e-mail address is then nowhere.
func (s *sale) testForget(t *testing.T) {
	ctx := t.Context()
	subject := api.Pseudonym(issuer, "customer-1")
	if _, err := s.Invoke(ctx, "ForgetHandlerFunction", fmt.Appendf(nil, `{"subject":%q}`, subject)); err != nil {
		t.Fatal(err)
	}
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
	stored, err := s.store(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(slices.Collect(maps.Values(stored)), schema.TombstoneType) {
		t.Errorf("there is no %s in the store", schema.TombstoneType)
	}
	archived, err := s.Archived("Carts")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range archived {
		var envelope schema.Envelope
		if json.Unmarshal(e.Detail, &envelope) == nil && strings.Contains(string(envelope.Data), "@example.com") {
			t.Fatalf("an e-mail address is on the bus in the clear: %s", base64.StdEncoding.EncodeToString(envelope.Data))
		}
	}
}

// testRebuild builds both models anew: they must equal what live traffic made.
func (s *sale) testRebuild(t *testing.T) {
	ctx := t.Context()
	before, err := s.totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, machine := range []string{"CartsCartViewRebuildStateMachine", "CartsSaleTotalsRebuildStateMachine"} {
		x, err := s.Execute(machine, map[string]any{})
		if err != nil {
			t.Fatalf("%s: %v", machine, err)
		}
		// A process that dies may fail an execution; that is what redriving is for.
		for attempt := 0; attempt < 3 && x.Status() == asl.Failed; attempt++ {
			t.Logf("%s is redriven after %v", machine, x.Err())
			if err := s.Redrive(machine, x); err != nil {
				t.Fatalf("%s: %v", machine, err)
			}
		}
		if x.Status() != asl.Succeeded {
			t.Fatalf("%s: %s: %v\n%s", machine, x.Status(), x.Err(), x)
		}
	}
	// Its processes remember for a while which version they read.
	if err := s.Restart("QueryHandlerFunction"); err != nil {
		t.Fatal(err)
	}
	after, err := s.totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if after.Opened != before.Opened || after.CheckedOut != before.CheckedOut || after.Abandoned != before.Abandoned {
		t.Errorf("totals are %+v after the rebuild, %+v before", after, before)
	}
	if denials := s.Denials(); len(denials) > 0 {
		t.Errorf("denied: %+v", denials[0])
	}
}

// testOrigin puts an event on the bus that a cascade caused: it must not count
// towards the rate, or the remedy could set off the alarm that called it.
func (s *sale) testOrigin(t *testing.T) {
	numerator := func() float64 {
		id, err := s.PhysicalName("AWS::Events::Rule", "CartsAbandonmentNumerator")
		if err != nil {
			t.Fatal(err)
		}
		return s.Metric("AWS/Events", "MatchedEvents", "RuleName", id)
	}
	before := numerator()
	detail, err := json.Marshal(schema.Envelope{Stream: "cart-x", Version: 2, Position: "cart-x#2", ID: "x", Type: flashsale.CartAbandoned, TypeVersion: 1, Hops: 1,
		Origin: "cascade.Abandonment", Data: []byte(`{}`), Time: time.Now().UTC().Format(time.RFC3339Nano)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish("CartsBus", e2e.Event{Source: "eventstore.Carts", DetailType: flashsale.CartAbandoned, Detail: detail}); err != nil {
		t.Fatal(err)
	}
	if after := numerator(); after != before {
		t.Errorf("an event that a cascade caused was counted: %v after %v", after, before)
	}
}

// probe is a short sale with an alarm made up: enough to notice whatever is
// broken in the template.
func (s *sale) probe(ctx context.Context, poison bool) error {
	if poison {
		if err := s.insertPoison(ctx); err != nil {
			return err
		}
	}
	if err := s.minute(ctx, *probeSize, 0.5); err != nil {
		return err
	}
	alarm, err := s.PhysicalName("AWS::CloudWatch::Alarm", "CartsAbandonmentAlarm")
	if err != nil {
		return err
	}
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000+0000")
	detail, err := json.Marshal(map[string]any{
		"alarmName": alarm, "state": map[string]any{"value": "ALARM", "reason": "made up", "timestamp": now},
		"previousState": map[string]any{"value": "OK", "timestamp": now}, "configuration": map[string]any{"metrics": []any{}},
	})
	if err != nil {
		return err
	}
	if err := s.Publish("", e2e.Event{
		Source: "aws.cloudwatch", DetailType: "CloudWatch Alarm State Change", Resources: []string{"arn:aws:cloudwatch:us-east-1:000000000000:alarm:" + alarm}, Detail: detail,
	}); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return errors.Join(s.checkCascade(ctx, 1, 1), s.check(ctx))
}

// TestFlashSaleRemedyCrashes kills the remedy's first process after each of its
// calls: before the offer is in the store, and after. The retry, a minute later,
// finds the claim of the dead one over, and issues the offer that is missing.
func TestFlashSaleRemedyCrashes(t *testing.T) {
	t.Parallel()
	for calls := 1; calls <= 4; calls++ {
		t.Run(fmt.Sprintf("after call %d", calls), func(t *testing.T) {
			t.Parallel()
			s, err := deploySale(t, flashSale(t), e2e.Faults{CrashFirst: map[string]int{"OfferHandlerFunction": calls}})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.probe(t.Context(), false); err != nil {
				t.Error(err)
			}
			if s.Injected()["CrashFirst"] != 1 {
				t.Error("there was no crash")
			}
		})
	}
}

// TestFlashSaleBroken breaks the template in one place each time: the sale must
// fail, or not even deploy.
func TestFlashSaleBroken(t *testing.T) {
	t.Parallel()
	set := func(kind, prefix, path string, value any) func(*e2e.Template) error {
		return func(template *e2e.Template) error {
			id, err := template.Find(kind, prefix)
			if err != nil {
				return err
			}
			return template.Resources[id].Set(path, value)
		}
	}
	drop := func(prefix, action string) func(*e2e.Template) error {
		return func(template *e2e.Template) error {
			if template.DropActions(prefix, action) == 0 {
				return fmt.Errorf("no policy of %s allows %s", prefix, action)
			}
			return nil
		}
	}
	remove := func(kind, prefix string) func(*e2e.Template) error {
		return func(template *e2e.Template) error {
			id, err := template.Find(kind, prefix)
			delete(template.Resources, id)
			return err
		}
	}
	const filter = "SourceParameters.FilterCriteria.Filters.0.Pattern"
	for _, c := range []struct {
		name   string
		poison bool
		change func(*e2e.Template) error
		want   string // in the error
	}{
		{"nothing", true, func(*e2e.Template) error { return nil }, ""},
		{"filter of the outbox", false, set("AWS::Pipes::Pipe", "CartsOutboxPipe", filter, `{"eventName":["MODIFY"]}`), "bus archive: "},
		{"filter of the ordered projection", false, set("AWS::Pipes::Pipe", "CartsCartViewPipe", filter, `{"eventName":["REMOVE"]}`), "cart view: "},
		{"detail type of the outbox", false, set("AWS::Pipes::Pipe", "CartsOutboxPipe", "TargetParameters.EventBridgeEventBusParameters.DetailType", "Event"), "totals: "},
		{"events of the totals", false, set("AWS::Events::Rule", "CartsSaleTotalsEventsRule", "EventPattern.detail-type", []any{"CartOpened"}), "totals: "},
		{"target of the totals", false, func(template *e2e.Template) error {
			id, err := template.Find("AWS::SQS::Queue", "CartsSaleTotalsDeadLetters")
			if err != nil {
				return err
			}
			return set("AWS::Events::Rule", "CartsSaleTotalsEventsRule", "Targets.0.Arn", map[string]any{"Fn::GetAtt": []any{id, "Arn"}})(template)
		}, "totals: "},
		{"partial failures", true, set("AWS::Lambda::EventSourceMapping", "CartsSaleTotalsMapping", "FunctionResponseTypes", []any{}), "CartsSaleTotalsDeadLetters: "},
		{"redrive policy", true, set("AWS::SQS::Queue", "CartsSaleTotalsQueue", "RedrivePolicy", map[string]any{"Ref": "AWS::NoValue"}), "a message was received 6 times, and the template allows 5"},
		{"permission to append", false, drop("CartsHandler", "dynamodb:PartiQLInsert"), "status 500"},
		{"permission of the outbox", false, drop("CartsOutboxPipe", "events:PutEvents"), "events:PutEvents"},
		{"permission of the ordered pipe", false, drop("CartsCartViewPipe", "sqs:SendMessage"), "sqs:SendMessage"},
		{"permission of the archive", false, drop("CartsHistoryRule", "firehose:PutRecord"), "firehose:PutRecord"},
		{"permission to use the key", false, drop("SaleTotalsHandlerRole", "kms:Decrypt"), "kms:Decrypt"},
		{"policy of the totals' queue", false, drop("CartsSaleTotalsQueuePolicy", "sqs:SendMessage"), "sqs:SendMessage"},
		{"policy of the topic", false, drop("AlarmsPolicy", "sns:Publish"), "sns:Publish"},
		{"source at the topic's key", false, set("AWS::KMS::Key", "Key", "KeyPolicy.Statement.2.Condition",
			map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": map[string]any{"Ref": "AWS::AccountId"}}}), "kms:GenerateDataKey"},
		{"permission of the log", false, remove("AWS::Logs::ResourcePolicy", "Carts"), "logs:"},
		{"permission of the API", false, remove("AWS::Lambda::Permission", "APICommandsPermission"), "status 500"},
		{"permission of the authorizer", false, remove("AWS::Lambda::Permission", "APIReferencesAPIClientsPermission"), "status 500"},
		{"permission to sign", false, drop("APIReferencesSigningKey1", "kms:Sign"), "status 500"},
		{"removal of the reference", false, set("AWS::ApiGatewayV2::Integration", "APICommandsIntegration", "RequestParameters", map[string]any{}), "status 401"},
		{"forwarding of the alarm", false, set("AWS::Events::Rule", "CartsAbandonmentAbandonmentCascadeRule", "EventPattern.source", []any{"aws.cloud"}), "alert: "},
		{"target of the remedy", false, set("AWS::Events::Rule", "CartsAbandonmentAbandonmentCascadeOfferRule", "Targets", []any{}), "offer: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			template := flashSale(t)
			if err := c.change(template); err != nil {
				t.Fatal(err)
			}
			// Nobody here waits for what can never be delivered.
			for _, pipe := range template.All("AWS::Pipes::Pipe") {
				if err := pipe.Set("SourceParameters.DynamoDBStreamParameters.MaximumRetryAttempts", 1); err != nil {
					t.Fatal(err)
				}
			}
			s, err := deploySale(t, template, e2e.Faults{})
			if err == nil {
				err = s.probe(t.Context(), c.poison)
			}
			switch {
			case c.name == "nothing":
				if err != nil {
					t.Error(err)
				}
			case err == nil:
				t.Error("nobody noticed")
			case !strings.Contains(err.Error(), c.want):
				t.Errorf("it failed with %v, want %q", err, c.want)
			}
		})
	}
}
