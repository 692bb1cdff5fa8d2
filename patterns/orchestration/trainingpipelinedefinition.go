package orchestration

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// object is a piece of a definition.
type object = map[string]any

// attempt is different each time a state is tried, in a redrive too: what was
// named by an attempt that failed may be there, and would refuse the next.
const attempt = "$string([$states.context.Execution.RedriveCount, 0][0]) & '-' & $string($states.context.State.RetryCount)"

// runName is the name under which a run is known outside the workflow:
// SageMaker allows 63 letters, digits and -, an execution's name is longer. The
// hash keeps apart what is cut off.
const runName = "$runPrefix & '-' & $replace($lowercase($substring($states.context.Execution.Name, 0, 24)), /[^a-z0-9]+/, '-')" +
	" & '-' & $substring($hash($states.context.Execution.Id, 'SHA-256'), 0, 8)"

func jsonata(expression string) string { return "{% " + expression + " %}" }

// retryOn retries what passes: throttling, limits, services that are down.
func retryOn(attempts int, first, longest time.Duration, errors ...string) []any {
	return []any{object{
		"ErrorEquals": errors, "IntervalSeconds": int(first.Seconds()), "MaxDelaySeconds": int(longest.Seconds()),
		"BackoffRate": 2, "MaxAttempts": attempts, "JitterStrategy": "FULL",
	}}
}

// seconds is a time-out as the language has it.
func seconds(d time.Duration) int { return int(d.Seconds()) }

// step joins what all tasks have and what one has.
func step(resource string, timeout time.Duration, arguments any, retry []any, rest object) object {
	task := object{
		"Type": "Task", "Resource": "arn:aws:states:::" + resource, "TimeoutSeconds": seconds(timeout), "Arguments": arguments, "Retry": retry,
	}
	maps.Copy(task, rest)
	return task
}

func callFunction(arn *string, timeout time.Duration, payload any, rest object) object {
	return step("lambda:invoke", timeout, object{"FunctionName": arn, "Payload": payload},
		retryOn(6, 2*time.Second, time.Minute, "UnavailableError", "Lambda.TooManyRequestsException", "Lambda.ServiceException",
			"Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.Unknown", "Sandbox.Timedout"), rest)
}

// sagemakerRetry retries what passes: throttling comes as the service's
// general exception.
func sagemakerRetry() []any {
	return retryOn(12, 10*time.Second, 10*time.Minute, "SageMaker.AmazonSageMakerException", "SageMaker.ResourceLimitExceededException",
		"SageMaker.SdkClientException")
}

// registryRetry is sagemakerRetry for the SDK's own actions, which name errors
// otherwise.
func registryRetry() []any {
	return retryOn(6, 5*time.Second, time.Minute, "SageMaker.SageMakerException", "SageMaker.SdkClientException")
}

// transformRetry retries what passes; waits while the job is busy with other
// runs, for as long as two of them may take; and runs a job again that failed.
func transformRetry(longest time.Duration) []any {
	const looks = 100 // each is a transition that AWS bills
	return slices.Concat(
		retryOn(10, 30*time.Second, 10*time.Minute, "Glue.AWSGlueException", "Glue.ThrottlingException", "Glue.SdkClientException"),
		[]any{object{
			"ErrorEquals":     []string{"Glue.ConcurrentRunsExceededException"},
			"IntervalSeconds": seconds(2 * longest / looks), "BackoffRate": 1, "MaxAttempts": looks,
		}},
		retryOn(2, time.Minute, 10*time.Minute, "States.TaskFailed"))
}

func athenaRetry() []any {
	return retryOn(6, 5*time.Second, 2*time.Minute, "Athena.AmazonAthenaException", "Athena.TooManyRequestsException",
		"Athena.InternalServerException", "Athena.SdkClientException")
}

