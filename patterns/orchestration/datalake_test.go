package orchestration_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/test/cdktest"
)

func carts(lake *orchestration.DataLake) *orchestration.Table {
	return lake.AddTable("Carts", &orchestration.TableProps{
		Name: "carts",
		Columns: []orchestration.Column{
			{Name: "cart", Type: "string", Required: true},
			{Name: "total", Type: "decimal(18,2)"},
			{Name: "opened", Type: "timestamptz", Comment: "UTC"},
		},
		Partitions: []orchestration.Partition{{Column: "opened", Transform: "day"}},
	})
}

func accountRole(scope constructs.Construct, id string) awsiam.Role {
	return awsiam.NewRole(scope, &id, &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
}

func TestDataLakeDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	table := carts(lake)
	lake.GrantIngest(accountRole(stack, "Source"))
	lake.GrantQuery(accountRole(stack, "Analyst"), table)
	cdktest.Golden(t, stack)
}

func TestDataLakeAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	bucket := func(id string) awss3.IBucket {
		return awss3.Bucket_FromBucketName(stack, &id, jsii.String(strings.ToLower(id)))
	}
	lake := orchestration.NewDataLake(stack, "Lake", &orchestration.DataLakeProps{Raw: bucket("Arrivals"), Curated: bucket("Tables"), Results: bucket("Answers")})
	lake.GrantQuery(accountRole(stack, "Analyst"))
	if lake.AccessLogs() != nil {
		t.Error("a bucket for access logs was made, though nothing is logged in it")
	}
	cdktest.Golden(t, stack)
}

func TestDataLakeEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", &orchestration.DataLakeProps{
		EncryptionKey: awskms.NewKey(stack, jsii.String("Key"), nil),
		RawProps:      &awss3.BucketProps{TransferAcceleration: jsii.Bool(true)},
		ColdAfter:     30 * 24 * time.Hour,
		RawRetention:  365 * 24 * time.Hour,
		CuratedProps:  &awss3.BucketProps{RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE},
		AccessLogs:    awss3.NewBucket(stack, jsii.String("Audit"), nil),
		LakeFormation: true, ScanLimit: 500, ResultRetention: 24 * time.Hour,
	})
	table := carts(lake)
	other := lake.AddTable("Totals", &orchestration.TableProps{
		Name: "totals", Description: "By hour.", WithoutMaintenance: true,
		Columns:    []orchestration.Column{{Name: "hour", Type: "timestamp"}, {Name: "shop", Type: "int"}},
		Partitions: []orchestration.Partition{{Column: "shop", Transform: "bucket[16]"}, {Column: "hour"}},
	})
	writer := accountRole(stack, "Writer")
	lake.GrantReadRaw(writer)
	lake.GrantWriteTables(writer, table)
	lake.GrantWriteTables(writer, table) // again: no second grant
	lake.GrantQuery(accountRole(stack, "Analyst"))
	lake.GrantReadTables(handler(stack, "Report"), table, other)
	cdktest.Golden(t, stack)
}

func TestDataLakeIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	cdktest.IsConstruct(t, lake)
}

func TestTableIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, carts(orchestration.NewDataLake(stack, "Lake", nil)))
}

// Every bucket is private, takes TLS only and logs its accesses, but for the
// bucket of the logs itself.
func TestDataLakeIsPrivate(t *testing.T) {
	stack := cdktest.NewStack(t)
	orchestration.NewDataLake(stack, "Lake", nil)
	template := cdktest.Synth(t, stack)
	template.Count(t, "AWS::S3::Bucket", 4)
	for _, bucket := range template.Resources("AWS::S3::Bucket") {
		block, _ := bucket.Properties["PublicAccessBlockConfiguration"].(map[string]any)
		for _, what := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if block[what] != true {
				t.Errorf("%s: %s is %v", bucket.ID, what, block[what])
			}
		}
		if logged := bucket.Properties["LoggingConfiguration"] != nil; logged == strings.Contains(bucket.ID, "AccessLogs") {
			t.Errorf("%s logs its accesses: %t", bucket.ID, logged)
		}
	}
	template.Count(t, "AWS::S3::BucketPolicy", 4)
}

