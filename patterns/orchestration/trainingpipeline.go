package orchestration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsglue"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssagemaker"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
	"github.com/serverless-go/cdk/patterns/props"
)

// TrainingPipelineProps says how a model is trained, judged and put to use.
type TrainingPipelineProps struct {
	// Table is the curated table that Transform writes and the model is
	// trained on. Required.
	Table *Table
	// Transform turns the raw files of a manifest into rows of Table. Required.
	Transform Transform
	// Quality are the rules that the table must keep before anything is
	// trained on it, at least one. They judge the table as it is then; what is
	// written to it before the exports begin is exported unjudged. Required.
	Quality []QualityRule
	// Training trains the model. Required.
	Training Training
	// Evaluation measures the model. Required.
	Evaluation Evaluation
	// Approval has a person decide whether the model is used.
	//
	// Default: somebody must approve within 7 days.
	Approval ModelApproval
	// Batch predicts for the rows of a query with each approved model. Set
	// Batch, Endpoint or neither.
	//
	// Default: none.
	Batch *Batch
	// Endpoint serves the latest approved model. Set Batch, Endpoint or
	// neither: then models are registered and published, and used elsewhere.
	//
	// Default: none.
	Endpoint *Endpoint
	// Bus is told about each model that is put to use, as the event
	// "ModelPublished" of the source "training.<workflow's id>".
	//
	// Default: the account's default bus.
	Bus awsevents.IEventBus

	// Artifacts is the bucket for what runs leave: models below "models/",
	// for ever; exports, checkpoints, reports and predictions below "runs/".
	//
	// Default: a new one: private, TLS only, versioned, retained when the
	// stack is destroyed.
	Artifacts awss3.IBucket
	// RunRetention is the age, in whole days, at which a new bucket deletes
	// what is below "runs/".
	//
	// Default: 90 days.
	RunRetention time.Duration
	// EncryptionKey encrypts a new bucket, the volumes of the instances, the
	// table of approvals and the workflow.
	//
	// Default: keys that AWS owns.
	EncryptionKey awskms.IKey
	// Alarms tunes the workflow's alarms. A step that fails fails the
	// workflow, and so the functions have none of their own.
	//
	// Default: all are made and notify nobody.
	Alarms WorkflowAlarms
}

// Transform is a Glue job that reads the files of a manifest from the raw zone
// and writes an Iceberg table. It finds in its arguments --manifest (an S3 URI),
// --manifest_version, --run, --database, --table and --location.
//
// It must bear to be repeated: a job that fails is run again, up to twice, and
// by each redrive. It runs once at a time, and a run that finds it busy waits for
// as long as two others may take.
type Transform struct {
	// Script is the source of the job, PySpark. Embed it with go:embed. Set
	// Script or JobName, not both.
	Script string
	// JobName is the name of a job that exists and has what it needs. Let it run
	// once at a time (MaxConcurrentRuns), unless it cannot write a row twice.
	//
	// Default: none; there is a Script.
	JobName string
	// WorkerType is Glue's size of a worker.
	//
	// Default: "G.1X", 4 vCPU and 16 GB, 0.44 USD an hour (us-east-1).
	WorkerType string
	// Workers is how many, 2 to 299.
	//
	// Default: 2.
	Workers int
	// Timeout ends the job, whole minutes.
	//
	// Default: 2 hours.
	Timeout time.Duration
}

// QualityRule is what a number computed from the table must be.
type QualityRule struct {
	// Name names the number in messages and in the execution's output.
	// Required.
	Name string
	// Expression is an aggregate in Athena's SQL:
	// "avg(CASE WHEN price IS NULL THEN 1.0 ELSE 0.0 END)". Required.
	Expression string
	// Min and Max bound the number, both included; one of them at least is set.
	//
	// Default: no bound.
	Min, Max *float64
}

