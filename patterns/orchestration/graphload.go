package orchestration

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/leastprivilege"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
	"github.com/serverless-go/cdk/patterns/props"
)

// GraphLoadProps says which rows become which nodes and relationships, and in
// which graph.
type GraphLoadProps struct {
	// Lake is where the rows come from. The workflow may query Tables of it, in
	// its work group and so within its scan limit. Required.
	Lake *DataLake
	// Tables are those that the queries read.
	//
	// Default: all of the lake's.
	Tables []*Table
	// Nodes are loaded before Relationships, at least one. Required.
	Nodes []GraphNodes
	// Relationships connect nodes.
	//
	// Default: none.
	Relationships []GraphRelationships
	// Checks are asked when all is loaded and every row was found. A graph
	// that fails one fails the execution.
	//
	// Default: none.
	Checks []GraphCheck

	// Cluster takes the graph. Set Cluster or Analytics, not both.
	//
	// Default: a new one.
	Cluster *NeptuneCluster
	// Analytics takes the graph. An import needs an empty one: each load
	// makes a snapshot of what was there and deletes it, and until the import
	// is done, queries find nothing or a part.
	//
	// Default: none.
	Analytics *NeptuneAnalytics

	// MaxConcurrency is how many tables are unloaded side by side, 1 to 20.
	//
	// Default: 4.
	MaxConcurrency int
	// LoadTimeout is the longest that Neptune may take to load the files, 10
	// minutes to 7 days, counted anew when the execution is redriven. Then
	// the load is cancelled and the execution fails.
	//
	// Default: 6 hours.
	LoadTimeout time.Duration
	// PollInterval is the time between two looks at the load, 5 seconds to 10
	// minutes. Each is three state transitions and a call of the function.
	//
	// Default: 30 seconds.
	PollInterval time.Duration
	// Resumes is how often a load of the cluster's is resumed that failed for
	// a reason that passes, such as a deadlock.
	//
	// Default: 3.
	Resumes *int

	// Bucket takes the files, below "loads/". Neptune reads it in its own
	// region only.
	//
	// Default: a new one.
	Bucket awss3.IBucket
	// Retention is how long a new bucket keeps the files, in whole days. A
	// load cannot be redriven without them.
	//
	// Default: 14 days.
	Retention time.Duration
	// EncryptionKey encrypts a new bucket, the function's environment and
	// logs, the workflow and a new cluster. Its policy must allow CloudWatch
	// Logs to use it.
	//
	// Default: keys that AWS owns or manages.
	EncryptionKey awskms.IKey
	// Alarms tunes the workflow's alarms. Its Off and Topic are those of the
	// function's alarms, too.
	//
	// Default: all are made and notify nobody.
	Alarms WorkflowAlarms
}

// GraphNodes says what rows become nodes.
type GraphNodes struct {
	// Label of the nodes: letters, digits and "_". Required.
	Label string
	// Query is a SELECT statement of Athena's. Required.
	Query string
	// ID is the column that tells the nodes of the label apart. The node's id in
	// Neptune is the label, "/" and its value. Rows with the same one fail the
	// verification. Required.
	ID string
	// Properties are the types of the nodes' properties by name. The value is
	// taken from the column of the same name in lower case, for Athena knows
	// no other. Null and the empty text make no property.
	//
	// Default: none.
	Properties map[string]graph.Type
}

// GraphRelationships says what rows become relationships.
type GraphRelationships struct {
	// Type of the relationships: letters, digits and "_". Required.
	Type string
	// Query is a SELECT statement of Athena's. Required.
	Query string
	// From and To are the ends. Required.
	From, To GraphEnd
	// ID is the column that tells relationships of the type apart.
	//
	// Default: their ends do; there is one between two nodes.
	ID string
	// Properties are as those of nodes.
	//
	// Default: none.
	Properties map[string]graph.Type
}

