package orchestration

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsglue"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
)

// TableProps says what a curated table holds.
type TableProps struct {
	// Name is the table's in the catalog and in SQL: lower-case letters, digits
	// and _, the first a letter. Required.
	Name string
	// Columns are the table's. Their ids are their places in the list: add
	// columns at its end and remove none, for Glue does not change the schema
	// of an Iceberg table when a stack is updated; alter it in Athena, too.
	// Required.
	Columns []Column
	// Partitions split the table's files, so that queries read fewer.
	//
	// Default: none.
	Partitions []Partition
	// Description is what the catalog says about the table.
	//
	// Default: none.
	Description string
	// SnapshotRetention is how long the table's past can be read, in whole
	// days. Files that only older snapshots need are deleted.
	//
	// Default: 30 days.
	SnapshotRetention time.Duration
	// WithoutMaintenance has Glue neither compact the table's files nor delete
	// old snapshots and orphans. Such a table grows and slows.
	//
	// Default: Glue maintains it, for 0.44 USD a DPU-hour (us-east-1,
	// https://aws.amazon.com/glue/pricing/).
	WithoutMaintenance bool
}

// Column is a column of a table.
type Column struct {
	// Name is 1 to 128 lower-case letters, digits and "_", the first a letter.
	// Required.
	Name string
	// Type is Iceberg's: "string", "long", "decimal(18,2)", "timestamptz" and so
	// on. Required.
	Type string
	// Required says that no value is NULL.
	//
	// Default: values can be NULL.
	Required bool
	// Comment describes the column.
	//
	// Default: none.
	Comment string
}

// Partition splits a table's files by a column.
type Partition struct {
	// Column is the name of a column of the table. Required.
	Column string
	// Transform is Iceberg's: "identity", "year", "month", "day", "hour",
	// "bucket[16]", "truncate[4]".
	//
	// Default: "identity".
	Transform string
}

// Table is an Iceberg table in a lake's curated zone.
//
// Source: https://iceberg.apache.org/spec/.
type Table struct {
	constructs.Construct
	lake       *DataLake
	name       string
	table      awsglue.CfnTable
	optimizers []awsglue.CfnTableOptimizer
}

var (
	columnType = regexp.MustCompile(`^(boolean|int|long|float|double|date|time|timestamp|timestamptz|string|uuid|binary|` +
		`fixed\[[1-9]\d*\]|decimal\(([1-9]|[12]\d|3[0-8]), ?\d{1,2}\))$`)
	partitionTransform = regexp.MustCompile(`^(identity|year|month|day|hour|(bucket|truncate)\[[1-9]\d*\])$`)
)

// AddTable adds a table. It panics with a *[props.Error] when the props are
// wrong.
func (l *DataLake) AddTable(id string, p *TableProps) *Table {
	if p == nil {
		p = &TableProps{}
	}
	p.check(l, id)
	t := &Table{lake: l, name: p.Name}
	construct.Init(t, l, id)
	t.table = awsglue.NewCfnTable(t, jsii.String("Table"), &awsglue.CfnTableProps{
		CatalogId:    account(l),
		DatabaseName: construct.Ref(l.database),
		Name:         &p.Name,
		OpenTableFormatInput: &awsglue.CfnTable_OpenTableFormatInputProperty{
			IcebergInput: &awsglue.CfnTable_IcebergInputProperty{
				MetadataOperation: jsii.String("CREATE"),
				Version:           jsii.String("2"), // the newest that Athena writes
				IcebergTableInput: p.iceberg(t.Location()),
			},
		},
	})
	t.table.ApplyRemovalPolicy(retainUsed, nil)
	if l.location != nil {
		t.table.AddResourceDependency(l.location, nil)
	}
	if !p.WithoutMaintenance {
		t.maintain(p)
	}
	l.tables = append(l.tables, t)
	return t
}

