package orchestration

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslakeformation"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/internal/defaults"
)

// GrantIngest lets the grantee put data into the raw zone, and read nothing.
func (l *DataLake) GrantIngest(grantee awsiam.IGrantable) awsiam.Grant {
	grant := defaults.Actions{"s3:AbortMultipartUpload", "s3:PutObject"}.Grant(grantee, l.raw.ArnForObjects(jsii.String(rawPrefix+"*")))
	return l.grantKey(grant, grantee, l.raw)
}

// GrantReadRaw lets the grantee list and read the raw zone, former versions of
// its objects included.
func (l *DataLake) GrantReadRaw(grantee awsiam.IGrantable) awsiam.Grant {
	grant := defaults.Actions{"s3:GetObject", "s3:GetObjectVersion"}.Grant(grantee, l.raw.ArnForObjects(jsii.String(rawPrefix+"*"))).
		Combine(defaults.Actions{"s3:GetBucketLocation"}.Grant(grantee, l.raw.BucketArn())).
		Combine(defaults.Actions{"s3:ListBucket"}.GrantIf(below(rawPrefix), grantee, l.raw.BucketArn()))
	return l.grantKey(grant, grantee, l.raw)
}

// GrantReadTables lets the grantee read the tables, all of the lake's if none
// is named. Under Lake Formation the grantee must be a role, or have one.
func (l *DataLake) GrantReadTables(grantee awsiam.IGrantable, tables ...*Table) awsiam.Grant {
	return l.grantTables(grantee, readTable, tables)
}

// GrantWriteTables lets the grantee read the tables and change their rows, all
// of the lake's if none is named. Under Lake Formation the grantee must be a
// role, or have one.
func (l *DataLake) GrantWriteTables(grantee awsiam.IGrantable, tables ...*Table) awsiam.Grant {
	return l.grantTables(grantee, writeTable, tables)
}

// GrantQuery lets the grantee query the tables in the lake's work group, and so
// within its scan limit, all of the lake's if none is named. It may read the
// results of all who query.
func (l *DataLake) GrantQuery(grantee awsiam.IGrantable, tables ...*Table) awsiam.Grant {
	workGroup := awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:athena:${AWS::Region}:${AWS::AccountId}:workgroup/"+l.workGroupName), nil)
	// Athena asks for the database "default" with every query
	// (https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html).
	fallback := awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:database/default"), nil)
	grant := l.GrantReadTables(grantee, tables...).
		Combine(defaults.Actions{"athena:BatchGetQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults",
			"athena:GetQueryResultsStream", "athena:GetWorkGroup", "athena:ListQueryExecutions", "athena:StartQueryExecution",
			"athena:StopQueryExecution"}.Grant(grantee, workGroup)).
		Combine(defaults.Actions{"glue:GetDatabase"}.Grant(grantee, fallback)).
		Combine(defaults.Actions{"s3:GetBucketLocation"}.Grant(grantee, l.results.BucketArn())).
		Combine(defaults.Actions{"s3:ListBucket"}.GrantIf(below(resultsPrefix), grantee, l.results.BucketArn())).
		Combine(defaults.Actions{"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"}.
			Grant(grantee, l.results.ArnForObjects(jsii.String(resultsPrefix+"*"))))
	return l.grantKey(grant, grantee, l.results)
}

func below(prefix string) map[string]any {
	return map[string]any{"StringLike": map[string]any{"s3:prefix": prefix + "*"}}
}

// grantKey adds the use of the bucket's key, if it has one, through S3.
func (l *DataLake) grantKey(grant awsiam.Grant, grantee awsiam.IGrantable, bucket awss3.IBucket) awsiam.Grant {
	key := bucket.EncryptionKey()
	if key == nil {
		return grant
	}
	return grant.Combine(defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.GrantIf(onlyThroughS3(), grantee, key.KeyArn()))
}

// tableAccess is what a principal does with a table, as Glue, S3 and Lake
// Formation name it.
type tableAccess struct {
	catalog defaults.Actions
	files   fileAccess
	lake    []string
}

var (
	readTable = tableAccess{
		catalog: defaults.Actions{"glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"},
		files:   readFiles,
		lake:    []string{"DESCRIBE", "SELECT"},
	}
	writeTable = tableAccess{
		catalog: append(readTable.catalog[:len(readTable.catalog):len(readTable.catalog)], "glue:UpdateTable"),
		files:   writeFiles,
		lake:    []string{"ALTER", "DELETE", "DESCRIBE", "INSERT", "SELECT"},
	}
)