// GraphEnd is the node of the label whose id is in the column.
type GraphEnd struct {
	// Label is that of the nodes. Required.
	Label string
	// Column holds their ids. Required.
	Column string
}

// GraphCheck is an openCypher query that returns one number, such as
// "MATCH (c:Customer)-[:BOUGHT]->() RETURN count(DISTINCT c)". It may use the
// parameter $load, the load's id, which every node and relationship has as its
// property "load" that the load wrote.
type GraphCheck struct {
	// Query is an openCypher query that returns one number. Required.
	Query string
	// AtLeast is the least that the number must be.
	//
	// Default: 0, which only asks that the query can be answered.
	AtLeast int
}

// GraphLoad is a workflow that loads what the tables of a data lake say into a
// graph:
//
//	unload (Athena) ──▶ CSV (function) ──▶ load (Neptune) ──▶ verify (openCypher)
//
// Start it with the input {}. An execution's load has an id that follows from
// the execution's, and files of its own below it. If it fails, mend the cause
// and redrive the execution: what is unloaded is not unloaded again, and a load
// of the cluster's is resumed, so that what is loaded is not loaded again.
//
// A load adds nodes and relationships and updates those that are there. What
// the queries no longer return stays in a cluster's graph, with the id of an
// older load in its property "load".
//
// The function is in the cluster's VPC, and signs what it asks of the cluster.
type GraphLoad struct {
	constructs.Construct
	bucket    awss3.IBucket
	cluster   *NeptuneCluster
	analytics *NeptuneAnalytics
	function  *function.Function
	workflow  *Workflow
}

// NewGraphLoad makes a graph load. It panics with a *[props.Error] when the
// props are wrong.
func NewGraphLoad(scope constructs.Construct, id string, p *GraphLoadProps) *GraphLoad {
	if p == nil {
		p = &GraphLoadProps{}
	}
	p.check(scope, id)
	g := &GraphLoad{bucket: p.Bucket, cluster: p.Cluster, analytics: p.Analytics}
	construct.Init(g, scope, id)
	if g.bucket == nil {
		g.bucket = defaults.Bucket(g, "Files", &awss3.BucketProps{
			EncryptionKey: p.EncryptionKey,
			Versioned:     jsii.Bool(false), // all in it can be made again
			LifecycleRules: &[]*awss3.LifecycleRule{{
				Expiration:                          construct.SharedDuration(g, construct.Or(p.Retention, 14*24*time.Hour)),
				AbortIncompleteMultipartUploadAfter: construct.SharedDuration(g, 24*time.Hour),
			}},
		})
	}
	if g.cluster == nil && g.analytics == nil {
		g.cluster = NewNeptuneCluster(g, "Graph", &NeptuneClusterProps{EncryptionKey: p.EncryptionKey})
	}
	g.addFunction(p)
	if g.cluster != nil {
		g.allowCluster()
	} else {
		g.allowReading(g.analytics.importRole)
	}
	g.addWorkflow(p)
	return g
}

var (
	graphName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	athenaColumn = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
)

