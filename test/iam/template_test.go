package iam

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const templateText = `{"Resources": {
	"BrokerRole1": {"Type": "AWS::IAM::Role", "Properties": {
		"AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}},
		"Policies": [{"PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}}}]}},
	"Other": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}}},
	"Key": {"Type": "AWS::KMS::Key", "Properties": {}},
	"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"To": {"Fn::Sub": ["${Topic}?${Name}", {"Name": {"Fn::GetAtt": ["Key", "Arn"]}}]}}},
	"Files": {"Type": "AWS::S3::Bucket", "Properties": {"Nested": {"Name": {"Fn::Sub": "${Key.Arn}/${AWS::AccountId}/${Files}"}}}},
	"Policy": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "BrokerRole1"}], "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:GetObject",
		"Resource": {"Fn::Join": ["", [{"Fn::GetAtt": ["Files", "Arn"]}, "/${aws:PrincipalTag/tenant}/*"]]}}}}}
}}`

func TestTemplate(t *testing.T) {
	var parsed map[string]any
	if err := json.Unmarshal([]byte(templateText), &parsed); err != nil {
		t.Fatal(err)
	}
	template, err := NewTemplate(parsed, "111122223333", "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	role, err := template.Role("Broker")
	if err != nil {
		t.Fatal(err)
	}
	if role.ARN != "arn:aws:iam::111122223333:role/BrokerRole1" || len(role.Policies) != 2 || role.Trust.Statements[0].Principals["Service"] == nil {
		t.Errorf("role %+v", role)
	}
	var resources []string
	for _, p := range role.Policies {
		resources = append(resources, p.Statements[0].Resources...)
	}
	want := []string{"arn:aws:kms:eu-west-1:111122223333:key/Key", "arn:aws:s3:::files/${aws:PrincipalTag/tenant}/*"}
	if !reflect.DeepEqual(resources, want) {
		t.Errorf("resources %q, want %q", resources, want)
	}
	name, err := template.Property("Files", "Nested", "Name")
	if err != nil || name != want[0]+"/111122223333/files" {
		t.Errorf("property %v, %v", name, err)
	}
	topic, err := template.Property("Topic", "To")
	if err != nil || topic != "arn:aws:sns:eu-west-1:111122223333:Topic?"+want[0] {
		t.Errorf("property %v, %v", topic, err)
	}
	if missing, err := template.Property("Files", "Nothing", "Name"); err != nil || missing != nil {
		t.Errorf("missing property %v, %v", missing, err)
	}
	for _, prefix := range []string{"", "Nobody"} {
		if _, err := template.Role(prefix); err == nil || !strings.Contains(err.Error(), "want 1") {
			t.Errorf("Role(%q): %v", prefix, err)
		}
	}
	sub := map[string]any{"Fn::Sub": []any{"${AWS::AccountId}/${Name}", map[string]any{"Name": map[string]any{"Ref": "AWS::Region"}}}}
	if got, err := template.Resolve(sub); err != nil || got != "111122223333/eu-west-1" {
		t.Errorf("Fn::Sub with variables is %v, %v", got, err)
	}
	for _, v := range []map[string]any{{"Ref": "Gone"}, {"Fn::GetAtt": []any{"Gone", "Arn"}}, {"Fn::Sub": "${Gone}"}, {"Fn::ImportValue": "x"}} {
		if got, err := template.Resolve(v); err == nil {
			t.Errorf("%v is %v, want an error", v, got)
		}
	}
}
