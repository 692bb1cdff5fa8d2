package eventsourcing

import (
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
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

// CascadeProps says what a cascade starts with.
type CascadeProps struct {
	// Alarm starts the cascade when it goes off. It must be in the region and
	// account of the event store, on whose default bus its changes arrive.
	// Required by [EventStore.AddCascade]; a detector's cascade has the
	// detector's.
	Alarm awscloudwatch.IAlarm
	// Name tells the cascade from others, 1 to 64 letters, digits and . - _.
	// With schema.CascadePrefix before it, it is the origin of the events that
	// its remedies append.
	//
	// Default: the id of the detector, or of the cascade of a store.
	Name string
	// GuardTable keeps the cool-downs and budgets, keyed by schema.GuardKey,
	// with schema.TTL as its time to live. Cascades can share one.
	//
	// Default: a new one, made with the first remediation and deleted with its
	// stack: what it knows is worth nothing after the longest window.
	GuardTable awsdynamodb.ITableV2
	// DeadLetterQueue takes the alarm's changes that could not be forwarded to
	// the store's bus within 24 hours.
	//
	// Default: a new one, with an alarm, retained when the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// Alarms tunes the alarm of a new dead-letter queue.
	//
	// Default: it is made and notifies the event store's topic.
	Alarms CascadeAlarms
}

// CascadeAlarms tunes a cascade's alarm.
type CascadeAlarms struct {
	// Topic is told when an alarm goes off and when it is over. It is the
	// default for the reactions of the cascade.
	//
	// Default: the event store's.
	Topic awssns.ITopic
	// DeadLetters counts the alarm's changes that could not be forwarded.
	//
	// Default: one.
	DeadLetters alarm.Tuning
}

func (a CascadeAlarms) check(c *props.Check) {
	c.Nested("DeadLetters", a.DeadLetters.Check)
}

// Cascade makes an alarm an event like any other: when it goes off, its change
// of state is forwarded from the default bus to the event store's bus, where
// independent reactions pick it up. Nobody orchestrates them. Each has its own
// rule, permission, retries and dead-letter queue, so that none can hold up
// another, and more can be added without touching those that are there.
//
// CloudWatch sends one event when the alarm goes off and none while it stays
// on; a reaction happens once for an anomaly, however long it lasts.
//
// # Loop guard
//
// A remedy changes the system that the alarm watches, and must not set it off
// again for ever. Three guards stand in its way, each enough for the common
// case, each where the others cannot see:
//
//   - The origin. What a remedy appends with the context that the guard of
//     package cascade gives it names the cascade as its origin, and the
//     detector's rules do not match origins that begin with
//     schema.CascadePrefix. So no remedy counts towards its own alarm or that
//     of another cascade.
//   - The hops. What follows from a remedy through further reactions has other
//     origins, but two hops at least, and the detector's rules match events of
//     fewer than AnomalyDetectorProps.MaxHops only. Reactions of the store
//     stop at ReactionProps.MaxHops.
//   - The guard table. Should an event have lost its origin and hops, because
//     somebody appended it without the context, the cool-down spaces the
//     remedies of one thing, and the budget caps those of a window.
//
// Changes of the alarm that are replayed from an archive reach no reaction.
//
// Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html.
type Cascade struct {
	constructs.Construct
	store       *EventStore
	name        string
	pattern     map[string]any
	rule        awsevents.CfnRule
	deadLetters awssqs.IQueue
	deadAlarm   awscloudwatch.CfnAlarm
	guard       awsdynamodb.ITableV2
	guardKey    awskms.IKey // nil if AWS owns it
	alarmTopic  awssns.ITopic
}

// AddCascade makes reactions to an alarm of the user's own possible. For an
// alarm of a detector use [AnomalyDetector.AddCascade]. Of the loop guard, an
// alarm on other metrics has the guard table alone. It panics with a
// *[props.Error] when the props are wrong.
func (s *EventStore) AddCascade(id string, p *CascadeProps) *Cascade {
	own := CascadeProps{}
	if p != nil {
		own = *p
	}
	var c props.Check
	c.Require(own.Alarm != nil, "Alarm", props.Unset, "an alarm", "set it, or call AddCascade of an anomaly detector")
	own.Name = construct.Or(own.Name, id)
	own.check(&c)
	s.checkBus(&c)
	c.Panic(s, id)
	return newCascade(s, id, s, own.Alarm.AlarmArn(), &own)
}

var cascadeName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (p *CascadeProps) check(c *props.Check) {
	c.Require(cascadeName.MatchString(p.Name), "Name", p.Name, "1 to 64 letters, digits and . - _", "")
	c.Nested("Alarms", p.Alarms.check)
}

func newCascade(scope constructs.Construct, id string, store *EventStore, alarmARN *string, p *CascadeProps) *Cascade {
	c := &Cascade{
		store:      store,
		name:       schema.CascadePrefix + p.Name,
		pattern:    wentOff(alarmARN),
		guard:      p.GuardTable,
		alarmTopic: construct.Or(p.Alarms.Topic, store.alarmTopic),
	}
	construct.Init(c, scope, id)
	if c.guard != nil {
		c.guardKey = c.guard.EncryptionKey()
	}
	c.deadLetters, c.deadAlarm = defaults.WatchedDeadLetters(c, "DeadLetters", p.DeadLetterQueue,
		defaults.DeadLetters{For: "Anomalies for the bus", Alarm: p.Alarms.DeadLetters, Topic: c.alarmTopic})
	bus, dead := construct.EventBusArn(store.bus), construct.QueueArn(c.deadLetters)
	role := defaults.ServiceRole(c, "Role", "events.amazonaws.com",
		defaults.Actions{"events:PutEvents"}.To(bus))
	c.rule = awsevents.NewCfnRule(c, jsii.String("Rule"), &awsevents.CfnRuleProps{
		Description:  jsii.String("Forwards the alarm to the bus of " + store.source + "."),
		EventPattern: c.pattern, // of the default bus, where AWS's own events arrive
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Id:               jsii.String("Bus"),
			Arn:              bus,
			RoleArn:          role.RoleArn(),
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: dead},
			RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number((24 * time.Hour).Seconds()),
				MaximumRetryAttempts:     jsii.Number(185),
			},
		}},
	})
	defaults.AllowEvents(c, c.deadLetters, "sqs:SendMessage", dead, c.rule.AttrArn())
	return c
}