// MetricRule is what a metric of the evaluation must be.
type MetricRule struct {
	// Name is the metric's path in the report, with dots:
	// "binary_classification_metrics.auc". Required.
	Name string
	// Min and Max bound the metric, both included; one of them at least is set.
	//
	// Default: no bound.
	Min, Max *float64
}

// Image is a container image in ECR.
type Image struct {
	// URI is the image's, with tag or digest. Required.
	URI string
	// Repository is where it is, to be allowed to pull it.
	//
	// Default: the repository that the URI names.
	Repository awsecr.IRepository
}

// Training says how a model is trained.
type Training struct {
	// Image trains: it reads Parquet from the channel "train" and writes the
	// model to /opt/ml/model. Required.
	Image Image
	// Query selects the rows that are exported for the training.
	//
	// Default: all of Table.
	Query string
	// HyperParameters are handed to the image. Values may be tokens.
	//
	// Default: none.
	HyperParameters map[string]string
	// InstanceType is SageMaker's.
	//
	// Default: "ml.m5.xlarge".
	InstanceType string
	// Instances is how many, 1 to 100.
	//
	// Default: 1.
	Instances int
	// Volume is the size of each instance's disk in GB, 1 to 16,384.
	//
	// Default: 50.
	Volume int
	// Timeout is the longest that the training may compute, up to 28 days.
	//
	// Default: 4 hours.
	Timeout time.Duration
	// OnDemand trains on instances that AWS does not take away.
	//
	// Default: on spot instances, up to 90 % cheaper; the image goes on from
	// what it wrote to /opt/ml/checkpoints.
	OnDemand bool
	// SpotWait is the longest that a training on spot instances may take with
	// its waits, at least Timeout.
	//
	// Default: twice Timeout.
	SpotWait time.Duration
	// WithNetwork lets the image reach the network.
	//
	// Default: it is isolated.
	WithNetwork bool
}

// Evaluation says how a model is measured.
type Evaluation struct {
	// Image measures: it finds the model's archive in
	// /opt/ml/processing/model and Parquet in /opt/ml/processing/test, and
	// writes /opt/ml/processing/evaluation/evaluation.json. Required.
	Image Image
	// Entrypoint is what is run.
	//
	// Default: the image's own.
	Entrypoint []string
	// Query selects the rows that are exported for the evaluation. They should
	// not be among those of the training.
	//
	// Default: all of Table.
	Query string
	// Metrics are the rules that the model must keep, at least one. Required.
	Metrics []MetricRule
	// InstanceType is SageMaker's.
	//
	// Default: "ml.m5.xlarge".
	InstanceType string
	// Volume is the size of the disk in GB, 1 to 16,384.
	//
	// Default: 50.
	Volume int
	// Timeout ends the evaluation, up to 5 days.
	//
	// Default: 1 hour.
	Timeout time.Duration
}

// ModelApproval has a person decide. Who may decide is up to who may reach the
// function of [TrainingPipeline.AddApprovals].
type ModelApproval struct {
	// Off uses every model that keeps its metrics.
	//
	// Default: somebody approves each model.
	Off bool
	// Topic is told that a run asks, with its metrics.
	//
	// Default: a new one, to subscribe to.
	Topic awssns.ITopic
	// Expiry is how long a run waits for a decision, 1m to 365 days. Then it
	// fails; redriven it asks again.
	//
	// Default: 7 days.
	Expiry time.Duration
}

// Batch says how predictions are made.
type Batch struct {
	// Query selects the rows to predict for; they are handed to the model as
	// JSON lines. If there are none, none are predicted, and the run's output has
	// null for predictions. Required.
	Query string
	// InstanceType is SageMaker's.
	//
	// Default: "ml.m5.xlarge".
	InstanceType string
	// Instances is how many, 1 to 100.
	//
	// Default: 1.
	Instances int
	// Timeout ends the waiting for the predictions, and stops them.
	//
	// Default: 4 hours.
	Timeout time.Duration
}

