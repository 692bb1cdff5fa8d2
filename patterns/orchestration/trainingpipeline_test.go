package orchestration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/functions/training/approval"
	"github.com/serverless-go/cdk/functions/training/evaluation"
	"github.com/serverless-go/cdk/functions/training/manifest"
	"github.com/serverless-go/cdk/functions/training/quality"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

const modelImage = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/carts:7"

// pipelineProps returns the fewest props that are right.
func pipelineProps(stack awscdk.Stack) *orchestration.TrainingPipelineProps {
	return &orchestration.TrainingPipelineProps{
		Table:     carts(orchestration.NewDataLake(stack, "Lake", nil)),
		Transform: orchestration.Transform{Script: "print('transform')\n"},
		Quality: []orchestration.QualityRule{
			{Name: "rows", Expression: "count(*)", Min: jsii.Number(100)},
			{Name: "without total", Expression: "avg(CASE WHEN total IS NULL THEN 1.0 ELSE 0.0 END)", Max: jsii.Number(0.01)},
		},
		Training: orchestration.Training{Image: orchestration.Image{URI: modelImage}},
		Evaluation: orchestration.Evaluation{
			Image:   orchestration.Image{URI: modelImage},
			Metrics: []orchestration.MetricRule{{Name: "binary_classification_metrics.auc", Min: jsii.Number(0.8)}},
		},
	}
}

func TestTrainingPipelineDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	pipeline := orchestration.NewTrainingPipeline(stack, "Pipeline", pipelineProps(stack))
	pipeline.AddApprovals(handler(stack, "Approvals"))
	cdktest.Golden(t, stack)
}

func TestTrainingPipelineAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := pipelineProps(stack)
	p.Transform = orchestration.Transform{JobName: "legacy-etl"}
	p.Artifacts = awss3.Bucket_FromBucketName(stack, jsii.String("Artifacts"), jsii.String("artifacts"))
	p.Approval.Topic = awssns.NewTopic(stack, jsii.String("Reviewers"), nil)
	p.Bus = awsevents.EventBus_FromEventBusName(stack, jsii.String("Bus"), jsii.String("models"))
	p.Training.Image = orchestration.Image{URI: "models/carts", Repository: awsecr.Repository_FromRepositoryName(stack, jsii.String("Repository"), jsii.String("carts"))}
	p.Batch = &orchestration.Batch{Query: "SELECT cart, total FROM carts"}
	orchestration.NewTrainingPipeline(stack, "Pipeline", p)
	cdktest.Golden(t, stack)
}

func largestPipeline(stack awscdk.Stack) *orchestration.TrainingPipelineProps {
	p := pipelineProps(stack)
	p.EncryptionKey = awskms.NewKey(stack, jsii.String("Key"), nil)
	p.RunRetention = 30 * 24 * time.Hour
	p.Transform.WorkerType, p.Transform.Workers, p.Transform.Timeout = "G.2X", 10, time.Hour
	p.Training.Query = "SELECT total FROM carts WHERE day_of_week(opened) < 6"
	p.Training.HyperParameters = map[string]string{"eta": "0.2", "quote": "it's"}
	p.Training.InstanceType, p.Training.Instances, p.Training.Volume = "ml.g5.xlarge", 2, 100
	p.Training.Timeout, p.Training.SpotWait = time.Hour, 3*time.Hour
	p.Training.WithNetwork = true
	p.Evaluation.Entrypoint = []string{"python3", "/opt/evaluate.py"}
	p.Evaluation.Query = "SELECT total FROM carts WHERE day_of_week(opened) >= 6"
	p.Evaluation.InstanceType, p.Evaluation.Volume, p.Evaluation.Timeout = "ml.m5.2xlarge", 20, 30*time.Minute
	p.Approval.Expiry = 24 * time.Hour
	p.Endpoint = &orchestration.Endpoint{
		Name: "carts-live", InstanceType: "ml.c7g.large", Instances: 4, Bake: 5 * time.Minute,
		RollbackAlarms: []awscloudwatch.IAlarm{awscloudwatch.Alarm_FromAlarmArn(stack, jsii.String("Alarm"),
			jsii.String("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:model-errors"))},
	}
	p.Alarms = orchestration.WorkflowAlarms{Topic: awssns.NewTopic(stack, jsii.String("OnCall"), nil), Aborted: alarm.Tuning{Off: true}}
	return p
}

func TestTrainingPipelineEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	pipeline := orchestration.NewTrainingPipeline(stack, "Pipeline", largestPipeline(stack))
	starter := accountRole(stack, "Starter")
	pipeline.GrantStart(starter)
	pipeline.GrantRedrive(starter)
	pipeline.AddApprovals(handler(stack, "Approvals"))
	cdktest.Golden(t, stack)
}

// The group's name is fixed: one that a rolled-back deployment left would be in
// the way of the next.
func TestTrainingPipelineRetainsModels(t *testing.T) {
	stack := cdktest.NewStack(t)
	orchestration.NewTrainingPipeline(stack, "Pipeline", pipelineProps(stack))
	isRetainedOnceUsed(t, cdktest.Synth(t, stack), "AWS::SageMaker::ModelPackageGroup")
}

func TestTrainingPipelineIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, orchestration.NewTrainingPipeline(stack, "Pipeline", pipelineProps(stack)))
}

// trainingCloud stands for AWS in a run: what each state calls, with our own functions
// where there are any.
type trainingCloud struct {
	t        *testing.T
	objects  map[string]string // S3, by bucket/key
	names    map[string]bool   // of jobs; a name is never used twice
	auc      float64           // of the model
	rows     string
	files    int      // that the export of the rows to predict for wrote
	decision string   // "" for none in time
	endpoint []string // what describeEndpoint says, one after the other; the last stays
	config   string   // of the endpoint
	statuses []string // of the model in the registry
	deleted  bool
	tasks    map[string]asl.Handler
}

func newTrainingCloud(t *testing.T) *trainingCloud {
	c := &trainingCloud{
		t: t, names: map[string]bool{}, auc: 0.9, rows: "1000", files: 1, decision: training.DecisionApprove, endpoint: []string{"InService"},
		objects: map[string]string{
			"LakeRaw8A880B75/raw/carts/manifest.json": `{"dataset": "carts", "files": [{"key": "raw/carts/1.json", "bytes": 5}]}`,
			"LakeRaw8A880B75/raw/carts/1.json":        "[1,2]",
		},
	}
	value := func(s string) map[string]any { return map[string]any{"VarCharValue": s} }
	c.tasks = map[string]asl.Handler{
		"Check manifest": asl.Lambda((&manifest.Checker{S3: c}).Check),
		"Transform":      asl.Script(asl.Return(map[string]any{"JobRunState": "SUCCEEDED"})),
		"Profile data":   asl.Script(asl.Return(map[string]any{"QueryExecution": map[string]any{"QueryExecutionId": "q-1"}})),
		"Read profile": func(context.Context, *asl.PendingTask) (any, error) {
			return map[string]any{"ResultSet": map[string]any{"Rows": []any{
				map[string]any{"Data": []any{value("_col0"), value("_col1")}},
				map[string]any{"Data": []any{value(c.rows), value("0.0")}},
			}}}, nil
		},
		"Judge data":             asl.Lambda(quality.Judge),
		"Export training data":   c.unload,
		"Export evaluation data": c.unload,
		"Export rows":            c.unload,
		"Train":                  c.train,
		"Evaluate":               c.evaluate,
		"Judge model":            asl.Lambda((&evaluation.Reader{S3: c}).Judge),
		"Ask for approval":       asl.Script(asl.Return(map[string]any{"MessageId": "m"})),
		"Await approval":         c.approve,
		"Register model":         asl.Script(asl.Return(map[string]any{"ModelPackageArn": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/pipeline/1"})),
		"Create model":           c.unique("ModelName"),
		"Look for rows": func(_ context.Context, task *asl.PendingTask) (any, error) {
			in := task.Arguments.(map[string]any)
			place := fmt.Sprintf("unload s3://%s/%s'", in["Bucket"], in["Prefix"])
			if !slices.ContainsFunc(slices.Collect(maps.Keys(c.names)), func(name string) bool { return strings.HasPrefix(name, place) }) {
				t.Errorf("looked for rows where nothing was exported: %v", in)
			}
			return map[string]any{"KeyCount": c.files}, nil
		},
		"Predict": func(ctx context.Context, task *asl.PendingTask) (any, error) {
			if _, err := c.unique("TransformJobName")(ctx, task); err != nil {
				return nil, err
			}
			return map[string]any{"TransformOutput": task.Arguments.(map[string]any)["TransformOutput"]}, nil
		},
		"Configure endpoint": c.unique("EndpointConfigName"),
		"Find endpoint":      c.describe,
		"Look at endpoint":   c.describe,
		"Update endpoint":    c.move,
		"Create endpoint":    c.move,
		"Delete endpoint": func(context.Context, *asl.PendingTask) (any, error) {
			c.deleted = true
			return nil, nil
		},
		"Reject model": func(_ context.Context, task *asl.PendingTask) (any, error) {
			c.statuses = append(c.statuses, fmt.Sprint(task.Arguments.(map[string]any)["ModelApprovalStatus"]))
			return nil, nil
		},
		"Publish": asl.Script(asl.Return(map[string]any{"FailedEntryCount": 0})),
	}
	return c
}

func (c *trainingCloud) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	text, ok := c.objects[*in.Bucket+"/"+*in.Key]
	if !ok {
		return nil, &s3types.NoSuchKey{}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(text)), VersionId: aws.String("v1")}, nil
}

func (c *trainingCloud) HeadObject(_ context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	text, ok := c.objects[*in.Bucket+"/"+*in.Key]
	if !ok {
		return nil, &s3types.NotFound{}
	}
	return &s3.HeadObjectOutput{ContentLength: aws.Int64(int64(len(text)))}, nil
}

// unique refuses a name that was used before, as SageMaker does.
func (c *trainingCloud) unique(field string) asl.Handler {
	return func(_ context.Context, task *asl.PendingTask) (any, error) {
		name := task.Arguments.(map[string]any)[field].(string)
		key := task.State + " " + name
		if c.names[key] {
			return nil, &asl.Error{Name: "SageMaker.ResourceInUse", Cause: name + " exists"}
		}
		c.names[key] = true
		if len(name) > 63 || name != strings.ToLower(name) {
			c.t.Errorf("%s is no name for SageMaker", name)
		}
		return map[string]any{}, nil
	}
}

// unload refuses a place that is not empty, as Athena does.
func (c *trainingCloud) unload(_ context.Context, task *asl.PendingTask) (any, error) {
	query := task.Arguments.(map[string]any)["QueryString"].(string)
	_, place, _ := strings.Cut(query, ") TO '")
	if c.names["unload "+place] {
		return nil, &asl.Error{Name: "Athena.AmazonAthenaException", Cause: "HIVE_PATH_ALREADY_EXISTS"}
	}
	c.names["unload "+place] = true
	return map[string]any{}, nil
}

func (c *trainingCloud) train(ctx context.Context, task *asl.PendingTask) (any, error) {
	if _, err := c.unique("TrainingJobName")(ctx, task); err != nil {
		return nil, err
	}
	in := task.Arguments.(map[string]any)
	output := in["OutputDataConfig"].(map[string]any)["S3OutputPath"].(string)
	return asl.Return(map[string]any{
		"TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/" + in["TrainingJobName"].(string),
		"ModelArtifacts": map[string]any{"S3ModelArtifacts": output + "/" + in["TrainingJobName"].(string) + "/output/model.tar.gz"},
	}).After(time.Hour), nil
}

func (c *trainingCloud) evaluate(ctx context.Context, task *asl.PendingTask) (any, error) {
	if _, err := c.unique("ProcessingJobName")(ctx, task); err != nil {
		return nil, err
	}
	config := task.Arguments.(map[string]any)["ProcessingOutputConfig"].(map[string]any)
	uri := config["Outputs"].([]any)[0].(map[string]any)["S3Output"].(map[string]any)["S3Uri"].(string)
	c.objects[strings.TrimPrefix(uri, "s3://")+"/evaluation.json"] =
		fmt.Sprintf(`{"binary_classification_metrics": {"auc": {"value": %v, "standard_deviation": 0.01}}}`, c.auc)
	return asl.Return(map[string]any{"ProcessingOutputConfig": config}).After(10 * time.Minute), nil
}

func (c *trainingCloud) describe(context.Context, *asl.PendingTask) (any, error) {
	status := c.endpoint[0]
	if len(c.endpoint) > 1 {
		c.endpoint = c.endpoint[1:]
	}
	if status == "" {
		return nil, &asl.Error{Name: "SageMaker.SageMakerException", Cause: `Could not find endpoint "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/carts"`}
	}
	if status == "Throttled" {
		return nil, &asl.Error{Name: "SageMaker.SageMakerException", Cause: "Rate exceeded"}
	}
	out := map[string]any{"EndpointStatus": status, "EndpointConfigName": c.config}
	if status == "RolledBack" {
		out["EndpointStatus"], out["EndpointConfigName"] = "InService", "before"
	}
	return out, nil
}

func (c *trainingCloud) move(_ context.Context, task *asl.PendingTask) (any, error) {
	c.config = task.Arguments.(map[string]any)["EndpointConfigName"].(string)
	return map[string]any{}, nil
}

// approve has the approval API answer the task that waits for it.
func (c *trainingCloud) approve(ctx context.Context, task *asl.PendingTask) (any, error) {
	if c.decision == "" {
		return asl.Hang(), nil
	}
	item := map[string]types.AttributeValue{}
	for name, v := range task.Arguments.(map[string]any)["Item"].(map[string]any) {
		switch v := v.(map[string]any); {
		case v["S"] != nil:
			item[name] = &types.AttributeValueMemberS{Value: v["S"].(string)}
		case v["N"] != nil:
			item[name] = &types.AttributeValueMemberN{Value: v["N"].(string)}
		}
	}
	if token := item[training.AttrToken].(*types.AttributeValueMemberS).Value; token != task.Token {
		c.t.Errorf("the request has the token %q, the task %q", token, task.Token)
	}
	var result any
	requested, err := time.Parse(time.RFC3339, item[training.AttrRequested].(*types.AttributeValueMemberS).Value)
	if err != nil {
		return nil, err
	}
	desk := &approval.Desk{DynamoDB: oneItem(item), Name: "approvals", Now: func() time.Time { return requested.Add(time.Hour) },
		Tasks: answers(func(r any) { result = r })}
	body, _ := json.Marshal(approval.Decision{Decision: c.decision, Comment: "so be it"})
	response, err := desk.Mux().Serve(ctx, events.APIGatewayV2HTTPRequest{
		RouteKey: training.RouteDecide, Body: string(body), Headers: map[string]string{"content-type": "application/json"},
		PathParameters: map[string]string{training.RunParameter: item[training.AttrRun].(*types.AttributeValueMemberS).Value},
		RequestContext: events.APIGatewayV2HTTPRequestContext{Authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: "arn:aws:iam::123456789012:user/ada"}}},
	})
	if err != nil || response.StatusCode != http.StatusOK {
		c.t.Errorf("the approval API answers %d %s, %v", response.StatusCode, response.Body, err)
	}
	return result, nil
}