// A grant of a zone reaches no other zone, and one of a table no other table.
func TestDataLakeGrantsReachNoFurther(t *testing.T) {
	for name, tt := range map[string]struct {
		grant   func(*orchestration.DataLake, *orchestration.Table, awsiam.IGrantable)
		actions []string // on files
		zones   []string
	}{
		"ingest": {func(l *orchestration.DataLake, _ *orchestration.Table, g awsiam.IGrantable) { l.GrantIngest(g) },
			[]string{"s3:AbortMultipartUpload", "s3:PutObject"}, []string{"LakeRaw"}},
		"read raw": {func(l *orchestration.DataLake, _ *orchestration.Table, g awsiam.IGrantable) { l.GrantReadRaw(g) },
			[]string{"s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"}, []string{"LakeRaw"}},
		"read": {func(l *orchestration.DataLake, table *orchestration.Table, g awsiam.IGrantable) {
			l.GrantReadTables(g, table)
		},
			[]string{"s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"}, []string{"LakeCurated"}},
		"query": {func(l *orchestration.DataLake, table *orchestration.Table, g awsiam.IGrantable) {
			l.GrantQuery(g, table)
		},
			[]string{"s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:ListMultipartUploadParts", "s3:PutObject"},
			[]string{"LakeCurated", "LakeResults"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			lake := orchestration.NewDataLake(stack, "Lake", nil)
			table := carts(lake)
			tt.grant(lake, table, accountRole(stack, "Grantee"))
			template := cdktest.Synth(t, stack)
			policy := template.One(t, "AWS::IAM::Policy", cdktest.Match{"PolicyName": cdktest.Pattern("^Grantee")})
			var actions, zones []string
			for _, statement := range policy.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
				s := statement.(map[string]any)
				resources, _ := s["Resource"].([]any)
				if resources == nil {
					resources = []any{s["Resource"]}
				}
				for _, resource := range resources {
					arn := cdktest.Deployed(t, resource)
					if arn == "*" {
						t.Errorf("%v on everything", s["Action"])
					}
					for _, zone := range []string{"LakeRaw", "LakeCurated", "LakeResults", "LakeAccessLogs"} {
						if strings.Contains(arn, zone) {
							zones = append(zones, zone)
							actions = append(actions, actionsOf(s["Action"])...)
						}
					}
					if path, ok := strings.CutPrefix(arn[strings.LastIndex(arn, "curated/")+1:], "urated/"); ok && !strings.HasPrefix(path, "carts/") {
						t.Errorf("%v on %s, not only on the table", s["Action"], arn)
					}
				}
			}
			for _, found := range []*[]string{&actions, &zones} {
				slices.Sort(*found)
				*found = slices.Compact(*found)
			}
			if !slices.Equal(actions, tt.actions) || !slices.Equal(zones, tt.zones) {
				t.Errorf("allowed are %v on %v, want %v on %v", actions, zones, tt.actions, tt.zones)
			}
		})
	}
}

// texts returns a template's value that is one string or a list of strings.
func actionsOf(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	var all []string
	list, _ := v.([]any)
	for _, e := range list {
		all = append(all, e.(string))
	}
	return all
}

// Under Lake Formation nobody reaches the files but with its credentials.
func TestLakeFormationAloneOpensFiles(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", &orchestration.DataLakeProps{LakeFormation: true})
	lake.GrantQuery(accountRole(stack, "Analyst"), carts(lake))
	template := cdktest.Synth(t, stack)
	policy := template.One(t, "AWS::IAM::Policy", cdktest.Match{"PolicyName": cdktest.Pattern("^Analyst")})
	for _, statement := range policy.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
		s := statement.(map[string]any)
		resources, _ := s["Resource"].([]any)
		for _, resource := range append(resources, s["Resource"]) {
			if _, list := resource.([]any); !list && strings.Contains(cdktest.Deployed(t, resource), "LakeCurated") {
				t.Errorf("IAM allows %v on %s", s["Action"], cdktest.Deployed(t, resource))
			}
		}
	}
	template.Has(t, "AWS::LakeFormation::PrincipalPermissions", cdktest.Match{
		"Permissions": []any{"DESCRIBE", "SELECT"},
		"Principal":   cdktest.Match{"DataLakePrincipalIdentifier": cdktest.Match{"Fn::GetAtt": []any{cdktest.Pattern("^Analyst"), "Arn"}}},
	})
}