// definition returns the workflow in the Amazon States Language.
func (t *TrainingPipeline) definition(p *TrainingPipelineProps) object {
	states := object{}
	first := "Prepare"
	previous := ""
	// add appends a state to the chain.
	add := func(name string, state object) {
		if last, ok := states[previous].(object); ok && last["Type"] != "Choice" {
			last["Next"] = name
		}
		states[name] = state
		previous = name
	}
	add(first, t.prepare(p))
	t.addDataStates(p, add)
	t.addModelStates(p, add)
	if !p.Approval.Off {
		t.addApprovalStates(p, add)
	}
	add("Register model", t.register(p))
	switch {
	case p.Batch != nil:
		t.addBatchStates(p, add)
	case p.Endpoint != nil:
		t.addEndpointStates(p, add, states)
	}
	add("Publish", t.publish(p))
	states["Publish"].(object)["End"] = true
	return object{
		"Comment": "Trains, judges, registers and deploys a model.",
		"StartAt": first,
		"States":  states,
	}
}

// prepare keeps what is text as variables, so that no query is ever part of an
// expression.
func (t *TrainingPipeline) prepare(p *TrainingPipelineProps) object {
	constants := object{
		"runPrefix":       t.prefix,
		"bucket":          construct.BucketName(t.artifacts),
		"rawBucket":       construct.BucketName(p.Table.lake.raw),
		"manifest":        jsonata("$states.input.manifest"),
		"trainingQuery":   p.query(p.Training.Query),
		"evaluationQuery": p.query(p.Evaluation.Query),
	}
	if p.Batch != nil {
		constants["batchQuery"] = p.Batch.Query
	}
	return object{"Type": "Pass", "Assign": constants}
}

func (t *TrainingPipeline) addDataStates(p *TrainingPipelineProps, add func(string, object)) {
	lake := p.Table.lake
	add("Check manifest", callFunction(construct.FunctionArn(t.checkManifest.Target()), 6*time.Minute,
		object{"bucket": jsonata("$rawBucket"), "key": jsonata("$manifest"), "prefix": rawPrefix},
		object{"Assign": object{"run": jsonata(runName), "data": jsonata("$states.result.Payload")}}))

	longest := construct.Or(p.Transform.Timeout, 2*time.Hour) + 30*time.Minute // which it may wait for workers
	add("Transform", step("glue:startJobRun.sync", longest,
		object{"JobName": t.jobName, "Arguments": object{
			"--manifest":         jsonata("'s3://' & $rawBucket & '/' & $manifest"),
			"--manifest_version": jsonata("$data.version"),
			"--run":              jsonata("$run"),
			"--database":         lake.databaseName,
			"--table":            p.Table.name,
			"--location":         p.Table.Location(),
		}},
		transformRetry(longest), nil))

	var columns []string
	var bounds []any
	for _, q := range p.Quality {
		columns = append(columns, fmt.Sprintf("CAST((%s) AS double)", q.Expression))
		bounds = append(bounds, bound(q.Name, q.Min, q.Max))
	}
	add("Profile data", t.query(lake, "SELECT "+strings.Join(columns, ", ")+" FROM "+p.Table.SQL(), nil))
	add("Read profile", step("athena:getQueryResults", time.Minute,
		object{"QueryExecutionId": jsonata("$states.input.QueryExecution.QueryExecutionId"), "MaxResults": 2}, athenaRetry(), nil))
	add("Judge data", callFunction(construct.FunctionArn(t.judgeData.Target()), time.Minute,
		object{"bounds": bounds, "profile": jsonata("$states.input.ResultSet")},
		object{"Assign": object{"quality": jsonata("$states.result.Payload.values")}}))

	branch := func(name, query, what string) object {
		return object{"StartAt": name, "States": object{name: t.unload(lake, query, what, "PARQUET", object{"End": true})}}
	}
	add("Export", object{
		"Type": "Parallel",
		"Branches": []any{
			branch("Export training data", "$trainingQuery", "train"),
			branch("Export evaluation data", "$evaluationQuery", "test"),
		},
		"Assign": object{"train": jsonata("$states.result[0]"), "test": jsonata("$states.result[1]")},
	})
}