// Endpoint says how the model is served.
type Endpoint struct {
	// Name is the endpoint's: up to 63 lower-case letters, digits and -.
	//
	// Default: one of CloudFormation's kind.
	Name string
	// InstanceType is SageMaker's.
	//
	// Default: "ml.m5.large".
	InstanceType string
	// Instances is how many, 1 to 100. From 2 on, a new model gets a tenth of
	// the traffic first.
	//
	// Default: 2.
	Instances int
	// Bake is how long a new model is watched before it has all the traffic
	// and before the old instances are taken down, 1m to 1h.
	//
	// Default: 10 minutes.
	Bake time.Duration
	// RollbackAlarms bring the old model back while the new one is watched.
	// SageMaker takes up to 10.
	//
	// Default: none; a model that does not start is rolled back all the same.
	RollbackAlarms []awscloudwatch.IAlarm
}

// TrainingPipeline trains a model from raw data to use. Start it with
//
//	{"manifest": "raw/carts/2026-11-27/manifest.json"}
//
// which names a [training.Manifest] in the lake's raw bucket:
//
//	check manifest ──▶ transform (Glue) ──▶ judge data ──▶ export ──▶ train ──▶ evaluate ──▶ judge model
//	──▶ ask for approval ──▶ register ──▶ predict, or deploy with rollback ──▶ publish
//
// A step that fails fails the execution under the step's own error:
// ManifestError, DataQualityError, MetricError, ApprovalDenied, States.Timeout.
// Mend the cause and redrive it: it goes on with that step, under names of its
// own. A deployment that was rolled back ends with DeploymentRolledBack and
// rejects the model in the registry; it wants a new run.
//
// Sources: https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html,
// https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html,
// https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html.
type TrainingPipeline struct {
	constructs.Construct
	workflow       *Workflow
	prefix         string      // of the names of what runs make
	key            awskms.IKey // of the table of approvals, nil for DynamoDB's own
	artifacts      awss3.IBucket
	job            awsglue.CfnJob
	jobName        string
	group          awssagemaker.CfnModelPackageGroup
	topic          awssns.ITopic
	approvals      awsdynamodb.TableV2
	endpointName   string
	checkManifest  *function.Function
	judgeData      *function.Function
	judgeModel     *function.Function
	trainingRole   awsiam.Role
	evaluationRole awsiam.Role
	modelRole      awsiam.Role
}

// The Go handlers of a pipeline.
const (
	checkManifestEntry = "github.com/serverless-go/cdk/functions/checkmanifest"
	judgeDataEntry     = "github.com/serverless-go/cdk/functions/judgedata"
	judgeModelEntry    = "github.com/serverless-go/cdk/functions/judgemodel"
)

// Prefixes of the objects in a pipeline's bucket.
const (
	runsPrefix   = "runs/"
	modelsPrefix = "models/"
)

// NewTrainingPipeline makes a pipeline. It panics with a *[props.Error] when
// the props are wrong.
func NewTrainingPipeline(scope constructs.Construct, id string, p *TrainingPipelineProps) *TrainingPipeline {
	if p == nil {
		p = &TrainingPipelineProps{}
	}
	p.check(scope, id)
	t := &TrainingPipeline{artifacts: p.Artifacts, topic: p.Approval.Topic, key: p.EncryptionKey}
	construct.Init(t, scope, id)
	t.prefix = construct.UniqueName(t, "-", 20) // leaves 43 of SageMaker's 63 for a run and an attempt
	t.addArtifacts(p)
	t.addJob(p)
	t.addFunctions(p)
	t.addRoles(p)
	t.group = awssagemaker.NewCfnModelPackageGroup(t, jsii.String("Models"), &awssagemaker.CfnModelPackageGroupProps{
		ModelPackageGroupName:        &t.prefix,
		ModelPackageGroupDescription: jsii.String("The models of " + construct.Path(t) + "."),
	})
	t.group.ApplyRemovalPolicy(retainUsed, nil)
	if p.Endpoint != nil {
		t.endpointName = construct.Or(p.Endpoint.Name, t.prefix)
	}
	if !p.Approval.Off {
		t.addApprovals(p)
	}
	t.workflow = NewWorkflow(t, "Workflow", &WorkflowProps{
		Definition:    t.definition(p),
		allow:         t.statements(p),
		EncryptionKey: p.EncryptionKey,
		Timeout:       364 * day, // each step has its own, and so has the approval
		Alarms:        p.Alarms,
	})
	p.Table.lake.permitAll(t.workflow, readTable, []*Table{p.Table})
	if t.topic != nil {
		t.topic.GrantPublish(t.workflow.role)
	}
	return t
}

