package stacks

import (
	_ "embed"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/coldstart"
	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// TrainingProps says where the training runs and who approves its models.
type TrainingProps struct {
	// Env is the account and the region.
	//
	// Default: decided when the stack is deployed.
	Env *awscdk.Environment
	// AlarmEmail is told about alarms and asked for approvals.
	//
	// Default: nobody.
	AlarmEmail string
	// Domain is the custom domain of the approval API.
	//
	// Default: none.
	Domain Domain
	// Identity signs the approvers' tokens.
	//
	// Default: none; requests are signed with AWS credentials (IAM).
	Identity Identity
	// TimeZone is where the approvers are; their API is kept warm on workdays
	// from 8 to 20 o'clock there.
	//
	// Default: "UTC".
	TimeZone string
}

func trainingProps(c *Config) *TrainingProps {
	return &TrainingProps{
		Env: c.env(), AlarmEmail: c.AlarmEmail, Domain: c.Domains["training"], Identity: c.Identity, TimeZone: c.TimeZone,
	}
}

// Training learns from the shop's carts which of them will be abandoned, and
// shows in a graph who opened what. Raw data starts it all: when a manifest
// arrives in the lake, a saga books the instances, trains, releases them and
// loads the graph; if a step fails, what was booked is released.
//
//	manifest ──▶ lake: raw ──▶ rule ──▶ saga: book ──▶ train ──▶ release ──▶ load graph
//	                                              │                       │
//	                 curated ◀── transform ◀── pipeline ──▶ model      Neptune
//	                                              ▲
//	              approver ──▶ approval API (kept warm)
//
// The container image that trains, evaluates and predicts is the user's: push
// it to the stack's repository under the tag "live" before the first run.
type Training struct {
	stack     awscdk.Stack
	key       awskms.Key
	alarms    awssns.Topic
	lake      *orchestration.DataLake
	carts     *orchestration.Table
	images    awsecr.Repository
	pipeline  *orchestration.TrainingPipeline
	graph     *orchestration.GraphLoad
	saga      *orchestration.Saga
	approvals *function.Function
}

//go:embed training/transform.py
var transformScript string

const (
	trainingInstance = "ml.m5.xlarge"
	// trainingInstances is how many the account may run at a time for
	// training; see the quota in the Service Quotas console.
	trainingInstances = 2
)

// NewTraining makes the stack of the training.
func NewTraining(scope constructs.Construct, id string, p *TrainingProps) *Training {
	if p == nil {
		p = &TrainingProps{}
	}
	s := &Training{stack: construct.NewStack(scope, id, &awscdk.StackProps{
		Env:         p.Env,
		Description: jsii.String("Training: a data lake, a pipeline from raw data to a model, and a graph, run by a saga."),
	})}
	s.key, s.alarms = newAlarmTopic(s.stack, "Encrypts the training's data, models and alarms.", p.AlarmEmail)
	s.addLake()
	s.addPipeline()
	s.addGraph()
	s.addSaga()
	s.startOnManifests()
	api := s.addApprovalAPI(p)
	s.addOutputs(api)
	return s
}

// Stack returns the CDK stack.
func (s *Training) Stack() awscdk.Stack { return s.stack }

func (s *Training) addLake() {
	s.lake = orchestration.NewDataLake(s.stack, "Lake", &orchestration.DataLakeProps{EncryptionKey: s.key, ScanLimit: 10_000})
	s.carts = s.lake.AddTable("Carts", &orchestration.TableProps{
		Name:        "carts",
		Description: "Carts as they ended.",
		Columns: []orchestration.Column{
			{Name: "cart", Type: "string", Required: true},
			{Name: "customer", Type: "string", Required: true, Comment: "pseudonym"},
			{Name: "items", Type: "int"},
			{Name: "total", Type: "double"},
			{Name: "opened", Type: "timestamptz"},
			{Name: "abandoned", Type: "boolean"},
			{Name: "run", Type: "string", Comment: "that wrote the row last"},
		},
		Partitions: []orchestration.Partition{{Column: "opened", Transform: "month"}},
	})
}

func (s *Training) addPipeline() {
	s.images = awsecr.NewRepository(s.stack, jsii.String("Images"), &awsecr.RepositoryProps{
		ImageScanOnPush: jsii.Bool(true),
		RemovalPolicy:   awscdk.RemovalPolicy_RETAIN,
		LifecycleRules:  &[]*awsecr.LifecycleRule{{TagStatus: awsecr.TagStatus_UNTAGGED, MaxImageAge: awscdk.Duration_Days(jsii.Number(30))}},
	})
	image := orchestration.Image{URI: *s.images.RepositoryUriForTag(jsii.String("live")), Repository: s.images}
	one, none := jsii.Number(1), jsii.Number(0)
	// The last digit of a hash tells the rows of the training from those of
	// the evaluation, and always the same way.
	const tenth = "from_big_endian_64(xxhash64(to_utf8(cart))) % 10"
	// Carts of which it is not known yet are those to predict for.
	features := "SELECT items, total, hour(opened) AS hour, abandoned FROM " + s.carts.SQL() + " WHERE abandoned IS NOT NULL"
	s.pipeline = orchestration.NewTrainingPipeline(s.stack, "Abandonment", &orchestration.TrainingPipelineProps{
		Table:     s.carts,
		Transform: orchestration.Transform{Script: transformScript},
		Quality: []orchestration.QualityRule{
			{Name: "rows", Expression: "count(*)", Min: jsii.Number(1000)},
			{Name: "without total", Expression: "avg(CASE WHEN total IS NULL THEN 1.0 ELSE 0.0 END)", Max: jsii.Number(0.01)},
			{Name: "least total", Expression: "min(total)", Min: none},
			{Name: "abandoned", Expression: "avg(CASE abandoned WHEN true THEN 1.0 WHEN false THEN 0.0 END)", Min: jsii.Number(0.01), Max: jsii.Number(0.99)},
			{Name: "distinct", Expression: "CAST(count(DISTINCT cart) AS double) / count(*)", Min: one},
		},
		Training: orchestration.Training{
			Image: image, InstanceType: trainingInstance,
			Query: features + " AND " + tenth + " <> 0",
		},
		Evaluation: orchestration.Evaluation{
			Image: image, Entrypoint: []string{"evaluate"},
			Query:   features + " AND " + tenth + " = 0",
			Metrics: []orchestration.MetricRule{{Name: "binary_classification_metrics.auc", Min: jsii.Number(0.75)}},
		},
		Approval: orchestration.ModelApproval{Topic: s.alarms, Expiry: 2 * 24 * time.Hour},
		Batch: &orchestration.Batch{
			Query: "SELECT cart, items, total, hour(opened) AS hour FROM " + s.carts.SQL() + " WHERE abandoned IS NULL",
		},
		EncryptionKey: s.key,
		Alarms:        orchestration.WorkflowAlarms{Topic: s.alarms},
	})
}

func (s *Training) addGraph() {
	from := " FROM " + s.carts.SQL()
	s.graph = orchestration.NewGraphLoad(s.stack, "Graph", &orchestration.GraphLoadProps{
		Lake:   s.lake,
		Tables: []*orchestration.Table{s.carts},
		Nodes: []orchestration.GraphNodes{
			{Label: "Customer", ID: "customer", Query: "SELECT DISTINCT customer" + from},
			{Label: "Cart", ID: "cart", Query: "SELECT cart, items, total, abandoned" + from, Properties: map[string]graph.Type{
				"items": graph.Int, "total": graph.Double, "abandoned": graph.Bool,
			}},
		},
		Relationships: []orchestration.GraphRelationships{{
			Type: "OPENED", Query: "SELECT customer, cart" + from,
			From: orchestration.GraphEnd{Label: "Customer", Column: "customer"},
			To:   orchestration.GraphEnd{Label: "Cart", Column: "cart"},
		}},
		Checks: []orchestration.GraphCheck{{Query: "MATCH (:Customer)-[:OPENED]->(c:Cart) RETURN count(DISTINCT c)", AtLeast: 1}},
		Alarms: orchestration.WorkflowAlarms{Topic: s.alarms},
	})
}

// addSaga orders the steps. The instances stay booked while a person decides,
// for a run that is redriven may train again.
func (s *Training) addSaga() {
	bookings := defaults.Table(s.stack, "Bookings", nil, nil, &awsdynamodb.TablePropsV2{
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING},
		TimeToLiveAttribute: jsii.String("ttl"),
	})
	book := s.function("Capacity", "capacity", "Books and releases training instances.", function.Props{
		Environment:            map[string]string{training.EnvCapacity: *construct.TableName(bookings)},
		WithoutDeadLetterQueue: true, // the saga waits for its answer
		Grants: func(f *function.Function) {
			f.AddToPolicy([]string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}, *construct.TableArn(bookings))
		},
	})
	const booking = "Book capacity"
	payload := func(op string) map[string]any {
		return map[string]any{"op": op, "pool": trainingInstance, "booking": orchestration.StepKey(booking), "units": 1, "limit": trainingInstances}
	}
	release := &orchestration.Action{Function: book, Payload: payload(training.OpRelease)}
	enough := 24 // two hours, until another run has ended
	s.saga = orchestration.NewSaga(s.stack, "Saga", &orchestration.SagaProps{
		Steps: []orchestration.Step{
			{
				Name: booking,
				Action: &orchestration.Action{Function: book, Payload: payload(training.OpBook), Retry: orchestration.Retry{
					Errors:   []string{"CapacityError", "UnavailableError", "Lambda.TooManyRequestsException", "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"},
					Attempts: &enough, Interval: time.Minute, MaxDelay: 10 * time.Minute,
				}},
				Compensation: release,
				UndoFailed:   true, // a booking that timed out may have been made
			},
			{Name: "Train", Action: s.run(s.pipeline.Workflow(), 12*24*time.Hour)},
			{Name: "Release capacity", Action: release},
			{Name: "Load graph", Action: s.run(s.graph.Workflow(), 2*24*time.Hour)},
		},
		Workflow: orchestration.WorkflowProps{EncryptionKey: s.key, Alarms: orchestration.WorkflowAlarms{Topic: s.alarms}},
	})
}

