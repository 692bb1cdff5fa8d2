package eventsourcing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/test/cdktest"
)

func analyst(scope constructs.Construct) awsiam.Role {
	return awsiam.NewRole(scope, jsii.String("Analyst"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
}

func TestArchiveDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.AddArchive("LongTerm", nil).GrantQuery(analyst(stack))
	cdktest.Golden(t, stack)
}

func TestArchiveAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	store.AddArchive("LongTerm", &eventsourcing.ArchiveProps{
		Bucket:          awss3.NewBucket(stack, jsii.String("Files"), nil),
		Results:         awss3.Bucket_FromBucketName(stack, jsii.String("Answers"), jsii.String("answers")),
		EncryptionKey:   awskms.NewKey(stack, jsii.String("Key"), nil),
		DeadLetterQueue: awssqs.NewQueue(stack, jsii.String("Dead"), nil),
	}).GrantQuery(analyst(stack))
	cdktest.Golden(t, stack)
}

func TestArchiveEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	archive := store.AddArchive("LongTerm", &eventsourcing.ArchiveProps{
		Events:          []string{"CartOpened", "CartAbandoned", schema.TombstoneType},
		Interval:        15 * time.Minute,
		BucketProps:     &awss3.BucketProps{RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, TransferAcceleration: jsii.Bool(true)},
		ColdAfter:       30 * 24 * time.Hour,
		Retention:       3650 * 24 * time.Hour,
		ObjectLock:      awss3.ObjectLockRetention_Governance(awscdk.Duration_Days(jsii.Number(365))),
		AccessLogs:      awss3.NewBucket(stack, jsii.String("AccessLogs"), nil),
		EncryptionKey:   awskms.NewKey(stack, jsii.String("Key"), nil),
		ScanLimit:       50,
		Since:           time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC),
		ResultRetention: 24 * time.Hour,
		Alarms: eventsourcing.ArchiveAlarms{
			Topic:             awssns.NewTopic(stack, jsii.String("Alarms"), nil),
			Freshness:         alarm.Tuning{Threshold: jsii.Number(7200)},
			FailedConversions: alarm.Tuning{Period: 5 * time.Minute},
			Partitions:        alarm.Tuning{Off: true},
		},
	})
	archive.GrantQuery(handler(stack, "Report"))
	if n := len(archive.Alarms()); n != 3 {
		t.Errorf("%d alarms, want 3: dead letters, freshness, conversions", n)
	}
	cdktest.Golden(t, stack)
}

func TestArchiveIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	archive := eventsourcing.NewEventStore(stack, "Carts", nil).AddArchive("LongTerm", nil)
	cdktest.IsConstruct(t, archive)
}

// The columns are what Firehose finds in an envelope, and the partitions are
// the rest: nothing that travels is lost on the way to the file.
func TestArchiveKeepsTheEnvelope(t *testing.T) {
	stack := cdktest.NewStack(t)
	eventsourcing.NewEventStore(stack, "Carts", nil).AddArchive("LongTerm", nil)
	template := cdktest.Synth(t, stack)
	input := template.One(t, "AWS::Glue::Table", cdktest.Match{}).Properties["TableInput"].(map[string]any)
	var kept []string
	for _, columns := range []any{input["StorageDescriptor"].(map[string]any)["Columns"], input["PartitionKeys"]} {
		for _, c := range columns.([]any) {
			name := c.(map[string]any)["Name"].(string)
			if slices.Contains(kept, name) {
				t.Errorf("%s is a column twice, which Athena refuses", name)
			}
			kept = append(kept, name)
		}
	}
	for _, attribute := range schema.EnvelopeAttributes() {
		if !slices.Contains(kept, strings.ToLower(attribute[0])) {
			t.Errorf("%s is lost", attribute[0])
		}
	}
	if n := len(schema.EnvelopeAttributes()) + 1; len(kept) != n {
		t.Errorf("%d columns and partitions, want the envelope and the day, %d: %v", len(kept), n, kept)
	}
}

