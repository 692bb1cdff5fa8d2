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
	rest := func(body string) string {
		return one("AWS::ApiGateway::RestApi", `"Body":{"swagger":"2.0","securityDefinitions":{"iam":{"type":"apiKey","name":"Authorization","in":"header","x-amazon-apigateway-authtype":"awsSigv4"},`+
			`"jwt":{"type":"apiKey","in":"header","x-amazon-apigateway-authorizer":{"type":"cognito_user_pools"}},"key":{"type":"apiKey","name":"x-api-key","in":"header"}},`+body+`}`)
	}
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
		"bus policy without a condition": {one("AWS::Events::EventBusPolicy", `"StatementId":"s","Principal":"*","Action":"events:PutEvents"`), "Principal", "*"},
		"bus policy of any organization": {one("AWS::Events::EventBusPolicy", `"StatementId":"s","Principal":"*","Action":"events:PutEvents","Condition":{"Type":"StringLike","Key":"aws:PrincipalOrgID","Value":"o-*"}`), "Principal", "*"},
		"layer":                          {one("AWS::Lambda::LayerVersionPermission", `"Action":"lambda:GetLayerVersion","LayerVersionArn":"l","Principal":"*"`), "Principal", "*"},
		"quick create":                   {one("AWS::ApiGatewayV2::Api", `"ProtocolType":"HTTP","Name":"n","Target":"arn:aws:lambda:eu-west-1:111122223333:function:f"`), "Target", "function:f"},
		"more ways to a GraphQL": {one("AWS::AppSync::GraphQLApi", `"AuthenticationType":"AWS_IAM","AdditionalAuthenticationProviders":[{"AuthenticationType":"AWS_LAMBDA"},{"AuthenticationType":"API_KEY"}]`),
			"AdditionalAuthenticationProviders.AuthenticationType", "API_KEY"},
		"operation":                  {rest(`"paths":{"/orders":{"parameters":[],"get":{},"options":{}}}`), "Body.paths", "GET /orders"},
		"security of a definition":   {rest(`"security":[{"iam":[]}],"paths":{"/orders":{"post":{}}}`), "Body.paths", "POST /orders"},
		"no security":                {rest(`"paths":{"/orders":{"post":{"security":[]}}}`), "Body.paths", "POST /orders"},
		"security that may be left":  {rest(`"paths":{"/orders":{"post":{"security":[{"iam":[]},{}]}}}`), "Body.paths", "POST /orders"},
		"security in production":     {rest(`"paths":{"/orders":{"post":{"security":{"Fn::If":["Prod",[{"iam":[]}],[{"key":[]}]]}}}}`), "Body.paths", "POST /orders"},
		"API key":                    {rest(`"paths":{"/orders":{"post":{"security":[{"key":[]}]}}}`), "Body.paths", "POST /orders"},
		"a scheme of nothing":        {rest(`"paths":{"/orders":{"post":{"security":[{"unknown":[]}]}}}`), "Body.paths", "POST /orders"},
		"any method":                 {rest(`"paths":{"/{proxy+}":{"x-amazon-apigateway-any-method":{}}}`), "Body.paths", "ANY /{proxy+}"},
		"operation of an HTTP API":   {one("AWS::ApiGatewayV2::Api", `"Body":{"openapi":"3.0.1","paths":{"/$default":{"x-amazon-apigateway-any-method":{}}}}`), "Body.paths", "ANY /$default"},
		"definition as a text":       {one("AWS::ApiGateway::RestApi", `"Body":"{\"paths\":{\"/a\":{\"get\":{}}}}"`), "Body.paths", "GET /a"},
		"definition elsewhere":       {one("AWS::ApiGateway::RestApi", `"BodyS3Location":{"Bucket":"b","Key":"k"}`), "BodyS3Location", "unread"},
		"definition included":        {one("AWS::ApiGatewayV2::Api", `"Body":{"Fn::Transform":{"Name":"AWS::Include","Parameters":{"Location":"s3://b/k"}}}`), "Body", "unread"},
		"any organization":           {queue(rightQueue, denyHTTP+everybody(`{"StringLike":{"aws:PrincipalOrgID":"o-*"}}`)), statement + ".AWS", "*"},
		"any path":                   {queue(rightQueue, denyHTTP+everybody(`{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-*/r-1/*"}}`)), statement + ".AWS", "*"},
		"some accounts":              {queue(rightQueue, denyHTTP+everybody(`{"StringLike":{"aws:PrincipalAccount":"1*"}}`)), statement + ".AWS", "*"},
		"any endpoint":               {queue(rightQueue, denyHTTP+everybody(`{"StringLike":{"aws:SourceVpce":"vpce-*"}}`)), statement + ".AWS", "*"},
		"anybody's bucket":           {queue(rightQueue, denyHTTP+everybody(`{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}`)), statement + ".AWS", "*"},
		"anybody's bucket of a name": {queue(rightQueue, denyHTTP+everybody(`{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::shop-*"}}`)), statement + ".AWS", "*"},
		"half of the internet":       {queue(rightQueue, denyHTTP+everybody(`{"IpAddress":{"aws:SourceIp":["0.0.0.0/1","128.0.0.0/1"]}}`)), statement + ".AWS", "*"},
		"function for any bucket":    {one("AWS::Lambda::Permission", `"Principal":"*","Action":"lambda:InvokeFunction","FunctionName":"f","SourceArn":"arn:aws:s3:::*"`), "Principal", "*"},
		"role":                       {trust(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`), "AssumeRolePolicyDocument.Statement[0].Principal", "*"},
		"bucket":                     {bucket(sealed+`,"PublicAccessBlockConfiguration":{"BlockPublicAcls":true,"BlockPublicPolicy":false,"IgnorePublicAcls":true,"RestrictPublicBuckets":true}`, denyHTTP), "PublicAccessBlockConfiguration.BlockPublicPolicy", "false"},
		"ACL":                        {bucket(sealed+`,"AccessControl":"PublicRead",`+closed, denyHTTP), "AccessControl", "PublicRead"},
		"database":                   {one("AWS::Neptune::DBInstance", `"PubliclyAccessible":true`), "PubliclyAccessible", "true"},
		"port":                       {one("AWS::EC2::SecurityGroup", `"SecurityGroupIngress":[{"IpProtocol":"tcp","CidrIp":"0.0.0.0/0"}]`), "SecurityGroupIngress.CidrIp", "0.0.0.0/0"},
		"IPv6":                       {one("AWS::EC2::SecurityGroupIngress", `"IpProtocol":"tcp","CidrIpv6":"::/0"`), "CidrIpv6", "::/0"},
	})
	spares(t, leastprivilege.PublicAccess, map[string]string{
		"a bus of the organization":   one("AWS::Events::EventBusPolicy", `"StatementId":"s","Principal":"*","Action":"events:PutEvents","Condition":{"Type":"StringEquals","Key":"aws:PrincipalOrgID","Value":"o-1"}`),
		"a bus of an account":         one("AWS::Events::EventBusPolicy", `"StatementId":"s","Principal":"444455556666","Action":"events:PutEvents"`),
		"a layer of the organization": one("AWS::Lambda::LayerVersionPermission", `"Action":"lambda:GetLayerVersion","LayerVersionArn":"l","Principal":"*","OrganizationId":"o-1"`),
		"an API":                      one("AWS::ApiGatewayV2::Api", `"ProtocolType":"HTTP","Name":"n"`),
		"ways to a GraphQL":           one("AWS::AppSync::GraphQLApi", `"AuthenticationType":"AWS_IAM","AdditionalAuthenticationProviders":[{"AuthenticationType":"AWS_LAMBDA"}]`),
		"operations":                  rest(`"paths":{"/orders":{"summary":"s","get":{"security":[{"iam":[]}]},"put":{"security":[{"jwt":["a"],"key":[]}]},"post":{"x-amazon-apigateway-auth":{"type":"AWS_IAM"}},"options":{}}}`),
		"operations of an HTTP API":   one("AWS::ApiGatewayV2::Api", `"Body":{"openapi":"3.0.1","paths":{"/a":{"get":{"security":[{"jwt":["s"]}]}}},"components":{"securitySchemes":{"jwt":{"type":"oauth2","x-amazon-apigateway-authorizer":{"type":"jwt"}}}}}`),
		"a path of the organization":  queue(rightQueue, denyHTTP+everybody(`{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-1/r-1/*"}}`)),
		"a network":                   queue(rightQueue, denyHTTP+everybody(`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`)),
		"a bucket's objects":          queue(rightQueue, denyHTTP+everybody(`{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::shop/*"}}`)),
		"signed requests":             one("AWS::Lambda::Url", `"AuthType":"AWS_IAM","TargetFunctionArn":"f"`),
		"the organization":            queue(rightQueue, denyHTTP+everybody(`{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`)),
		"a preflight":                 one("AWS::ApiGateway::Method", `"HttpMethod":"OPTIONS","AuthorizationType":"NONE"`),
		"a web socket's message": template(resource("AWS::ApiGatewayV2::Route", `"ApiId":{"Ref":"Api"},"RouteKey":"send"`),
			`"Api":{"Type":"AWS::ApiGatewayV2::Api","Properties":{"ProtocolType":"WEBSOCKET"}}`),
		"a closed bucket": bucket(sealed+","+closed, denyHTTP),
		"a filter":        one("AWS::EC2::VPCEndpoint", `"PolicyDocument":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}]}`),
	})
}
