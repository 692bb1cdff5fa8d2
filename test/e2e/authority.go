package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/serverless-go/cdk/test/iam"
)

// Denial is a call that the template's policies did not allow.
type Denial struct {
	Principal, Action, Resource, Reason string
}

// DeniedError is the error of a call that was denied.
type DeniedError struct{ Denial }

// Error words the denial as AWS does.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("%s is not authorized to perform: %s on resource: %s %s", e.Principal, e.Action, e.Resource, e.Reason)
}

// caller is who calls a service: a role, or a service in the name of one of
// the template's resources.
type caller struct {
	principal iam.Principal
	source    string   // ARN of the rule, topic or API that a service acts for; "" if it does not say
	session   *session // of a role that was assumed by a call; nil without
}

// authority knows the template's policies and answers as IAM would.
type authority struct {
	*stack
	roles     map[string]*role         // by ARN
	resources map[string][]*iam.Policy // resource policies by ARN
	anywhere  map[string][]*iam.Policy // resource policies of a whole service
	keys      map[string]string        // resource ARN -> ARN of the customer's key that encrypts it
	mu        sync.Mutex
	denied    []Denial
}

type role struct {
	trust    *iam.Policy
	policies []*iam.Policy
	boundary []*iam.Policy
	unknown  []string // AWS managed policies that the harness does not know
	tags     map[string]string
}

// managed are the AWS managed policies that grant nothing the harness checks.
var managed = []string{
	"service-role/AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess", "CloudWatchLambdaInsightsExecutionRolePolicy",
	"service-role/AmazonAPIGatewayPushToCloudWatchLogs",
}

func newAuthority(s *stack) (*authority, error) {
	a := &authority{stack: s, roles: map[string]*role{}, resources: map[string][]*iam.Policy{}, anywhere: map[string][]*iam.Policy{}, keys: map[string]string{}}
	byName := map[string]*role{}
	for id := range s.All("AWS::IAM::Role") {
		var props struct {
			AssumeRolePolicyDocument json.RawMessage
			ManagedPolicyArns        []string
			PermissionsBoundary      string
			Policies                 []struct{ PolicyDocument json.RawMessage }
			Tags                     []struct{ Key, Value string }
		}
		if err := s.properties(id, &props); err != nil {
			return nil, err
		}
		r := &role{tags: map[string]string{}}
		for _, tag := range props.Tags {
			r.tags[tag.Key] = tag.Value
		}
		var err error
		if r.trust, err = a.parse(id, props.AssumeRolePolicyDocument); err != nil {
			return nil, err
		}
		for _, p := range props.Policies {
			policy, err := a.parse(id, p.PolicyDocument)
			if err != nil {
				return nil, err
			}
			r.policies = append(r.policies, policy)
		}
		for _, arn := range props.ManagedPolicyArns {
			policy, err := a.managedPolicy(arn)
			if err != nil {
				return nil, err
			}
			if policy != nil {
				r.policies = append(r.policies, policy)
			} else if _, name, _ := strings.Cut(arn, ":policy/"); !slices.Contains(managed, name) {
				r.unknown = append(r.unknown, arn)
			}
		}
		if props.PermissionsBoundary != "" {
			policy, err := a.managedPolicy(props.PermissionsBoundary)
			if err != nil {
				return nil, err
			}
			if policy == nil {
				return nil, fmt.Errorf("%s: the permissions boundary %s is not in the template", id, props.PermissionsBoundary)
			}
			r.boundary = append(r.boundary, policy)
		}
		name, err := s.name(id)
		if err != nil {
			return nil, err
		}
		byName[name] = r
		a.roles[s.arn("iam", "role/"+name)] = r
	}
	for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"} {
		for id := range s.All(kind) {
			var props struct {
				PolicyDocument json.RawMessage
				Roles          []string
				RoleName       string
			}
			if err := s.properties(id, &props); err != nil {
				return nil, err
			}
			policy, err := a.parse(id, props.PolicyDocument)
			if err != nil {
				return nil, err
			}
			for _, name := range append(props.Roles, props.RoleName) {
				if r := byName[name]; r != nil {
					r.policies = append(r.policies, policy)
				}
			}
		}
	}
	return a, a.resourcePolicies()
}