func (p *GraphLoadProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(p.Lake != nil, "Lake", p.Lake, "a data lake", "make one with NewDataLake")
	c.Require(len(p.Nodes) > 0, "Nodes", p.Nodes, "at least one", "")
	c.OneOf(map[string]bool{"Cluster": p.Cluster != nil, "Analytics": p.Analytics != nil}, "Cluster", "Analytics")
	props.Between(&c, "MaxConcurrency", p.MaxConcurrency, 1, 20)
	props.Between(&c, "LoadTimeout", p.LoadTimeout, 10*time.Minute, 7*24*time.Hour)
	props.Between(&c, "PollInterval", p.PollInterval, 5*time.Second, 10*time.Minute)
	c.Require(p.PollInterval%time.Second == 0, "PollInterval", p.PollInterval, "whole seconds", "")
	if n := p.Resumes; n != nil {
		c.Require(*n >= 0 && *n <= 100, "Resumes", *n, "0 to 100", "")
		c.Require(p.Analytics == nil, "Resumes", *n, "none with Analytics", "an import cannot be resumed: leave it out")
	}
	c.Require(p.Bucket == nil || p.Retention == 0, "Retention", p.Retention, "none with Bucket", "set a lifecycle on the bucket itself")
	props.Between(&c, "Retention", p.Retention, 24*time.Hour, 3650*24*time.Hour)
	c.Require(p.Retention%(24*time.Hour) == 0, "Retention", p.Retention, "whole days", "")
	for i, t := range p.Tables {
		field := fmt.Sprintf("Tables[%d]", i)
		c.Require(t != nil && t.Lake() == p.Lake, field, props.Words("not a table of Lake"), "a table that Lake.AddTable returned", "")
	}
	labels, types := map[string]bool{}, map[string]bool{}
	for i, n := range p.Nodes {
		c.Nested(fmt.Sprintf("Nodes[%d]", i), func(c *props.Check) {
			checkGraphTable(c, "Label", n.Label, labels, n.Query, n.Properties)
			checkColumn(c, "ID", n.ID)
		})
	}
	for i, r := range p.Relationships {
		c.Nested(fmt.Sprintf("Relationships[%d]", i), func(c *props.Check) {
			checkGraphTable(c, "Type", r.Type, types, r.Query, r.Properties)
			for field, end := range map[string]GraphEnd{"From": r.From, "To": r.To} {
				c.Require(labels[end.Label], field+".Label", end.Label, "the Label of one of Nodes", "")
				checkColumn(c, field+".Column", end.Column)
			}
			if r.ID != "" {
				checkColumn(c, "ID", r.ID)
			}
		})
	}
	for i, check := range p.Checks {
		c.Require(strings.TrimSpace(check.Query) != "", fmt.Sprintf("Checks[%d].Query", i), check.Query, "an openCypher query that returns one number", "")
	}
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

// checkGraphTable records what is wrong with what nodes and relationships have
// in common, and remembers the name.
func checkGraphTable(c *props.Check, field, name string, names map[string]bool, query string, properties map[string]graph.Type) {
	c.Require(graphName.MatchString(name), field, name, "a letter, then letters, digits and \"_\"", "")
	c.Require(!names[name], field, name, "a name of its own", "load it with one query, by UNION ALL")
	names[name] = true
	trimmed := strings.TrimSpace(query)
	c.Require(trimmed != "" && !strings.HasSuffix(trimmed, ";"), "Query", query, "a SELECT statement without \";\"", "")
	for _, p := range slices.Sorted(maps.Keys(properties)) {
		c.Require(graphName.MatchString(p) && p != graph.Stamp, "Properties", p,
			fmt.Sprintf("a letter, then letters, digits and \"_\", and not %q, which holds the load's id", graph.Stamp), "")
		c.Require(slices.Contains(graph.Types, properties[p]), fmt.Sprintf("Properties[%q]", p), string(properties[p]),
			fmt.Sprintf("one of %v", graph.Types), "")
	}
}

func checkColumn(c *props.Check, field, column string) {
	c.Require(athenaColumn.MatchString(column), field, column, "the name of a column of Query's, in lower case", "")
}

// tables returns what the rows of the queries become, nodes first.
func (p *GraphLoadProps) tables() (tables []graph.Table, queries []string) {
	for _, n := range p.Nodes {
		tables = append(tables, graph.Table{Name: n.Label, ID: n.ID, Columns: graphColumns(n.Properties)})
		queries = append(queries, n.Query)
	}
	for _, r := range p.Relationships {
		tables = append(tables, graph.Table{
			Name: r.Type, ID: r.ID, Columns: graphColumns(r.Properties),
			From: &graph.End{Label: r.From.Label, Column: r.From.Column},
			To:   &graph.End{Label: r.To.Label, Column: r.To.Column},
		})
		queries = append(queries, r.Query)
	}
	return tables, queries
}

func graphColumns(properties map[string]graph.Type) (columns []graph.Column) {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		columns = append(columns, graph.Column{Name: strings.ToLower(name), Property: name, Type: properties[name]})
	}
	return columns
}

