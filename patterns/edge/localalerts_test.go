package edge_test

import (
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
)

func localAlertsProps(bus awsevents.IEventBus) *edge.LocalAlertsProps {
	return &edge.LocalAlertsProps{
		Jurisdiction: "eu", Bus: bus,
		Localities: map[string]rules.Locality{
			"DE-BE": {Name: "Berlin", Zone: "Europe/Berlin", Languages: []string{"de"}, Quiet: rules.Quiet{From: "22:00", To: "06:30"}}},
		Templates: map[string]map[string]rules.Template{"fever": {
			"en": {Subject: "Fever in {locality}", Text: "{count, plural, one {# reading} other {# readings}} since {time}"}}},
	}
}

func alertsBus(scope constructs.Construct) awsevents.IEventBus {
	return awsevents.NewEventBus(scope, jsii.String("Readings"), nil)
}

func TestLocalAlertsDefaults(t *testing.T) {
	stack := cdktest.NewStack(t)
	edge.NewLocalAlerts(stack, "Alerts", localAlertsProps(alertsBus(stack)))
	cdktest.Golden(t, stack)
}

func TestLocalAlertsAdopted(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := localAlertsProps(awsevents.EventBus_FromEventBusName(stack, jsii.String("Bus"), jsii.String("readings")))
	p.EncryptionKey = awskms.Key_FromKeyArn(stack, jsii.String("Key"), jsii.String("arn:aws:kms:eu-west-1:123456789012:key/k"))
	p.Levels = []edge.AlertLevel{{Topic: awssns.Topic_FromTopicArn(stack, jsii.String("Topic"), jsii.String("arn:aws:sns:eu-west-1:123456789012:on-call"))}}
	p.Table = awsdynamodb.TableV2_FromTableAttributes(stack, jsii.String("Table"), &awsdynamodb.TableAttributesV2{
		TableArn:      jsii.String("arn:aws:dynamodb:eu-west-1:123456789012:table/alerts"),
		EncryptionKey: awskms.Key_FromKeyArn(stack, jsii.String("TableKey"), jsii.String("arn:aws:kms:eu-west-1:123456789012:key/t")),
	})
	p.DeadLetterQueue = awssqs.Queue_FromQueueArn(stack, jsii.String("Dead"), jsii.String("arn:aws:sqs:eu-west-1:123456789012:dead"))
	edge.NewLocalAlerts(stack, "Alerts", p)
	cdktest.Golden(t, stack)
}

func TestLocalAlertsEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	p := localAlertsProps(alertsBus(stack))
	p.Events = []string{"Fever"}
	p.Window = 15 * time.Minute
	p.Levels = []edge.AlertLevel{{Wait: 5 * time.Minute}, {Wait: time.Hour}}
	p.GlobalBus = awsevents.EventBus_FromEventBusArn(stack, jsii.String("Global"), jsii.String("arn:aws:events:us-east-1:123456789012:event-bus/world"))
	p.MaxConcurrency, p.Attempts = 50, 3
	p.Alarms.Topic = awssns.NewTopic(stack, jsii.String("Alarms"), nil)
	p.Alarms.Lag = alarm.Tuning{Off: true}
	a := edge.NewLocalAlerts(stack, "Alerts", p)
	a.AddEmail("Clinic", &edge.AlertRecipientProps{Endpoint: "clinic@example.com", Localities: []string{"DE-BE"}})
	a.AddSMS("Ministry", &edge.AlertRecipientProps{Endpoint: "+4930123456", Level: 2})
	a.AddWebhook("Pager", &edge.AlertWebhookProps{URL: "https://pager.example.com/in", Level: 2,
		Secret: awssecretsmanager.NewSecret(stack, jsii.String("Secret"), nil)})
	a.GrantAcknowledge(awsiam.NewRole(stack, jsii.String("Doctor"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()}))
	cdktest.Golden(t, stack)
	if a.CountsBus() == nil || len(a.Topics()) != 2 || len(a.Alarms()) != 11 {
		t.Errorf("bus %v, %d topics, %d alarms", a.CountsBus(), len(a.Topics()), len(a.Alarms()))
	}
}

func TestLocalAlertsIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.IsConstruct(t, edge.NewLocalAlerts(stack, "Alerts", localAlertsProps(alertsBus(stack))))
}

func TestLocalAlertsRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	cdktest.Rejects(t, func() { edge.NewLocalAlerts(stack, "Nil", nil) }, "Test/Nil: wrong props", "Bus is not set", "Jurisdiction", "Localities", "Templates")
	bus := alertsBus(stack)
	p := localAlertsProps(bus)
	p.Localities["DE-BE"] = rules.Locality{Name: "Berlin", Zone: "Europe/Bonn", Quiet: rules.Quiet{From: "22:00"}}
	p.Templates["fever"]["en"] = rules.Template{Subject: "{patient}", Text: "{count, plural, one {1}}"}
	p.Window, p.Attempts, p.MaxConcurrency = time.Second, 1, 1
	p.Events = []string{"LocalAlertUnacknowledged"}
	p.Alarms.Tick.Period = time.Second
	cdktest.Rejects(t, func() { edge.NewLocalAlerts(stack, "Wrong", p) }, "Zone is \"Europe/Bonn\"", "Quiet", "{patient}",
		"lacks the form", "Window is 1s", "Attempts is 1", "MaxConcurrency is 1", "Events", "Alarms.Tick.Period")
	a := edge.NewLocalAlerts(stack, "Alerts", localAlertsProps(bus))
	cdktest.Rejects(t, func() { a.AddEmail("E", nil) }, "Test/Alerts/E", "an e-mail address")
	cdktest.Rejects(t, func() {
		a.AddSMS("S", &edge.AlertRecipientProps{Endpoint: "112", Level: 3, Localities: []string{"FR"}})
	}, "Endpoint is \"112\"", "Level is 3; allowed is 1 to 2", "Localities is \"FR\"")
	cdktest.Rejects(t, func() { a.AddWebhook("W_1", &edge.AlertWebhookProps{URL: "http://u:p@example.com"}) }, "an https URL", "Secret is not set", "id is")
}

func ExampleNewLocalAlerts() {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Health"), nil)
	alerts := edge.NewLocalAlerts(stack, "Alerts", &edge.LocalAlertsProps{
		Jurisdiction: "eu",
		Bus:          awsevents.NewEventBus(stack, jsii.String("Readings"), nil),
		Localities: map[string]rules.Locality{
			"DE-BE": {Name: "Berlin", Zone: "Europe/Berlin", Languages: []string{"de"}, Quiet: rules.Quiet{From: "22:00", To: "06:30"}},
		},
		Templates: map[string]map[string]rules.Template{"fever": {
			"en": {Subject: "Fever in {locality}", Text: "{count, plural, one {# reading} other {# readings}} since {time}."},
			"de": {Subject: "Fieber in {locality}", Text: "{count, plural, one {# Messung} other {# Messungen}} seit {time}."},
		}},
	})
	alerts.AddEmail("Clinic", &edge.AlertRecipientProps{Endpoint: "clinic@example.com", Localities: []string{"DE-BE"}})
	alerts.GrantAcknowledge(function.NewFunction(stack, "API", &function.Props{Entry: "example.com/health/functions/api"}))
}
