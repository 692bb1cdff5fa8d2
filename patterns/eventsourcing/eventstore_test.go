package eventsourcing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/test/cdktest"
)

func TestEventStoreDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	eventsourcing.NewEventStore(stack, "Carts", nil)
	cdktest.Golden(t, stack)
}

func TestEventStoreAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	key := awskms.NewKey(stack, jsii.String("Key"), nil)
	eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{
		EncryptionKey: key,
		Table: awsdynamodb.TableV2_FromTableAttributes(stack, jsii.String("Table"), &awsdynamodb.TableAttributesV2{
			TableArn:       jsii.String("arn:aws:dynamodb:eu-west-1:123456789012:table/events"),
			TableStreamArn: jsii.String("arn:aws:dynamodb:eu-west-1:123456789012:table/events/stream/2026-01-01T00:00:00.000"),
		}),
		Payloads: awss3.Bucket_FromBucketName(stack, jsii.String("Bucket"), jsii.String("payloads")),
		Bus:      awsevents.EventBus_FromEventBusArn(stack, jsii.String("Bus"), jsii.String("arn:aws:events:eu-west-1:123456789012:event-bus/shop")),
	})
	cdktest.Golden(t, stack)
}

func TestEventStoreEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{
		Source: "shop.carts",
		TableProps: &awsdynamodb.TablePropsV2{
			Billing: awsdynamodb.Billing_Provisioned(&awsdynamodb.ThroughputProps{
				ReadCapacity:  awsdynamodb.Capacity_Fixed(jsii.Number(10)),
				WriteCapacity: awsdynamodb.Capacity_Autoscaled(&awsdynamodb.AutoscaledCapacityOptions{MaxCapacity: jsii.Number(100)}),
			}),
			DeletionProtection: jsii.Bool(false),
			// What the pattern rests on stays, whatever the user says.
			DynamoStream: awsdynamodb.StreamViewType_KEYS_ONLY,
			SortKey:      &awsdynamodb.Attribute{Name: jsii.String("other"), Type: awsdynamodb.AttributeType_STRING},
		},
		ArchiveRetention: 400 * 24 * time.Hour,
		Alarms: eventsourcing.EventStoreAlarms{
			Topic:  awssns.NewTopic(stack, jsii.String("Alarms"), nil),
			Outbox: alarm.Tuning{Threshold: jsii.Number(10)}, BusDeadLetters: alarm.Tuning{Periods: 2},
		},
	})
	role := awsiam.NewRole(stack, jsii.String("Clerk"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
	store.GrantForget(role)
	store.GrantReplay(handler(stack, "Reader"))
	store.GrantSnapshot(handler(stack, "Folder"))
	cdktest.Golden(t, stack)
}

// A principal that may append may insert and nothing else.
func TestGrantAppendInsertsOnly(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.GrantAppend(handler(stack, "Checkout"))
	template := cdktest.Synth(t, stack)
	table := template.One(t, "AWS::DynamoDB::GlobalTable", cdktest.Match{"StreamSpecification": cdktest.Any()})

	var actions []string
	for _, policy := range template.Resources("AWS::IAM::Policy") {
		for _, statement := range policy.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			s := statement.(map[string]any)
			if about(s["Resource"], table.ID) {
				for _, action := range list(s["Action"]) {
					if action == "*" || strings.HasPrefix(action, "dynamodb:") {
						actions = append(actions, action)
					}
				}
			}
		}
	}
	if !slices.Equal(actions, []string{"dynamodb:PartiQLInsert"}) {
		t.Errorf("the appender may %v the event table", actions)
	}

	deny := table.Properties["Replicas"].([]any)[0].(map[string]any)["ResourcePolicy"].(map[string]any)["PolicyDocument"].(map[string]any)["Statement"].([]any)[0].(map[string]any)
	for _, action := range []string{"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLUpdate", "PartiQLDelete"} {
		if deny["Effect"] != "Deny" || !slices.Contains(list(deny["Action"]), "dynamodb:"+action) {
			t.Errorf("the table's policy does not deny %s", action)
		}
	}
}

// about says whether the resource of a statement may be the one of that id.
func about(resource any, id string) bool {
	text := fmt.Sprint(resource)
	return resource == "*" || strings.Contains(text, id)
}

// A key that was imported takes no statement, so its owner is asked for it.
func TestEventStoreAsksForTheKey(t *testing.T) {
	for name, tt := range map[string]struct {
		key  func(awscdk.Stack) awskms.IKey
		want int
	}{
		"own": {func(stack awscdk.Stack) awskms.IKey { return awskms.NewKey(stack, jsii.String("Key"), nil) }, 0},
		"alias of its own": {func(stack awscdk.Stack) awskms.IKey {
			return awskms.NewKey(stack, jsii.String("Key"), nil).AddAlias(jsii.String("alias/carts"))
		}, 0},
		"imported": {func(stack awscdk.Stack) awskms.IKey {
			return awskms.Key_FromKeyArn(stack, jsii.String("Key"), jsii.String("arn:aws:kms:eu-west-1:123456789012:key/k"))
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			eventsourcing.NewEventStore(stack, "Carts", &eventsourcing.EventStoreProps{EncryptionKey: tt.key(stack)})
			found := *assertions.Annotations_FromStack(stack).FindWarning(jsii.String("*"), assertions.Match_StringLikeRegexp(
				jsii.String(`^the policy of the key Test/Key, which was imported, is not changed: see that it has the statement .*"Sid":"(DescribeForArchive|Archive)"`)))
			if len(found) != tt.want {
				t.Errorf("%d statements are asked for, want %d", len(found), tt.want)
			}
		})
	}
}

func TestEventStoreIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	cdktest.IsConstruct(t, store)
}

func TestEventStoreRejects(t *testing.T) {
	for name, tt := range map[string]struct {
		props eventsourcing.EventStoreProps
		want  []string
	}{
		"source":  {eventsourcing.EventStoreProps{Source: "my carts"}, []string{"Test/source: wrong props", `Source is "my carts"`, "letters, digits"}},
		"aws":     {eventsourcing.EventStoreProps{Source: "aws.carts"}, []string{"EventBridge keeps that prefix"}},
		"archive": {eventsourcing.EventStoreProps{ArchiveRetention: time.Hour}, []string{"ArchiveRetention is 1h0m0s; allowed is whole days"}},
		"alarm": {eventsourcing.EventStoreProps{Alarms: eventsourcing.EventStoreAlarms{Outbox: alarm.Tuning{Periods: -1}, BusDeadLetters: alarm.Tuning{Periods: -2}}},
			[]string{"Alarms.Outbox.Periods is -1", "Alarms.BusDeadLetters.Periods is -2"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			cdktest.Rejects(t, func() { eventsourcing.NewEventStore(stack, name, &tt.props) }, tt.want...)
			cdktest.Synth(t, stack).Count(t, "", 0)
		})
	}
}
