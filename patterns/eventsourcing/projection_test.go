package eventsourcing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestProjectionDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.AddProjection("Totals", &eventsourcing.ProjectionProps{Function: handler(stack, "TotalsHandler")})
	cdktest.Golden(t, stack)
}

func TestProjectionAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.AddProjection("Totals", &eventsourcing.ProjectionProps{
		Function: handler(stack, "TotalsHandler"),
		ReadModel: awsdynamodb.TableV2_FromTableAttributes(stack, jsii.String("Table"), &awsdynamodb.TableAttributesV2{
			TableArn: jsii.String("arn:aws:dynamodb:eu-west-1:123456789012:table/totals"),
		}),
		DeadLetterQueue: awssqs.Queue_FromQueueArn(stack, jsii.String("Dead"), jsii.String("arn:aws:sqs:eu-west-1:123456789012:dead")),
	})
	cdktest.Golden(t, stack)
}

// Lambda refuses a mapping whose function may not take the messages yet.
func TestProjectionOfAdoptedFunctionWaitsForItsRights(t *testing.T) {
	stack := cdktest.NewStack(t)
	adopted := function.Adopt(stack, "Adopted", awslambda.Function_FromFunctionAttributes(stack, jsii.String("Theirs"), &awslambda.FunctionAttributes{
		FunctionArn: jsii.String("arn:aws:lambda:eu-west-1:123456789012:function:theirs"), SameEnvironment: jsii.Bool(true),
		Role: awsiam.Role_FromRoleArn(stack, jsii.String("Role"), jsii.String("arn:aws:iam::123456789012:role/theirs"), nil),
	}))
	eventsourcing.NewEventStore(stack, "Carts", nil).AddProjection("Totals", &eventsourcing.ProjectionProps{Function: adopted})
	template := cdktest.Synth(t, stack)
	waits := defaults.JSON(template.Resources("AWS::Lambda::EventSourceMapping")[0].Attributes["DependsOn"])
	for _, p := range template.Resources("AWS::IAM::Policy") {
		if strings.Contains(defaults.JSON(p.Properties), "sqs:ReceiveMessage") && strings.Contains(waits, `"`+p.ID+`"`) {
			return
		}
	}
	t.Errorf("the mapping waits for %s only", waits)
}

func TestProjectionEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	view := store.AddProjection("View", &eventsourcing.ProjectionProps{
		Function:       handler(stack, "ViewHandler"),
		Events:         []string{"CartOpened", "ItemAdded"},
		Ordered:        true,
		ReadModelProps: &awsdynamodb.TablePropsV2{DeletionProtection: jsii.Bool(false), RemovalPolicy: awscdk.RemovalPolicy_DESTROY},
		BatchSize:      5,
		MaxConcurrency: 20,
		Attempts:       3,
		Rebuild: eventsourcing.RebuildProps{EventsPerSecond: 2000, MaxConcurrency: 16, Settle: 2 * time.Minute,
			KeepOld: 24 * time.Hour},
		Alarms: eventsourcing.ProjectionAlarms{
			Topic:       awssns.NewTopic(stack, jsii.String("Alarms"), nil),
			Lag:         alarm.Tuning{Threshold: jsii.Number(60)},
			DeadLetters: alarm.Tuning{Periods: 2},
			Pipe:        alarm.Tuning{Off: true},
		},
	})
	view.GrantRead(handler(stack, "Query"))
	admin := handler(stack, "Admin")
	view.Rebuild().GrantStart(admin)
	view.Rebuild().GrantRedrive(admin)
	cdktest.Golden(t, stack)
}