// addFunction makes the function, in the cluster's VPC if there is a cluster.
func (g *GraphLoad) addFunction(p *GraphLoadProps) {
	fn := &function.Props{
		Entry:                  "github.com/serverless-go/cdk/functions/graphload",
		Description:            "Writes the files of " + construct.Path(g) + " and has Neptune load them.",
		Memory:                 2048, // a file and its compressed form, and a full processor to compress it
		Timeout:                15 * time.Minute,
		EncryptionKey:          p.EncryptionKey,
		WithoutDeadLetterQueue: true, // only the workflow invokes it, and waits
		Environment:            map[string]string{graph.EnvBucket: *construct.BucketName(g.bucket)},
		Alarms:                 function.Alarms{Off: p.Alarms.Off, Topic: p.Alarms.Topic},
	}
	if g.cluster == nil {
		fn.Environment[graph.EnvEndpoint] = g.analytics.Endpoint()
	} else {
		fn.Environment[graph.EnvEndpoint] = g.cluster.Endpoint()
		fn.Environment[graph.EnvRole] = *construct.RoleArn(g.cluster.loaderRole)
		group := awsec2.NewSecurityGroup(g, jsii.String("FunctionSecurityGroup"), &awsec2.SecurityGroupProps{
			Vpc:              g.cluster.vpc,
			Description:      jsii.String("The function of the graph load " + construct.Path(g)),
			AllowAllOutbound: jsii.Bool(false),
		})
		allowHTTPS(g, group, "S3, by the gateway endpoint")
		g.cluster.Connections().AllowDefaultPortFrom(group, jsii.String("Loads and queries"))
		fn.FunctionProps = &awslambda.FunctionProps{
			Vpc: g.cluster.vpc, VpcSubnets: g.cluster.subnets,
			SecurityGroups: &[]awsec2.ISecurityGroup{group},
		}
	}
	fn.Grants = func(f *function.Function) {
		defaults.Grant(f, defaults.Actions{"s3:GetObject", "s3:PutObject"}.To(g.files()), g.toListFiles())
		defaults.Grant(f, toUseKey(g.bucket)...)
		// Athena encrypts what it unloads as it does its results.
		defaults.Grant(f, toUseKey(p.Lake.Results())...)
		if g.cluster != nil {
			defaults.Grant(f, g.toUseCluster()...)
		} else {
			defaults.Grant(f, g.analytics.toQuery())
		}
	}
	g.function = function.NewFunction(g, "Function", fn)
}

// files returns the ARN of the files.
func (g *GraphLoad) files() *string { return construct.Objects(g.bucket, graph.Prefix+"*") }

func (g *GraphLoad) toListFiles() defaults.Statement {
	return defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(g.bucket)).If(defaults.ListBelow(graph.Prefix))
}

// Lambda makes the network interfaces as the function, before they have ids
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html).
var networkInterfaces = defaults.Actions{"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
	"ec2:UnassignPrivateIpAddresses"}

// toUseCluster returns what the function needs to load and to query, from where
// the cluster is.
func (g *GraphLoad) toUseCluster() []defaults.Statement {
	return []defaults.Statement{
		networkInterfaces.To(localARN(g, "ec2", "*/*")),
		// EC2 describes without looking at resources
		// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html).
		defaults.Actions{"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"}.To(jsii.String("*")),
		defaults.Actions{"neptune-db:CancelLoaderJob", "neptune-db:GetLoaderJobStatus", "neptune-db:ListLoaderJobs",
			"neptune-db:StartLoaderJob"}.To(g.cluster.data()),
		g.cluster.toQuery(),
	}
}

