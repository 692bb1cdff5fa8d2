package e2e

import (
	"fmt"
	"strings"
)

// kind says how resources of a type are named.
type kind struct {
	property string // path of the physical name, if the template gives one
	limit    int    // longest physical name, 0: no limit that matters
	service  string // of the ARN
	prefix   string // before the name in the ARN
}

var kinds = map[string]kind{
	"AWS::DynamoDB::Table":                 {"TableName", 255, "dynamodb", "table/"},
	"AWS::DynamoDB::GlobalTable":           {"TableName", 255, "dynamodb", "table/"},
	"AWS::SQS::Queue":                      {"QueueName", 80, "sqs", ""},
	"AWS::SNS::Topic":                      {"TopicName", 256, "sns", ""},
	"AWS::S3::Bucket":                      {"BucketName", 63, "s3", ""},
	"AWS::KMS::Key":                        {"", 0, "kms", "key/"},
	"AWS::Lambda::Function":                {"FunctionName", 64, "lambda", "function:"},
	"AWS::Events::EventBus":                {"Name", 256, "events", "event-bus/"},
	"AWS::Events::Rule":                    {"Name", 64, "events", "rule/"},
	"AWS::Events::Archive":                 {"ArchiveName", 48, "events", "archive/"},
	"AWS::Pipes::Pipe":                     {"Name", 64, "pipes", "pipe/"},
	"AWS::IAM::Role":                       {"RoleName", 64, "iam", "role/"},
	"AWS::IAM::ManagedPolicy":              {"ManagedPolicyName", 128, "iam", "policy/"},
	"AWS::StepFunctions::StateMachine":     {"StateMachineName", 80, "states", "stateMachine:"},
	"AWS::KinesisFirehose::DeliveryStream": {"DeliveryStreamName", 64, "firehose", "deliverystream/"},
	"AWS::CloudWatch::Alarm":               {"AlarmName", 255, "cloudwatch", "alarm:"},
	"AWS::CloudWatch::CompositeAlarm":      {"AlarmName", 255, "cloudwatch", "alarm:"},
	"AWS::Logs::LogGroup":                  {"LogGroupName", 512, "logs", "log-group:"},
	"AWS::ApiGatewayV2::Api":               {"", 0, "apigateway", "/apis/"},
	"AWS::Lambda::Alias":                   {"Name", 128, "lambda", "function:"},
	"AWS::Glue::Database":                  {"DatabaseInput.Name", 255, "glue", "database/"},
	"AWS::Glue::Table":                     {"TableInput.Name", 255, "glue", "table/"},
}

// name returns the physical name of a resource: the one the template gives or
// one made of the logical id.
func (s *stack) name(id string) (string, error) {
	r := s.Resources[id]
	k := kinds[r.Type]
	if v, ok := lookup(r.Properties, "$."+k.property); ok {
		resolved, err := s.resolve(v)
		if err != nil {
			return "", fmt.Errorf("%s.%s: %w", id, k.property, err)
		}
		if text, ok := resolved.(string); ok {
			return text, nil
		}
	}
	name := id + "-" + s.suffix
	for _, property := range []string{"FifoQueue", "FifoTopic"} {
		if r.Properties[property] == true {
			name += ".fifo"
		}
	}
	// A logical id ends in its hash: what tells two long ones apart.
	if over := len(name) - k.limit; k.limit > 0 && over > 0 {
		name = strings.TrimLeft(name[over:], "-")
	}
	if r.Type == "AWS::S3::Bucket" {
		name = strings.ToLower(name)
	}
	return name, nil
}

// PhysicalName returns the name that a resource has in this deployment.
func (d *Deployment) PhysicalName(kind, prefix string) (string, error) {
	id, err := d.Find(kind, prefix)
	if err != nil {
		return "", err
	}
	return d.name(id)
}

// arn returns an ARN in the deployment's account and region.
func (s *stack) arn(service, resource string) string {
	region, account := s.region, s.account
	switch service {
	case "s3":
		region, account = "", ""
	case "iam":
		region = ""
	}
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, region, account, resource)
}

