package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestWildcardResource(t *testing.T) {
	allow := func(action, resource string) string {
		return role(`{"Effect":"Allow","Action":` + action + `,"Resource":` + resource + `}`)
	}
	catches(t, leastprivilege.WildcardResource, map[string]planted{
		"everything":         {allow(`"sqs:SendMessage"`, `"*"`), `PolicyDocument.Statement[0].Action on "*"`, "sqs:SendMessage"},
		"one of two":         {allow(`["xray:PutTraceSegments","dynamodb:GetItem"]`, `"*"`), `PolicyDocument.Statement[0].Action[1] on "*"`, "dynamodb:GetItem"},
		"among others":       {allow(`"dynamodb:GetItem"`, `["arn:aws:dynamodb:eu-west-1:111122223333:table/t","*"]`), `PolicyDocument.Statement[0].Action on "*"`, "dynamodb:GetItem"},
		"every table":        {allow(`"dynamodb:GetItem"`, `"arn:aws:dynamodb:eu-west-1:111122223333:table/*"`), `PolicyDocument.Statement[0].Action on "arn:aws:dynamodb:eu-west-1:111122223333:table/*"`, "dynamodb:GetItem"},
		"every table twice":  {allow(`"dynamodb:GetItem"`, `"arn:aws:dynamodb:eu-west-1:111122223333:table/**"`), `PolicyDocument.Statement[0].Action on "arn:aws:dynamodb:eu-west-1:111122223333:table/**"`, "dynamodb:GetItem"},
		"every table's name": {allow(`"dynamodb:GetItem"`, `"arn:aws:dynamodb:eu-west-1:111122223333:table/?*"`), `PolicyDocument.Statement[0].Action on "arn:aws:dynamodb:eu-west-1:111122223333:table/?*"`, "dynamodb:GetItem"},
		"every kind alike":   {allow(`"dynamodb:GetItem"`, `"arn:aws:dynamodb:eu-west-1:111122223333:tab*"`), `PolicyDocument.Statement[0].Action on "arn:aws:dynamodb:eu-west-1:111122223333:tab*"`, "dynamodb:GetItem"},
		"stars":              {allow(`"sqs:SendMessage"`, `"**"`), `PolicyDocument.Statement[0].Action on "**"`, "sqs:SendMessage"},
		"every queue's name": {allow(`"sqs:SendMessage"`, `"arn:aws:sqs:eu-west-1:111122223333:?*"`), `PolicyDocument.Statement[0].Action on "arn:aws:sqs:eu-west-1:111122223333:?*"`, "sqs:SendMessage"},
		"every function":     {allow(`"lambda:InvokeFunction"`, `"arn:aws:lambda:eu-west-1:111122223333:function:*"`), `PolicyDocument.Statement[0].Action on "arn:aws:lambda:eu-west-1:111122223333:function:*"`, "lambda:InvokeFunction"},
		"every bucket":       {allow(`"s3:GetObject"`, `"arn:aws:s3:::*"`), `PolicyDocument.Statement[0].Action on "arn:aws:s3:::*"`, "s3:GetObject"},
		"every queue":        {allow(`"sqs:SendMessage"`, `{"Fn::Sub":"arn:aws:sqs:eu-west-1:${AWS::AccountId}:*"}`), `PolicyDocument.Statement[0].Action on "arn:aws:sqs:eu-west-1:111122223333:*"`, "sqs:SendMessage"},
		"named alike":        {allow(`"sqs:SendMessage"`, `{"Fn::Join":["",[{"Fn::GetAtt":["Q","Arn"]},"*"]]}`), `PolicyDocument.Statement[0].Action on "${Q.Arn}*"`, "sqs:SendMessage"},
		"a service unknown":  {allow(`"newservice:Do"`, `"*"`), `PolicyDocument.Statement[0].Action on "*"`, "newservice:Do"},
		"the account's logs": {template(resource("AWS::Logs::ResourcePolicy", `"PolicyName":"p","PolicyDocument":{"Fn::Sub":"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"logs:PutLogEvents\",\"Resource\":\"*\",`+
			`\"Principal\":{\"Service\":\"es.amazonaws.com\"},\"Condition\":{\"StringEquals\":{\"aws:SourceAccount\":\"${AWS::AccountId}\"}}}]}"}`)),
			`PolicyDocument.Statement[0].Action on "*"`, "logs:PutLogEvents"},
		"through an endpoint": {template(resource("AWS::EC2::VPCEndpoint", `"PolicyDocument":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}`)),
			`PolicyDocument.Statement[0].Action on "*"`, "s3:GetObject"},
	})
	spares(t, leastprivilege.WildcardResource, map[string]string{
		"actions that know none": allow(`["xray:PutTraceSegments","ec2:DescribeSubnets","cloudwatch:PutMetricData","sts:GetCallerIdentity"]`, `"*"`),
		"below a name": allow(`"s3:GetObject"`, `["arn:aws:s3:::shop/*",{"Fn::Sub":"${Bucket.Arn}/*"},"arn:aws:execute-api:eu-west-1:111122223333:id/*",`+
			`"arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/shop:*","arn:aws:dynamodb:eu-west-1:111122223333:table/t/index/*"]`),
	})
}