type oneItem map[string]types.AttributeValue

func (i oneItem) GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: i}, nil
}

func (i oneItem) UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return &dynamodb.UpdateItemOutput{}, nil
}

type answers func(any)

func (a answers) SendTaskSuccess(_ context.Context, in *sfn.SendTaskSuccessInput, _ ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error) {
	var output any
	if err := json.Unmarshal([]byte(*in.Output), &output); err != nil {
		return nil, err
	}
	a(asl.Return(output).After(time.Hour))
	return &sfn.SendTaskSuccessOutput{}, nil
}

func (a answers) SendTaskFailure(_ context.Context, in *sfn.SendTaskFailureInput, _ ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error) {
	a(asl.Throw(*in.Error, *in.Cause).After(time.Hour))
	return &sfn.SendTaskFailureOutput{}, nil
}

// pipelineMachine is the machine that a pipeline's stack deploys.
func pipelineMachine(t *testing.T, change func(awscdk.Stack, *orchestration.TrainingPipelineProps)) *asl.Machine {
	t.Helper()
	stack := cdktest.NewStack(t)
	p := pipelineProps(stack)
	if change != nil {
		change(stack, p)
	}
	orchestration.NewTrainingPipeline(stack, "Pipeline", p)
	return machine(t, cdktest.Synth(t, stack), "PipelineWorkflow")
}

