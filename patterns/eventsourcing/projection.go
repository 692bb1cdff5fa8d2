package eventsourcing

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awspipes"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// ProjectionProps says which events a projection takes and who handles them.
type ProjectionProps struct {
	// Function applies the events: a function that starts package projection's
	// Projection. Required.
	Function *function.Function
	// Events are the event types that the handler applies.
	//
	// Default: all.
	Events []string
	// Ordered delivers the events of each stream in their order, through a
	// pipe and a FIFO queue of the projection's own. Streams go on side by
	// side. The pipe reads the table's stream, which at most two readers
	// should do, and the outbox is one.
	//
	// Default: unordered, through a rule on the bus.
	Ordered bool
	// PersonalData lets the handler see the personal data of subjects that are
	// not forgotten. What it writes to the read model outlives a Forget: erase
	// it there on the tombstone, schema.TombstoneType.
	//
	// Default: sealed fields are empty for the handler.
	PersonalData bool
	// ReadModel is the table that the handler writes, with keys pk and sk and
	// a time to live in ttl.
	//
	// Default: a new one: on demand, point-in-time recovery, deletion
	// protection, retained when the stack is destroyed.
	ReadModel awsdynamodb.ITableV2
	// ReadModelProps changes a new table.
	//
	// Default: none.
	ReadModelProps *awsdynamodb.TablePropsV2
	// BatchSize is the most events of one invocation, 1 to 10.
	//
	// Default: 10.
	BatchSize int
	// MaxConcurrency is the most invocations at a time, 2 to 1,000. It keeps a
	// spike from eating up the account's concurrency.
	//
	// Default: as many as Lambda gives.
	MaxConcurrency int
	// Attempts is how often an event is tried before it goes to the
	// dead-letter queue, 2 to 1,000.
	//
	// Default: 5.
	Attempts int
	// DeadLetterQueue takes the events that could not be applied. It must be a FIFO
	// queue if the projection is Ordered, and a standard one otherwise.
	//
	// Default: a new one, with an alarm, retained when the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// Rebuild says how the projection is rebuilt.
	//
	// Default: as RebuildProps states.
	Rebuild RebuildProps

	// Alarms tunes the alarms.
	//
	// Default: all are made and notify the event store's topic.
	Alarms ProjectionAlarms
}

// ProjectionAlarms tunes a projection's alarms.
type ProjectionAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: the event store's.
	Topic awssns.ITopic
	// Lag is the age of the oldest event that waits, in seconds.
	//
	// Default: 5 minutes.
	Lag alarm.Tuning
	// DeadLetters counts the events that could not be applied.
	//
	// Default: one.
	DeadLetters alarm.Tuning
	// Pipe counts the positions that the pipe of an ordered projection could
	// not deliver.
	//
	// Default: one.
	Pipe alarm.Tuning
	// Rebuild counts the rebuilds that failed.
	//
	// Default: one.
	Rebuild alarm.Tuning
}

func (a ProjectionAlarms) check(c *props.Check) {
	c.Nested("Lag", a.Lag.Check)
	c.Nested("DeadLetters", a.DeadLetters.Check)
	c.Nested("Pipe", a.Pipe.Check)
	c.Nested("Rebuild", a.Rebuild.Check)
}

// Projection keeps a read model up to date with the events, each applied
// exactly once, and can build it anew from the event table while it is read.
//
// An event that cannot be applied goes to the dead-letter queue. In an ordered
// projection the later events of its stream follow it there, for they must not
// be applied without it; all other streams go on. Mend the handler, then
// redrive the queue: the order is restored.
type Projection struct {
	constructs.Construct
	handler     *function.Function
	queue       awssqs.Queue
	deadLetters awssqs.IQueue
	readModel   awsdynamodb.ITableV2
	key         awskms.IKey // of the read model; nil if AWS owns it
	pipe        *pipe
	rule        *Reaction
	rebuild     *Rebuild
	alarms      []awscloudwatch.CfnAlarm
}