// run starts a workflow and waits for it, under the saga's own name: started
// twice, it is the same execution.
func (s *Training) run(w *orchestration.Workflow, timeout time.Duration) *orchestration.Action {
	statement := func(s defaults.Statement) awsiam.PolicyStatement { return awsiam.PolicyStatement_FromJson(s) }
	arn := func(text string) *string {
		return defaults.Text(s.stack, "arn:${AWS::Partition}:"+text, defaults.Values{"Name": construct.AttrName(w.CfnStateMachine())})
	}
	// The result of a workflow with a key is encrypted with it; for one without
	// the statement matches nothing.
	answer := defaults.Actions{"kms:Decrypt"}.To(construct.KeyArn(s.key)).If(map[string]any{"StringEquals": map[string]any{
		"kms:EncryptionContext:aws:states:stateMachineArn": construct.Ref(w.CfnStateMachine()),
	}})
	return &orchestration.Action{
		Resource: "arn:aws:states:::states:startExecution.sync:2",
		Arguments: map[string]any{
			"StateMachineArn": w.ARN(),
			"Name":            "{% $states.context.Execution.Name %}",
			"Input":           map[string]any{"manifest": "{% $input.manifest %}", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "{% $saga %}"},
		},
		Allow: []awsiam.PolicyStatement{
			// https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
			statement(defaults.Actions{"states:StartExecution"}.To(jsii.String(w.ARN()))),
			statement(defaults.Actions{"states:DescribeExecution", "states:StopExecution"}.To(
				arn("states:${AWS::Region}:${AWS::AccountId}:execution:${Name}:*"))),
			statement(defaults.Actions{"events:DescribeRule", "events:PutRule", "events:PutTargets"}.To(
				arn("events:${AWS::Region}:${AWS::AccountId}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"))),
			statement(answer),
		},
		Timeout: timeout,
	}
}