func bound(name string, low, high *float64) object {
	b := object{"name": name}
	if low != nil {
		b["min"] = *low
	}
	if high != nil {
		b["max"] = *high
	}
	return b
}

// query runs a query in the lake's work group and waits for its end.
func (t *TrainingPipeline) query(lake *DataLake, query string, rest object) object {
	return step("athena:startQueryExecution.sync", 30*time.Minute, object{
		"QueryString":           query,
		"WorkGroup":             lake.workGroupName,
		"QueryExecutionContext": object{"Database": lake.databaseName},
	}, athenaRetry(), rest)
}

// place is the expression of where an attempt of a state writes.
func place(what string) string {
	return "'s3://' & $bucket & '/" + runsPrefix + "' & $run & '/" + what + "-' & " + attempt
}

// unload exports the rows of a query, which pins what the run is trained on.
// Athena wants an empty place.
func (t *TrainingPipeline) unload(lake *DataLake, query, what, format string, rest object) object {
	options := "format = '" + format + "'"
	if format == "PARQUET" {
		options += ", compression = 'SNAPPY'"
	}
	state := t.query(lake, jsonata(`"UNLOAD (" & `+query+` & ") TO '" & `+place(what)+` & "/' WITH (`+options+`)"`), rest)
	state["Output"] = jsonata(place(what) + " & '/'")
	return state
}

func (t *TrainingPipeline) addModelStates(p *TrainingPipelineProps, add func(string, object)) {
	s, e := p.Training, p.Evaluation
	instances := construct.Or(s.Instances, 1)
	arguments := object{
		"TrainingJobName": jsonata("$run & '-' & " + attempt),
		"RoleArn":         construct.RoleArn(t.trainingRole),
		"AlgorithmSpecification": object{
			"TrainingImage": s.Image.URI, "TrainingInputMode": "File",
		},
		"InputDataConfig": []any{object{
			"ChannelName": "train", "ContentType": "application/x-parquet",
			"DataSource": object{"S3DataSource": object{
				"S3DataType": "S3Prefix", "S3Uri": jsonata("$train"), "S3DataDistributionType": "FullyReplicated",
			}},
		}},
		"OutputDataConfig": t.encrypted(object{"S3OutputPath": jsonata("'s3://' & $bucket & '/" + modelsPrefix + "' & $run")}),
		"ResourceConfig": p.volume(object{
			"InstanceCount": instances, "InstanceType": construct.Or(s.InstanceType, "ml.m5.xlarge"),
			"VolumeSizeInGB": construct.Or(s.Volume, 50),
		}),
		"EnableNetworkIsolation":                !s.WithNetwork,
		"EnableInterContainerTrafficEncryption": instances > 1,
	}
	stop := object{"MaxRuntimeInSeconds": seconds(s.timeout())}
	longest := s.timeout()
	if !s.OnDemand {
		longest = s.wait()
		stop["MaxWaitTimeInSeconds"] = seconds(longest)
		arguments["EnableManagedSpotTraining"] = true
		// Of the run, not of the attempt: the next one goes on from it.
		arguments["CheckpointConfig"] = object{"S3Uri": jsonata("'s3://' & $bucket & '/" + runsPrefix + "' & $run & '/checkpoints'")}
	}
	arguments["StoppingCondition"] = stop
	if len(s.HyperParameters) > 0 {
		arguments["HyperParameters"] = s.HyperParameters
	}
	// SageMaker's own limits come first, and tell more.
	add("Train", step("sagemaker:createTrainingJob.sync", longest+2*time.Hour, arguments, sagemakerRetry(), object{
		"Assign": object{"model": jsonata("$states.result.ModelArtifacts.S3ModelArtifacts"), "trainingJob": jsonata("$states.result.TrainingJobArn")},
	}))

	application := object{"ImageUri": e.Image.URI}
	if len(e.Entrypoint) > 0 {
		application["ContainerEntrypoint"] = e.Entrypoint
	}
	input := func(name, uri string) object {
		return object{"InputName": name, "S3Input": object{
			"S3Uri": uri, "LocalPath": "/opt/ml/processing/" + name, "S3DataType": "S3Prefix", "S3InputMode": "File",
		}}
	}
	add("Evaluate", step("sagemaker:createProcessingJob.sync", construct.Or(e.Timeout, time.Hour)+time.Hour, object{
		"ProcessingJobName": jsonata("$run & '-' & " + attempt),
		"RoleArn":           construct.RoleArn(t.evaluationRole),
		"AppSpecification":  application,
		"ProcessingInputs":  []any{input("model", jsonata("$model")), input("test", jsonata("$test"))},
		"ProcessingOutputConfig": t.encrypted(object{"Outputs": []any{object{
			"OutputName": "evaluation",
			"S3Output": object{
				"S3Uri": jsonata(place("evaluation")), "LocalPath": "/opt/ml/processing/evaluation", "S3UploadMode": "EndOfJob",
			},
		}}}),
		"ProcessingResources": object{"ClusterConfig": p.volume(object{
			"InstanceCount": 1, "InstanceType": construct.Or(e.InstanceType, "ml.m5.xlarge"), "VolumeSizeInGB": construct.Or(e.Volume, 50),
		})},
		"StoppingCondition": object{"MaxRuntimeInSeconds": seconds(construct.Or(e.Timeout, time.Hour))},
		"NetworkConfig":     object{"EnableNetworkIsolation": true},
	}, sagemakerRetry(), object{
		"Assign": object{"evaluation": jsonata("$states.result.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri & '/evaluation.json'")},
	}))

	var bounds []any
	for _, m := range e.Metrics {
		bounds = append(bounds, bound(m.Name, m.Min, m.Max))
	}
	add("Judge model", callFunction(construct.FunctionArn(t.judgeModel.Target()), time.Minute, object{
		"bucket": jsonata("$bucket"),
		"key":    jsonata("$substringAfter($evaluation, 's3://' & $bucket & '/')"),
		"bounds": bounds,
	}, object{"Assign": object{"metrics": jsonata("$states.result.Payload.values")}}))
}