// AddProjection makes a projection of the store's events. It grants the
// handler to read the event table, for events that arrive with a gap before
// them and for the rebuild, and tells it where everything is. It panics with a
// *[props.Error] when the props are wrong.
func (s *EventStore) AddProjection(id string, p *ProjectionProps) *Projection {
	if p == nil {
		p = &ProjectionProps{}
	}
	p.check(s, id)
	j := &Projection{handler: p.Function}
	construct.Init(j, s, id)
	topic := construct.Or(p.Alarms.Topic, s.alarmTopic)
	j.addReadModel(s, p)
	j.addQueue(s, id, p, topic)
	if p.Ordered {
		j.addPipe(s, id, p, topic)
	} else {
		// Replays of the bus are for reactions: a projection forgets, after a
		// while, which events it has applied.
		j.rule = newReaction(j, "Events", s.bus, s.pattern(p.Events, nil, false, 0),
			&ReactionProps{Queue: j.queue, Alarms: ReactionAlarms{Topic: topic, DeadLetters: p.Alarms.DeadLetters}})
		j.addAlarm(j.rule.alarm)
	}
	j.addHandler(s, id, p)
	j.rebuild = newRebuild(j, id, &p.Rebuild, p.Alarms.Rebuild, topic)
	return j
}

func (p *ProjectionProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(p.Function != nil, "Function", props.Unset, "a function that starts projection.Projection", "set it")
	props.Between(&c, "BatchSize", p.BatchSize, 1, 10)
	props.Between(&c, "MaxConcurrency", p.MaxConcurrency, 2, 1000)
	props.Between(&c, "Attempts", p.Attempts, 2, 1000)
	c.Require(p.ReadModel == nil || p.ReadModelProps == nil, "ReadModelProps", props.Words("set together with ReadModel"),
		"one of the two", "leave one out: the props change a new table only")
	for _, e := range p.Events {
		c.Require(e != "" && !strings.Contains(e, ","), "Events", e, "event types without a comma", "leave Events out for all")
	}
	c.Nested("Alarms", p.Alarms.check)
	if queue := p.DeadLetterQueue; queue != nil {
		c.Require(*queue.Fifo() == p.Ordered, "DeadLetterQueue", props.Words("of another kind than the projection's queue"),
			"a FIFO queue for an Ordered projection, a standard one for others", "SQS moves messages within one kind only")
	}
	c.Nested("Rebuild", func(c *props.Check) { p.Rebuild.check(c, p.Function) })
	c.Panic(scope, id)
}

func (j *Projection) addReadModel(s *EventStore, p *ProjectionProps) {
	if j.readModel = p.ReadModel; j.readModel != nil {
		j.key = j.readModel.EncryptionKey()
		return
	}
	j.key = s.key
	required := &awsdynamodb.TablePropsV2{
		PartitionKey:        text(schema.PK),
		SortKey:             text(schema.SK),
		TimeToLiveAttribute: jsii.String(schema.TTL),
	}
	j.readModel = defaults.Table(j, "ReadModel", s.key, p.ReadModelProps, required)
}

func (j *Projection) addQueue(s *EventStore, id string, p *ProjectionProps, topic awssns.ITopic) {
	dead := defaults.DeadLetters{For: "Events for the projection " + id, FIFO: p.Ordered, Alarm: p.Alarms.DeadLetters, Topic: topic}
	var deadAlarm awscloudwatch.CfnAlarm
	j.deadLetters, deadAlarm = defaults.WatchedDeadLetters(j, "DeadLetters", p.DeadLetterQueue, dead)
	// Lambda asks for six times the function's time-out, so that a message
	// does not come back while its batch is still being retried.
	timeout := construct.Or(j.handler.Timeout(), 30*time.Second)
	queue := &awssqs.QueueProps{
		VisibilityTimeout: construct.SharedDuration(j, 6*timeout),
		DeadLetterQueue: &awssqs.DeadLetterQueue{
			Queue:           j.deadLetters,
			MaxReceiveCount: jsii.Number(construct.Or(p.Attempts, 5)),
		},
	}
	if p.Ordered {
		queue.Fifo = jsii.Bool(true)
		queue.DeduplicationScope = awssqs.DeduplicationScope_MESSAGE_GROUP
		queue.FifoThroughputLimit = awssqs.FifoThroughputLimit_PER_MESSAGE_GROUP_ID
	}
	j.queue = defaults.Queue(j, "Queue", queue)
	j.addAlarm(deadAlarm)
	j.addAlarm(defaults.LagAlarm(j, "Lag", j.queue,
		"The projection "+id+" lags behind: its handler is slow, throttled or failing.", p.Alarms.Lag, topic))
}