// wentOff returns the pattern of the alarm's going off.
func wentOff(alarmARN *string) map[string]any {
	return map[string]any{
		"source":      []string{"aws.cloudwatch"},
		"detail-type": []string{"CloudWatch Alarm State Change"},
		"resources":   []*string{alarmARN},
		"replay-name": []any{map[string]any{"exists": false}},
		"detail":      map[string]any{"state": map[string]any{"value": []string{"ALARM"}}},
	}
}

// AddReaction sends the alarm's going off to a target: an alert to a topic, a
// line to a log group. The target gets CloudWatch's event, whole. Events,
// Streams, MaxHops and Replays of the props stay unset. It panics with a
// *[props.Error] when the props are wrong.
//
// For a function that mends something use [Cascade.AddRemediation].
func (c *Cascade) AddReaction(id string, p *ReactionProps) *Reaction {
	if p == nil {
		p = &ReactionProps{}
	}
	var check props.Check
	p.check(&check)
	chosen := len(p.Events) > 0 || len(p.Streams) > 0 || p.MaxHops != 0 || p.Replays
	check.Require(!chosen, "Events, Streams, MaxHops and Replays", props.Words("set"), "none of them: the alarm is the event",
		"leave them out")
	check.Panic(c, id)
	return c.react(id, *p)
}

func (c *Cascade) react(id string, p ReactionProps) *Reaction {
	p.Alarms.Topic = construct.Or(p.Alarms.Topic, c.alarmTopic)
	return newReaction(c, id, c.store.bus, c.pattern, &p)
}

// RemediationProps says what mends the anomaly, and how often it may.
type RemediationProps struct {
	// Function mends, under a Guard of package cascade (cascade.FromEnv).
	// Required. It can serve one cascade only, for its environment names it.
	// An adopted function's owner must set the environment variables that
	// package schema names.
	Function *function.Function
	// CoolDown is how long a thing that was mended, such as a cart, is left
	// alone, 1s to 30 days.
	//
	// Default: 15 minutes.
	CoolDown time.Duration
	// Budget is the most things that are mended in one Window.
	//
	// Default: 10.
	Budget int
	// Window is the time that the Budget is for, 1m to 30 days. Windows start
	// at fixed times, an hour at the full hour, a day at midnight UTC: around
	// the border of two, both budgets can be spent.
	//
	// Default: 1 hour.
	Window time.Duration
	// MaxHops is how many automatic reactions may lead to an event that is
	// mended, 1 to 64. An alarm has none; the limit is for functions that
	// guard single events.
	//
	// Default: 3.
	MaxHops int

	// MaxAge is how long EventBridge tries to deliver the alarm, 1m to 24h: a
	// remedy that comes too late may do harm.
	//
	// Default: the cool-down, within these limits.
	MaxAge time.Duration
	// Retries is how often EventBridge tries again, 0 to 185.
	//
	// Default: 185.
	Retries *int
	// DeadLetterQueue takes the alarms that could not be delivered.
	//
	// Default: a new one, with an alarm, retained when the stack is destroyed.
	DeadLetterQueue awssqs.IQueue
	// Alarms tunes the alarm of a new dead-letter queue.
	//
	// Default: it is made and notifies the cascade's topic.
	Alarms ReactionAlarms
}

