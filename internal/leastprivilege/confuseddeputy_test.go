package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestConfusedDeputy(t *testing.T) {
	assume := func(principal, condition string) string {
		return trust(`[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole","Condition":` + condition + `}]`)
	}
	invoke := func(properties string) string {
		return template(resource("AWS::Lambda::Permission", `"Action":"lambda:InvokeFunction","FunctionName":"f",`+properties))
	}
	send := func(service, condition string) string {
		return queue(rightQueue, denyHTTP+`,{"Effect":"Allow","Principal":{"Service":"`+service+`"},"Action":"sqs:SendMessage","Resource":{"Fn::GetAtt":["It","Arn"]},"Condition":`+condition+`}`)
	}
	const events, at = `{"Service":"events.amazonaws.com"}`, "AssumeRolePolicyDocument.Statement[0].Principal.Service"
	catches(t, leastprivilege.ConfusedDeputy, map[string]planted{
		"a role's service":     {assume(events, `{}`), at, "events.amazonaws.com"},
		"one of two":           {assume(`{"Service":["lambda.amazonaws.com","scheduler.amazonaws.com"]}`, `{}`), at + "[1]", "scheduler.amazonaws.com"},
		"any source":           {assume(events, `{"StringLike":{"aws:SourceAccount":"*"}}`), at, "events.amazonaws.com"},
		"any account's source": {assume(events, `{"ArnLike":{"aws:SourceArn":"arn:aws:events:*:*:rule/*"}}`), at, "events.amazonaws.com"},
		"if there is a source": {assume(events, `{"StringEqualsIfExists":{"aws:SourceAccount":"111122223333"}}`), at, "events.amazonaws.com"},
		"all but a source":     {assume(events, `{"StringNotEquals":{"aws:SourceAccount":"111122223333"}}`), at, "events.amazonaws.com"},
		"for all of none":      {assume(events, `{"ForAllValues:StringEquals":{"aws:SourceAccount":"111122223333"}}`), at, "events.amazonaws.com"},
		"only in production":   {assume(events, `{"Fn::If":["Prod",{"StringEquals":{"aws:SourceAccount":"111122223333"}},{"Ref":"AWS::NoValue"}]}`), at, "events.amazonaws.com"},
		"a queue's service":    {send("sns.amazonaws.com", `{}`), "PolicyDocument.Statement[1].Principal.Service", "sns.amazonaws.com"},
		"a bucket by its name": {send("s3.amazonaws.com", `{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::shop"}}`), "PolicyDocument.Statement[1].Principal.Service", "s3.amazonaws.com"},
		"another account":      {assume(`{"AWS":"arn:aws:iam::444455556666:root"}`, `{}`), "AssumeRolePolicyDocument.Statement[0].Principal.AWS", "444455556666"},
		"another's role":       {assume(`{"AWS":["arn:aws:iam::444455556666:role/x"]}`, `{}`), "AssumeRolePolicyDocument.Statement[0].Principal.AWS[0]", "444455556666"},
		"any repository":       {assume(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`, `{}`), "AssumeRolePolicyDocument.Statement[0].Principal.Federated", "githubusercontent"},
		"any repository's token": {assume(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`,
			`{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`), "AssumeRolePolicyDocument.Statement[0].Principal.Federated", "githubusercontent"},
		"any repository by a pattern": {assume(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`,
			`{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:*"}}`), "AssumeRolePolicyDocument.Statement[0].Principal.Federated", "githubusercontent"},
		"any owner's main branch": {assume(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`,
			`{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:*/*:ref:refs/heads/main"}}`), "AssumeRolePolicyDocument.Statement[0].Principal.Federated", "githubusercontent"},
		"owners that begin alike": {assume(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`,
			`{"StringLike":{"token.actions.githubusercontent.com:sub":["repo:shop/cdk:*","repo:shop*"]}}`), "AssumeRolePolicyDocument.Statement[0].Principal.Federated", "githubusercontent"},
		"any organization's source": {assume(events, `{"StringLike":{"aws:SourceOrgID":"o-*"}}`), at, "events.amazonaws.com"},
		"anybody's bucket":          {send("sns.amazonaws.com", `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}`), "PolicyDocument.Statement[1].Principal.Service", "sns.amazonaws.com"},
		"a function's service":      {invoke(`"Principal":"sns.amazonaws.com"`), "Principal", "sns.amazonaws.com"},
		"a function's bucket":       {invoke(`"Principal":"s3.amazonaws.com","SourceArn":"arn:aws:s3:::shop"`), "Principal", "s3.amazonaws.com"},
	})
	spares(t, leastprivilege.ConfusedDeputy, map[string]string{
		"a source account":      assume(events, `{"StringEquals":{"aws:SourceAccount":{"Ref":"AWS::AccountId"}}}`),
		"either way":            assume(events, `{"Fn::If":["Prod",{"StringEquals":{"aws:SourceAccount":"111122223333"}},{"StringEquals":{"aws:SourceAccount":"111122224444"}}]}`),
		"a source":              send("sns.amazonaws.com", `{"ArnEquals":{"aws:SourceArn":{"Ref":"Topic"}}}`),
		"the template's bucket": send("s3.amazonaws.com", `{"ArnEquals":{"aws:SourceArn":{"Fn::GetAtt":["Bucket","Arn"]}}}`),
		"Lambda":                assume(`{"Service":"lambda.amazonaws.com"}`, `{}`),
		"an external id":        assume(`{"AWS":"444455556666"}`, `{"StringEquals":{"sts:ExternalId":"f8a1"}}`),
		"the own account":       assume(`{"AWS":"arn:aws:iam::111122223333:root"}`, `{}`),
		"one repository": assume(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`,
			`{"StringEquals":{"token.actions.githubusercontent.com:sub":"repo:shop/cdk:ref:refs/heads/main"}}`),
		"an owner's repositories": assume(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}`,
			`{"StringLike":{"token.actions.githubusercontent.com:sub":["repo:shop/*","repo:shop/cdk:*"]}}`),
		"an identity pool": assume(`{"Federated":"cognito-identity.amazonaws.com"}`, `{"StringEquals":{"cognito-identity.amazonaws.com:aud":"eu-west-1:1"}}`),
		"a rule invokes":   invoke(`"Principal":"events.amazonaws.com","SourceArn":{"Fn::GetAtt":["Rule","Arn"]}`),
	})
}