// allowCluster lets the cluster read the files, and the network's endpoint pass
// them.
func (g *GraphLoad) allowCluster() {
	leastprivilege.Acknowledge(g.function.Role(), leastprivilege.WildcardResource,
		"Lambda makes and removes network interfaces as the function, and their ids are Lambda's", networkInterfaces...)
	g.allowReading(g.cluster.loaderRole)
	if g.cluster.endpoint != nil {
		g.cluster.endpoint.AddToPolicy(awsiam.PolicyStatement_FromJson(defaults.Statement{
			"Effect":    "Allow",
			"Principal": map[string]any{"AWS": "*"}, // who also has a policy of its own
			"Action":    []string{"s3:GetObject", "s3:ListBucket", "s3:PutObject"},
			"Resource":  []*string{construct.BucketArn(g.bucket), g.files()},
		}))
	}
}

// allowReading lets Neptune's role read the files.
func (g *GraphLoad) allowReading(role awsiam.Role) {
	defaults.Grant(role, defaults.Actions{"s3:GetObject"}.To(g.files()), g.toListFiles())
	defaults.Grant(role, throughS3(g.bucket, "kms:Decrypt")...)
}

func (g *GraphLoad) addWorkflow(p *GraphLoadProps) {
	allow := slices.Concat([]defaults.Statement{
		defaults.Actions{"lambda:InvokeFunction"}.To(construct.FunctionArn(g.function.Target())),
		defaults.Actions{"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"}.To(g.files()),
		defaults.Actions{"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"}.To(construct.BucketArn(g.bucket)),
	}, p.Lake.toQuery(p.Tables...), toUseKey(g.bucket))
	imports := defaults.Actions{"neptune-graph:CancelImportTask", "neptune-graph:GetImportTask"}
	if g.analytics != nil {
		allow = append(allow,
			defaults.Actions{"neptune-graph:GetGraph", "neptune-graph:ResetGraph", "neptune-graph:StartImportTask"}.To(g.analytics.arn()),
			// An import's id is not known before it is started.
			imports.To(localARN(g, "neptune-graph", "import-task/*")),
			defaults.Actions{"iam:PassRole"}.To(construct.RoleArn(g.analytics.importRole)).
				If(map[string]any{"StringEquals": map[string]any{"iam:PassedToService": "neptune-graph.amazonaws.com"}}))
	}
	g.workflow = NewWorkflow(g, "Workflow", &WorkflowProps{
		Definition:    g.definition(p),
		allow:         allow,
		EncryptionKey: p.EncryptionKey,
		Alarms:        p.Alarms,
	})
	if g.analytics != nil {
		leastprivilege.Acknowledge(g.workflow, leastprivilege.WildcardResource, "an import has no id before it is started", imports...)
	}
	p.Lake.permitAll(g.workflow, readTable, p.Tables)
}

// Workflow returns the workflow.
func (g *GraphLoad) Workflow() *Workflow { return g.workflow }

// Function returns the function that the workflow calls.
func (g *GraphLoad) Function() *function.Function { return g.function }

// Alarms returns the alarms that were made: those of the workflow and of the
// function.
func (g *GraphLoad) Alarms() []awscloudwatch.CfnAlarm {
	return append(g.workflow.Alarms(), g.function.Alarms()...)
}

// Cluster returns the cluster, nil with Analytics.
func (g *GraphLoad) Cluster() *NeptuneCluster { return g.cluster }

// Analytics returns the graph of Neptune Analytics, nil with a cluster.
func (g *GraphLoad) Analytics() *NeptuneAnalytics { return g.analytics }

// Bucket returns the bucket of the files.
func (g *GraphLoad) Bucket() awss3.IBucket { return g.bucket }

// GrantStart lets the grantee start a load.
func (g *GraphLoad) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return g.workflow.GrantStart(grantee)
}

// GrantRedrive lets the grantee redrive loads that failed.
func (g *GraphLoad) GrantRedrive(grantee awsiam.IGrantable) awsiam.Grant {
	return g.workflow.GrantRedrive(grantee)
}