// AddRemediation has a function mend the anomaly, within the cool-down and the
// budget. The function gets the guard table, the permission to write it, and
// the environment that cascade.FromEnv reads. It panics with a *[props.Error]
// when the props are wrong.
func (c *Cascade) AddRemediation(id string, p *RemediationProps) *Reaction {
	if p == nil {
		p = &RemediationProps{}
	}
	coolDown := construct.Or(p.CoolDown, 15*time.Minute)
	reaction := ReactionProps{
		Function: p.Function, MaxAge: construct.Or(p.MaxAge, min(max(coolDown, time.Minute), 24*time.Hour)),
		Retries: p.Retries, DeadLetterQueue: p.DeadLetterQueue, Alarms: p.Alarms,
	}
	var check props.Check
	check.Require(p.Function != nil, "Function", props.Unset, "a function", "set the one that mends")
	props.Between(&check, "CoolDown", p.CoolDown, time.Second, 30*24*time.Hour)
	check.Require(p.Budget >= 0, "Budget", p.Budget, "1 or more, or 0 for the default", "")
	props.Between(&check, "Window", p.Window, time.Minute, 30*24*time.Hour)
	if p.Function != nil {
		reaction.check(&check)
	}
	props.Between(&check, "MaxHops", p.MaxHops, 1, 64)
	check.Panic(c, id)

	c.guarded(p.Function)
	construct.SetEnvironment(p.Function, map[string]string{
		schema.EnvCascade:      c.name,
		schema.EnvCoolDown:     coolDown.String(),
		schema.EnvBudget:       strconv.Itoa(construct.Or(p.Budget, 10)),
		schema.EnvBudgetWindow: construct.Or(p.Window, time.Hour).String(),
		schema.EnvMaxHops:      strconv.Itoa(construct.Or(p.MaxHops, 3)),
	})
	return c.react(id, reaction)
}

// guarded lets the function keep its cool-downs and budget in the guard table.
func (c *Cascade) guarded(fn *function.Function) {
	if c.guard == nil {
		c.guardKey = c.store.key
		c.guard = defaults.Table(c, "Guard", c.guardKey, &awsdynamodb.TablePropsV2{
			DeletionProtection: jsii.Bool(false),
			PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
				PointInTimeRecoveryEnabled: jsii.Bool(false),
			},
			RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
		}, &awsdynamodb.TablePropsV2{
			PartitionKey:        text(schema.GuardKey),
			TimeToLiveAttribute: jsii.String(schema.TTL),
		})
	}
	fn.AddEnvironment(schema.EnvGuardTable, *construct.TableName(c.guard))
	defaults.Grant(fn, defaults.Actions{"dynamodb:UpdateItem"}.To(construct.TableArn(c.guard)))
	if c.guardKey != nil {
		defaults.Grant(fn, defaults.UseKey.To(construct.KeyArn(c.guardKey)).If(defaults.Through("dynamodb")))
	}
}

// Name returns the origin of the events that the cascade's remedies append:
// schema.CascadePrefix and the name.
func (c *Cascade) Name() string { return c.name }

// Rule returns the rule on the default bus that forwards the alarm.
func (c *Cascade) Rule() awsevents.CfnRule { return c.rule }

// DeadLetterQueue returns the queue of the alarms that could not be forwarded.
func (c *Cascade) DeadLetterQueue() awssqs.IQueue { return c.deadLetters }

// DeadLettersAlarm returns the alarm of a new dead-letter queue, or nil.
func (c *Cascade) DeadLettersAlarm() awscloudwatch.CfnAlarm { return c.deadAlarm }

// Alarms returns the alarms that were made: [Cascade.DeadLettersAlarm], or
// none. Reactions that are added have their own.
func (c *Cascade) Alarms() []awscloudwatch.CfnAlarm { return defaults.Alarms(c.deadAlarm) }

// GuardTable returns the guard table, nil while there is neither a remediation
// nor a table of the user's.
func (c *Cascade) GuardTable() awsdynamodb.ITableV2 { return c.guard }