func (a *authority) parse(id string, document json.RawMessage) (*iam.Policy, error) {
	policy, err := iam.Parse(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return policy, nil
}

// managedPolicy returns the template's own managed policy of the ARN, or nil.
func (a *authority) managedPolicy(arn string) (*iam.Policy, error) {
	for id := range a.All("AWS::IAM::ManagedPolicy") {
		own, err := a.attribute(id, "Arn")
		if err != nil {
			return nil, err
		}
		if own == arn {
			var props struct{ PolicyDocument json.RawMessage }
			if err := a.properties(id, &props); err != nil {
				return nil, err
			}
			return a.parse(id, props.PolicyDocument)
		}
	}
	return nil, nil
}

// resourcePolicies reads the policies that stand on resources.
func (a *authority) resourcePolicies() error {
	for id, r := range a.Resources {
		var props struct {
			PolicyDocument, KeyPolicy      json.RawMessage
			ResourcePolicy                 struct{ PolicyDocument json.RawMessage }
			Queues, Topics                 []string
			Bucket, EventBusName           string
			Statement                      json.RawMessage
			FunctionName                   string
			Action, Principal, StatementId string
			SourceArn, SourceAccount       string
		}
		switch r.Type {
		case "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::Events::EventBusPolicy",
			"AWS::Lambda::Permission", "AWS::Logs::ResourcePolicy", "AWS::DynamoDB::Table":
			if err := a.properties(id, &props); err != nil {
				return err
			}
		default:
			continue
		}
		var on []string
		document := props.PolicyDocument
		switch r.Type {
		case "AWS::SQS::QueuePolicy":
			for _, url := range props.Queues {
				on = append(on, a.arn("sqs", url[strings.LastIndex(url, "/")+1:]))
			}
		case "AWS::SNS::TopicPolicy":
			on = props.Topics
		case "AWS::S3::BucketPolicy":
			on = []string{a.arn("s3", props.Bucket)}
		case "AWS::KMS::Key":
			arn, err := a.attribute(id, "Arn")
			if err != nil {
				return err
			}
			on, document = []string{arn.(string)}, props.KeyPolicy
		case "AWS::DynamoDB::Table":
			if document = props.ResourcePolicy.PolicyDocument; document == nil {
				continue
			}
			arn, err := a.attribute(id, "Arn")
			if err != nil {
				return err
			}
			on = []string{arn.(string)}
		case "AWS::Events::EventBusPolicy":
			name := props.EventBusName[strings.LastIndex(props.EventBusName, "/")+1:]
			if name == "" {
				name = "default"
			}
			if props.Statement == nil {
				return fmt.Errorf("%s: an event bus policy without Statement is not supported", id)
			}
			on = []string{a.arn("events", "event-bus/"+name)}
			document = fmt.Appendf(nil, `{"Statement":[%s]}`, props.Statement)
		case "AWS::Lambda::Permission":
			conditions := map[string]map[string]string{}
			if props.SourceArn != "" {
				conditions["ArnLike"] = map[string]string{"aws:SourceArn": props.SourceArn}
			}
			if props.SourceAccount != "" {
				conditions["StringEquals"] = map[string]string{"aws:SourceAccount": props.SourceAccount}
			}
			principal := map[string]string{"Service": props.Principal}
			if !strings.HasSuffix(props.Principal, ".amazonaws.com") {
				principal = map[string]string{"AWS": props.Principal}
			}
			statement, err := json.Marshal(map[string]any{"Effect": "Allow", "Principal": principal, "Action": props.Action, "Resource": "*", "Condition": conditions})
			if err != nil {
				return err
			}
			on, document = []string{a.functionARN(props.FunctionName)}, fmt.Appendf(nil, `{"Statement":[%s]}`, statement)
		case "AWS::Logs::ResourcePolicy":
			var text string
			if json.Unmarshal(document, &text) == nil {
				document = json.RawMessage(text)
			}
			policy, err := a.parse(id, document)
			if err != nil {
				return err
			}
			a.anywhere["logs"] = append(a.anywhere["logs"], policy)
			continue
		}
		policy, err := a.parse(id, document)
		if err != nil {
			return err
		}
		for _, arn := range on {
			a.resources[arn] = append(a.resources[arn], policy)
		}
	}
	return nil
}

// functionARN completes a function's name or partial ARN.
func (a *authority) functionARN(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return a.arn("lambda", "function:"+name)
}

// check returns a *DeniedError unless the caller may perform the action.
func (a *authority) check(c caller, action, resource string, context iam.Context) error {
	request := iam.Request{Principal: c.principal, Action: action, Resource: resource, Context: iam.Context{
		"aws:SecureTransport": {"true"}, "s3:TlsVersion": {"1.3"},
		"aws:RequestedRegion": {a.region},
	}}
	if c.principal.Service != "" {
		if c.source != "" {
			request.Context["aws:SourceArn"] = []string{c.source}
			request.Context["aws:SourceAccount"] = []string{a.account}
		}
		request.Context["aws:PrincipalIsAWSService"] = []string{"true"}
		request.Context["aws:PrincipalServiceName"] = []string{c.principal.Service}
	} else {
		request.Context["aws:PrincipalArn"] = []string{c.principal.ARN}
		request.Context["aws:PrincipalAccount"] = []string{a.account}
		request.Context["aws:PrincipalIsAWSService"] = []string{"false"}
	}
	for key, v := range context {
		request.Context[key] = v
	}
	service, _, _ := strings.Cut(action, ":")
	policies := iam.Policies{Resource: append(a.anywhere[service], a.resources[owner(resource)]...), ResourceRules: service == "kms"}
	if role := a.roles[resource]; service == "sts" && role != nil {
		policies.Resource, policies.ResourceRules = []*iam.Policy{role.trust}, true
	}
	r := a.roles[c.principal.ARN]
	if r != nil {
		policies.Identity, policies.Boundaries = r.policies, r.boundary
		for key, value := range r.tags {
			request.Context["aws:PrincipalTag/"+key] = []string{value}
		}
	}
	if s := c.session; s != nil {
		for key, value := range s.tags {
			request.Context["aws:PrincipalTag/"+key] = []string{value}
		}
		if s.policy != nil {
			policies.Session = []*iam.Policy{s.policy}
		}
	}
	decision := iam.Evaluate(request, policies)
	if decision.Allowed {
		return nil
	}
	denial := Denial{c.principal.String(), action, resource, decision.Reason}
	if r != nil && len(r.unknown) > 0 {
		denial.Reason += fmt.Sprintf(" (its AWS managed policies %s are not known here)", strings.Join(r.unknown, ", "))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.denied = append(a.denied, denial)
	return &DeniedError{denial}
}

// checkKey checks the use of the customer's key that encrypts a resource, if
// it has one. Services use it in the caller's name.
func (a *authority) checkKey(c caller, resource string, actions ...string) error {
	key, ok := a.keys[owner(resource)]
	if !ok {
		return nil
	}
	parts := strings.SplitN(owner(resource), ":", 6)
	context := iam.Context{
		"kms:ViaService":    {parts[2] + "." + a.region + ".amazonaws.com"},
		"kms:CallerAccount": {a.account},
	}
	encryption := map[string]string{}
	switch parts[2] {
	case "dynamodb":
		encryption["aws:dynamodb:tableName"] = strings.TrimPrefix(parts[5], "table/")
		encryption["aws:dynamodb:subscriberId"] = a.account
	case "sqs":
		encryption["aws:sqs:arn"] = resource
	case "sns":
		encryption["aws:sns:topicArn"] = resource
		if c.principal.Service == "events.amazonaws.com" {
			// EventBridge tells KMS no source
			// (https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
			c.source = ""
		}
	case "s3":
		encryption["aws:s3:arn"] = owner(resource)
	case "events":
		encryption["aws:events:event-bus:arn"] = resource
	}
	for name, value := range encryption {
		context["kms:EncryptionContext:"+name] = []string{value}
		context["kms:EncryptionContextKeys"] = append(context["kms:EncryptionContextKeys"], name)
	}
	for _, action := range actions {
		if err := a.check(c, action, key, context); err != nil {
			return err
		}
	}
	return nil
}

// owner returns the ARN that carries a resource's policy and key: the bucket's
// of an object, the table's of an index or stream.
func owner(resource string) string {
	parts := strings.SplitN(resource, ":", 6)
	if len(parts) < 6 {
		return resource
	}
	switch parts[2] {
	case "s3":
		parts[5], _, _ = strings.Cut(parts[5], "/")
	case "dynamodb":
		if path := strings.SplitN(parts[5], "/", 3); len(path) == 3 {
			parts[5] = path[0] + "/" + path[1]
		}
	}
	return strings.Join(parts, ":")
}

// trusts reports whether the service may assume the role.
func (a *authority) trusts(roleARN, service, source string) error {
	r := a.roles[roleARN]
	if r == nil {
		return fmt.Errorf("the role %s is not in the template", roleARN)
	}
	request := iam.Request{Principal: iam.Principal{Service: service}, Action: "sts:AssumeRole", Resource: roleARN,
		Context: iam.Context{"aws:SourceArn": {source}, "aws:SourceAccount": {a.account}}}
	if d := iam.Evaluate(request, iam.Policies{Resource: []*iam.Policy{r.trust}, ResourceRules: true}); !d.Allowed {
		return fmt.Errorf("the role %s does not trust %s %s", roleARN, service, d.Reason)
	}
	return nil
}

// asRole returns the caller that acts with a role.
func asRole(arn string) caller { return caller{principal: iam.Principal{ARN: arn}} }

// asService returns the caller that is a service acting for a resource.
func asService(name, source string) caller {
	return caller{principal: iam.Principal{Service: name}, source: source}
}

// Denials returns the calls that were denied so far.
func (d *Deployment) Denials() []Denial {
	d.iam.mu.Lock()
	defer d.iam.mu.Unlock()
	return slices.Clone(d.iam.denied)
}