// A message stays invisible for six times the time-out, whoever sets that.
func TestProjectionWaitsForTheTimeout(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	minutes := awscdk.Duration_Minutes(jsii.Number(2))
	for id, fn := range map[string]*function.Function{
		"Set": function.NewFunction(stack, "SetHandler", &function.Props{
			Entry: "example.com/shop/set", FunctionProps: &awslambda.FunctionProps{Timeout: minutes}}),
		"Adopted": function.Adopt(stack, "AdoptedHandler", awslambda.NewFunction(stack, jsii.String("Own"), &awslambda.FunctionProps{
			Code: awslambda.Code_FromInline(jsii.String("exports.handler = async () => 1")), Handler: jsii.String("index.handler"),
			Runtime: awslambda.Runtime_NODEJS_22_X(), Timeout: minutes})),
	} {
		store.AddProjection(id, &eventsourcing.ProjectionProps{Function: fn})
	}
	template := cdktest.Synth(t, stack)
	queues := 0
	for _, queue := range template.Resources("AWS::SQS::Queue") {
		if strings.HasPrefix(queue.ID, "CartsSetQueue") || strings.HasPrefix(queue.ID, "CartsAdoptedQueue") {
			queues++
			if queue.Properties["VisibilityTimeout"] != 720.0 {
				t.Errorf("messages of %s are invisible for %v s, want 720", queue.ID, queue.Properties["VisibilityTimeout"])
			}
		}
	}
	if queues != 2 {
		t.Errorf("there are %d queues, want 2", queues)
	}
}

func TestProjectionIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cdktest.IsConstruct(t, store.AddProjection("Totals", &eventsourcing.ProjectionProps{Function: handler(stack, "H")}))
}

func TestRebuildIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cdktest.IsConstruct(t, store.AddProjection("Totals", &eventsourcing.ProjectionProps{Function: handler(stack, "H")}).Rebuild())
}

// DynamoDB serves two readers of a stream well: the outbox and one pipe.
func TestWarnsOfTooManyReaders(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	add := func(id string) {
		store.AddProjection(id, &eventsourcing.ProjectionProps{Function: handler(stack, id+"Handler"), Ordered: true})
	}
	add("First")
	warnings := func() int {
		found := assertions.Annotations_FromStack(stack).FindWarning(jsii.String("*"), assertions.Match_StringLikeRegexp(jsii.String("pipes read the stream")))
		return len(*found)
	}
	add("Second")
	if got := warnings(); got != 1 {
		t.Errorf("%d warnings with three readers, want 1", got)
	}
}

func TestProjectionRejects(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*eventsourcing.ProjectionProps)
		want   []string
	}{
		"handler":  {func(p *eventsourcing.ProjectionProps) { p.Function = nil }, []string{"Test/Carts/handler: wrong props", "Function is", "set it"}},
		"batch":    {func(p *eventsourcing.ProjectionProps) { p.BatchSize = 11 }, []string{"BatchSize is 11; allowed is 1 to 10"}},
		"one":      {func(p *eventsourcing.ProjectionProps) { p.MaxConcurrency = 1 }, []string{"MaxConcurrency is 1; allowed is 2 to 1000"}},
		"attempts": {func(p *eventsourcing.ProjectionProps) { p.Attempts = 1 }, []string{"Attempts is 1"}},
		"events":   {func(p *eventsourcing.ProjectionProps) { p.Events = []string{"A,B"} }, []string{`Events is "A,B"`, "without a comma"}},
		"rate": {func(p *eventsourcing.ProjectionProps) {
			p.Rebuild = eventsourcing.RebuildProps{EventsPerSecond: 1, Settle: time.Second}
		}, []string{"Rebuild.EventsPerSecond is 1; allowed is 16 to 100000", "Rebuild.Settle is 1s"}},
		"a standard queue": {func(p *eventsourcing.ProjectionProps) {
			p.Ordered, p.DeadLetterQueue = true, awssqs.Queue_FromQueueArn(p.Function, jsii.String("Dead"), jsii.String("arn:aws:sqs:eu-west-1:123456789012:dead"))
		}, []string{"DeadLetterQueue is of another kind", "a FIFO queue for an Ordered projection"}},
		"lag": {func(p *eventsourcing.ProjectionProps) { p.Alarms.Lag.Period = time.Second }, []string{"Alarms.Lag.Period is 1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			store := eventsourcing.NewEventStore(stack, "Carts", nil)
			p := &eventsourcing.ProjectionProps{Function: handler(stack, "H")}
			tt.change(p)
			before := len(*stack.Node().FindAll(""))
			cdktest.Rejects(t, func() { store.AddProjection(name, p) }, tt.want...)
			if after := len(*stack.Node().FindAll("")); after != before {
				t.Errorf("%d constructs stayed behind", after-before)
			}
		})
	}
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cdktest.Rejects(t, func() { store.AddProjection("Nil", nil) }, "Function is not set")
}