func withBatch(_ awscdk.Stack, p *orchestration.TrainingPipelineProps) {
	p.Batch = &orchestration.Batch{Query: "SELECT cart FROM carts"}
}

func withEndpoint(_ awscdk.Stack, p *orchestration.TrainingPipelineProps) {
	p.Endpoint = &orchestration.Endpoint{}
}

func (c *trainingCloud) interpreter() *asl.Interpreter {
	return &asl.Interpreter{Tasks: c.tasks, Options: asl.StartOptions{Name: "Nightly_run.2026-11-27T01:00", StateMachine: "Pipeline"}}
}

func (c *trainingCloud) run(m *asl.Machine) *asl.Execution {
	c.t.Helper()
	x, err := c.interpreter().Run(context.Background(), m, map[string]any{"manifest": "raw/carts/manifest.json"})
	if err != nil {
		c.t.Fatal(err)
	}
	return x
}

// endsWith checks that the execution failed under the name, and returns the cause.
func endsWith(t *testing.T, x *asl.Execution, name string) string {
	t.Helper()
	var failure *asl.Error
	if !errors.As(x.Err(), &failure) || failure.Name != name {
		t.Fatalf("ended with %v, want %s; %s", x.Err(), name, x)
	}
	return failure.Cause
}

const trained = "Prepare -> Check manifest -> Transform -> Profile data -> Read profile -> Judge data -> Export -> " +
	"Train -> Evaluate -> Judge model -> Ask for approval -> Await approval -> Register model"