var (
	endpointName = regexp.MustCompile(`^[a-z0-9](-*[a-z0-9]){0,62}$`)
	imageURI     = regexp.MustCompile(`^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)[:@].+$`)
)

func (p *TrainingPipelineProps) check(scope constructs.Construct, id string) {
	var c props.Check
	c.Require(p.Table != nil, "Table", props.Unset, "a table of a DataLake", "add one with AddTable")
	c.Nested("Transform", p.Transform.check)
	c.Require(len(p.Quality) > 0, "Quality", props.Empty, "at least one rule", `begin with {Name: "rows", Expression: "count(*)", Min: jsii.Number(1)}`)
	rule := func(names map[string]bool, field, name string, low, high *float64) {
		c.Require(name != "" && !names[name], field+".Name", name, "a name that no other rule has", "")
		names[name] = true
		c.Require(low != nil || high != nil, field, props.Words("without Min and Max"), "at least one of the two", "")
		c.Require(low == nil || high == nil || *low <= *high, field+".Min", show(low), "at most Max", "")
	}
	names := map[string]bool{}
	for i, q := range p.Quality {
		field := fmt.Sprintf("Quality[%d]", i)
		rule(names, field, q.Name, q.Min, q.Max)
		c.Require(q.Expression != "", field+".Expression", "", "an aggregate in SQL, such as count(*)", "")
	}
	c.Nested("Training", p.Training.check)
	c.Nested("Evaluation", p.Evaluation.check)
	names = map[string]bool{}
	for i, m := range p.Evaluation.Metrics {
		rule(names, fmt.Sprintf("Evaluation.Metrics[%d]", i), m.Name, m.Min, m.Max)
	}
	props.Between(&c, "Approval.Expiry", p.Approval.Expiry, time.Minute, 363*day)
	c.Require(p.Approval.Expiry%time.Second == 0, "Approval.Expiry", p.Approval.Expiry, "whole seconds", "")
	c.Require(!p.Approval.Off || p.Approval.Topic == nil && p.Approval.Expiry == 0, "Approval.Off", true, "false with Topic or Expiry", "leave one out")
	c.Require(p.Batch == nil || p.Endpoint == nil, "Batch", props.Words("set together with Endpoint"), "one of the two, or neither", "")
	if p.Batch != nil {
		c.Require(p.Batch.Query != "", "Batch.Query", "", "a query in SQL", "")
		props.Between(&c, "Batch.Instances", p.Batch.Instances, 1, 100)
		props.Between(&c, "Batch.Timeout", p.Batch.Timeout, time.Minute, 5*day)
	}
	if p.Endpoint != nil {
		c.Nested("Endpoint", p.Endpoint.check)
	}
	c.Require(p.RunRetention >= 0 && p.RunRetention%day == 0, "RunRetention", p.RunRetention, "whole days", "")
	c.Require(p.Artifacts == nil || p.RunRetention == 0, "RunRetention", props.Words("set together with Artifacts"), "one of the two",
		"leave it out, and set a lifecycle on the bucket itself")
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

func show(f *float64) string {
	if f == nil {
		return ""
	}
	return fmt.Sprint(*f)
}

func (s Transform) check(c *props.Check) {
	c.Require((s.Script != "") != (s.JobName != ""), "Script", props.Words("set together with JobName, or neither is"), "one of the two", "")
	props.Between(c, "Workers", s.Workers, 2, 299)
	props.Between(c, "Timeout", s.Timeout, time.Minute, 7*day)
	c.Require(s.Timeout%time.Minute == 0, "Timeout", s.Timeout, "whole minutes", "")
}

func (i Image) check(c *props.Check) {
	c.Require(i.URI != "", "URI", "", "the image's URI", "")
	c.Require(i.Repository != nil || i.URI == "" || imageURI.MatchString(i.URI), "URI", i.URI,
		"<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag> without a Repository", "set Repository")
}

func (s Training) check(c *props.Check) {
	c.Nested("Image", s.Image.check)
	props.Between(c, "Instances", s.Instances, 1, 100)
	props.Between(c, "Volume", s.Volume, 1, 16384)
	props.Between(c, "Timeout", s.Timeout, time.Minute, 28*day)
	c.Require(s.SpotWait == 0 || !s.OnDemand, "SpotWait", s.SpotWait, "none with OnDemand", "leave one out")
	c.Require(s.SpotWait == 0 || s.SpotWait >= s.timeout(), "SpotWait", s.SpotWait, "at least Timeout", "")
}

func (s Evaluation) check(c *props.Check) {
	c.Nested("Image", s.Image.check)
	c.Require(len(s.Metrics) > 0, "Metrics", props.Empty, "at least one rule", "a model that nothing is asked of needs no evaluation")
	props.Between(c, "Volume", s.Volume, 1, 16384)
	props.Between(c, "Timeout", s.Timeout, time.Minute, 5*day)
}

func (e Endpoint) check(c *props.Check) {
	c.Require(e.Name == "" || endpointName.MatchString(e.Name), "Name", e.Name, "1 to 63 lower-case letters, digits and -", "")
	props.Between(c, "Instances", e.Instances, 1, 100)
	props.Between(c, "Bake", e.Bake, time.Minute, time.Hour)
	c.Require(len(e.RollbackAlarms) <= 10, "RollbackAlarms", len(e.RollbackAlarms), "up to 10", "join some into a composite alarm")
}

func (s Training) timeout() time.Duration { return construct.Or(s.Timeout, 4*time.Hour) }

func (s Training) wait() time.Duration { return construct.Or(s.SpotWait, 2*s.timeout()) }

// query returns the rows of the table that the user selects.
func (p *TrainingPipelineProps) query(user string) string {
	return construct.Or(user, "SELECT * FROM "+p.Table.SQL())
}

func (t *TrainingPipeline) addArtifacts(p *TrainingPipelineProps) {
	if t.artifacts != nil {
		return
	}
	t.artifacts = p.Table.lake.bucket(t, "Artifacts", &awss3.BucketProps{
		EncryptionKey: p.EncryptionKey,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Id:         jsii.String("Runs"),
			Prefix:     jsii.String(runsPrefix),
			Expiration: construct.SharedDuration(t, construct.Or(p.RunRetention, 90*day)),
		}, defaults.Tidy(t)},
	})
}