// ref is the value of Ref.
func (s *stack) ref(id string) (any, error) {
	switch id {
	case "AWS::AccountId":
		return s.account, nil
	case "AWS::Region":
		return s.region, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return s.Name, nil
	case "AWS::StackId":
		return s.arn("cloudformation", "stack/"+s.Name+"/"+s.suffix), nil
	case "AWS::NoValue":
		return noValue{}, nil
	}
	if p, ok := s.Parameters[id]; ok {
		if p.Default == nil {
			return nil, fmt.Errorf("parameter %s has no default", id)
		}
		return p.Default, nil
	}
	r, ok := s.Resources[id]
	if !ok {
		return nil, fmt.Errorf("Ref %q is neither a resource nor a parameter", id)
	}
	switch r.Type {
	case "AWS::SQS::Queue":
		return s.attribute(id, "QueueUrl")
	case "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::IAM::ManagedPolicy":
		return s.attribute(id, "Arn")
	case "AWS::Events::Rule":
		name, err := s.ruleName(id)
		return strings.Replace(name, "/", "|", 1), err
	}
	return s.name(id)
}

// ruleName is the name of a rule as in its ARN: with its bus, unless that is
// the default one.
func (s *stack) ruleName(id string) (string, error) {
	name, err := s.name(id)
	if err != nil {
		return "", err
	}
	var props struct{ EventBusName string }
	if err := s.properties(id, &props); err != nil {
		return "", err
	}
	bus := props.EventBusName[strings.LastIndex(props.EventBusName, "/")+1:]
	if bus == "" || bus == "default" {
		return name, nil
	}
	return bus + "/" + name, nil
}

// attribute is the value of Fn::GetAtt.
func (s *stack) attribute(id, attribute string) (any, error) {
	r, ok := s.Resources[id]
	if !ok {
		return nil, fmt.Errorf("Fn::GetAtt %s.%s: no such resource", id, attribute)
	}
	name, err := s.name(id)
	if err != nil {
		return nil, err
	}
	k := kinds[r.Type]
	arn := s.arn(k.service, k.prefix+name)
	switch r.Type {
	case "AWS::Events::Rule":
		qualified, err := s.ruleName(id)
		if err != nil {
			return nil, err
		}
		arn = s.arn("events", "rule/"+qualified)
	case "AWS::Lambda::Alias", "AWS::Lambda::Version":
		var props struct{ FunctionName string }
		if err := s.properties(id, &props); err != nil {
			return nil, err
		}
		if r.Type == "AWS::Lambda::Version" {
			name = "1"
		}
		function := props.FunctionName[strings.LastIndex(props.FunctionName, ":")+1:]
		arn = s.arn("lambda", "function:"+function+":"+name)
	case "AWS::Logs::LogGroup":
		arn += ":*"
	}
	switch attribute {
	case "Arn", "TopicArn", "AliasArn", "FunctionArn":
		if k.service == "" && r.Type != "AWS::Lambda::Version" {
			// Of a resource that the harness does not drive: any unique name does.
			return s.arn(strings.ToLower(strings.Split(r.Type, "::")[1]), name), nil
		}
		return arn, nil
	case "StreamArn":
		return arn + "/stream/" + streamLabel, nil
	case "QueueUrl":
		return fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", s.region, s.account, name), nil
	case "QueueName", "TopicName", "Name", "KeyId", "ArchiveName", "ApiId", "RoleId", "TableId":
		return name, nil
	case "Version":
		return "1", nil
	case "ApiEndpoint":
		if s.endpoint != "" {
			return s.endpoint + apiPath + name, nil
		}
		return fmt.Sprintf("https://%s.execute-api.%s.amazonaws.com", name, s.region), nil
	case "DomainName", "RegionalDomainName":
		return name + ".s3." + s.region + ".amazonaws.com", nil
	}
	return name + "." + attribute, nil
}

// streamLabel stands for the time of a stream's creation in its ARN.
const streamLabel = "2026-01-01T00:00:00.000"