func TestTrainingPipelineRuns(t *testing.T) {
	type change = func(awscdk.Stack, *orchestration.TrainingPipelineProps)
	for name, tt := range map[string]struct {
		change   change
		endpoint []string
		want     string // states after those of trained
		output   map[string]any
	}{
		"registers": {nil, nil, "", map[string]any{}},
		"predicts": {withBatch, nil, "Create model -> Export rows -> Look for rows -> Any rows? -> Predict -> ",
			map[string]any{"predictions": "predictions-0-0"}},
		"creates": {withEndpoint, []string{"", "Creating", "InService"},
			"Create model -> Configure endpoint -> Find endpoint -> No endpoint? -> Create endpoint -> " +
				"Wait for endpoint -> Look at endpoint -> Deployed? -> Wait for endpoint -> Look at endpoint -> Deployed? -> ",
			map[string]any{"endpoint": "test-peline-"}},
		"updates": {withEndpoint, []string{"InService", "Updating", "Throttled", "InService"},
			"Create model -> Configure endpoint -> Find endpoint -> Update endpoint -> Wait for endpoint -> Look at endpoint -> Deployed? -> " +
				"Wait for endpoint -> Look at endpoint -> Wait for endpoint -> Look at endpoint -> Deployed? -> ",
			map[string]any{"endpoint": "test-peline-"}},
		"looks again": {withEndpoint, []string{"Throttled", "InService"},
			"Create model -> Configure endpoint -> Find endpoint -> No endpoint? -> Look again -> Find endpoint -> Update endpoint -> " +
				"Wait for endpoint -> Look at endpoint -> Deployed? -> ",
			map[string]any{"endpoint": "test-peline-"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTrainingCloud(t)
			if tt.endpoint != nil {
				c.endpoint = tt.endpoint
			}
			x := c.run(pipelineMachine(t, tt.change))
			if want := trained + " -> " + tt.want + "Publish"; x.String() != want {
				t.Fatalf("went\n%s, want\n%s\n%v", x, want, x.Err())
			}
			var out map[string]any
			if err := x.Decode(&out); err != nil {
				t.Fatal(err)
			}
			for key, part := range tt.output {
				if !strings.Contains(fmt.Sprint(out[key]), part.(string)) {
					t.Errorf("output %s is %v, want something with %s", key, out[key], part)
				}
			}
			if diff := cmp.Diff(map[string]any{"binary_classification_metrics.auc": 0.9}, out["metrics"]); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]any{"rows": 1000.0, "without total": 0.0}, out["quality"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Where there is nothing to predict for, a transform would fail for want of
// input.
func TestTrainingPipelinePredictsNothing(t *testing.T) {
	c := newTrainingCloud(t)
	c.files = 0
	x := c.run(pipelineMachine(t, withBatch))
	if want := trained + " -> Create model -> Export rows -> Look for rows -> Any rows? -> Publish"; x.String() != want {
		t.Fatalf("went\n%s, want\n%s\n%v", x, want, x.Err())
	}
	var out map[string]any
	if err := x.Decode(&out); err != nil {
		t.Fatal(err)
	}
	if predictions, ok := out["predictions"]; !ok || predictions != nil {
		t.Errorf("predictions are %v, want null", predictions)
	}
}

// pipelineMachines returns the machines of both kinds of deployment.
func pipelineMachines(t *testing.T) map[string]*asl.Machine {
	return map[string]*asl.Machine{"batch": pipelineMachine(t, withBatch), "endpoint": pipelineMachine(t, withEndpoint)}
}

// ownTasks returns the tasks that a run of the machine does: for the endpoint
// only those that predictions do not have.
func ownTasks(t *testing.T, name string, m *asl.Machine) []string {
	t.Helper()
	x := newTrainingCloud(t).run(m)
	registered := false
	var names []string
	for s := range m.All() {
		if s.Type == "Task" && len(x.Visits(s.Name)) > 0 && s.Name != "Look at endpoint" { // it looks again by itself
			names = append(names, s.Name)
			registered = registered || s.Name == "Register model"
		}
	}
	if !registered {
		t.Fatalf("went %s", x)
	}
	if name == "endpoint" {
		names = []string{"Configure endpoint", "Find endpoint", "Update endpoint"}
	}
	return names
}

// Whatever step fails or hangs, the run ends with that error; redriven after
// the cause was mended, it goes on there and succeeds, though names that were
// used stay taken.
func TestTrainingPipelineGoesOnAfterRedrive(t *testing.T) {
	for name, m := range pipelineMachines(t) {
		for _, state := range ownTasks(t, name, m) {
			for failure, result := range map[string]asl.Result{"Boom": asl.Throw("Boom", "out of luck"), "States.Timeout": asl.Hang()} {
				t.Run(name+"/"+state+"/"+failure, func(t *testing.T) {
					c := newTrainingCloud(t)
					mended := c.tasks[state]
					c.tasks[state] = func(ctx context.Context, task *asl.PendingTask) (any, error) {
						// What the service began before it failed stays.
						if slices.Contains([]string{"Train", "Evaluate", "Predict", "Create model", "Configure endpoint"}, state) ||
							strings.HasPrefix(state, "Export ") {
							if _, err := mended(ctx, task); err != nil {
								return nil, err
							}
						}
						return result, nil
					}
					x := c.run(m)
					endsWith(t, x, failure)
					c.tasks[state] = mended
					if err := x.Redrive(x.Now().Add(time.Hour)); err != nil {
						t.Fatal(err)
					}
					if err := c.interpreter().Continue(context.Background(), x); err != nil {
						t.Fatal(err)
					}
					if x.Status() != asl.Succeeded {
						t.Fatalf("redriven it ends with %v; %s", x.Err(), x)
					}
					if n := len(x.Visits("Check manifest")); state != "Check manifest" && n != 1 {
						t.Errorf("the manifest was checked %d times", n)
					}
				})
			}
		}
	}
}

// A task is tried again as often as it says, with growing pauses, and then the
// run fails with the last error.
func TestTrainingPipelineGivesUp(t *testing.T) {
	for name, m := range pipelineMachines(t) {
		own := ownTasks(t, name, m)
		for state := range m.All() {
			if !slices.Contains(own, state.Name) {
				continue
			}
			if len(state.Retry) == 0 {
				t.Errorf("%s is never tried again", state.Name)
				continue
			}
			for _, retrier := range state.Retry {
				for _, failure := range retrier.ErrorEquals {
					if strings.HasPrefix(failure, "Lambda.") || strings.HasSuffix(failure, "SdkClientException") {
						continue // of a kind with the others
					}
					t.Run(name+"/"+state.Name+"/"+failure, func(t *testing.T) {
						c := newTrainingCloud(t)
						calls := 0
						c.tasks[state.Name] = func(context.Context, *asl.PendingTask) (any, error) {
							calls++
							return nil, &asl.Error{Name: failure, Cause: "again"}
						}
						endsWith(t, c.run(m), failure)
						if want := retrier.MaxAttempts + 1; calls != want {
							t.Errorf("called %d times, want %d", calls, want)
						}
					})
				}
			}
		}
	}
}

// The job runs once at a time, and a run waits for it as long as two others may
// take.
func TestTrainingPipelineWaitsForItsJob(t *testing.T) {
	const longest = 2*time.Hour + 30*time.Minute // of a run of the job
	stack := cdktest.NewStack(t)
	orchestration.NewTrainingPipeline(stack, "Pipeline", pipelineProps(stack))
	template := cdktest.Synth(t, stack)
	template.Has(t, "AWS::Glue::Job", cdktest.Match{"ExecutionProperty": cdktest.Match{"MaxConcurrentRuns": 1}})
	m := machine(t, template, "PipelineWorkflow")
	for _, busy := range []time.Duration{time.Minute, longest, 2 * longest} {
		t.Run(busy.String(), func(t *testing.T) {
			c := newTrainingCloud(t)
			var first, started time.Time
			calls := 0
			c.tasks["Transform"] = func(_ context.Context, task *asl.PendingTask) (any, error) {
				calls++
				if first.IsZero() {
					first = task.Scheduled
				}
				if task.Scheduled.Before(first.Add(busy)) {
					return nil, &asl.Error{Name: "Glue.ConcurrentRunsExceededException", Cause: "the job is busy"}
				}
				started = task.Scheduled
				return map[string]any{"JobRunState": "SUCCEEDED"}, nil
			}
			if x := c.run(m); x.Status() != asl.Succeeded {
				t.Fatalf("%v %s", x.Err(), x)
			}
			if late := started.Sub(first.Add(busy)); late > 5*time.Minute || calls > 101 {
				t.Errorf("started %v after the job was free, at call %d", late, calls)
			}
		})
	}
}

// What a job dies of may have passed a minute later; what it dies of three times
// has not.
func TestTrainingPipelineRepeatsItsJob(t *testing.T) {
	m := pipelineMachine(t, nil)
	failed := asl.Throw("States.TaskFailed", `{"JobRunState": "FAILED", "ErrorMessage": "Cannot commit: the table has changed"}`)
	c := newTrainingCloud(t)
	c.tasks["Transform"] = asl.Script(failed, failed, asl.Return(map[string]any{"JobRunState": "SUCCEEDED"}))
	if x := c.run(m); x.Status() != asl.Succeeded {
		t.Errorf("%v %s", x.Err(), x)
	}
}

func TestTrainingPipelineGates(t *testing.T) {
	m := pipelineMachine(t, nil)
	for name, tt := range map[string]struct {
		spoil       func(*trainingCloud)
		error, last string
		cause       string
	}{
		"no manifest": {func(c *trainingCloud) { delete(c.objects, "LakeRaw8A880B75/raw/carts/manifest.json") },
			"ManifestError", "Check manifest", "there is no object"},
		"file is missing": {func(c *trainingCloud) { delete(c.objects, "LakeRaw8A880B75/raw/carts/1.json") },
			"ManifestError", "Check manifest", "raw/carts/1.json is not there"},
		"too few rows": {func(c *trainingCloud) { c.rows = "99" }, "DataQualityError", "Judge data", "rows is 99; allowed is at least 100"},
		"poor model": {func(c *trainingCloud) { c.auc = 0.79 }, "MetricError", "Judge model",
			"binary_classification_metrics.auc is 0.79; allowed is at least 0.8"},
		"denied": {func(c *trainingCloud) { c.decision = training.DecisionDeny }, training.ApprovalDenied, "Await approval",
			"arn:aws:iam::123456789012:user/ada: so be it"},
		"expired": {func(c *trainingCloud) { c.decision = "" }, "States.Timeout", "Await approval", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTrainingCloud(t)
			tt.spoil(c)
			x := c.run(m)
			if cause := endsWith(t, x, tt.error); !strings.Contains(cause, tt.cause) {
				t.Errorf("the cause is %q, want something with %q", cause, tt.cause)
			}
			states := x.States()
			if !slices.Contains(states, tt.last) || len(x.Visits("Register model")) > 0 {
				t.Errorf("went %s, want it to end at %s", x, tt.last)
			}
		})
	}
}

// An approval that was denied or came too late can be asked for again.
func TestTrainingPipelineAsksAgain(t *testing.T) {
	m := pipelineMachine(t, nil)
	for name, decision := range map[string]string{"denied": training.DecisionDeny, "expired": ""} {
		t.Run(name, func(t *testing.T) {
			c := newTrainingCloud(t)
			c.decision = decision
			x := c.run(m)
			if x.Status() == asl.Succeeded {
				t.Fatalf("went %s", x)
			}
			c.decision = training.DecisionApprove
			if err := x.Redrive(x.Now()); err != nil {
				t.Fatal(err)
			}
			if err := c.interpreter().Continue(context.Background(), x); err != nil || x.Status() != asl.Succeeded {
				t.Fatalf("%v %v %s", err, x.Err(), x)
			}
			if n := len(x.Visits("Train")); n != 1 {
				t.Errorf("trained %d times", n)
			}
		})
	}
}

func TestTrainingPipelineRollsBack(t *testing.T) {
	m := pipelineMachine(t, withEndpoint)
	for name, tt := range map[string]struct {
		endpoint []string
		deleted  bool
		cause    string
	}{
		"an alarm went off":   {[]string{"InService", "Updating", "RollingBack", "RolledBack"}, false, "an alarm went off"},
		"it never started":    {[]string{"", "Creating", "Failed"}, true, "The endpoint is Failed"},
		"the rollback failed": {[]string{"InService", "Updating", "UpdateRollbackFailed"}, false, "UpdateRollbackFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTrainingCloud(t)
			c.endpoint = tt.endpoint
			x := c.run(m)
			if cause := endsWith(t, x, "DeploymentRolledBack"); !strings.Contains(cause, tt.cause) {
				t.Errorf("the cause is %q", cause)
			}
			if diff := cmp.Diff([]string{"Rejected"}, c.statuses); diff != "" || c.deleted != tt.deleted || len(x.Visits("Publish")) > 0 {
				t.Errorf("deleted %t, went %s %s", c.deleted, x, diff)
			}
		})
	}
}

// An endpoint of which nothing can be learned is left alone.
func TestTrainingPipelineDoesNotGuess(t *testing.T) {
	c := newTrainingCloud(t)
	c.endpoint = []string{"Throttled"}
	x := c.run(pipelineMachine(t, withEndpoint))
	endsWith(t, x, "SageMaker.SageMakerException")
	if n := len(x.Visits("Find endpoint")); n != 10 {
		t.Errorf("looked %d times, want 10", n)
	}
}

func TestTrainingPipelineWithoutApproval(t *testing.T) {
	c := newTrainingCloud(t)
	x := c.run(pipelineMachine(t, func(_ awscdk.Stack, p *orchestration.TrainingPipelineProps) { p.Approval.Off = true }))
	if x.Status() != asl.Succeeded || len(x.Visits("Await approval")) > 0 {
		t.Errorf("%v %s", x.Err(), x)
	}
}

// What SageMaker and Athena are asked for, in the largest pipeline.
func TestTrainingPipelineAsksFor(t *testing.T) {
	stack := cdktest.NewStack(t)
	orchestration.NewTrainingPipeline(stack, "Pipeline", largestPipeline(stack))
	m := machine(t, cdktest.Synth(t, stack), "PipelineWorkflow")
	c := newTrainingCloud(t)
	got := map[string]any{}
	for state, h := range maps.Clone(c.tasks) {
		c.tasks[state] = func(ctx context.Context, task *asl.PendingTask) (any, error) {
			got[state] = task.Arguments
			return h(ctx, task)
		}
	}
	x := c.run(m)
	if x.Status() != asl.Succeeded {
		t.Fatalf("%v %s", x.Err(), x)
	}
	train := got["Train"].(map[string]any)
	if train["EnableManagedSpotTraining"] != true || train["EnableNetworkIsolation"] != false || train["EnableInterContainerTrafficEncryption"] != true {
		t.Errorf("training is asked for with %v", train)
	}
	if diff := cmp.Diff(map[string]any{"MaxRuntimeInSeconds": 3600.0, "MaxWaitTimeInSeconds": 10800.0}, train["StoppingCondition"]); diff != "" {
		t.Error(diff)
	}
	if name := train["TrainingJobName"].(string); !strings.Contains(name, "-nightly-run-2026-11-27t0-") || !strings.HasSuffix(name, "-0-0") {
		t.Errorf("the job is named %s", name)
	}
	query := got["Export training data"].(map[string]any)["QueryString"].(string)
	if !strings.HasPrefix(query, "UNLOAD (SELECT total FROM carts WHERE day_of_week(opened) < 6) TO 's3://PipelineArtifacts") ||
		!strings.HasSuffix(query, "/train-0-0/' WITH (format = 'PARQUET', compression = 'SNAPPY')") {
		t.Errorf("the export is %s", query)
	}
	policy := got["Update endpoint"].(map[string]any)["DeploymentConfig"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"Alarms": []any{map[string]any{"AlarmName": "model-errors"}}}, policy["AutoRollbackConfiguration"]); diff != "" {
		t.Error(diff)
	}
}

// No statement allows everything but where AWS knows no resource.
func TestTrainingPipelineAllowsLittle(t *testing.T) {
	stack := cdktest.NewStack(t)
	pipeline := orchestration.NewTrainingPipeline(stack, "Pipeline", largestPipeline(stack))
	pipeline.AddApprovals(handler(stack, "Approvals"))
	exceptions := []string{"cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", "xray:", "logs:CreateLogDelivery", "logs:DeleteLogDelivery",
		"logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"}
	check := func(id string, document any) {
		for _, statement := range document.(map[string]any)["Statement"].([]any) {
			s := statement.(map[string]any)
			for _, action := range actionsOf(s["Action"]) {
				if s["Resource"] == "*" && !slices.ContainsFunc(exceptions, func(e string) bool { return strings.HasPrefix(action, e) }) {
					t.Errorf("%s allows %s on everything", id, action)
				}
				if action == "iam:PassRole" {
					if diff := cmp.Diff(map[string]any{"StringEquals": map[string]any{"iam:PassedToService": "sagemaker.amazonaws.com"}}, s["Condition"]); diff != "" {
						t.Errorf("%s passes roles: %s", id, diff)
					}
				}
			}
		}
	}
	template := cdktest.Synth(t, stack)
	for _, policy := range template.Resources("AWS::IAM::Policy") {
		check(policy.ID, policy.Properties["PolicyDocument"])
	}
	for _, role := range template.Resources("AWS::IAM::Role") {
		policies, _ := role.Properties["Policies"].([]any)
		for _, policy := range policies {
			check(role.ID, policy.(map[string]any)["PolicyDocument"])
		}
	}
}

// What queries does so in the account's own catalog, which Athena asks for.
func TestQueriesMayUseTheCatalog(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := pipelineProps(stack)
	orchestration.NewTrainingPipeline(stack, "Pipeline", p)
	orchestration.NewGraphLoad(stack, "Graph", insights(p.Table.Lake()))
	const account, region = "123456789012", "eu-west-1"
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), account, region)
	for _, prefix := range []string{"PipelineWorkflowRole", "GraphWorkflowRole"} {
		role := template.Role(prefix)
		if !iam.Evaluate(iam.Request{
			Principal: iam.Principal{ARN: role.ARN}, Action: "athena:GetDataCatalog", Resource: "arn:aws:athena:" + region + ":" + account + ":datacatalog/AwsDataCatalog",
		}, iam.Policies{Identity: role.Policies}).Allowed {
			t.Errorf("%s may not use the catalog", prefix)
		}
	}
}

func TestTrainingPipelineRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { orchestration.NewTrainingPipeline(stack, "Pipeline", nil) }, "Test/Pipeline: wrong props", "Table is not set",
		"Transform.Script", "Quality is empty", "Training.Image.URI", "Evaluation.Image.URI", "Evaluation.Metrics is empty")
	p := pipelineProps(stack)
	p.Transform.JobName, p.Transform.Workers, p.Transform.Timeout = "job", 1, time.Second
	p.Quality = append(p.Quality, orchestration.QualityRule{Name: "rows"}, orchestration.QualityRule{Name: "x", Min: jsii.Number(2), Max: jsii.Number(1)})
	p.Training = orchestration.Training{Image: orchestration.Image{URI: "xgboost"}, Instances: 200, Volume: -1, OnDemand: true, SpotWait: time.Minute}
	p.Evaluation.Timeout = time.Second
	p.Approval = orchestration.ModelApproval{Off: true, Expiry: time.Millisecond}
	p.Batch, p.Endpoint = &orchestration.Batch{}, &orchestration.Endpoint{Name: "Live", Bake: time.Second}
	p.RunRetention = time.Hour
	cdktest.Rejects(t, func() { orchestration.NewTrainingPipeline(stack, "Pipeline", p) }, "Transform.Script is set together with JobName",
		"Transform.Workers is 1", "Transform.Timeout is 1s", `Quality[2].Name is "rows"`, "Quality[2] is without Min and Max", `Quality[2].Expression is ""`,
		`Quality[3].Min is "2"; allowed is at most Max`, `Training.Image.URI is "xgboost"`, "Training.Instances is 200", "Training.Volume is -1",
		"Training.SpotWait is 1m0s; allowed is none with OnDemand", "Evaluation.Timeout is 1s", "Approval.Expiry is 1ms", "Approval.Off is true",
		"Batch is set together with Endpoint", `Batch.Query is ""`, `Endpoint.Name is "Live"`, "Endpoint.Bake is 1s", "RunRetention is 1h0m0s")
}

func ExampleNewTrainingPipeline() {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String("Shop"), nil)
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	table := lake.AddTable("Carts", &orchestration.TableProps{
		Name:    "carts",
		Columns: []orchestration.Column{{Name: "total", Type: "double"}, {Name: "abandoned", Type: "int"}},
	})
	image := orchestration.Image{URI: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/abandonment:7"}
	orchestration.NewTrainingPipeline(stack, "Abandonment", &orchestration.TrainingPipelineProps{
		Table:     table,
		Transform: orchestration.Transform{Script: "..."}, // embed it
		Quality:   []orchestration.QualityRule{{Name: "rows", Expression: "count(*)", Min: jsii.Number(10_000)}},
		Training:  orchestration.Training{Image: image, HyperParameters: map[string]string{"max_depth": "6"}},
		Evaluation: orchestration.Evaluation{
			Image:   image,
			Metrics: []orchestration.MetricRule{{Name: "binary_classification_metrics.auc", Min: jsii.Number(0.85)}},
		},
		Endpoint: &orchestration.Endpoint{},
	})
}