// encrypted adds the key of the artifacts to an output.
func (t *TrainingPipeline) encrypted(output object) object {
	if key := construct.EncryptionKey(t.artifacts); key != nil {
		output["KmsKeyId"] = construct.KeyArn(key)
	}
	return output
}

// volume adds the key of the instances' disks.
func (p *TrainingPipelineProps) volume(cluster object) object {
	if p.EncryptionKey != nil {
		cluster["VolumeKmsKeyId"] = construct.KeyArn(p.EncryptionKey)
	}
	return cluster
}

// addApprovalStates tells people and then waits. Who is faster than the second
// state finds no request, and tries again.
func (t *TrainingPipeline) addApprovalStates(p *TrainingPipelineProps, add func(string, object)) {
	const request = "{'run': $states.context.Execution.Name, 'dataset': $data.dataset, 'quality': $quality, 'metrics': $metrics, 'model': $model}"
	expiry := construct.Or(p.Approval.Expiry, 7*day)
	add("Ask for approval", step("sns:publish", time.Minute, object{
		"TopicArn": construct.TopicArn(t.topic),
		"Subject":  "A model waits for approval",
		"Message":  jsonata("$string(" + request + ")"),
	}, retryOn(6, 2*time.Second, time.Minute, "SNS.AmazonSNSException", "SNS.SdkClientException"), nil))
	until := func(d time.Duration) object {
		return object{"N": jsonata(fmt.Sprintf("$string($floor($toMillis($states.context.State.EnteredTime) / 1000) + %d)", seconds(d)))}
	}
	add("Await approval", step("aws-sdk:dynamodb:putItem.waitForTaskToken", expiry, object{
		"TableName": construct.TableName(t.approvals),
		"Item": object{
			training.AttrRun:       object{"S": jsonata("$states.context.Execution.Name")},
			training.AttrToken:     object{"S": jsonata("$states.context.Task.Token")},
			training.AttrRequested: object{"S": jsonata("$states.context.State.EnteredTime")},
			training.AttrExpires:   until(expiry),
			training.AttrTTL:       until(expiry + 365*day),
			training.AttrRequest:   object{"S": jsonata("$string(" + request + ")")},
		},
	}, retryOn(6, 2*time.Second, time.Minute, "DynamoDb.ProvisionedThroughputExceededException", "DynamoDb.InternalServerErrorException",
		"DynamoDb.RequestLimitExceededException", "DynamoDb.SdkClientException"), object{
		"Assign": object{"approver": jsonata("$states.result.decider")},
	}))
}