// startOnManifests starts a saga for each manifest that arrives.
func (s *Training) startOnManifests() {
	var raw awss3.CfnBucket
	jsii.UnsafeCast(s.lake.Raw().Node().DefaultChild(), &raw)
	raw.AddPropertyOverride(jsii.String("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"), true)
	dead := defaults.DeadLetterQueue(s.stack, "Unstarted", defaults.DeadLetters{})
	role := defaults.ServiceRole(s.stack, "StartRole", "events.amazonaws.com")
	s.saga.GrantStart(role)
	rule := awsevents.NewCfnRule(s.stack, jsii.String("Manifests"), &awsevents.CfnRuleProps{
		Description: jsii.String("Starts the training when a manifest arrives."),
		EventPattern: map[string]any{
			"source": []string{"aws.s3"}, "detail-type": []string{"Object Created"},
			"detail": map[string]any{
				"bucket": map[string]any{"name": []*string{construct.BucketName(s.lake.Raw())}},
				"object": map[string]any{"key": []any{map[string]any{"wildcard": "raw/*/manifest.json"}}},
			},
		},
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Id: jsii.String("Saga"), Arn: jsii.String(s.saga.Workflow().ARN()), RoleArn: role.RoleArn(),
			InputTransformer: &awsevents.CfnRule_InputTransformerProperty{
				InputPathsMap: map[string]any{"key": "$.detail.object.key"},
				InputTemplate: jsii.String(`{"manifest": "<key>"}`),
			},
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: construct.QueueArn(dead)},
			RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(86400), MaximumRetryAttempts: jsii.Number(185),
			},
		}},
	})
	defaults.AllowEvents(s.stack, dead, "sqs:SendMessage", construct.QueueArn(dead), construct.AttrArn(rule))
	alarm.New(s.stack, "UnstartedAlarm", alarm.Alarm{
		Namespace: "AWS/SQS", Metric: "ApproximateNumberOfMessagesVisible", Statistic: "Maximum", Threshold: 1,
		Dimensions:  map[string]*string{"QueueName": construct.QueueName(dead)},
		Description: "A manifest arrived and the training did not start: mend the cause, then redrive the queue.",
	}, alarm.Tuning{}, s.alarms)
}