// addJob makes the Glue job, unless the user has one.
func (t *TrainingPipeline) addJob(p *TrainingPipelineProps) {
	if t.jobName = p.Transform.JobName; t.jobName != "" {
		return
	}
	lake := p.Table.lake
	asset := scriptAsset(t, p.Transform.Script)
	script := *asset.S3BucketName() + "/" + *asset.S3ObjectKey()
	role := defaults.ServiceRole(t, "TransformRole", "glue.amazonaws.com", slices.Concat([]defaults.Statement{
		defaults.Actions{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}.To(localARN(t, "logs", "log-group:/aws-glue/jobs/*")),
		putMetrics("Glue"),
		defaults.Actions{"s3:GetObject"}.To(defaults.Text(t, "arn:${AWS::Partition}:s3:::"+script)),
	}, lake.toReadRaw(), lake.toUseTables(writeTable, p.Table))...)
	lake.permitAll(role, writeTable, []*Table{p.Table})
	warehouse := "s3://" + *construct.BucketName(lake.curated) + "/" + curatedPrefix
	timeout := construct.Or(p.Transform.Timeout, 2*time.Hour)
	t.job = awsglue.NewCfnJob(t, jsii.String("Transform"), &awsglue.CfnJobProps{
		Description: jsii.String("Turns raw files into rows of " + p.Table.name + "."),
		Role:        construct.RoleArn(role),
		Command: &awsglue.CfnJob_JobCommandProperty{
			Name: jsii.String("glueetl"), PythonVersion: jsii.String("3"), ScriptLocation: jsii.String("s3://" + script),
		},
		GlueVersion:     jsii.String("5.0"),
		WorkerType:      jsii.String(construct.Or(p.Transform.WorkerType, "G.1X")),
		NumberOfWorkers: jsii.Number(construct.Or(p.Transform.Workers, 2)),
		Timeout:         jsii.Number(timeout.Minutes()),
		MaxRetries:      jsii.Number(0), // the workflow retries
		// Two merges at a time that match nothing both append, and so keep what is
		// new to both twice: Iceberg sees no conflict
		// (https://github.com/apache/iceberg/issues/12653).
		ExecutionProperty: &awsglue.CfnJob_ExecutionPropertyProperty{MaxConcurrentRuns: jsii.Number(1)},
		DefaultArguments: map[string]any{
			"--datalake-formats":                 "iceberg",
			"--enable-metrics":                   "true",
			"--enable-continuous-cloudwatch-log": "true",
			"--enable-job-insights":              "true",
			"--job-language":                     "python",
			// Source: https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-format-iceberg.html
			"--conf": "spark.sql.extensions=org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions" +
				" --conf spark.sql.catalog.glue_catalog=org.apache.iceberg.spark.SparkCatalog" +
				" --conf spark.sql.catalog.glue_catalog.catalog-impl=org.apache.iceberg.aws.glue.GlueCatalog" +
				" --conf spark.sql.catalog.glue_catalog.io-impl=org.apache.iceberg.aws.s3.S3FileIO" +
				" --conf spark.sql.catalog.glue_catalog.warehouse=" + warehouse,
		},
	})
	if lake.location != nil {
		t.job.Node().AddDependency(role) // and what Lake Formation permits it
	}
	t.jobName = *t.job.Ref()
}