// register makes a version of the model in the registry. The token makes a
// second call return what the first one made.
func (t *TrainingPipeline) register(p *TrainingPipelineProps) object {
	approver := jsonata("$approver")
	if p.Approval.Off {
		approver = "nobody: approval is off"
	}
	return step("aws-sdk:sagemaker:createModelPackage", time.Minute, object{
		"ModelPackageGroupName": t.prefix,
		"ClientToken":           jsonata("$substring($hash($model, 'SHA-256'), 0, 36)"),
		"ModelApprovalStatus":   "Approved",
		"ApprovalDescription":   approver,
		"InferenceSpecification": object{
			"Containers":                 []any{object{"Image": p.Training.Image.URI, "ModelDataUrl": jsonata("$model")}},
			"SupportedContentTypes":      []any{"application/jsonlines"},
			"SupportedResponseMIMETypes": []any{"application/jsonlines"},
		},
		"ModelMetrics": object{"ModelQuality": object{"Statistics": object{
			"ContentType": "application/json", "S3Uri": jsonata("$evaluation"),
		}}},
		"CustomerMetadataProperties": object{"run": jsonata("$states.context.Execution.Name"), "manifest": jsonata("$data.digest")},
	}, registryRetry(), object{
		"Assign": object{"modelPackage": jsonata("$states.result.ModelPackageArn")},
	})
}

func (t *TrainingPipeline) createModel(add func(string, object)) {
	add("Create model", step("sagemaker:createModel", time.Minute, object{
		"ModelName":              jsonata("$run & '-' & " + attempt),
		"ExecutionRoleArn":       construct.RoleArn(t.modelRole),
		"PrimaryContainer":       object{"ModelPackageName": jsonata("$modelPackage")},
		"EnableNetworkIsolation": true,
	}, sagemakerRetry(), object{
		"Assign": object{"modelName": jsonata("$run & '-' & " + attempt)},
	}))
}

func (t *TrainingPipeline) addBatchStates(p *TrainingPipelineProps, add func(string, object)) {
	t.createModel(add)
	add("Export rows", t.unload(p.Table.lake, "$batchQuery", "batch", "JSON", nil))
	// Athena writes no file where there are no rows, and a transform without input
	// fails.
	add("Look for rows", step("aws-sdk:s3:listObjectsV2", time.Minute, object{
		"Bucket": jsonata("$bucket"), "MaxKeys": 1,
		"Prefix": jsonata("$substringAfter($states.input, 's3://' & $bucket & '/')"),
	}, retryOn(6, 2*time.Second, time.Minute, "S3.S3Exception", "S3.SdkClientException"), object{
		"Assign": object{"files": jsonata("$states.result.KeyCount")},
		"Output": jsonata("$states.input"),
	}))
	add("Any rows?", object{
		"Type": "Choice",
		"Choices": []any{object{
			"Condition": jsonata("$files = 0"), "Assign": object{"predictions": nil}, "Next": "Publish",
		}},
		"Default": "Predict",
	})
	timeout := construct.Or(p.Batch.Timeout, 4*time.Hour)
	resources := object{
		"InstanceCount": construct.Or(p.Batch.Instances, 1), "InstanceType": construct.Or(p.Batch.InstanceType, "ml.m5.xlarge"),
	}
	add("Predict", step("sagemaker:createTransformJob.sync", timeout, object{
		"TransformJobName": jsonata("$run & '-' & " + attempt),
		"ModelName":        jsonata("$modelName"),
		"BatchStrategy":    "MultiRecord",
		"TransformInput": object{
			"ContentType": "application/jsonlines", "SplitType": "Line", "CompressionType": "Gzip", // as Athena writes JSON
			"DataSource": object{"S3DataSource": object{"S3DataType": "S3Prefix", "S3Uri": jsonata("$states.input")}},
		},
		"TransformOutput": t.encrypted(object{
			"S3OutputPath": jsonata(place("predictions")), "Accept": "application/jsonlines", "AssembleWith": "Line",
		}),
		"TransformResources": p.volume(resources),
	}, sagemakerRetry(), object{
		"Assign": object{"predictions": jsonata("$states.result.TransformOutput.S3OutputPath")},
	}))
}

