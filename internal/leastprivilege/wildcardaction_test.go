package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestWildcardAction(t *testing.T) {
	key := func(principal string) string {
		return template(resource("AWS::KMS::Key", `"KeyPolicy":{"Statement":[{"Effect":"Allow","Principal":{"AWS":`+principal+`},"Action":"kms:*","Resource":"*"}]}`))
	}
	catches(t, leastprivilege.WildcardAction, map[string]planted{
		"everything":  {role(`{"Effect":"Allow","Action":"*","Resource":` + queueARN + `}`), "PolicyDocument.Statement[0].Action", "*"},
		"service":     {role(`{"Effect":"Allow","Action":["sqs:SendMessage","sqs:*"],"Resource":` + queueARN + `}`), "PolicyDocument.Statement[0].Action[1]", "sqs:*"},
		"prefix":      {role(`{"Effect":"Allow","Action":"dynamodb:Get*","Resource":"arn:aws:dynamodb:eu-west-1:111122223333:table/t"}`), "PolicyDocument.Statement[0].Action", "dynamodb:Get*"},
		"one letter":  {role(`{"Effect":"Allow","Action":"sqs:SendMessag?","Resource":` + queueARN + `}`), "PolicyDocument.Statement[0].Action", "sqs:SendMessag?"},
		"not known":   {role(`{"Effect":"Allow","Action":{"Ref":"Action"},"Resource":` + queueARN + `}`), "PolicyDocument.Statement[0].Action", "${Action}"},
		"conditional": {role(`{"Fn::If":["Prod",{"Effect":"Allow","Action":"sqs:*","Resource":` + queueARN + `},{"Ref":"AWS::NoValue"}]}`), "PolicyDocument.Statement[0].Action", "sqs:*"},
		"in a queue's policy": {queue(rightQueue, denyHTTP+`,{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sqs:*","Resource":{"Fn::GetAtt":["It","Arn"]}}`),
			"PolicyDocument.Statement[1].Action", "sqs:*"},
		"in a key's policy, another account": {key(`"arn:aws:iam::444455556666:root"`), "KeyPolicy.Statement[0].Action", "kms:*"},
		"in an inline policy": {template(resource("AWS::IAM::Role", `"AssumeRolePolicyDocument":{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]},`+
			`"Policies":[{"PolicyName":"p","PolicyDocument":{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}}]`)),
			"Policies[0].PolicyDocument.Statement[0].Action", "s3:*"},
	})
	spares(t, leastprivilege.WildcardAction, map[string]string{
		"named":                 role(`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":` + queueARN + `}`),
		"denied":                role(`{"Effect":"Deny","Action":"*","Resource":"*"}`),
		"the own account's key": key(`{"Fn::Sub":"arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}`),
		"variants of data keys": role(`{"Effect":"Allow","Action":["kms:GenerateDataKey*","kms:ReEncrypt*"],"Resource":{"Fn::GetAtt":["Key","Arn"]}}`),
	})
}
