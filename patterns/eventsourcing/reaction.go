package eventsourcing

import (
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// ReactionProps says which events go where. Exactly one of Function, Queue,
// Topic, LogGroup and StateMachine is set.
type ReactionProps struct {
	// Events are the event types that are reacted to.
	//
	// Default: all.
	Events []string
	// Streams are prefixes of the names of the streams that are reacted to,
	// such as "cart-".
	//
	// Default: all.
	Streams []string
	// Replays reacts to events that are replayed from the bus's archive, too.
	// They carry the name of the replay.
	//
	// Default: to live events only.
	Replays bool
	// MaxHops guards against loops: an event that is the result of so many
	// reactions in a row is not reacted to any more. See schema.Hops.
	//
	// Default: 8.
	MaxHops int

	// Function is invoked asynchronously with the whole EventBridge event. Once
	// Lambda has accepted it, the function's own dead-letter queue is in charge.
	//
	// Default: none; exactly one target is set.
	Function *function.Function
	// Queue takes the whole event. It must be a standard queue: a rule cannot set
	// a message group by stream; for order use an ordered projection. If a
	// customer's key encrypts it, the key's policy must let events.amazonaws.com
	// use kms:Decrypt and kms:GenerateDataKey.
	//
	// Default: none; exactly one target is set.
	Queue awssqs.IQueue
	// Topic publishes the whole event. If a customer's key encrypts it, the key's
	// policy must let events.amazonaws.com use kms:Decrypt and kms:GenerateDataKey
	// without aws:SourceArn and aws:SourceAccount, which EventBridge does not tell
	// when it publishes; what limits it to your topics is ArnLike of
	// kms:EncryptionContext:aws:sns:topicArn. AWS's own key, alias/aws/sns, does not
	// let EventBridge use it at all.
	//
	// Default: none; exactly one target is set.
	Topic awssns.ITopic
	// LogGroup takes the whole event as a log line.
	//
	// Default: none; exactly one target is set.
	LogGroup awslogs.ILogGroup
	// StateMachine is started with the whole event as its input.
	//
	// Default: none; exactly one target is set.
	StateMachine awsstepfunctions.IStateMachine

	// MaxAge is how long EventBridge tries to deliver an event, 1m to 24h.
	//
	// Default: 24 hours.
	MaxAge time.Duration
	// Retries is how often EventBridge tries again, 0 to 185.
	//
	// Default: 185.
	Retries *int
	// DeadLetterQueue takes what could not be delivered. Under a customer's key it
	// needs what Queue does.
	//
	// Default: a new one, with an alarm, retained when the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// Alarms tunes the alarm of a new dead-letter queue.
	//
	// Default: it is made and notifies the event store's topic.
	Alarms ReactionAlarms
}

// ReactionAlarms tunes a reaction's alarm.
type ReactionAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: the event store's, or that of the cascade that it is added to.
	Topic awssns.ITopic
	// DeadLetters counts the events that could not be delivered.
	//
	// Default: one.
	DeadLetters alarm.Tuning
}

func (a ReactionAlarms) check(c *props.Check) {
	c.Nested("DeadLetters", a.DeadLetters.Check)
}

// Reaction is a rule on the bus with one target, which may do only what the
// target needs, and a dead-letter queue of its own: no reaction can hold up
// another.
type Reaction struct {
	constructs.Construct
	rule        awsevents.CfnRule
	ruleARN     *string
	deadLetters awssqs.IQueue
	alarm       awscloudwatch.CfnAlarm
	replays     bool
}

// AddReaction sends events from the bus to the target. An event arrives at
// least once and in no order; package projection's Once makes a handler
// idempotent that is not by nature. It panics with a *[props.Error] when the
// props are wrong.
func (s *EventStore) AddReaction(id string, p *ReactionProps) *Reaction {
	var c props.Check
	if p == nil {
		p = &ReactionProps{}
	}
	p.check(&c)
	c.Panic(s, id)
	own := *p
	own.Alarms.Topic = construct.Or(own.Alarms.Topic, s.alarmTopic)
	return newReaction(s, id, s.bus, s.pattern(p.Events, p.Streams, p.Replays, construct.Or(p.MaxHops, 8)), &own)
}

// pattern returns the event pattern of the store's own events.
func (s *EventStore) pattern(events, streams []string, replays bool, maxHops int) map[string]any {
	pattern := map[string]any{"source": []string{s.source}}
	if len(events) > 0 {
		pattern["detail-type"] = events
	}
	if !replays {
		pattern["replay-name"] = []any{map[string]any{"exists": false}}
	}
	detail := map[string]any{}
	if len(streams) > 0 {
		var prefixes []any
		for _, prefix := range streams {
			prefixes = append(prefixes, map[string]any{"prefix": prefix})
		}
		detail[schema.Stream] = prefixes
	}
	if maxHops > 0 {
		// Hops travel as text, which a numeric pattern would not match.
		var allowed []string
		for n := range maxHops {
			allowed = append(allowed, strconv.Itoa(n))
		}
		detail[schema.Hops] = allowed
	}
	if len(detail) > 0 {
		pattern["detail"] = detail
	}
	return pattern
}