// function makes one of the system's functions.
func (s *Training) function(id, name, description string, p function.Props) *function.Function {
	return function.NewFunction(s.stack, id, handler(name, description, s.alarms, p))
}

// addApprovalAPI makes the API by which people approve models. It is called
// once in a while and by somebody who waits, and so is kept warm.
func (s *Training) addApprovalAPI(p *TrainingProps) *httpAPI {
	s.approvals = s.function("ApprovalsHandler", "approvals", "Answers the approval API.", function.Props{
		Memory: 512, WithoutDeadLetterQueue: true, // the API waits for its answer
		Grants: s.pipeline.AddApprovals,
	})
	zone := p.TimeZone
	if zone == "" {
		zone = "UTC"
	}
	coldstart.NewKeepWarm(s.stack, "ApprovalsWarm", &coldstart.KeepWarmProps{
		Functions: []*function.Function{s.approvals},
		Schedule:  schedule.Schedule{schedule.Weekdays(zone, 8, 20, 1)},
		Alarms:    coldstart.KeepWarmAlarms{Topic: s.alarms},
	})
	return newHTTPAPI(s.stack, "API", httpAPIProps{
		domain:   p.Domain,
		identity: p.Identity,
		answers:  []integration{{"Approvals", s.approvals, []string{training.RouteApproval, training.RouteDecide}}},
		scopes:   map[string]string{training.RouteDecide: training.ApproveScope},
	})
}

func (s *Training) addOutputs(api *httpAPI) {
	for _, output := range []struct {
		id    string
		value *string
	}{
		{"URL", api.url},
		{"RawBucket", construct.BucketName(s.lake.Raw())},
		{"Repository", s.images.RepositoryUri()},
		{"SagaWorkflow", jsii.String(s.saga.Workflow().ARN())},
		{"WorkGroup", jsii.String(s.lake.WorkGroup())},
	} {
		awscdk.NewCfnOutput(s.stack, &output.id, &awscdk.CfnOutputProps{Value: output.value})
	}
}
