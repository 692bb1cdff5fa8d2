package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestCrossAccount(t *testing.T) {
	allow := func(resource string) string {
		return role(`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":` + resource + `}`)
	}
	catches(t, leastprivilege.CrossAccount, map[string]planted{
		"any account":     {allow(`"arn:aws:sqs:eu-west-1:*:orders"`), "PolicyDocument.Statement[0].Resource", "arn:aws:sqs:eu-west-1:*:orders"},
		"any partition":   {allow(`["arn:*:sqs:eu-west-1:111122223333:orders"]`), "PolicyDocument.Statement[0].Resource[0]", "arn:*:sqs"},
		"any service":     {allow(`"arn:aws:*:eu-west-1:111122223333:orders"`), "PolicyDocument.Statement[0].Resource", "arn:aws:*"},
		"half an account": {allow(`"arn:aws:sqs:eu-west-1:1111*:orders"`), "PolicyDocument.Statement[0].Resource", "1111*"},
		"a role anywhere": {role(`{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/deploy"}`), "PolicyDocument.Statement[0].Resource", "arn:aws:iam::*:role/deploy"},
	})
	spares(t, leastprivilege.CrossAccount, map[string]string{
		"any region":   allow(`"arn:aws:sqs:*:111122223333:orders"`),
		"this account": allow(`{"Fn::Sub":"arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:orders-*"}`),
		"a bucket":     role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}`),
	})
}

// A wildcard covers colons: an ARN that ends early names every account.
func TestCrossAccountSeesShortARNs(t *testing.T) {
	for _, f := range judge(t, role(`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"arn:aws:sqs:*"}`)) {
		if f.Rule == leastprivilege.CrossAccount.ID && f.Value == "arn:aws:sqs:*" {
			return
		}
	}
	t.Error("it is not found")
}
