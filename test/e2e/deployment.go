package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where the engines are and how a deployment behaves.
type Options struct {
	// DynamoDB, Fauxqs and KMS are the engines' addresses, such as
	// "http://127.0.0.1:8000". Fauxqs serves SQS, SNS and S3. KMS may be empty
	// when no handler calls it.
	DynamoDB, Fauxqs, KMS string
	// Build builds a Go main package, given by its import path, for this
	// machine. It is called for assets of another architecture, whose binary
	// tells the package. Default: go build in the working directory's module.
	Build func(ctx context.Context, pkg, program string) error
	// Account and Region are what AWS::AccountId and AWS::Region resolve to.
	// Default: 000000000000 and us-east-1, the engines' own.
	Account, Region string
	// Imports are the values of Fn::ImportValue. Default: none.
	Imports map[string]string
	// Speed divides the template's waiting times. Default: 1.
	Speed float64
	// Patience multiplies the time-outs of functions, for a machine that is slower
	// than Lambda's. Default: 1.
	Patience float64
	// Concurrency is how many processes a function may have. Default: 2.
	Concurrency int
	// Faults are injected. Default: none.
	Faults Faults
	// Without are logical ids of resources that are not to be deployed.
	// Default: none.
	Without []string
}

// Deployment is a template that runs.
type Deployment struct {
	stack
	options Options
	iam     *authority
	faults  *faults
	metrics *metrics

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	server *http.Server
	proxy  string // address of the proxy and the Runtime API

	// All by ARN.
	tables      map[string]*table
	queues      map[string]*queue
	topics      map[string]*topic
	functions   map[string]*function
	buses       map[string]*bus
	streams     map[string]*deliveryStream
	groups      map[string]*logGroup
	machines    map[string]*machine
	pipes       map[string]*pipe
	mappings    []*mapping
	alarms      []*alarm
	routes      []*route
	signing     map[string]string // ARN of a key that signs -> its id in the engine
	credentials sync.Map          // access key id -> *credential

	mostReceives int // of a message, by the most patient redrive policy

	epoch   atomic.Int64 // grows with everything that happens
	mu      sync.Mutex
	busy    map[string]int // what is under way, by name
	dropped []Dropped
}

// Dropped is what got lost: a delivery that failed for good and had no
// dead-letter queue to go to.
type Dropped struct {
	By      string // such as "rule AbandonedRule"
	Err     error
	Payload string
}

// Deploy makes the template's resources in the engines, starts what moves
// records, and returns the running deployment. Close it.
func Deploy(ctx context.Context, t *Template, options Options) (*Deployment, error) {
	options = options.withDefaults()
	random := make([]byte, 4)
	rand.Read(random)
	d := &Deployment{
		stack: stack{
			Template: t, account: options.Account, region: options.Region, imports: options.Imports,
			suffix: hex.EncodeToString(random), conditions: map[string]bool{},
		},
		options: options, faults: newFaults(options.Faults), metrics: newMetrics(), busy: map[string]int{},
		tables: map[string]*table{}, queues: map[string]*queue{}, topics: map[string]*topic{}, functions: map[string]*function{},
		buses: map[string]*bus{}, streams: map[string]*deliveryStream{}, groups: map[string]*logGroup{}, machines: map[string]*machine{},
		pipes: map[string]*pipe{}, signing: map[string]string{},
	}
	if err := d.prune(); err != nil {
		return nil, fmt.Errorf("deploy %s: %w", t.Name, err)
	}
	// What runs in the background ends with Close, not with the caller's ctx.
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := d.deploy(ctx); err != nil {
		d.Close()
		return nil, fmt.Errorf("deploy %s: %w", t.Name, err)
	}
	return d, nil
}

func (o Options) withDefaults() Options {
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Patience == 0 {
		o.Patience = 1
	}
	if o.Concurrency == 0 {
		o.Concurrency = 2
	}
	if o.Build == nil {
		o.Build = goBuild
	}
	return o
}

// prune leaves out the resources whose condition does not hold.
func (d *Deployment) prune() error {
	kept := *d.Template
	kept.Resources = maps.Clone(d.Resources)
	for id, r := range d.Resources {
		if slices.Contains(d.options.Without, id) {
			delete(kept.Resources, id)
		}
		if r.Condition != "" {
			holds, err := d.condition(r.Condition)
			if err != nil {
				return err
			}
			if !holds {
				delete(kept.Resources, id)
			}
		}
	}
	d.Template = &kept
	return nil
}

