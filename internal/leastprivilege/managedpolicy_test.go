package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestManagedPolicy(t *testing.T) {
	aws := `"arn:aws:iam::aws:policy/AdministratorAccess"`
	own := `"Own":{"Type":"AWS::IAM::ManagedPolicy","Properties":{"PolicyDocument":{"Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":` + queueARN + `}]}}}`
	catches(t, leastprivilege.ManagedPolicy, map[string]planted{
		"AWS's":       {template(resource("AWS::IAM::Role", `"ManagedPolicyArns":[`+aws+`]`)), "ManagedPolicyArns", "AdministratorAccess"},
		"conditional": {template(resource("AWS::IAM::Group", `"ManagedPolicyArns":{"Fn::If":["Prod",[`+aws+`],{"Ref":"AWS::NoValue"}]}`)), "ManagedPolicyArns", "AdministratorAccess"},
		"elsewhere":   {template(resource("AWS::IAM::User", `"ManagedPolicyArns":[{"Fn::ImportValue":"policy"}]`)), "ManagedPolicyArns", "${Fn::ImportValue}"},
		"for people":  {template(resource("AWS::SSO::PermissionSet", `"ManagedPolicies":[`+aws+`]`)), "ManagedPolicies", "AdministratorAccess"},
	})
	spares(t, leastprivilege.ManagedPolicy, map[string]string{
		"the template's": template(resource("AWS::IAM::Role", `"ManagedPolicyArns":[{"Ref":"Own"}]`), own),
		"none":           template(resource("AWS::IAM::Role", `"ManagedPolicyArns":[]`)),
	})
}
