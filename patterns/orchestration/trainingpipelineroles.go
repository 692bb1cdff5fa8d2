package orchestration

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
)

// addRoles makes a role for each kind of job. Each reads what it needs and
// writes where its results go.
func (t *TrainingPipeline) addRoles(p *TrainingPipelineProps) {
	role := func(id, logs string, image Image, read, write []string) awsiam.Role {
		statements := []defaults.Statement{
			defaults.Actions{"s3:GetObject"}.To(t.objects(read...)...),
			defaults.Actions{"s3:ListBucket"}.To(construct.BucketArn(t.artifacts)).
				If(map[string]any{"StringLike": map[string]any{"s3:prefix": []string{modelsPrefix + "*", runsPrefix + "*"}}}),
			defaults.Actions{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}.To(image.repositoryARN(t)),
			// AWS knows no resource for the token
			// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html).
			defaults.Actions{"ecr:GetAuthorizationToken"}.To(jsii.String("*")),
			defaults.Actions{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}.To(
				localARN(t, "logs", "log-group:/aws/sagemaker/"+logs+"*")),
			putMetrics("/aws/sagemaker/*"),
		}
		if len(write) > 0 {
			statements = append(statements, defaults.Actions{"s3:AbortMultipartUpload", "s3:PutObject"}.To(t.objects(write...)...))
		}
		if key := construct.EncryptionKey(t.artifacts); key != nil {
			statements = append(statements, defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.To(construct.KeyArn(key)))
		}
		if p.EncryptionKey != nil { // of the volumes
			statements = append(statements,
				defaults.Actions{"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"}.To(construct.KeyArn(p.EncryptionKey)),
				toGrantKey(p.EncryptionKey))
		}
		return defaults.ServiceRole(t, id, "sagemaker.amazonaws.com", statements...)
	}
	t.trainingRole = role("TrainingRole", "TrainingJobs", p.Training.Image,
		[]string{runsPrefix + "*"}, []string{runsPrefix + "*/checkpoints/*", modelsPrefix + "*"})
	t.evaluationRole = role("EvaluationRole", "ProcessingJobs", p.Evaluation.Image,
		[]string{runsPrefix + "*", modelsPrefix + "*"}, []string{runsPrefix + "*/evaluation-*"})
	switch {
	case p.Batch != nil:
		t.modelRole = role("ModelRole", "TransformJobs", p.Training.Image,
			[]string{runsPrefix + "*/batch-*", modelsPrefix + "*"}, []string{runsPrefix + "*/predictions-*"})
	case p.Endpoint != nil:
		t.modelRole = role("ModelRole", "Endpoints", p.Training.Image, []string{modelsPrefix + "*"}, nil)
	}
}

func (t *TrainingPipeline) objects(prefixes ...string) []*string {
	var arns []*string
	for _, prefix := range prefixes {
		arns = append(arns, construct.Objects(t.artifacts, prefix))
	}
	return arns
}

// localARN returns an ARN of this account and region.
func localARN(scope constructs.Construct, service, resource string) *string {
	return defaults.Text(scope, "arn:${AWS::Partition}:"+service+":${AWS::Region}:${AWS::AccountId}:"+resource)
}

// toGrantKey returns what a principal needs to let AWS's services, and nobody
// else, use the key for what they make in its name.
func toGrantKey(key awskms.IKey) defaults.Statement {
	return defaults.Actions{"kms:CreateGrant"}.To(construct.KeyArn(key)).
		If(map[string]any{"Bool": map[string]any{"kms:GrantIsForAWSResource": "true"}})
}

// putMetrics allows metrics of a namespace; CloudWatch knows no other resource
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html).
func putMetrics(namespace string) defaults.Statement {
	return defaults.Actions{"cloudwatch:PutMetricData"}.To(jsii.String("*")).
		If(map[string]any{"StringLike": map[string]any{"cloudwatch:namespace": namespace}})
}

// repositoryARN returns the ARN of the image's repository, which may be
// another account's, such as AWS's own.
func (i Image) repositoryARN(scope constructs.Construct) *string {
	if i.Repository != nil {
		return construct.RepositoryArn(i.Repository)
	}
	part := imageURI.FindStringSubmatch(i.URI)
	return defaults.Text(scope, "arn:${AWS::Partition}:ecr:"+part[2]+":"+part[1]+":repository/"+part[3])
}

