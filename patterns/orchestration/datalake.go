package orchestration

import (
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsathena"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsglue"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslakeformation"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/athena"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
)

// DataLakeProps says where a lake's zones are, for how long they keep data, and
// who grants access to them.
type DataLakeProps struct {
	// EncryptionKey encrypts new buckets, the results of queries and the
	// curated tables.
	//
	// Default: keys that S3 owns.
	EncryptionKey awskms.IKey

	// Raw is the bucket that data arrives in, as it was sent.
	//
	// Default: a new one: private, TLS only, versioned, retained when the
	// stack is destroyed.
	Raw awss3.IBucket
	// RawProps changes a new bucket. Its LifecycleRules replace those that
	// ColdAfter and RawRetention make.
	//
	// Default: none.
	RawProps *awss3.BucketProps
	// ColdAfter is the age, in whole days, at which raw data moves to Glacier
	// Instant Retrieval.
	//
	// Default: 90 days.
	ColdAfter time.Duration
	// RawRetention is the age, in whole days, at which raw data is deleted.
	//
	// Default: it is kept for ever.
	RawRetention time.Duration
	// Curated is the bucket of the tables.
	//
	// Default: a new one, as for Raw. No lifecycle ever deletes a current
	// object in it, for a table may need its oldest file; its tables' own
	// maintenance does: see TableProps.
	Curated awss3.IBucket
	// CuratedProps changes a new bucket.
	//
	// Default: none.
	CuratedProps *awss3.BucketProps
	// AccessLogs is the bucket that S3 logs every access to new buckets in. Its
	// policy must let S3 do so; it does if it is a bucket of this app.
	//
	// Default: a new one, which keeps them for a year.
	AccessLogs awss3.IBucket

	// LakeFormation lets Lake Formation decide who reads and writes tables, by
	// grants to roles, instead of IAM policies on the files. Principals reach
	// the curated files only with the credentials that it gives out. Whoever
	// deploys must be a data lake administrator.
	//
	// Default: IAM decides.
	LakeFormation bool

	// ScanLimit is the most that one query may read, in MB (1,000,000 bytes),
	// at least 10. Athena cancels a query that would read more, and bills what
	// it read until then, 5 USD a TB.
	//
	// Default: 100,000, which is 0.50 USD.
	ScanLimit int
	// Results is the bucket for the results of queries, below "results/".
	//
	// Default: a new one, as for Raw, but not versioned.
	Results awss3.IBucket
	// ResultRetention is how long a new bucket keeps results, in whole days.
	//
	// Default: 7 days.
	ResultRetention time.Duration
}

// DataLake is S3 in zones, with Iceberg tables over the curated one and a place
// to ask questions about them:
//
//	sources ──▶ raw ──▶ (a job) ──▶ curated: Iceberg tables ──▶ Athena work group ──▶ results
//
// Zones differ in who may write to them: sources write raw data and read
// nothing, a job turns it into tables, and readers see tables. Grant each what
// it needs: [DataLake.GrantIngest], [DataLake.GrantReadRaw],
// [DataLake.GrantWriteTables], [DataLake.GrantReadTables],
// [DataLake.GrantQuery].
//
// The database and its tables are retained when the stack is destroyed, with
// the buckets; saved queries and the history of the work group are not.
//
// Sources: https://docs.aws.amazon.com/prescriptive-guidance/latest/defining-bucket-names-data-lakes/data-layer-definitions.html,
// https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg.html,
// https://docs.aws.amazon.com/lake-formation/latest/dg/access-control-underlying-data.html.
type DataLake struct {
	constructs.Construct
	raw, curated, results awss3.IBucket
	accessLogs            awss3.IBucket
	database              awsglue.CfnDatabase
	databaseName          string
	workGroup             awsathena.CfnWorkGroup
	workGroupName         string
	location              awslakeformation.CfnResource // nil under IAM
	tables                []*Table
}

// Prefixes of the objects in a lake's buckets.
const (
	rawPrefix     = "raw/"
	curatedPrefix = "curated/"
	resultsPrefix = "results/"
)

