package orchestration

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/internal/defaults"
)

// addRoles makes a role for each kind of job. Each reads what it needs and
// writes where its results go.
func (t *TrainingPipeline) addRoles(p *TrainingPipelineProps) {
	role := func(id, logs string, image Image, read, write []string) awsiam.Role {
		statements := []awsiam.PolicyStatement{
			defaults.Actions{"s3:GetObject"}.On(t.objects(read...)...),
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Actions:    jsii.Strings("s3:ListBucket"),
				Resources:  &[]*string{t.artifacts.BucketArn()},
				Conditions: &map[string]any{"StringLike": map[string]any{"s3:prefix": []string{modelsPrefix + "*", runsPrefix + "*"}}},
			}),
			defaults.Actions{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}.On(image.repositoryARN()),
			// AWS knows no resource for the token
			// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html).
			defaults.Actions{"ecr:GetAuthorizationToken"}.On(jsii.String("*")),
			defaults.Actions{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}.On(
				localARN("logs", "log-group:/aws/sagemaker/"+logs+"*")),
			putMetrics("/aws/sagemaker/*"),
		}
		if len(write) > 0 {
			statements = append(statements, defaults.Actions{"s3:AbortMultipartUpload", "s3:PutObject"}.On(t.objects(write...)...))
		}
		if key := t.artifacts.EncryptionKey(); key != nil {
			statements = append(statements, defaults.Actions{"kms:Decrypt", "kms:GenerateDataKey"}.On(key.KeyArn()))
		}
		if p.EncryptionKey != nil { // of the volumes
			statements = append(statements,
				defaults.Actions{"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"}.On(p.EncryptionKey.KeyArn()),
				awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
					Actions:    jsii.Strings("kms:CreateGrant"),
					Resources:  &[]*string{p.EncryptionKey.KeyArn()},
					Conditions: &map[string]any{"Bool": map[string]any{"kms:GrantIsForAWSResource": "true"}},
				}))
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
		arns = append(arns, t.artifacts.ArnForObjects(&prefix))
	}
	return arns
}

// localARN returns an ARN of this account and region.
func localARN(service, resource string) *string {
	return awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:"+service+":${AWS::Region}:${AWS::AccountId}:"+resource), nil)
}

// writeWithKey is what DynamoDB asks of who writes to a table with a key
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html).
var writeWithKey = defaults.Actions{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}

// onlyThroughDynamoDB is the condition that a key is used through DynamoDB of
// this region.
func onlyThroughDynamoDB() map[string]any {
	return map[string]any{"StringEquals": map[string]any{
		"kms:ViaService": awscdk.Fn_Sub(jsii.String("dynamodb.${AWS::Region}.amazonaws.com"), nil),
	}}
}

// putMetrics allows metrics of a namespace; CloudWatch knows no other resource
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html).
func putMetrics(namespace string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:    jsii.Strings("cloudwatch:PutMetricData"),
		Resources:  jsii.Strings("*"),
		Conditions: &map[string]any{"StringLike": map[string]any{"cloudwatch:namespace": namespace}},
	})
}

// repositoryARN returns the ARN of the image's repository, which may be
// another account's, such as AWS's own.
func (i Image) repositoryARN() *string {
	if i.Repository != nil {
		return i.Repository.RepositoryArn()
	}
	part := imageURI.FindStringSubmatch(i.URI)
	return awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:ecr:"+part[2]+":"+part[1]+":repository/"+part[3]), nil)
}