func (p *ReactionProps) check(c *props.Check) {
	targets := 0
	for _, set := range []bool{p.Function != nil, p.Queue != nil, p.Topic != nil, p.LogGroup != nil, p.StateMachine != nil} {
		if set {
			targets++
		}
	}
	c.Require(targets == 1, "Function, Queue, Topic, LogGroup and StateMachine", props.Words(strconv.Itoa(targets)+" of them"),
		"exactly one", "add a reaction for each target")
	if p.Queue != nil && p.Queue.Fifo() != nil {
		c.Require(!*p.Queue.Fifo(), "Queue", props.Words("a FIFO queue"), "a standard queue", "use an ordered projection to keep the order")
	}
	props.Between(c, "MaxAge", p.MaxAge, time.Minute, 24*time.Hour)
	props.Between(c, "MaxHops", p.MaxHops, 1, 64)
	if p.Retries != nil {
		c.Require(*p.Retries >= 0 && *p.Retries <= 185, "Retries", *p.Retries, "0 to 185", "")
	}
	for _, e := range p.Events {
		c.Require(e != "", "Events", p.Events, "event types that are not empty", "leave Events out for all")
	}
	c.Nested("Alarms", p.Alarms.check)
}

// newReaction makes the rule; the props were checked.
func newReaction(scope constructs.Construct, id string, bus awsevents.IEventBus, pattern map[string]any, p *ReactionProps) *Reaction {
	r := &Reaction{replays: p.Replays}
	construct.Init(r, scope, id)
	r.deadLetters, r.alarm = defaults.WatchedDeadLetters(r, "DeadLetters", p.DeadLetterQueue,
		defaults.DeadLetters{For: "Events for the reaction " + id, Alarm: p.Alarms.DeadLetters, Topic: p.Alarms.Topic})
	retries := 185
	if p.Retries != nil {
		retries = *p.Retries
	}
	target := &awsevents.CfnRule_TargetProperty{
		Id:               jsii.String("Target"),
		Arn:              r.targetARN(p),
		DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: construct.QueueArn(r.deadLetters)},
		RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
			MaximumEventAgeInSeconds: jsii.Number(construct.Or(p.MaxAge, 24*time.Hour).Seconds()),
			MaximumRetryAttempts:     jsii.Number(retries),
		},
	}
	if p.StateMachine != nil {
		target.RoleArn = defaults.ServiceRole(r, "Role", "events.amazonaws.com",
			defaults.Actions{"states:StartExecution"}.To(target.Arn)).RoleArn()
	}
	r.rule = awsevents.NewCfnRule(r, jsii.String("Rule"), &awsevents.CfnRuleProps{
		EventBusName: construct.EventBusName(bus),
		EventPattern: pattern,
		Targets:      []any{target},
	})
	r.ruleARN = r.rule.AttrArn()
	r.allowDelivery(p, target.Arn)
	return r
}

func (r *Reaction) targetARN(p *ReactionProps) *string {
	switch {
	case p.Function != nil:
		return construct.FunctionArn(p.Function.Target())
	case p.Queue != nil:
		return construct.QueueArn(p.Queue)
	case p.Topic != nil:
		return construct.TopicArn(p.Topic)
	case p.LogGroup != nil:
		return logGroupARN(r, p.LogGroup)
	default:
		return p.StateMachine.StateMachineArn()
	}
}

// allowDelivery lets this rule, and no other, deliver to the target and to the
// dead-letter queue.
func (r *Reaction) allowDelivery(p *ReactionProps, target *string) {
	defaults.AllowEvents(r, r.deadLetters, "sqs:SendMessage", construct.QueueArn(r.deadLetters), r.ruleARN)
	switch {
	case p.Function != nil:
		awslambda.NewCfnPermission(r, jsii.String("Permission"), &awslambda.CfnPermissionProps{
			Action:       jsii.String("lambda:InvokeFunction"),
			FunctionName: target,
			Principal:    jsii.String("events.amazonaws.com"),
			SourceArn:    r.ruleARN,
		})
	case p.Queue != nil:
		defaults.AllowEvents(r, p.Queue, "sqs:SendMessage", target, r.ruleARN)
	case p.Topic != nil:
		defaults.AllowEvents(r, p.Topic, "sns:Publish", target, r.ruleARN)
	case p.LogGroup != nil:
		logPolicy(r, "LogPolicy", p.LogGroup, r.ruleARN)
	}
}

// Rule returns the rule.
func (r *Reaction) Rule() awsevents.CfnRule { return r.rule }

// DeadLetterQueue returns the queue of the events that could not be delivered.
func (r *Reaction) DeadLetterQueue() awssqs.IQueue { return r.deadLetters }

// DeadLettersAlarm returns the alarm of a new dead-letter queue, or nil.
func (r *Reaction) DeadLettersAlarm() awscloudwatch.CfnAlarm { return r.alarm }

// Alarms returns the alarms that were made: [Reaction.Alarm], or none.
func (r *Reaction) Alarms() []awscloudwatch.CfnAlarm { return defaults.Alarms(r.alarm) }