func (p *TableProps) check(l *DataLake, id string) {
	var c props.Check
	c.Require(identifier.MatchString(p.Name), "Name", p.Name, "1 to 128 lower-case letters, digits and _, the first a letter", "")
	for _, t := range l.tables {
		c.Require(t.name != p.Name, "Name", p.Name, "a name that no other table of the lake has", "")
	}
	c.Require(len(p.Columns) > 0, "Columns", props.Empty, "at least one column", "")
	seen := map[string]bool{}
	for i, column := range p.Columns {
		field := fmt.Sprintf("Columns[%d]", i)
		c.Require(identifier.MatchString(column.Name), field+".Name", column.Name, "1 to 128 lower-case letters, digits and _, the first a letter", "")
		c.Require(!seen[column.Name], field+".Name", column.Name, "each name once", "")
		c.Require(columnType.MatchString(column.Type), field+".Type", column.Type, "a primitive type of Iceberg, such as string, long or decimal(18,2)", "")
		seen[column.Name] = true
	}
	for i, partition := range p.Partitions {
		field := fmt.Sprintf("Partitions[%d]", i)
		c.Require(seen[partition.Column], field+".Column", partition.Column, "the name of a column", "")
		c.Require(partition.Transform == "" || partitionTransform.MatchString(partition.Transform), field+".Transform", partition.Transform,
			"identity, year, month, day, hour, bucket[n] or truncate[n]", "")
	}
	c.Require(p.SnapshotRetention >= 0 && p.SnapshotRetention%day == 0, "SnapshotRetention", p.SnapshotRetention, "whole days", "")
	c.Require(!p.WithoutMaintenance || p.SnapshotRetention == 0, "SnapshotRetention", props.Words("set together with WithoutMaintenance"),
		"one of the two", "leave one out")
	c.Panic(l, id)
}

func (p *TableProps) iceberg(location string) *awsglue.CfnTable_IcebergTableInputProperty {
	input := &awsglue.CfnTable_IcebergTableInputProperty{
		Location:   &location,
		Properties: map[string]any{"write.object-storage.enabled": "true", "write.parquet.compression-codec": "zstd"},
	}
	if p.Description != "" {
		input.Properties.(map[string]any)["comment"] = p.Description
	}
	ids := make(map[string]int, len(p.Columns))
	var fields []any
	for i, column := range p.Columns {
		ids[column.Name] = i + 1
		fields = append(fields, &awsglue.CfnTable_IcebergStructFieldProperty{
			Id: jsii.Number(i + 1), Name: &column.Name, Type: &column.Type, Required: &column.Required, Doc: construct.Text(column.Comment),
		})
	}
	input.Schema = &awsglue.CfnTable_IcebergSchemaProperty{Type: jsii.String("struct"), Fields: fields}
	if len(p.Partitions) == 0 {
		return input
	}
	var splits []any
	for i, partition := range p.Partitions {
		transform := construct.Or(partition.Transform, "identity")
		name := partition.Column
		if kind, _, _ := strings.Cut(transform, "["); kind != "identity" {
			name += "_" + kind // as Spark names them
		}
		splits = append(splits, &awsglue.CfnTable_IcebergPartitionFieldProperty{
			FieldId:   jsii.Number(1000 + i), // Iceberg's first
			Name:      &name,
			SourceId:  jsii.Number(ids[partition.Column]),
			Transform: &transform,
		})
	}
	input.PartitionSpec = &awsglue.CfnTable_IcebergPartitionSpecProperty{SpecId: jsii.Number(0), Fields: splits}
	return input
}