// statements returns what the states may do. AWS's own policies for the
// integrations stand at
// https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html;
// these are narrower where SageMaker checks the resource
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_sagemaker.html).
func (t *TrainingPipeline) statements(p *TrainingPipelineProps) []awsiam.PolicyStatement {
	sagemaker := func(resources ...string) []*string {
		var arns []*string
		for _, r := range resources {
			arns = append(arns, localARN("sagemaker", r))
		}
		return arns
	}
	mine := t.prefix + "-*" // what runs make is named after them
	jobs := sagemaker("training-job/"+mine, "processing-job/"+mine)
	rules := []*string{
		localARN("events", "rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule"),
		localARN("events", "rule/StepFunctionsGetEventsForSageMakerProcessingJobsRule"),
	}
	passed := []*string{t.trainingRole.RoleArn(), t.evaluationRole.RoleArn()}
	packages := sagemaker("model-package/" + t.prefix + "/*")
	statements := []awsiam.PolicyStatement{
		defaults.Actions{"lambda:InvokeFunction"}.On(t.checkManifest.Target().FunctionArn(), t.judgeData.Target().FunctionArn(),
			t.judgeModel.Target().FunctionArn()),
		defaults.Actions{"glue:BatchStopJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"}.On(
			awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:job/${Job}"),
				&map[string]*string{"Job": &t.jobName})),
		defaults.Actions{"s3:AbortMultipartUpload", "s3:PutObject"}.On(t.objects(runsPrefix + "*")...), // UNLOAD writes as its caller
		defaults.Actions{"s3:GetBucketLocation", "s3:ListBucket"}.On(t.artifacts.BucketArn()),
		defaults.Actions{"sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"}.On(jobs[0]),
		defaults.Actions{"sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"}.On(jobs[1]),
		defaults.Actions{"sagemaker:CreateModelPackage"}.On(append(packages, sagemaker("model-package-group/"+t.prefix)...)...),
	}
	if key := t.artifacts.EncryptionKey(); key != nil {
		viaS3 := onlyThroughS3()
		statements = append(statements, awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions: jsii.Strings("kms:Decrypt", "kms:GenerateDataKey"), Resources: &[]*string{key.KeyArn()}, Conditions: &viaS3,
		}))
	}
	if p.EncryptionKey != nil {
		// SageMaker makes a grant on the key of the volumes in the caller's name
		// (https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html).
		statements = append(statements,
			defaults.Actions{"kms:DescribeKey"}.On(p.EncryptionKey.KeyArn()),
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Actions:    jsii.Strings("kms:CreateGrant"),
				Resources:  &[]*string{p.EncryptionKey.KeyArn()},
				Conditions: &map[string]any{"Bool": map[string]any{"kms:GrantIsForAWSResource": "true"}},
			}))
	}
	if t.modelRole != nil {
		passed = append(passed, t.modelRole.RoleArn())
		statements = append(statements,
			defaults.Actions{"sagemaker:CreateModel"}.On(sagemaker("model/"+mine)...),
			defaults.Actions{"sagemaker:DescribeModelPackage"}.On(packages...))
	}
	switch {
	case p.Batch != nil:
		transform := sagemaker("transform-job/" + mine)
		jobs = append(jobs, transform...)
		rules = append(rules, localARN("events", "rule/StepFunctionsGetEventsForSageMakerTransformJobsRule"))
		statements = append(statements,
			defaults.Actions{"sagemaker:CreateTransformJob", "sagemaker:DescribeTransformJob", "sagemaker:StopTransformJob"}.On(transform...))
	case p.Endpoint != nil:
		endpoint := sagemaker("endpoint/" + t.endpointName)
		config := sagemaker("endpoint-config/" + mine)
		statements = append(statements,
			defaults.Actions{"sagemaker:CreateEndpointConfig"}.On(config...),
			defaults.Actions{"sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"}.On(append(config, endpoint...)...),
			defaults.Actions{"sagemaker:DeleteEndpoint", "sagemaker:DescribeEndpoint"}.On(endpoint...),
			defaults.Actions{"sagemaker:UpdateModelPackage"}.On(packages...))
		if len(p.Endpoint.RollbackAlarms) > 0 {
			var alarms []*string
			for _, a := range p.Endpoint.RollbackAlarms {
				alarms = append(alarms, a.AlarmArn())
			}
			statements = append(statements, defaults.Actions{"cloudwatch:DescribeAlarms"}.On(alarms...))
		}
	}
	if t.approvals != nil {
		statements = append(statements, defaults.Actions{"dynamodb:PutItem"}.On(t.approvals.TableArn()))
		if t.key != nil {
			viaDynamoDB := onlyThroughDynamoDB()
			statements = append(statements, awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Actions: jsii.Strings(writeWithKey...), Resources: &[]*string{t.key.KeyArn()}, Conditions: &viaDynamoDB,
			}))
		}
	}
	return append(statements,
		// For .sync, Step Functions tags the job as its own and listens to a
		// rule that it manages.
		defaults.Actions{"sagemaker:AddTags", "sagemaker:ListTags"}.On(jobs...),
		defaults.Actions{"events:DescribeRule", "events:PutRule", "events:PutTargets"}.On(rules...),
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:    jsii.Strings("iam:PassRole"),
			Resources:  &passed,
			Conditions: &map[string]any{"StringEquals": map[string]any{"iam:PassedToService": "sagemaker.amazonaws.com"}},
		}),
		defaults.Actions{"events:PutEvents"}.On(p.busARN()))
}

// grant adds to the workflow what other constructs know how to grant.
func (t *TrainingPipeline) grant(p *TrainingPipelineProps) {
	p.Table.lake.GrantQuery(t.workflow, p.Table)
	if t.topic != nil {
		t.topic.GrantPublish(t.workflow)
	}
}

func (p *TrainingPipelineProps) busARN() *string {
	if p.Bus != nil {
		return p.Bus.EventBusArn()
	}
	return localARN("events", "event-bus/default")
}