func (j *Projection) addPipe(s *EventStore, id string, p *ProjectionProps, topic awssns.ITopic) {
	arn := construct.QueueArn(j.queue)
	j.pipe = newPipe(j, s, "the projection "+id, pipeTarget{
		arn:   arn,
		allow: defaults.Actions{"sqs:SendMessage"}.To(arn),
		parameters: &awspipes.CfnPipe_PipeTargetParametersProperty{
			SqsQueueParameters: &awspipes.CfnPipe_PipeTargetSqsQueueParametersProperty{
				MessageGroupId:         jsii.String("$.dynamodb.Keys." + schema.Stream + ".S"),
				MessageDeduplicationId: jsii.String("$.dynamodb.NewImage." + schema.Position + ".S"),
			},
		},
	}, p.Alarms.Pipe, topic)
	j.addAlarm(j.pipe.alarm)
	s.warnOfReaders(j)
}

func (j *Projection) addHandler(s *EventStore, id string, p *ProjectionProps) {
	take := defaults.Grant(j.handler, defaults.TakeMessages.To(construct.QueueArn(j.queue)))
	env := s.SealedEnvironment()
	defaults.Grant(j.handler, append(s.replay(), s.readSealed()...)...)
	if p.PersonalData {
		env = s.Environment()
		defaults.Grant(j.handler, s.readSubjects()...)
	}
	defaults.Grant(j.handler, defaults.Actions{"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem",
		"dynamodb:Scan", "dynamodb:UpdateItem"}.To(construct.TableArn(j.readModel)))
	if j.key != nil {
		defaults.Grant(j.handler, defaults.UseKey.To(construct.KeyArn(j.key)).If(defaults.Through("dynamodb")))
	}
	env[schema.EnvReadModel] = *construct.TableName(j.readModel)
	env[schema.EnvProjection] = id
	env[schema.EnvOrdered] = strconv.FormatBool(p.Ordered)
	env[schema.EnvEvents] = strings.Join(p.Events, ",")
	construct.SetEnvironment(j.handler, env)
	mapping := &awslambda.EventSourceMappingProps{
		Target:                  j.handler.Target(),
		EventSourceArn:          construct.QueueArn(j.queue),
		BatchSize:               jsii.Number(construct.Or(p.BatchSize, 10)),
		ReportBatchItemFailures: jsii.Bool(true),
	}
	if p.MaxConcurrency > 0 {
		mapping.MaxConcurrency = jsii.Number(p.MaxConcurrency)
	}
	made := awslambda.NewEventSourceMapping(j, jsii.String("Mapping"), mapping)
	if _, waits := j.handler.Lambda().(awslambda.Function); !waits {
		// Lambda refuses a mapping whose function may not take the messages. A function
		// of the stack waits for its role's policy, and the mapping for it.
		take.ApplyBefore(made)
	}
}

func (j *Projection) addAlarm(a awscloudwatch.CfnAlarm) {
	if a != nil {
		j.alarms = append(j.alarms, a)
	}
}

// GrantRead lets the grantee read the read model, and tells a
// *function.Function where it is, for projection.ModelFromEnv.
func (j *Projection) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, map[string]string{schema.EnvReadModel: *construct.TableName(j.readModel)})
	statements := []defaults.Statement{defaults.Actions{"dynamodb:GetItem", "dynamodb:Query"}.To(construct.TableArn(j.readModel))}
	if j.key != nil {
		statements = append(statements, defaults.ReadKey.To(construct.KeyArn(j.key)).If(defaults.Through("dynamodb")))
	}
	return defaults.Grant(grantee, statements...)
}

// ReadModel returns the table of the read model.
func (j *Projection) ReadModel() awsdynamodb.ITableV2 { return j.readModel }

// Queue returns the queue of the events to apply.
func (j *Projection) Queue() awssqs.IQueue { return j.queue }

// DeadLetterQueue returns the queue of the events that could not be applied.
func (j *Projection) DeadLetterQueue() awssqs.IQueue { return j.deadLetters }

// Rebuild returns the workflow that builds the read model anew.
func (j *Projection) Rebuild() *Rebuild { return j.rebuild }

// Alarms returns the alarms that were made.
func (j *Projection) Alarms() []awscloudwatch.CfnAlarm { return slices.Clone(j.alarms) }