func TestDataLakeRejects(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		props func(constructs.Construct) *orchestration.DataLakeProps
		want  []string
	}{
		"adopted": {func(s constructs.Construct) *orchestration.DataLakeProps {
			bucket := awss3.Bucket_FromBucketName(s, jsii.String("Bucket"), jsii.String("files"))
			return &orchestration.DataLakeProps{Raw: bucket, Curated: bucket, Results: bucket, AccessLogs: bucket,
				RawProps: &awss3.BucketProps{}, CuratedProps: &awss3.BucketProps{}, RawRetention: day, ResultRetention: day}
		}, []string{"Test/Lake: wrong props", "RawProps is set together with Raw", "RawRetention is set together with Raw",
			"CuratedProps is set together with Curated", "ResultRetention is set together with Results", "AccessLogs is set together"}},
		"times": {func(constructs.Construct) *orchestration.DataLakeProps {
			return &orchestration.DataLakeProps{ColdAfter: 30 * day, RawRetention: 30 * day, ResultRetention: time.Hour, ScanLimit: 1}
		}, []string{"ColdAfter is 720h0m0s; allowed is less than RawRetention", "ResultRetention is 1h0m0s; allowed is whole days", "ScanLimit is 1; allowed is 10 or more"}},
		"lifecycle": {func(constructs.Construct) *orchestration.DataLakeProps {
			return &orchestration.DataLakeProps{CuratedProps: &awss3.BucketProps{LifecycleRules: &[]*awss3.LifecycleRule{{
				Expiration: awscdk.Duration_Days(jsii.Number(1))}}}}
		}, []string{"CuratedProps.LifecycleRules is expiring current objects", "set SnapshotRetention"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := cdktest.NewStack(t)
			props := tt.props(stack)
			cdktest.Rejects(t, func() { orchestration.NewDataLake(stack, "Lake", props) }, tt.want...)
		})
	}
}

func TestTableRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	carts(lake)
	cdktest.Rejects(t, func() { lake.AddTable("Table", nil) }, "Test/Lake/Table: wrong props", `Name is ""`, "Columns is empty")
	cdktest.Rejects(t, func() {
		lake.AddTable("Table", &orchestration.TableProps{
			Name:       "carts",
			Columns:    []orchestration.Column{{Name: "A", Type: "text"}, {Name: "b", Type: "decimal(40,2)"}, {Name: "b", Type: "long"}},
			Partitions: []orchestration.Partition{{Column: "c", Transform: "week"}}, SnapshotRetention: time.Hour, WithoutMaintenance: true,
		})
	}, `Name is "carts"; allowed is a name that no other table`, `Columns[0].Name is "A"`, `Columns[0].Type is "text"`, `Columns[1].Type is "decimal(40,2)"`,
		`Columns[2].Name is "b"; allowed is each name once`, `Partitions[0].Column is "c"`, `Partitions[0].Transform is "week"`,
		"SnapshotRetention is 1h0m0s; allowed is whole days", "SnapshotRetention is set together with WithoutMaintenance")
}

func ExampleNewDataLake() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	lake := orchestration.NewDataLake(stack, "Lake", &orchestration.DataLakeProps{ScanLimit: 10_000})
	totals := lake.AddTable("Totals", &orchestration.TableProps{
		Name: "totals",
		Columns: []orchestration.Column{
			{Name: "hour", Type: "timestamptz", Required: true},
			{Name: "revenue", Type: "decimal(18,2)"},
		},
		Partitions: []orchestration.Partition{{Column: "hour", Transform: "month"}},
	})
	lake.GrantQuery(awsiam.NewRole(stack, jsii.String("Analyst"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewAccountRootPrincipal(),
	}), totals)
}

// An Iceberg table's catalog entry is the only thing that knows its newest
// metadata, and Glue deletes a database with its tables. What a deployment that
// is rolled back made must not be in the way of the next one.
func TestDataLakeIsRetained(t *testing.T) {
	stack := cdktest.NewStack(t)
	carts(orchestration.NewDataLake(stack, "Lake", nil))
	isRetainedOnceUsed(t, cdktest.Synth(t, stack), "AWS::Glue::Database", "AWS::Glue::Table")
}

// isRetainedOnceUsed checks that resources of these types outlive the stack,
// unless they were made by a deployment that is rolled back.
func isRetainedOnceUsed(t *testing.T, template cdktest.Template, types ...string) {
	t.Helper()
	for _, kind := range types {
		r := template.One(t, kind, nil)
		if deleted, replaced := r.Attributes["DeletionPolicy"], r.Attributes["UpdateReplacePolicy"]; deleted != "RetainExceptOnCreate" || replaced != "Retain" {
			t.Errorf("%s: when deleted %v, when replaced %v; want RetainExceptOnCreate and Retain", r.ID, deleted, replaced)
		}
	}
}
