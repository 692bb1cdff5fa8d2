package edge_test

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

// Each role can do what its code does, and not more.
func TestLocalAlertsPermissions(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := localAlertsProps(alertsBus(stack))
	p.GlobalBus = awsevents.EventBus_FromEventBusArn(stack, jsii.String("Global"), jsii.String("arn:aws:events:us-east-1:123456789012:event-bus/world"))
	a := edge.NewLocalAlerts(stack, "Alerts", p)
	a.GrantAcknowledge(awsiam.NewRole(stack, jsii.String("Doctor"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()}))
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), "123456789012", "eu-west-1")
	table := template.Find("AWS::DynamoDB::GlobalTable", "AlertsTable")
	bus, counts := template.Find("AWS::Events::EventBus", "Readings"), template.Find("AWS::Events::EventBus", "AlertsCounts")
	sender, acknowledger := template.Find("AWS::Lambda::Function", "AlertsFunction"), template.Find("AWS::Lambda::Function", "AlertsAcknowledge")
	ours, theirs := iam.Context{"events:source": {"serverless-go.local-alerts"}}, iam.Context{"events:source": {"clinic"}}
	for _, tt := range []struct {
		role, action, resource string
		context                iam.Context
		want                   bool
	}{
		{"AlertsFunctionRole", "dynamodb:UpdateItem", table, nil, true},
		{"AlertsFunctionRole", "dynamodb:BatchWriteItem", table, nil, true},
		{"AlertsFunctionRole", "dynamodb:Query", table + "/index/outbox", nil, true},
		{"AlertsFunctionRole", "dynamodb:DeleteItem", table, nil, false},
		{"AlertsFunctionRole", "dynamodb:Scan", table, nil, false},
		{"AlertsFunctionRole", "events:PutEvents", bus, ours, true},
		{"AlertsFunctionRole", "events:PutEvents", counts, ours, true},
		{"AlertsFunctionRole", "events:PutEvents", counts, theirs, false},
		{"AlertsFunctionRole", "events:PutEvents", "arn:aws:events:us-east-1:123456789012:event-bus/world", ours, false},
		{"AlertsFunctionRole", "sns:Publish", template.Find("AWS::SNS::Topic", "AlertsLevel2"), nil, true},
		{"AlertsFunctionRole", "sns:Publish", "arn:aws:sns:eu-west-1:123456789012:Another", nil, false},
		{"AlertsAcknowledgeRole", "dynamodb:UpdateItem", table, nil, true},
		{"AlertsAcknowledgeRole", "dynamodb:PutItem", table, nil, false},
		{"AlertsAcknowledgeRole", "dynamodb:Query", table, nil, false},
		{"Doctor", "lambda:InvokeFunction", acknowledger, nil, true},
		{"Doctor", "lambda:InvokeFunction", sender, nil, false},
		{"Doctor", "dynamodb:UpdateItem", table, nil, false},
	} {
		got := iam.Evaluate(iam.Request{Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:role/x"},
			Action: tt.action, Resource: tt.resource, Context: tt.context}, iam.Policies{Identity: template.Role(tt.role).Policies})
		if got.Allowed != tt.want {
			t.Errorf("%s may %s on %s: %t, want %t; %s", tt.role, tt.action, tt.resource, got.Allowed, tt.want, got.Reason)
		}
	}
}