// NewDataLake makes a lake. It panics with a *[props.Error] when the props are
// wrong; nil props are right.
func NewDataLake(scope constructs.Construct, id string, p *DataLakeProps) *DataLake {
	if p == nil {
		p = &DataLakeProps{}
	}
	p.check(scope, id)
	l := &DataLake{raw: p.Raw, curated: p.Curated, results: p.Results, accessLogs: p.AccessLogs}
	construct.Init(l, scope, id)
	l.addBuckets(p)
	l.addDatabase(p)
	l.workGroupName, l.workGroup = athena.WorkGroup(l, "Queries of a data lake, each limited in what it may read.",
		l.results, resultsPrefix, construct.EncryptionKey(l.results), construct.Or(p.ScanLimit, 100_000))
	if p.LakeFormation {
		l.register()
	}
	return l
}

const day = 24 * time.Hour

func (p *DataLakeProps) check(scope constructs.Construct, id string) {
	var c props.Check
	own := func(bucket string, made bool, field string, set bool) {
		c.Require(made || !set, field, props.Words("set together with "+bucket), "one of the two",
			"leave it out, and set it on the bucket itself")
	}
	own("Raw", p.Raw == nil, "RawProps", p.RawProps != nil)
	own("Raw", p.Raw == nil, "ColdAfter", p.ColdAfter != 0)
	own("Raw", p.Raw == nil, "RawRetention", p.RawRetention != 0)
	own("Curated", p.Curated == nil, "CuratedProps", p.CuratedProps != nil)
	own("Results", p.Results == nil, "ResultRetention", p.ResultRetention != 0)
	own("Raw, Curated and Results", p.Raw == nil || p.Curated == nil || p.Results == nil, "AccessLogs", p.AccessLogs != nil)
	days := func(field string, d time.Duration) {
		c.Require(d >= 0 && d%day == 0, field, d, "whole days", "")
	}
	days("ColdAfter", p.ColdAfter)
	days("RawRetention", p.RawRetention)
	days("ResultRetention", p.ResultRetention)
	if p.RawRetention > 0 {
		c.Require(p.ColdAfter < p.RawRetention, "ColdAfter", p.ColdAfter, "less than RawRetention", "leave it out, or keep raw data longer")
	}
	if p.CuratedProps != nil && p.CuratedProps.LifecycleRules != nil {
		for _, rule := range *p.CuratedProps.LifecycleRules {
			c.Require(rule.Expiration == nil && rule.ExpirationDate == nil, "CuratedProps.LifecycleRules", props.Words("expiring current objects"),
				"rules that keep them, for a table may need its oldest file", "set SnapshotRetention on the tables instead")
		}
	}
	c.Require(p.ScanLimit == 0 || p.ScanLimit >= 10, "ScanLimit", p.ScanLimit, "10 or more, or 0 for the default", "")
	c.Panic(scope, id)
}

func (l *DataLake) addBuckets(p *DataLakeProps) {
	if l.accessLogs == nil && (l.raw == nil || l.curated == nil || l.results == nil) {
		// S3 delivers access logs to buckets without a KMS key only
		// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html).
		l.accessLogs = defaults.Bucket(l, "AccessLogs", &awss3.BucketProps{
			LifecycleRules: &[]*awss3.LifecycleRule{{
				Id:                          jsii.String("Expire"),
				Expiration:                  construct.SharedDuration(l, 365*day),
				NoncurrentVersionExpiration: construct.SharedDuration(l, day),
			}},
		})
	}
	if l.accessLogs != nil {
		// The account stands for the buckets, for their ARNs would be a circle
		// where the key's policy names them.
		defaults.AllowService(l, l.accessLogs, "logging.s3.amazonaws.com", defaults.Statement{
			"Sid":       "AccessLogs",
			"Effect":    "Allow",
			"Action":    "s3:PutObject",
			"Resource":  construct.Objects(l.accessLogs, "*"),
			"Condition": map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": defaults.AccountID()}},
		})
	}
	encrypted := &awss3.BucketProps{EncryptionKey: p.EncryptionKey}
	if l.raw == nil {
		l.raw = l.bucket(l, "Raw", construct.Layer(&awss3.BucketProps{LifecycleRules: defaults.Aging(l, rawPrefix, p.ColdAfter, p.RawRetention)}, p.RawProps, encrypted))
	}
	if l.curated == nil {
		l.curated = l.bucket(l, "Curated", construct.Layer(
			&awss3.BucketProps{LifecycleRules: &[]*awss3.LifecycleRule{defaults.Tidy(l)}}, p.CuratedProps, encrypted))
	}
	if l.results == nil {
		l.results = l.bucket(l, "Results", athena.Results(l, p.EncryptionKey, p.ResultRetention))
	}
}