func (d *Deployment) deploy(ctx context.Context) error {
	var err error
	if d.iam, err = newAuthority(&d.stack); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.proxy = listener.Addr().String()
	d.endpoint = "http://" + d.proxy
	d.server = &http.Server{Handler: d.handler()}
	d.spawn(func() { d.server.Serve(listener) })
	for _, step := range []func(context.Context) error{
		d.makeKeys, d.makeTables, d.makeQueues, d.makeTopics, d.makeBuckets, d.makeLogGroups, d.makeFunctions, d.makeStreams, d.makeMachines,
		d.makeBuses, d.makeAlarms, d.makeRoutes, d.makeMappings, d.makePipes,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all processes and removes what was made in the engines.
func (d *Deployment) Close() error {
	d.cancel()
	if d.server != nil {
		d.server.Close()
	}
	for _, f := range d.functions {
		f.stop()
	}
	d.tasks.Wait()
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, t := range d.tables {
		errs = append(errs, d.callJSON(ctx, d.options.DynamoDB, "DynamoDB_20120810.DeleteTable", map[string]string{"TableName": t.name}, nil))
	}
	for _, q := range d.queues {
		errs = append(errs, d.callJSON(ctx, d.options.Fauxqs, "AmazonSQS.DeleteQueue", map[string]string{"QueueUrl": q.url}, nil))
	}
	return errors.Join(errs...)
}

// Endpoint returns where handlers call AWS. Whoever has a session's credentials
// can call it, too.
func (d *Deployment) Endpoint() string { return d.endpoint }

func (d *Deployment) spawn(f func()) {
	d.tasks.Add(1)
	go func() {
		defer d.tasks.Done()
		f()
	}()
}

// begin marks something as under way until the returned function is called.
func (d *Deployment) begin(name string) (end func()) {
	d.touch()
	d.mu.Lock()
	d.busy[name]++
	d.mu.Unlock()
	return func() {
		d.touch()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.busy[name]--; d.busy[name] == 0 {
			delete(d.busy, name)
		}
	}
}

// touch notes that something happened which others may have to react to.
func (d *Deployment) touch() { d.epoch.Add(1) }

// wait lets one of the template's waiting times pass; it reports false when
// the deployment is closed meanwhile.
func (d *Deployment) wait(t time.Duration) bool { return d.sleep(d.scaled(t)) }

// scaled is how long one of the template's waiting times takes here.
func (d *Deployment) scaled(t time.Duration) time.Duration {
	return time.Duration(float64(t) / d.options.Speed)
}

// sleep is wait in real time.
func (d *Deployment) sleep(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-d.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// backoff is the wait before the n-th retry, n from 1: doubling, and capped.
func backoff(n int, first, longest time.Duration) time.Duration {
	return min(longest, time.Duration(float64(first)*math.Pow(2, float64(min(n-1, 30)))))
}

// drop notes a delivery that is lost.
func (d *Deployment) drop(by string, err error, payload []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped = append(d.dropped, Dropped{by, err, string(payload)})
}

// Dropped returns what got lost so far.
func (d *Deployment) Dropped() []Dropped {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.dropped)
}

// Settle returns once nothing moves any more: every stream is read, every
// queue that has a consumer is empty, and no invocation, delivery, retry or
// execution is under way.
//
// A message that is received without end is an *EndlessError. Where something is
// under way and yet nothing happens for minutes, or until ctx ends, the error
// says that it was a clock that ended and names what still moves.
func (d *Deployment) Settle(ctx context.Context) error {
	const rounds = 4 // quiet looks in a row, for an engine may show a record late
	var moving []string
	last, since := int64(-1), time.Time{}
	for quiet := 0; quiet < rounds; {
		if now := d.epoch.Load(); now != last {
			last, since = now, time.Now()
		}
		var err error
		if moving, err = d.moving(ctx, since); err != nil && ctx.Err() == nil {
			return fmt.Errorf("settle: %w", err)
		}
		if len(moving) == 0 && d.epoch.Load() == last {
			quiet++
		} else {
			quiet = 0
		}
		for _, q := range d.queues {
			if endless := q.endless.Load(); endless != nil {
				return fmt.Errorf("settle: %w", endless)
			}
		}
		if time.Since(since) > standstill {
			return fmt.Errorf("settle: by the clock: nothing has happened for %v; still moving: %s", standstill, strings.Join(moving, ", "))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("settle: by the caller's clock: %w; still moving: %s", ctx.Err(), strings.Join(moving, ", "))
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// standstill is how long nothing may happen while something is under way. A
// process may start for a minute and then take its function's time-out.
const standstill = 3 * time.Minute

// moving names what is under way, or may be as it was not looked at since.
func (d *Deployment) moving(ctx context.Context, since time.Time) ([]string, error) {
	var names []string
	d.mu.Lock()
	for name, n := range d.busy {
		names = append(names, fmt.Sprintf("%s (%d)", name, n))
	}
	d.mu.Unlock()
	for _, p := range d.pipes {
		if !p.drained(since) {
			names = append(names, "pipe "+p.id)
		}
	}
	for _, q := range d.queues {
		if !q.consumed {
			continue
		}
		visible, hidden, err := q.depth(ctx)
		if err != nil {
			return names, err
		}
		if visible+hidden > 0 {
			names = append(names, fmt.Sprintf("queue %s (%d)", q.id, visible+hidden))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *Deployment) newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// driven are the types of resources that the harness makes or reads.
var driven = []string{
	"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route",
	"AWS::CloudWatch::Alarm", "AWS::CloudWatch::AnomalyDetector", "AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table",
	"AWS::Events::Archive", "AWS::Events::EventBus", "AWS::Events::EventBusPolicy", "AWS::Events::Rule",
	"AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::IAM::RolePolicy", "AWS::KMS::Key",
	"AWS::KinesisFirehose::DeliveryStream", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::EventSourceMapping",
	"AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::Lambda::Version", "AWS::Logs::LogGroup", "AWS::Logs::ResourcePolicy",
	"AWS::Pipes::Pipe", "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::SNS::Subscription", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy",
	"AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::StepFunctions::StateMachine",
}

// Undriven returns the types of the template's resources that the harness
// ignores, sorted.
func (d *Deployment) Undriven() []string {
	ignored := map[string]bool{}
	for _, r := range d.Resources {
		if !slices.Contains(driven, r.Type) {
			ignored[r.Type] = true
		}
	}
	return slices.Sorted(maps.Keys(ignored))
}
