package orchestration

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslakeformation"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/athena"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
)

// GrantIngest lets the grantee put data into the raw zone, and read nothing.
func (l *DataLake) GrantIngest(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, append([]defaults.Statement{
		defaults.Actions{"s3:AbortMultipartUpload", "s3:PutObject"}.To(construct.Objects(l.raw, rawPrefix+"*")),
	}, toUseKey(l.raw)...)...)
}

// GrantReadRaw lets the grantee list and read the raw zone, former versions of
// its objects included.
func (l *DataLake) GrantReadRaw(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, l.toReadRaw()...)
}

func (l *DataLake) toReadRaw() []defaults.Statement {
	return append([]defaults.Statement{
		defaults.Actions{"s3:GetObject", "s3:GetObjectVersion"}.To(construct.Objects(l.raw, rawPrefix+"*")),
		defaults.Actions{"s3:GetBucketLocation"}.To(construct.BucketArn(l.raw)),
		defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(l.raw)).If(defaults.ListBelow(rawPrefix)),
	}, toUseKey(l.raw)...)
}

// GrantReadTables lets the grantee read the tables, all of the lake's if none
// is named. Under Lake Formation the grantee must be a role, or have one.
func (l *DataLake) GrantReadTables(grantee awsiam.IGrantable, tables ...*Table) awsiam.Grant {
	l.permitAll(grantee, readTable, tables)
	return defaults.Grant(grantee, l.toUseTables(readTable, tables...)...)
}

// GrantWriteTables lets the grantee read the tables and change their rows, all
// of the lake's if none is named. Under Lake Formation the grantee must be a
// role, or have one.
func (l *DataLake) GrantWriteTables(grantee awsiam.IGrantable, tables ...*Table) awsiam.Grant {
	l.permitAll(grantee, writeTable, tables)
	return defaults.Grant(grantee, l.toUseTables(writeTable, tables...)...)
}

// GrantQuery lets the grantee query the tables in the lake's work group, and so
// within its scan limit, all of the lake's if none is named. It may read the
// results of all who query.
func (l *DataLake) GrantQuery(grantee awsiam.IGrantable, tables ...*Table) awsiam.Grant {
	l.permitAll(grantee, readTable, tables)
	return defaults.Grant(grantee, l.toQuery(tables...)...)
}

// toQuery returns what a principal needs to query the tables, what Lake
// Formation permits aside: see permitAll.
func (l *DataLake) toQuery(tables ...*Table) []defaults.Statement {
	return slices.Concat(l.toUseTables(readTable, tables...), athena.ToUseResults(l.results, resultsPrefix), []defaults.Statement{
		athena.ToQuery(l, l.workGroupName),
		defaults.Actions{"glue:GetDatabase"}.To(athena.DefaultDatabase(l)),
		defaults.Actions{"s3:GetBucketLocation"}.To(construct.BucketArn(l.results)),
	}, toUseKey(l.results))
}

// toUseKey returns what a principal needs to use the bucket's key, if it has
// one, through S3.
func toUseKey(bucket awss3.IBucket) []defaults.Statement {
	return throughS3(bucket, "kms:Decrypt", "kms:GenerateDataKey")
}

// tableAccess is what a principal does with a table, as Glue, S3 and Lake
// Formation name it.
type tableAccess struct {
	catalog defaults.Actions
	files   defaults.Actions
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
var dataAccess = defaults.Actions{"lakeformation:GetDataAccess"}

// toUseTables returns what a principal needs to use the tables, what Lake
// Formation permits aside: see permitAll.
func (l *DataLake) toUseTables(access tableAccess, tables ...*Table) []defaults.Statement {
	catalog := []defaults.Statement{access.catalog.To(l.catalogARNs(tables...)...)}
	if l.location != nil {
		return append(catalog, dataAccess.To(jsii.String("*")))
	}
	prefixes := []string{curatedPrefix}
	if len(tables) > 0 {
		prefixes = nil
		for _, t := range tables {
			prefixes = append(prefixes, t.prefix())
		}
	}
	return append(catalog, l.toUseFiles(access.files, prefixes...)...)
}

// permitAll makes Lake Formation's grants, if it decides, next to the role that
// they are for.
func (l *DataLake) permitAll(grantee awsiam.IGrantable, access tableAccess, tables []*Table) {
	if l.location == nil {
		return
	}
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
		CatalogId: account(l), DatabaseName: &l.databaseName,
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
		made.AddResourceDependency(t.table, nil)
	} else {
		made.AddResourceDependency(l.database, nil)
	}
}