// statements returns what the states may do. AWS's own policies for the
// integrations stand at
// https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html;
// these are narrower where SageMaker checks the resource
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_sagemaker.html).
func (t *TrainingPipeline) statements(p *TrainingPipelineProps) []defaults.Statement {
	sagemaker := func(resources ...string) []*string {
		var arns []*string
		for _, r := range resources {
			arns = append(arns, localARN(t, "sagemaker", r))
		}
		return arns
	}
	mine := t.prefix + "-*" // what runs make is named after them
	jobs := sagemaker("training-job/"+mine, "processing-job/"+mine)
	rules := []*string{
		localARN(t, "events", "rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule"),
		localARN(t, "events", "rule/StepFunctionsGetEventsForSageMakerProcessingJobsRule"),
	}
	passed := []*string{construct.RoleArn(t.trainingRole), construct.RoleArn(t.evaluationRole)}
	packages := sagemaker("model-package/" + t.prefix + "/*")
	statements := []defaults.Statement{
		defaults.Actions{"lambda:InvokeFunction"}.To(construct.FunctionArn(t.checkManifest.Target()), construct.FunctionArn(t.judgeData.Target()),
			construct.FunctionArn(t.judgeModel.Target())),
		defaults.Actions{"glue:BatchStopJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"}.To(
			defaults.Text(t, "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:job/${Job}", defaults.Values{"Job": &t.jobName})),
		defaults.Actions{"s3:AbortMultipartUpload", "s3:PutObject"}.To(t.objects(runsPrefix + "*")...), // UNLOAD writes as its caller
		defaults.Actions{"s3:GetBucketLocation", "s3:ListBucket"}.To(construct.BucketArn(t.artifacts)),
		defaults.Actions{"sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"}.To(jobs[0]),
		defaults.Actions{"sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"}.To(jobs[1]),
		defaults.Actions{"sagemaker:CreateModelPackage"}.To(append(packages, sagemaker("model-package-group/"+t.prefix)...)...),
	}
	statements = append(statements, toUseKey(t.artifacts)...)
	statements = append(statements, p.Table.lake.toQuery(p.Table)...)
	if p.EncryptionKey != nil {
		// SageMaker makes a grant on the key of the volumes in the caller's name
		// (https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html).
		statements = append(statements,
			defaults.Actions{"kms:DescribeKey"}.To(construct.KeyArn(p.EncryptionKey)),
			toGrantKey(p.EncryptionKey))
	}
	if t.modelRole != nil {
		passed = append(passed, construct.RoleArn(t.modelRole))
		statements = append(statements,
			defaults.Actions{"sagemaker:CreateModel"}.To(sagemaker("model/"+mine)...),
			defaults.Actions{"sagemaker:DescribeModelPackage"}.To(packages...))
	}
	switch {
	case p.Batch != nil:
		transform := sagemaker("transform-job/" + mine)
		jobs = append(jobs, transform...)
		rules = append(rules, localARN(t, "events", "rule/StepFunctionsGetEventsForSageMakerTransformJobsRule"))
		statements = append(statements,
			defaults.Actions{"sagemaker:CreateTransformJob", "sagemaker:DescribeTransformJob", "sagemaker:StopTransformJob"}.To(transform...))
	case p.Endpoint != nil:
		endpoint := sagemaker("endpoint/" + t.endpointName)
		config := sagemaker("endpoint-config/" + mine)
		statements = append(statements,
			defaults.Actions{"sagemaker:CreateEndpointConfig"}.To(config...),
			defaults.Actions{"sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"}.To(append(config, endpoint...)...),
			defaults.Actions{"sagemaker:DeleteEndpoint", "sagemaker:DescribeEndpoint"}.To(endpoint...),
			defaults.Actions{"sagemaker:UpdateModelPackage"}.To(packages...))
		if len(p.Endpoint.RollbackAlarms) > 0 {
			var alarms []*string
			for _, a := range p.Endpoint.RollbackAlarms {
				alarms = append(alarms, a.AlarmArn())
			}
			statements = append(statements, defaults.Actions{"cloudwatch:DescribeAlarms"}.To(alarms...))
		}
	}
	if t.approvals != nil {
		statements = append(statements, defaults.Actions{"dynamodb:PutItem"}.To(construct.TableArn(t.approvals)))
		if t.key != nil {
			statements = append(statements, defaults.UseKey.To(construct.KeyArn(t.key)).If(defaults.Through("dynamodb")))
		}
	}
	return append(statements,
		// For .sync, Step Functions tags the job as its own and listens to a
		// rule that it manages.
		defaults.Actions{"sagemaker:AddTags", "sagemaker:ListTags"}.To(jobs...),
		defaults.Actions{"events:DescribeRule", "events:PutRule", "events:PutTargets"}.To(rules...),
		defaults.Actions{"iam:PassRole"}.To(passed...).
			If(map[string]any{"StringEquals": map[string]any{"iam:PassedToService": "sagemaker.amazonaws.com"}}),
		defaults.Actions{"events:PutEvents"}.To(t.busARN(p)))
}

func (t *TrainingPipeline) busARN(p *TrainingPipelineProps) *string {
	if p.Bus != nil {
		return construct.EventBusArn(p.Bus)
	}
	return localARN(t, "events", "event-bus/default")
}
