package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestTLS(t *testing.T) {
	one := func(kind, properties string) string { return template(resource(kind, properties)) }
	deny := func(principal, action, condition string) string {
		return `{"Effect":"Deny","Principal":` + principal + `,"Action":` + action + `,"Resource":"*","Condition":` + condition + `}`
	}
	const insecure = `{"Bool":{"aws:SecureTransport":"false"}}`
	other := `"Other":{"Type":"AWS::SQS::Queue","Properties":{` + rightQueue + `}},"Policy":{"Type":"AWS::SQS::QueuePolicy","Properties":{"Queues":[{"Ref":"Other"}],"PolicyDocument":{"Statement":[` + denyHTTP + `]}}}`
	catches(t, leastprivilege.TLS, map[string]planted{
		"bucket":                {one("AWS::S3::Bucket", closed+","+sealed), "AWS::S3::BucketPolicy", ""},
		"queue":                 {one("AWS::SQS::Queue", rightQueue), "AWS::SQS::QueuePolicy", ""},
		"topic":                 {one("AWS::SNS::Topic", rightTopic), "AWS::SNS::TopicPolicy", ""},
		"another queue's":       {template(resource("AWS::SQS::Queue", rightQueue), other), "AWS::SQS::QueuePolicy", ""},
		"for one principal":     {queue(rightQueue, deny(`{"AWS":"111122223333"}`, `"sqs:*"`, insecure)), "AWS::SQS::QueuePolicy", ""},
		"for other actions":     {topic(rightTopic, deny(`"*"`, `"sns:Subscribe"`, insecure)), "AWS::SNS::TopicPolicy", ""},
		"under more conditions": {queue(rightQueue, deny(`"*"`, `"sqs:*"`, `{"Bool":{"aws:SecureTransport":"false"},"StringEquals":{"aws:SourceAccount":"1"}}`)), "AWS::SQS::QueuePolicy", ""},
		"the wrong way round":   {queue(rightQueue, deny(`"*"`, `"sqs:*"`, `{"Bool":{"aws:SecureTransport":"true"}}`)), "AWS::SQS::QueuePolicy", ""},
		"subscription":          {one("AWS::SNS::Subscription", `"Protocol":"http"`), "Protocol", "http"},
		"viewers":               {one("AWS::CloudFront::Distribution", `"DistributionConfig":{"DefaultCacheBehavior":{"ViewerProtocolPolicy":"allow-all"}}`), "DistributionConfig.DefaultCacheBehavior.ViewerProtocolPolicy", "allow-all"},
		"origin":                {one("AWS::CloudFront::Distribution", `"DistributionConfig":{"Origins":[{"CustomOriginConfig":{"OriginProtocolPolicy":"match-viewer"}}]}`), "DistributionConfig.Origins[0].CustomOriginConfig.OriginProtocolPolicy", "match-viewer"},
		"old protocol":          {one("AWS::CloudFront::Distribution", `"DistributionConfig":{"ViewerCertificate":{"MinimumProtocolVersion":"TLSv1"}}`), "DistributionConfig.ViewerCertificate.MinimumProtocolVersion", "TLSv1"},
		"domain":                {one("AWS::ApiGatewayV2::DomainName", `"DomainNameConfigurations":[{"SecurityPolicy":"TLS_1_0"}]`), "DomainNameConfigurations[0].SecurityPolicy", "TLS_1_0"},
		"listener":              {one("AWS::ElasticLoadBalancingV2::Listener", `"Protocol":"HTTP"`), "Protocol", "HTTP"},
	})
	spares(t, leastprivilege.TLS, map[string]string{
		"all three": template(
			`"B":{"Type":"AWS::S3::Bucket","Properties":{`+closed+`,`+sealed+`}},"BP":{"Type":"AWS::S3::BucketPolicy","Properties":{"Bucket":{"Ref":"B"},"PolicyDocument":{"Statement":[`+denyHTTP+`]}}}`,
			`"Q":{"Type":"AWS::SQS::Queue","Properties":{`+rightQueue+`}},"QP":{"Type":"AWS::SQS::QueuePolicy","Properties":{"Queues":[{"Ref":"Q"}],"PolicyDocument":{"Statement":[`+denyHTTP+`]}}}`,
			`"T":{"Type":"AWS::SNS::Topic","Properties":{`+rightTopic+`}},"TP":{"Type":"AWS::SNS::TopicPolicy","Properties":{"Topics":[{"Ref":"T"}],"PolicyDocument":{"Statement":[`+denyHTTP+`]}}}`),
		"a redirect": one("AWS::ElasticLoadBalancingV2::Listener", `"Protocol":"HTTP","DefaultActions":[{"Type":"redirect"}]`),
	})
}
