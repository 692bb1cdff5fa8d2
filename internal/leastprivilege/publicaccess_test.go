package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestPublicAccess(t *testing.T) {
	everybody := func(condition string) string {
		return `,{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sqs:SendMessage","Resource":{"Fn::GetAtt":["It","Arn"]},"Condition":` + condition + `}`
	}
	one := func(kind, properties string) string { return template(resource(kind, properties)) }
	const statement = "PolicyDocument.Statement[1].Principal"
	bus := `"Name":"b","EventBusName":"b","Policy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"*"}]}`
	catches(t, leastprivilege.PublicAccess, map[string]planted{
		"function URL": {one("AWS::Lambda::Url", `"AuthType":"NONE","TargetFunctionArn":"f"`), "AuthType", "NONE"},
		"function":     {one("AWS::Lambda::Permission", `"Principal":"*","Action":"lambda:InvokeFunction","FunctionName":"f"`), "Principal", "*"},
		"route":        {one("AWS::ApiGatewayV2::Route", `"RouteKey":"GET /"`), "AuthorizationType", "NONE"},
		"web socket": {template(resource("AWS::ApiGatewayV2::Route", `"ApiId":{"Ref":"Api"},"RouteKey":"$connect"`),
			`"Api":{"Type":"AWS::ApiGatewayV2::Api","Properties":{"ProtocolType":"WEBSOCKET"}}`), "AuthorizationType", "NONE"},
		"method":              {one("AWS::ApiGateway::Method", `"HttpMethod":"GET","AuthorizationType":"NONE"`), "AuthorizationType", "NONE"},
		"GraphQL":             {one("AWS::AppSync::GraphQLApi", `"AuthenticationType":"API_KEY"`), "AuthenticationType", "API_KEY"},
		"guests":              {one("AWS::Cognito::IdentityPool", `"AllowUnauthenticatedIdentities":true`), "AllowUnauthenticatedIdentities", "true"},
		"queue":               {queue(rightQueue, denyHTTP+everybody(`{}`)), statement + ".AWS", "*"},
		"any account's topic": {queue(rightQueue, denyHTTP+everybody(`{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}}`)), statement + ".AWS", "*"},
		"but one account":     {queue(rightQueue, denyHTTP+everybody(`{"StringNotEquals":{"aws:PrincipalAccount":"444455556666"}}`)), statement + ".AWS", "*"},
		"the whole internet":  {queue(rightQueue, denyHTTP+everybody(`{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`)), statement + ".AWS", "*"},
		"bus":                 {one("AWS::Events::EventBus", bus), "Policy.Statement[0].Principal", "*"},
		"bus policy":          {one("AWS::Events::EventBusPolicy", `"Statement":{"Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"*"}`), "Statement[0].Principal", "*"},
		"topic":               {topic(rightTopic, denyHTTP+`,{"Effect":"Allow","Principal":"*","Action":"sns:Publish","Resource":{"Ref":"It"}}`), statement, "*"},
		"table": {one("AWS::DynamoDB::GlobalTable", `"Replicas":[{"Region":"eu-west-1","ResourcePolicy":{"PolicyDocument":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"dynamodb:GetItem","Resource":"*"}]}}}]`),
			"Replicas[0].ResourcePolicy.PolicyDocument.Statement[0].Principal", "*"},
		"role":     {trust(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`), "AssumeRolePolicyDocument.Statement[0].Principal", "*"},
		"bucket":   {bucket(sealed+`,"PublicAccessBlockConfiguration":{"BlockPublicAcls":true,"BlockPublicPolicy":false,"IgnorePublicAcls":true,"RestrictPublicBuckets":true}`, denyHTTP), "PublicAccessBlockConfiguration.BlockPublicPolicy", "false"},
		"ACL":      {bucket(sealed+`,"AccessControl":"PublicRead",`+closed, denyHTTP), "AccessControl", "PublicRead"},
		"database": {one("AWS::Neptune::DBInstance", `"PubliclyAccessible":true`), "PubliclyAccessible", "true"},
		"port":     {one("AWS::EC2::SecurityGroup", `"SecurityGroupIngress":[{"IpProtocol":"tcp","CidrIp":"0.0.0.0/0"}]`), "SecurityGroupIngress.CidrIp", "0.0.0.0/0"},
		"IPv6":     {one("AWS::EC2::SecurityGroupIngress", `"IpProtocol":"tcp","CidrIpv6":"::/0"`), "CidrIpv6", "::/0"},
	})
	spares(t, leastprivilege.PublicAccess, map[string]string{
		"signed requests":  one("AWS::Lambda::Url", `"AuthType":"AWS_IAM","TargetFunctionArn":"f"`),
		"the organization": queue(rightQueue, denyHTTP+everybody(`{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`)),
		"a preflight":      one("AWS::ApiGateway::Method", `"HttpMethod":"OPTIONS","AuthorizationType":"NONE"`),
		"a web socket's message": template(resource("AWS::ApiGatewayV2::Route", `"ApiId":{"Ref":"Api"},"RouteKey":"send"`),
			`"Api":{"Type":"AWS::ApiGatewayV2::Api","Properties":{"ProtocolType":"WEBSOCKET"}}`),
		"a closed bucket": bucket(sealed+","+closed, denyHTTP),
		"a filter":        one("AWS::EC2::VPCEndpoint", `"PolicyDocument":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}]}`),
	})
}
