package iam

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Template answers questions about a synthesized template's policies. Resources
// are named by their logical ids, buckets in lower case.
type Template struct {
	resources       map[string]templateResource
	account, region string
}

type templateResource struct {
	Type       string
	Properties map[string]any
}

// TemplateRole is a role of a template with all policies that the template
// gives it.
type TemplateRole struct {
	ID, ARN  string
	Trust    *Policy
	Policies []*Policy
}

// NewTemplate reads a template, parsed or as a golden file has it.
func NewTemplate(template map[string]any, account, region string) (*Template, error) {
	document, err := json.Marshal(template["Resources"])
	if err != nil {
		return nil, err
	}
	t := &Template{account: account, region: region}
	return t, json.Unmarshal(document, &t.resources)
}

// Role returns the only role whose logical id begins with the prefix.
func (t *Template) Role(prefix string) (*TemplateRole, error) {
	id, err := t.ID("AWS::IAM::Role", prefix)
	if err != nil {
		return nil, err
	}
	r := &TemplateRole{ID: id, ARN: t.ARN(id)}
	if r.Trust, err = t.policy(id, t.resources[id].Properties["AssumeRolePolicyDocument"]); err != nil {
		return nil, err
	}
	inline, _ := t.resources[id].Properties["Policies"].([]any)
	for _, p := range inline {
		inner, _ := p.(map[string]any)
		policy, err := t.policy(id, inner["PolicyDocument"])
		if err != nil {
			return nil, err
		}
		r.Policies = append(r.Policies, policy)
	}
	for _, other := range slices.Sorted(maps.Keys(t.resources)) {
		roles, _ := t.resources[other].Properties["Roles"].([]any)
		for _, role := range roles {
			if name, err := t.Resolve(role); err != nil || name != id {
				continue
			}
			policy, err := t.policy(other, t.resources[other].Properties["PolicyDocument"])
			if err != nil {
				return nil, err
			}
			r.Policies = append(r.Policies, policy)
		}
	}
	return r, nil
}

func (t *Template) policy(id string, document any) (*Policy, error) {
	resolved, err := t.Resolve(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	text, err := json.Marshal(resolved)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	policy, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return policy, nil
}

// ID returns the only logical id of the type that begins with the prefix.
func (t *Template) ID(resourceType, prefix string) (string, error) {
	var found []string
	for id, r := range t.resources {
		if r.Type == resourceType && strings.HasPrefix(id, prefix) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d resources of type %s begin with %q: %v, want 1", len(found), resourceType, prefix, found)
	}
	return found[0], nil
}

// Property returns a resolved property of a resource, nil if it has none.
func (t *Template) Property(id string, path ...string) (any, error) {
	var v any = t.resources[id].Properties
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return t.Resolve(v)
}

// arns are the forms of ARNs by type.
var arns = map[string]string{
	"AWS::IAM::Role":                   "arn:aws:iam::ACCOUNT:role/NAME",
	"AWS::IAM::OIDCProvider":           "arn:aws:iam::ACCOUNT:oidc-provider/NAME",
	"AWS::DynamoDB::GlobalTable":       "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME",
	"AWS::DynamoDB::Table":             "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME",
	"AWS::Lambda::Function":            "arn:aws:lambda:REGION:ACCOUNT:function:NAME",
	"AWS::S3::Bucket":                  "arn:aws:s3:::NAME",
	"AWS::KMS::Key":                    "arn:aws:kms:REGION:ACCOUNT:key/NAME",
	"AWS::SQS::Queue":                  "arn:aws:sqs:REGION:ACCOUNT:NAME",
	"AWS::SNS::Topic":                  "arn:aws:sns:REGION:ACCOUNT:NAME",
	"AWS::Events::EventBus":            "arn:aws:events:REGION:ACCOUNT:event-bus/NAME",
	"AWS::StepFunctions::StateMachine": "arn:aws:states:REGION:ACCOUNT:stateMachine:NAME",
	"AWS::Logs::LogGroup":              "arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*",
}

// arnRefs are types whose Ref is the ARN.
var arnRefs = []string{"AWS::SNS::Topic", "AWS::IAM::OIDCProvider", "AWS::StepFunctions::StateMachine"}

// ARN returns the ARN of a resource.
func (t *Template) ARN(id string) string {
	pattern, ok := arns[t.resources[id].Type]
	if !ok {
		pattern = "arn:aws:unknown:REGION:ACCOUNT:NAME"
	}
	return strings.NewReplacer("REGION", t.region, "ACCOUNT", t.account, "NAME", t.name(id)).Replace(pattern)
}

func (t *Template) name(id string) string {
	if t.resources[id].Type == "AWS::S3::Bucket" {
		return strings.ToLower(id)
	}
	return id
}

var substitution = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

// Resolve returns v without intrinsic functions. It knows those that policies
// have.
func (t *Template) Resolve(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			r, err := t.Resolve(e)
			if err != nil {
				return nil, err
			}
			list[i] = r
		}
		return list, nil
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return t.call(name, argument)
				}
			}
		}
		object := make(map[string]any, len(v))
		for key, e := range v {
			r, err := t.Resolve(e)
			if err != nil {
				return nil, err
			}
			object[key] = r
		}
		return object, nil
	}
	return v, nil
}

func (t *Template) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		return t.ref(fmt.Sprint(argument))
	case "Fn::GetAtt":
		if list, ok := argument.([]any); ok && len(list) == 2 {
			return t.attribute(fmt.Sprint(list[0]), fmt.Sprint(list[1]))
		}
	case "Fn::Sub":
		text, own := argument, map[string]any{}
		if list, ok := argument.([]any); ok && len(list) == 2 {
			text = list[0]
			own, _ = list[1].(map[string]any)
		}
		if text, ok := text.(string); ok {
			return t.substitute(text, own)
		}
	case "Fn::Join":
		list, ok := argument.([]any)
		if !ok || len(list) != 2 {
			break
		}
		resolved, err := t.Resolve(list[1])
		if err != nil {
			return nil, err
		}
		var parts []string
		for _, part := range resolved.([]any) {
			parts = append(parts, fmt.Sprint(part))
		}
		return strings.Join(parts, fmt.Sprint(list[0])), nil
	}
	return nil, fmt.Errorf("cannot resolve %s of %v", name, argument)
}

// substitute fills in the variables of an Fn::Sub, some of which have values of
// their own.
func (t *Template) substitute(text string, own map[string]any) (string, error) {
	var failed error
	out := substitution.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		var value any
		var err error
		if v, ok := own[name]; ok {
			value, err = t.Resolve(v)
		} else if id, attribute, found := strings.Cut(name, "."); found {
			value, err = t.attribute(id, attribute)
		} else {
			value, err = t.ref(id)
		}
		if err != nil {
			failed = err
		}
		return fmt.Sprint(value)
	})
	return out, failed
}

func (t *Template) ref(id string) (string, error) {
	switch id {
	case "AWS::Region":
		return t.region, nil
	case "AWS::AccountId":
		return t.account, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	}
	if _, ok := t.resources[id]; !ok {
		return "", fmt.Errorf("no resource %s in the template", id)
	}
	if slices.Contains(arnRefs, t.resources[id].Type) {
		return t.ARN(id), nil
	}
	return t.name(id), nil
}

func (t *Template) attribute(id, name string) (string, error) {
	if _, ok := t.resources[id]; !ok {
		return "", fmt.Errorf("no resource %s in the template", id)
	}
	if name == "Arn" {
		return t.ARN(id), nil
	}
	return id + "." + name, nil
}