// dataAccess is how principals ask Lake Formation for the files of a table. AWS
// knows no resource for it: what it gives out depends on Lake Formation's own
// grants (https://docs.aws.amazon.com/lake-formation/latest/dg/access-control-underlying-data.html).
func dataAccess() defaults.Actions { return defaults.Actions{"lakeformation:GetDataAccess"} }

func (l *DataLake) grantTables(grantee awsiam.IGrantable, access tableAccess, tables []*Table) awsiam.Grant {
	grant := access.catalog.Grant(grantee, l.catalogARNs(tables...)...)
	if l.location != nil {
		grant = grant.Combine(dataAccess().Grant(grantee, jsii.String("*")))
		l.permitAll(grantee, access, tables)
		return grant
	}
	prefixes := []string{curatedPrefix}
	if len(tables) > 0 {
		prefixes = nil
		for _, t := range tables {
			prefixes = append(prefixes, t.prefix())
		}
	}
	var objects []*string
	var listed []string
	for _, prefix := range prefixes {
		objects = append(objects, l.curated.ArnForObjects(jsii.String(prefix+"*")))
		listed = append(listed, prefix+"*")
	}
	grant = grant.Combine(defaults.Actions(access.files).Grant(grantee, objects...)).
		Combine(defaults.Actions{"s3:GetBucketLocation"}.Grant(grantee, l.curated.BucketArn())).
		Combine(defaults.Actions{"s3:ListBucket"}.GrantIf(map[string]any{"StringLike": map[string]any{"s3:prefix": listed}},
			grantee, l.curated.BucketArn()))
	return l.grantKey(grant, grantee, l.curated)
}

// permitAll makes Lake Formation's grants, next to the role that they are for.
func (l *DataLake) permitAll(grantee awsiam.IGrantable, access tableAccess, tables []*Table) {
	scope, ok := grantee.(constructs.Construct)
	if !ok {
		scope = l
	}
	principal := principalARN(grantee)
	verb := "Read"
	if len(access.lake) > len(readTable.lake) {
		verb = "Write"
	}
	add := func(id string, t *Table) {
		// A grant that was made before is there: granting is idempotent.
		if scope.Node().TryFindChild(&id) == nil {
			l.permit(scope, id, principal, t, access)
		}
	}
	if len(tables) == 0 {
		add(verb+"Tables"+*l.Node().Id(), nil)
	}
	for _, t := range tables {
		add(verb+*t.Node().Id()+*l.Node().Id(), t)
	}
}

// principalARN returns the ARN of the role that the grantee acts as.
func principalARN(grantee awsiam.IGrantable) *string {
	fragment := *grantee.GrantPrincipal().PolicyFragment().PrincipalJson()
	if arns, ok := fragment["AWS"]; ok && arns != nil && len(*arns) == 1 {
		return (*arns)[0]
	}
	panic(fmt.Sprintf("Lake Formation grants to roles and users; the grantee is %v", fragment))
}

// permit makes a grant of Lake Formation on the table, nil for all tables.
func (l *DataLake) permit(scope constructs.Construct, id string, principal *string, t *Table, access tableAccess) {
	table := &awslakeformation.CfnPrincipalPermissions_TableResourceProperty{
		CatalogId: awscdk.Aws_ACCOUNT_ID(), DatabaseName: &l.databaseName,
	}
	if t != nil {
		table.Name = &t.name
	} else {
		table.TableWildcard = map[string]any{}
	}
	made := awslakeformation.NewCfnPrincipalPermissions(scope, &id, &awslakeformation.CfnPrincipalPermissionsProps{
		Principal:                  &awslakeformation.CfnPrincipalPermissions_DataLakePrincipalProperty{DataLakePrincipalIdentifier: principal},
		Resource:                   &awslakeformation.CfnPrincipalPermissions_ResourceProperty{Table: table},
		Permissions:                jsii.Strings(access.lake...),
		PermissionsWithGrantOption: &[]*string{},
	})
	if t != nil {
		made.Node().AddDependency(t.table)
	} else {
		made.Node().AddDependency(l.database)
	}
}