// addEndpointStates moves the endpoint to the model, or makes it. SageMaker
// itself rolls an update back; the workflow sees it by the configuration that
// the endpoint ends up with.
func (t *TrainingPipeline) addEndpointStates(p *TrainingPipelineProps, add func(string, object), states object) {
	t.createModel(add)
	instances := construct.Or(p.Endpoint.Instances, 2)
	config := object{
		"EndpointConfigName": jsonata("$run & '-' & " + attempt),
		"ProductionVariants": []any{object{
			"VariantName": "live", "ModelName": jsonata("$modelName"), "InitialVariantWeight": 1,
			"InitialInstanceCount": instances, "InstanceType": construct.Or(p.Endpoint.InstanceType, "ml.m5.large"),
		}},
	}
	if p.EncryptionKey != nil {
		config["KmsKeyId"] = construct.KeyArn(p.EncryptionKey)
	}
	add("Configure endpoint", step("sagemaker:createEndpointConfig", time.Minute, config, sagemakerRetry(), object{
		"Assign": object{"endpointConfig": jsonata("$run & '-' & " + attempt), "looks": 0},
	}))
	name := t.endpointName
	describe := func(rest object) object {
		return step("aws-sdk:sagemaker:describeEndpoint", time.Minute, object{"EndpointName": name},
			retryOn(6, 5*time.Second, time.Minute, "SageMaker.SdkClientException"), rest)
	}
	move := object{"EndpointName": name, "EndpointConfigName": jsonata("$endpointConfig")}
	update := maps.Clone(move)
	update["DeploymentConfig"] = p.Endpoint.guardrails(instances)

	add("Find endpoint", describe(object{
		// That there is none has no error of its own.
		"Catch": []any{object{"ErrorEquals": []string{"SageMaker.SageMakerException"}, "Next": "No endpoint?", "Assign": object{"looks": jsonata("$looks + 1")}}},
	}))
	// The SDK's own action, for it knows DeploymentConfig whatever the
	// optimized one does.
	add("Update endpoint", step("aws-sdk:sagemaker:updateEndpoint", time.Minute, update, registryRetry(), nil))
	add("Wait for endpoint", object{"Type": "Wait", "Seconds": 30})
	add("Look at endpoint", describe(object{
		// Throttled: the next look is soon enough.
		"Catch": []any{object{"ErrorEquals": []string{"SageMaker.SageMakerException"}, "Next": "Wait for endpoint"}},
	}))
	add("Deployed?", object{
		"Type": "Choice",
		"Choices": []any{
			object{"Condition": jsonata("$states.input.EndpointStatus = 'InService' and $states.input.EndpointConfigName = $endpointConfig"), "Next": "Publish"},
			object{"Condition": jsonata("$states.input.EndpointStatus = 'Failed'"), "Next": "Delete endpoint"},
			object{"Condition": jsonata("$states.input.EndpointStatus in ['InService', 'UpdateRollbackFailed', 'OutOfService']"), "Next": "Reject model"},
		},
		"Default": "Wait for endpoint",
	})
	maps.Copy(states, object{
		"No endpoint?": object{
			"Type": "Choice",
			"Choices": []any{
				object{"Condition": jsonata("$contains($states.input.Cause, 'Could not find')"), "Next": "Create endpoint"},
				object{"Condition": jsonata("$looks < 10"), "Next": "Look again"},
			},
			"Default": "Endpoint unknown",
		},
		"Look again": object{"Type": "Wait", "Seconds": 30, "Next": "Find endpoint"},
		"Endpoint unknown": object{
			"Type": "Fail", "Error": jsonata("$states.input.Error"), "Cause": jsonata("$states.input.Cause"),
		},
		"Create endpoint": step("sagemaker:createEndpoint", time.Minute, move, sagemakerRetry(), object{"Next": "Wait for endpoint"}),
		// An endpoint that never started would be in the way of the next run.
		"Delete endpoint": step("aws-sdk:sagemaker:deleteEndpoint", time.Minute, object{"EndpointName": name},
			registryRetry(),
			object{"Output": jsonata("$states.input"), "Next": "Reject model"}),
		"Reject model": step("aws-sdk:sagemaker:updateModelPackage", time.Minute, object{
			"ModelPackageArn": jsonata("$modelPackage"), "ModelApprovalStatus": "Rejected", "ApprovalDescription": "Its deployment was rolled back.",
		}, registryRetry(), object{
			"Output": jsonata("$states.input"), "Next": "Rolled back",
		}),
		"Rolled back": object{
			"Type": "Fail", "Error": "DeploymentRolledBack",
			"Cause": jsonata("'The endpoint is ' & $states.input.EndpointStatus & ': ' & [$states.input.FailureReason, 'an alarm went off'][0]"),
		},
	})
}