// bucket makes a bucket whose accesses S3 logs, if the lake has a bucket for
// logs. The CDK's own property would set an access control list, which the
// buckets do not have, where an app lacks the flag for a bucket policy.
func (l *DataLake) bucket(scope constructs.Construct, id string, p *awss3.BucketProps) awss3.Bucket {
	made := defaults.Bucket(scope, id, p)
	if l.accessLogs == nil {
		return made
	}
	var cfn awss3.CfnBucket
	jsii.UnsafeCast(made.Node().DefaultChild(), &cfn)
	cfn.SetLoggingConfiguration(&awss3.CfnBucket_LoggingConfigurationProperty{
		DestinationBucketName: construct.BucketName(l.accessLogs),
		LogFilePrefix:         jsii.String(strings.ToLower(id) + "/"),
	})
	return made
}

func (l *DataLake) addDatabase(p *DataLakeProps) {
	l.databaseName = construct.UniqueName(l, "_", 100)
	input := &awsglue.CfnDatabase_DatabaseInputProperty{
		Name:        &l.databaseName,
		Description: jsii.String("The curated tables of a data lake."),
		LocationUri: jsii.String("s3://" + *construct.BucketName(l.curated) + "/" + curatedPrefix),
	}
	l.database = awsglue.NewCfnDatabase(l, jsii.String("Database"), &awsglue.CfnDatabaseProps{
		CatalogId: account(l), DatabaseInput: input,
	})
	// Glue deletes a database with its tables, whose entries alone know which
	// of the files are theirs.
	l.database.ApplyRemovalPolicy(retainUsed, nil)
	if p.LakeFormation {
		// Else every table would be open to whoever IAM lets see it
		// (https://docs.aws.amazon.com/lake-formation/latest/dg/change-settings.html).
		l.database.AddPropertyOverride(jsii.String("DatabaseInput.CreateTableDefaultPermissions"), []any{})
	}
}

// retainUsed keeps what has a fixed name, but for what a deployment that is
// rolled back has just made: it is empty, and would be in the way of the next.
const retainUsed = awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE

// register hands the curated files to Lake Formation, with a role of its own:
// its service-linked role cannot be limited to these files.
func (l *DataLake) register() {
	role := defaults.ServiceRole(l, "LakeFormationRole", "lakeformation.amazonaws.com", l.toUseFiles(writeFiles, curatedPrefix)...)
	l.location = awslakeformation.NewCfnResource(l, jsii.String("Location"), &awslakeformation.CfnResourceProps{
		ResourceArn:          jsii.String(*construct.BucketArn(l.curated) + "/" + strings.TrimSuffix(curatedPrefix, "/")),
		UseServiceLinkedRole: jsii.Bool(false),
		RoleArn:              construct.RoleArn(role),
	})
}

// Raw returns the bucket of raw data, which lies below "raw/".
func (l *DataLake) Raw() awss3.IBucket { return l.raw }

// Curated returns the bucket of the tables, which lie below "curated/".
func (l *DataLake) Curated() awss3.IBucket { return l.curated }

// Results returns the bucket of the queries' results.
func (l *DataLake) Results() awss3.IBucket { return l.results }

// AccessLogs returns the bucket of the access logs, nil if all other buckets
// were the user's.
func (l *DataLake) AccessLogs() awss3.IBucket { return l.accessLogs }

// Database returns the name of the Glue database.
func (l *DataLake) Database() string { return l.databaseName }

// CfnDatabase returns the Glue database.
func (l *DataLake) CfnDatabase() awsglue.CfnDatabase { return l.database }

// WorkGroup returns the name of the Athena work group.
func (l *DataLake) WorkGroup() string { return l.workGroupName }

// CfnWorkGroup returns the Athena work group.
func (l *DataLake) CfnWorkGroup() awsathena.CfnWorkGroup { return l.workGroup }

// Location returns what is registered with Lake Formation, nil under IAM.
func (l *DataLake) Location() awslakeformation.CfnResource { return l.location }

// Tables returns the tables that were added, in order.
func (l *DataLake) Tables() []*Table { return l.tables }

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]{0,127}$`)

// account returns the account that the stack is in, which is the id of its
// catalog.
func account(scope constructs.Construct) *string { return defaults.Text(scope, "${AWS::AccountId}") }
