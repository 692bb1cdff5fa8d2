package eventsourcing

import (
	"regexp"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// EventStoreProps says where events are kept and how they leave.
type EventStoreProps struct {
	// Source is the EventBridge source of the store's events, 1 to 128 letters,
	// digits and . - _ /.
	//
	// Default: "eventstore." and the construct's id.
	Source string
	// EncryptionKey encrypts all that the store makes and wraps the keys of
	// the subjects. The policy of a key of this app is changed so that EventBridge
	// may use it for bus and archive. That of an imported one
	// (awskms.Key_FromKeyArn) is not, and a warning shows the statements that it
	// must have: events.amazonaws.com may use kms:Decrypt, kms:DescribeKey,
	// kms:GenerateDataKey, kms:ReEncryptFrom and kms:ReEncryptTo with the bus as
	// kms:EncryptionContext:aws:events:event-bus:arn, and kms:DescribeKey without.
	//
	// Default: a new key, rotated yearly, retained when the stack is destroyed.
	EncryptionKey awskms.IKey

	// Table is the event table, if it exists already. It must have the keys
	// that package schema names, the index schema.StreamIndex and a stream of
	// new images.
	//
	// Default: a new one: on demand, point-in-time recovery, deletion
	// protection, retained when the stack is destroyed, and with a policy that
	// denies everybody to change or delete an event.
	Table awsdynamodb.ITableV2
	// TableProps changes a new table, its billing for one. What the pattern
	// rests on (keys, index, stream, policy, encryption) cannot be changed.
	//
	// Default: on demand, point-in-time recovery, deletion protection, retained
	// when the stack is destroyed.
	TableProps *awsdynamodb.TablePropsV2
	// Payloads is the bucket for payloads too large for an item.
	//
	// Default: a new one, private, versioned, retained.
	Payloads awss3.IBucket

	// Bus takes the events.
	//
	// Default: a new one.
	Bus awsevents.IEventBus
	// ArchiveRetention is how long the bus's archive keeps events for replay,
	// in whole days. It costs 0.10 USD a GB taken in and 0.023 USD a GB and
	// month (us-east-1); the events themselves stay in the table for ever.
	//
	// Default: 90 days.
	ArchiveRetention time.Duration

	// Alarms tunes the alarms.
	//
	// Default: all are made and notify nobody.
	Alarms EventStoreAlarms
}

// EventStoreAlarms tunes an event store's alarms.
type EventStoreAlarms struct {
	// Topic is told when an alarm goes off and when it is over. It is the
	// default for what is added to the store.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Outbox counts the positions of events that the outbox could not publish.
	//
	// Default: one.
	Outbox alarm.Tuning
	// BusDeadLetters counts the events that a new bus could not encrypt or decrypt.
	//
	// Default: one.
	BusDeadLetters alarm.Tuning
}

func (a EventStoreAlarms) check(c *props.Check) {
	c.Nested("Outbox", a.Outbox.Check)
	c.Nested("BusDeadLetters", a.BusDeadLetters.Check)
}

// EventStore keeps the events of many streams in one table, for ever and
// unchanged, and publishes each of them on a bus.
//
// Immutability is enforced by IAM twice. Those with [EventStore.GrantAppend]
// may insert and nothing else: they get dynamodb:PartiQLInsert, which fails on
// an item that exists, where PutItem would overwrite it. And the table's own
// policy denies everybody, administrators included, to put, update or delete
// an item. Personal data is erased all the same, by destroying the key it is
// encrypted with (see package eventlog).
//
// Every event reaches the bus at least once. Should EventBridge refuse one for
// hours, its position in the table's stream lands in a dead-letter queue whose
// alarm goes off; the event itself stays in the table.
//
// Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html,
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes.html.
type EventStore struct {
	constructs.Construct
	source     string
	key        awskms.IKey
	table      awsdynamodb.ITableV2
	subjects   awsdynamodb.TableV2
	payloads   awss3.IBucket
	bus        awsevents.IEventBus
	busName    *string                // nil when adopted
	busAlarm   awscloudwatch.CfnAlarm // nil when adopted
	archive    awsevents.CfnArchive
	outbox     *pipe
	alarmTopic awssns.ITopic
	readers    int // of the table's stream
	tableARN   *string
	keyARN     *string
}

// NewEventStore makes an event store. It panics with a *[props.Error] when the
// props are wrong; nil props are right.
func NewEventStore(scope constructs.Construct, id string, p *EventStoreProps) *EventStore {
	if p == nil {
		p = &EventStoreProps{}
	}
	p.check(scope, id)
	s := &EventStore{source: construct.Or(p.Source, "eventstore."+id), alarmTopic: p.Alarms.Topic}
	construct.Init(s, scope, id)

	if s.key = p.EncryptionKey; s.key == nil {
		s.key = defaults.Key(s, "Key", "Encrypts the event store "+construct.Path(s)+".")
	}
	s.keyARN = construct.KeyArn(s.key)
	if s.table = p.Table; s.table == nil {
		s.table = s.newTable(p.TableProps)
	}
	s.tableARN = construct.TableArn(s.table)
	s.subjects = s.newSubjects()
	if s.payloads = p.Payloads; s.payloads == nil {
		s.payloads = defaults.Bucket(s, "Payloads", &awss3.BucketProps{EncryptionKey: s.key})
	}
	if s.bus = p.Bus; s.bus == nil {
		s.busName = awscdk.Names_UniqueResourceName(s, &awscdk.UniqueResourceNameOptions{MaxLength: jsii.Number(256)})
		s.bus = s.newBus(s.busName, p.Alarms.BusDeadLetters)
	}
	s.archive = s.newArchive(p)
	s.outbox = newOutbox(s, p.Alarms.Outbox)
	return s
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,128}$`)

func (p *EventStoreProps) check(scope constructs.Construct, id string) {
	var c props.Check
	source := construct.Or(p.Source, "eventstore."+id)
	c.Require(sourceName.MatchString(source), "Source", source, "1 to 128 letters, digits and . - _ /", "")
	c.Require(len(source) < 4 || source[:4] != "aws.", "Source", source, "a name that does not start with \"aws.\"",
		"EventBridge keeps that prefix to itself")
	c.Require(p.ArchiveRetention >= 0 && p.ArchiveRetention%(24*time.Hour) == 0, "ArchiveRetention", p.ArchiveRetention,
		"whole days", "")
	c.Require(p.Table == nil || p.TableProps == nil, "TableProps", props.Words("set together with Table"), "one of the two",
		"leave one out: the props change a new table only")
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

func (s *EventStore) newTable(user *awsdynamodb.TablePropsV2) awsdynamodb.TableV2 {
	required := &awsdynamodb.TablePropsV2{
		PartitionKey: text(schema.Stream),
		SortKey:      &awsdynamodb.Attribute{Name: jsii.String(schema.Version), Type: awsdynamodb.AttributeType_NUMBER},
		DynamoStream: awsdynamodb.StreamViewType_NEW_IMAGE,
		GlobalSecondaryIndexes: &[]*awsdynamodb.GlobalSecondaryIndexPropsV2{{
			IndexName:      jsii.String(schema.StreamIndex),
			PartitionKey:   text(schema.Shard),
			SortKey:        text(schema.Opened),
			ProjectionType: awsdynamodb.ProjectionType_KEYS_ONLY,
		}},
		// It wins over whatever an identity is allowed, an administrator's too.
		ResourcePolicy: defaults.Document(defaults.Statement{
			"Sid":       "EventsAreImmutable",
			"Effect":    "Deny",
			"Principal": map[string]any{"AWS": "*"},
			"Action": []string{"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PartiQLDelete",
				"dynamodb:PartiQLUpdate", "dynamodb:PutItem", "dynamodb:UpdateItem"},
			"Resource": "*", // the table itself: its ARN would be a circular reference
		}),
	}
	return defaults.Table(s, "Events", s.key, user, required)
}

// newSubjects makes the table of the subjects' keys. A restore of the table
// brings back keys that were destroyed, so it goes back a week and no further:
// long enough to notice a loss, and well within the month that the GDPR gives
// for an erasure (article 12).
func (s *EventStore) newSubjects() awsdynamodb.TableV2 {
	return defaults.Table(s, "Subjects", s.key, nil, &awsdynamodb.TablePropsV2{
		PartitionKey: text(schema.SubjectKey),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
			RecoveryPeriodInDays:       jsii.Number(7),
		},
	})
}

// newBus makes a bus encrypted with the store's key. An event that EventBridge
// cannot encrypt or decrypt, because the key is disabled for one, goes to the
// bus's own dead-letter queue.
func (s *EventStore) newBus(name *string, t alarm.Tuning) awsevents.EventBus {
	var queue awssqs.IQueue
	queue, s.busAlarm = defaults.WatchedDeadLetters(s, "BusDeadLetters", nil,
		defaults.DeadLetters{For: "Events that the bus could not encrypt or decrypt", Alarm: t, Topic: s.alarmTopic})
	bus := awsevents.NewEventBus(s, jsii.String("Bus"), &awsevents.EventBusProps{
		EventBusName:    name,
		KmsKey:          s.key,
		DeadLetterQueue: queue,
	})
	defaults.AllowEvents(s, queue, "sqs:SendMessage", construct.QueueArn(queue), construct.EventBusArn(bus))
	return bus
}

// newArchive makes the bus's archive. The CDK's own Archive would name the bus
// in the key's policy by its attribute, and so make bus and key wait for each
// other.
func (s *EventStore) newArchive(p *EventStoreProps) awsevents.CfnArchive {
	name := "*"
	if s.busName != nil {
		name = *s.busName
	}
	defaults.AllowServiceKey(s, s.key, "events.amazonaws.com", defaults.Statement{
		"Sid":      "Archive",
		"Effect":   "Allow",
		"Action":   []string{"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
		"Resource": "*", // of a key's policy: this key
		"Condition": map[string]any{"ArnLike": map[string]any{
			"kms:EncryptionContext:aws:events:event-bus:arn": defaults.Sub(
				"arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/" + name),
		}},
	})
	defaults.AllowServiceKey(s, s.key, "events.amazonaws.com", defaults.Statement{
		"Sid":      "DescribeForArchive", // comes without an encryption context
		"Effect":   "Allow",
		"Action":   "kms:DescribeKey",
		"Resource": "*",
	})
	return awsevents.NewCfnArchive(s, jsii.String("Replays"), &awsevents.CfnArchiveProps{
		SourceArn:        construct.EventBusArn(s.bus),
		EventPattern:     map[string]any{"source": []string{s.source}},
		Description:      jsii.String("Keeps the events of " + s.source + " for replay to reactions."),
		KmsKeyIdentifier: s.keyARN,
		RetentionDays:    jsii.Number(construct.Or(p.ArchiveRetention, 90*24*time.Hour).Hours() / 24),
	})
}

func text(name string) *awsdynamodb.Attribute {
	return &awsdynamodb.Attribute{Name: &name, Type: awsdynamodb.AttributeType_STRING}
}

// Table returns the event table.
func (s *EventStore) Table() awsdynamodb.ITableV2 { return s.table }

// Subjects returns the table of the subjects' wrapped data keys.
func (s *EventStore) Subjects() awsdynamodb.ITableV2 { return s.subjects }

// Payloads returns the bucket of large payloads.
func (s *EventStore) Payloads() awss3.IBucket { return s.payloads }

// Bus returns the bus that the events are published on.
func (s *EventStore) Bus() awsevents.IEventBus { return s.bus }

// BusArchive returns the bus's archive, of which replays are made.
func (s *EventStore) BusArchive() awsevents.CfnArchive { return s.archive }

// EncryptionKey returns the key.
func (s *EventStore) EncryptionKey() awskms.IKey { return s.key }

// Source returns the EventBridge source of the store's events.
func (s *EventStore) Source() string { return s.source }

// Alarms returns the alarms that were made: those of the outbox and of a new
// bus. Projections and all else that is added have their own.
func (s *EventStore) Alarms() []awscloudwatch.CfnAlarm {
	return defaults.Alarms(s.outbox.alarm, s.busAlarm)
}