// guardrails says how an update gets its traffic. A part of one instance is
// none: then all of it moves at once.
func (e *Endpoint) guardrails(instances int) object {
	bake := seconds(construct.Or(e.Bake, 10*time.Minute))
	routing := object{"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake}
	if instances > 1 {
		routing = object{"Type": "CANARY", "WaitIntervalInSeconds": bake,
			"CanarySize": object{"Type": "INSTANCE_COUNT", "Value": max(1, instances/10)}}
	}
	d := object{"BlueGreenUpdatePolicy": object{
		"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": bake,
		"MaximumExecutionTimeoutInSeconds": seconds(4 * time.Hour),
	}}
	if len(e.RollbackAlarms) > 0 {
		var alarms []any
		for _, a := range e.RollbackAlarms {
			alarms = append(alarms, object{"AlarmName": a.AlarmName()})
		}
		d["AutoRollbackConfiguration"] = object{"Alarms": alarms}
	}
	return d
}

func (t *TrainingPipeline) publish(p *TrainingPipelineProps) object {
	model := object{
		"run":          jsonata("$states.context.Execution.Name"),
		"dataset":      jsonata("$data.dataset"),
		"manifest":     jsonata("$data.digest"),
		"modelPackage": jsonata("$modelPackage"),
		"metrics":      jsonata("$metrics"),
		"quality":      jsonata("$quality"),
	}
	switch {
	case p.Batch != nil:
		model["predictions"] = jsonata("$predictions")
	case p.Endpoint != nil:
		model["endpoint"] = t.endpointName
	}
	return step("events:putEvents", time.Minute, object{"Entries": []any{object{
		"EventBusName": t.busARN(p),
		"Source":       "training." + path.Base(construct.Path(t)), // its id
		"DetailType":   "ModelPublished",
		"Detail":       model,
	}}}, retryOn(6, 2*time.Second, time.Minute, "EventBridge.FailedEntry", "EventBridge.AmazonEventBridgeException", "EventBridge.SdkClientException"),
		object{"Output": model})
}