// Whoever may query may not change the archive, and reads nothing else of the
// buckets.
func TestGrantQueryReadsOnly(t *testing.T) {
	stack := cdktest.NewStack(t)
	archive := eventsourcing.NewEventStore(stack, "Carts", nil).AddArchive("LongTerm", nil)
	archive.GrantQuery(analyst(stack))
	template := cdktest.Synth(t, stack)
	policy := template.One(t, "AWS::IAM::Policy", cdktest.Match{
		"Roles": []any{cdktest.Match{"Ref": cdktest.Pattern("^Analyst")}}})
	files := bucketID(t, template, "LongTermBucket")
	for _, statement := range policy.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
		s := statement.(map[string]any)
		if s["Resource"] == "*" {
			t.Errorf("%v on everything", s["Action"])
		}
		for _, action := range list(s["Action"]) {
			writes := strings.Contains(action, "Put") || strings.Contains(action, "Delete") || strings.Contains(action, "Update")
			if writes && about(s["Resource"], files) {
				t.Errorf("the analyst may %s on the archive", action)
			}
		}
	}
}

func bucketID(t *testing.T, template cdktest.Template, part string) string {
	t.Helper()
	for _, bucket := range template.Resources("AWS::S3::Bucket") {
		if strings.Contains(bucket.ID, part) {
			return bucket.ID
		}
	}
	t.Fatalf("no bucket with %s in its id", part)
	return ""
}

func TestArchiveRejects(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		props func(constructs.Construct) *eventsourcing.ArchiveProps
		want  []string
	}{
		"events": {func(constructs.Construct) *eventsourcing.ArchiveProps {
			return &eventsourcing.ArchiveProps{Events: []string{"A,B"}}
		}, []string{"Test/Carts/events: wrong props", `Events[0] is "A,B"; allowed is an event type without commas`}},
		"interval": {func(constructs.Construct) *eventsourcing.ArchiveProps {
			return &eventsourcing.ArchiveProps{Interval: time.Hour}
		}, []string{"Interval is 1h0m0s; allowed is 1m0s to 15m0s"}},
		"everything": {func(constructs.Construct) *eventsourcing.ArchiveProps {
			return &eventsourcing.ArchiveProps{ScanLimit: 1, ColdAfter: time.Hour, Retention: -day,
				Alarms: eventsourcing.ArchiveAlarms{Partitions: alarm.Tuning{Periods: -1}}}
		}, []string{"ScanLimit is 1; allowed is 10 or more", "ColdAfter is 1h0m0s; allowed is whole days",
			"Retention is -24h0m0s", "Alarms.Partitions.Periods is -1"}},
		"cold": {func(constructs.Construct) *eventsourcing.ArchiveProps {
			return &eventsourcing.ArchiveProps{ColdAfter: 30 * day, Retention: 30 * day}
		}, []string{"ColdAfter is 720h0m0s; allowed is less than Retention"}},
		"lock": {func(constructs.Construct) *eventsourcing.ArchiveProps {
			return &eventsourcing.ArchiveProps{Retention: 30 * day,
				ObjectLock: awss3.ObjectLockRetention_Compliance(awscdk.Duration_Days(jsii.Number(31)))}
		}, []string{"ObjectLock is 744h0m0s; allowed is at most Retention", "lock them for less"}},
		"adopted": {func(stack constructs.Construct) *eventsourcing.ArchiveProps {
			bucket := awss3.Bucket_FromBucketName(stack, jsii.String("Bucket"), jsii.String("files"))
			return &eventsourcing.ArchiveProps{Bucket: bucket, Results: bucket, Retention: 30 * day, ResultRetention: day, AccessLogs: bucket}
		}, []string{"Retention is \"set together with Bucket\"", "ResultRetention is \"set together with Results\"",
			"AccessLogs is \"set together with Bucket and Results\""}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			store := eventsourcing.NewEventStore(stack, "Carts", nil)
			props := tt.props(stack)
			before := len(*stack.Node().FindAll(constructs.ConstructOrder_PREORDER))
			cdktest.Rejects(t, func() { store.AddArchive(name, props) }, tt.want...)
			if after := len(*stack.Node().FindAll(constructs.ConstructOrder_PREORDER)); after != before {
				t.Errorf("%d constructs were made before the props were refused", after-before)
			}
		})
	}
}

func ExampleEventStore_AddArchive() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	store := eventsourcing.NewEventStore(stack, "Carts", nil)
	archive := store.AddArchive("LongTerm", &eventsourcing.ArchiveProps{
		Retention:  10 * 365 * 24 * time.Hour,
		ObjectLock: awss3.ObjectLockRetention_Governance(awscdk.Duration_Days(jsii.Number(365))),
		ScanLimit:  1_000, // MB, half a cent a query
	})
	archive.GrantQuery(awsiam.NewRole(stack, jsii.String("Analyst"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewAccountRootPrincipal(),
	}))
}