// scriptAsset uploads the script, which is Go's own, from a file that is gone
// as soon as the CDK has copied it.
func scriptAsset(scope constructs.Construct, source string) awss3assets.Asset {
	dir, err := os.MkdirTemp("", "transform")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "transform.py")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		panic(err)
	}
	return awss3assets.NewAsset(scope, jsii.String("Script"), &awss3assets.AssetProps{Path: &path})
}

func (t *TrainingPipeline) addFunctions(p *TrainingPipelineProps) {
	add := func(id, entry, description string, timeout time.Duration, allow ...defaults.Statement) *function.Function {
		return function.NewFunction(t, id, &function.Props{
			Entry: entry, Description: description, Timeout: timeout,
			Grants:                 func(f *function.Function) { defaults.Grant(f, allow...) },
			WithoutDeadLetterQueue: true, // the workflow waits for its answer
			Alarms:                 function.Alarms{Off: true},
		})
	}
	// A gate that says no is an error of its function: the workflow's alarm
	// tells of it.
	t.checkManifest = add("CheckManifest", checkManifestEntry, "Checks that the files of a manifest are there.", 5*time.Minute, p.Table.lake.toReadRaw()...)
	t.judgeData = add("JudgeData", judgeDataEntry, "Judges the quality of curated data.", 0)
	t.judgeModel = add("JudgeModel", judgeModelEntry, "Judges a model by its evaluation.", 0, append([]defaults.Statement{
		defaults.Actions{"s3:GetObject"}.To(construct.Objects(t.artifacts, runsPrefix+"*")),
		// Without it a missing report is "access denied".
		defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(t.artifacts)).If(defaults.ListBelow(runsPrefix)),
	}, throughS3(t.artifacts, "kms:Decrypt")...)...)
}