// maintain has Glue compact the table's files and delete what no snapshot
// needs, with a role that reaches this table and nothing else
// (https://docs.aws.amazon.com/glue/latest/dg/optimization-prerequisites.html).
func (t *Table) maintain(p *TableProps) {
	logs := func(suffix string) *string { return localARN(t, "logs", "log-group:/aws-glue/iceberg-"+suffix) }
	statements := append(t.lake.toUseFiles(writeFiles, t.prefix()),
		defaults.Actions{"glue:GetTable", "glue:UpdateTable"}.To(t.lake.catalogARNs(t)...),
		defaults.Actions{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}.To(
			logs("compaction/logs:*"), logs("retention/logs:*"), logs("orphan-file-deletion/logs:*")))
	if t.lake.location != nil {
		statements = append(statements, dataAccess.To(jsii.String("*")))
	}
	role := defaults.ServiceRole(t, "MaintenanceRole", "glue.amazonaws.com", statements...)
	if t.lake.location != nil {
		t.lake.permit(t, "MaintenancePermission", construct.RoleArn(role), t, writeTable)
	}
	days := construct.Or(p.SnapshotRetention, 30*day).Hours() / 24
	add := func(id, kind string, configuration *awsglue.CfnTableOptimizer_TableOptimizerConfigurationProperty) {
		configuration.Enabled, configuration.RoleArn = jsii.Bool(true), construct.RoleArn(role)
		made := awsglue.NewCfnTableOptimizer(t, &id, &awsglue.CfnTableOptimizerProps{
			CatalogId: account(t), DatabaseName: &t.lake.databaseName, TableName: &t.name,
			Type: &kind, TableOptimizerConfiguration: configuration,
		})
		made.AddResourceDependency(t.table, nil)
		t.optimizers = append(t.optimizers, made)
	}
	add("Compaction", "compaction", &awsglue.CfnTableOptimizer_TableOptimizerConfigurationProperty{})
	add("Retention", "retention", &awsglue.CfnTableOptimizer_TableOptimizerConfigurationProperty{
		RetentionConfiguration: &awsglue.CfnTableOptimizer_RetentionConfigurationProperty{
			IcebergConfiguration: &awsglue.CfnTableOptimizer_IcebergRetentionConfigurationProperty{
				CleanExpiredFiles: jsii.Bool(true), NumberOfSnapshotsToRetain: jsii.Number(1),
				SnapshotRetentionPeriodInDays: &days,
			},
		},
	})
	location := t.Location()
	add("Orphans", "orphan_file_deletion", &awsglue.CfnTableOptimizer_TableOptimizerConfigurationProperty{
		OrphanFileDeletionConfiguration: &awsglue.CfnTableOptimizer_OrphanFileDeletionConfigurationProperty{
			IcebergConfiguration: &awsglue.CfnTableOptimizer_IcebergConfigurationProperty{
				Location: &location, OrphanFileRetentionPeriodInDays: jsii.Number(3),
			},
		},
	})
}

// prefix is where the table's files are in the curated bucket.
func (t *Table) prefix() string { return curatedPrefix + t.name + "/" }

// Name returns the table's name in the catalog.
func (t *Table) Name() string { return t.name }

// Lake returns the table's lake.
func (t *Table) Lake() *DataLake { return t.lake }

// Location returns where the table's files are, without a slash at the end.
func (t *Table) Location() string {
	return "s3://" + *construct.BucketName(t.lake.curated) + "/" + curatedPrefix + t.name
}

// SQL returns the table's name in a query, with its database, both quoted.
func (t *Table) SQL() string {
	return strconv.Quote(t.lake.databaseName) + "." + strconv.Quote(t.name)
}

// CfnTable returns the Glue table.
func (t *Table) CfnTable() awsglue.CfnTable { return t.table }

// Optimizers returns what maintains the table.
func (t *Table) Optimizers() []awsglue.CfnTableOptimizer { return t.optimizers }

// What a principal does with files in S3.
var (
	readFiles  = defaults.Actions{"s3:GetObject"}
	writeFiles = defaults.Actions{"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"}
)

// toUseFiles returns what a principal needs to list and use the curated files
// below the prefixes.
func (l *DataLake) toUseFiles(access defaults.Actions, prefixes ...string) []defaults.Statement {
	var objects []*string
	var listed []string
	for _, prefix := range prefixes {
		objects = append(objects, construct.Objects(l.curated, prefix+"*"))
		listed = append(listed, prefix+"*")
	}
	return append([]defaults.Statement{
		access.To(objects...),
		defaults.Actions{"s3:GetBucketLocation"}.To(construct.BucketArn(l.curated)),
		defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(l.curated)).
			If(map[string]any{"StringLike": map[string]any{"s3:prefix": listed}}),
	}, toUseKey(l.curated)...)
}

// catalogARNs returns the ARNs that Glue checks for an action on the tables:
// theirs and those of all that they are in
// (https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html).
// No tables are all of the lake's.
func (l *DataLake) catalogARNs(tables ...*Table) []*string {
	arn := func(resource string) *string { return localARN(l, "glue", resource) }
	arns := []*string{arn("catalog"), arn("database/" + l.databaseName)}
	if len(tables) == 0 {
		return append(arns, arn("table/"+l.databaseName+"/*"))
	}
	for _, t := range tables {
		arns = append(arns, arn("table/"+l.databaseName+"/"+t.name))
	}
	return arns
}