func (t *TrainingPipeline) addApprovals(p *TrainingPipelineProps) {
	t.approvals = defaults.Table(t, "Approvals", p.EncryptionKey, nil, &awsdynamodb.TablePropsV2{
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String(training.AttrRun), Type: awsdynamodb.AttributeType_STRING},
		TimeToLiveAttribute: jsii.String(training.AttrTTL),
	})
	if t.topic == nil {
		made := &awssns.TopicProps{EnforceSSL: jsii.Bool(true)}
		if p.EncryptionKey != nil {
			made.MasterKey = p.EncryptionKey
		}
		topic := awssns.NewTopic(t, jsii.String("ApprovalRequests"), made)
		if made.MasterKey == nil {
			var l1 awssns.CfnTopic
			jsii.UnsafeCast(topic.Node().DefaultChild(), &l1)
			l1.SetKmsMasterKeyId(jsii.String("alias/aws/sns"))
		}
		t.topic = topic
	}
}

// AddApprovals makes the function, functions/approvals or one like it, answer
// the pipeline's requests: it sets [training.EnvApprovals] and lets it read and
// decide requests and end the tasks that wait. Whoever may call the function
// may decide, and the function keeps who it was.
func (t *TrainingPipeline) AddApprovals(fn *function.Function) {
	fn.AddEnvironment(training.EnvApprovals, *construct.TableName(t.approvals))
	defaults.Grant(fn,
		defaults.Actions{"dynamodb:GetItem", "dynamodb:UpdateItem"}.To(construct.TableArn(t.approvals)),
		defaults.Actions{"states:SendTaskFailure", "states:SendTaskSuccess"}.To(construct.Ref(t.workflow.machine)))
	if t.key != nil {
		defaults.Grant(fn, defaults.UseKey.To(construct.KeyArn(t.key)).If(defaults.Through("dynamodb")))
	}
}

// Workflow returns the workflow.
func (t *TrainingPipeline) Workflow() *Workflow { return t.workflow }

// Alarms returns the alarms that were made, which are the workflow's.
func (t *TrainingPipeline) Alarms() []awscloudwatch.CfnAlarm { return t.workflow.Alarms() }

// GrantStart lets the grantee start runs.
func (t *TrainingPipeline) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return t.workflow.GrantStart(grantee)
}

// GrantRedrive lets the grantee redrive runs that failed.
func (t *TrainingPipeline) GrantRedrive(grantee awsiam.IGrantable) awsiam.Grant {
	return t.workflow.GrantRedrive(grantee)
}

// Artifacts returns the bucket of what runs leave.
func (t *TrainingPipeline) Artifacts() awss3.IBucket { return t.artifacts }

// TransformJob returns the Glue job, nil if it is the user's.
func (t *TrainingPipeline) TransformJob() awsglue.CfnJob { return t.job }

// Models returns the group of the models in the registry.
func (t *TrainingPipeline) Models() awssagemaker.CfnModelPackageGroup { return t.group }

// ApprovalTopic returns the topic that is told about requests, nil if nobody
// is asked.
func (t *TrainingPipeline) ApprovalTopic() awssns.ITopic { return t.topic }

// Approvals returns the table of requests and decisions, nil if nobody is
// asked.
func (t *TrainingPipeline) Approvals() awsdynamodb.ITableV2 { return t.approvals }

// EndpointName returns the name of the endpoint, "" without one.
func (t *TrainingPipeline) EndpointName() string { return t.endpointName }

// TrainingRole returns the role that trainings act as.
func (t *TrainingPipeline) TrainingRole() awsiam.IRole { return t.trainingRole }

// EvaluationRole returns the role that evaluations act as.
func (t *TrainingPipeline) EvaluationRole() awsiam.IRole { return t.evaluationRole }

// ModelRole returns the role that models act as, nil if they are not deployed.
func (t *TrainingPipeline) ModelRole() awsiam.IRole { return t.modelRole }
