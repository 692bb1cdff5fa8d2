package leastprivilege_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/internal/leastprivilege"
)

// planted is a template with one mistake.
type planted struct {
	template     string // JSON; see template
	place, value string // what the finding names
}

// judge runs all rules over a template in an account that is known.
func judge(t *testing.T, text string) []inspection.Finding {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Planted.template.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	app, err := inspection.Read(inspection.Place{Path: "Planted", Template: file, Region: "eu-west-1", Account: "111122223333"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return inspection.NewPlugin(leastprivilege.Plugin, leastprivilege.Inspection()...).Run(app)
}

// catches checks that each mistake is found by the rule, by no other, and with
// a message that says where, what, what is allowed and what to do.
func catches(t *testing.T, rule leastprivilege.Rule, mistakes map[string]planted) {
	t.Helper()
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			found := 0
			for _, f := range judge(t, m.template) {
				switch {
				case f.Outcome == inspection.Passed:
				case f.Rule != rule.ID:
					t.Errorf("found by %s: %s", f.Rule, f)
				default:
					found++
					if !strings.Contains(f.Message, m.place+" is ") || !strings.Contains(f.Value, m.value) ||
						!strings.Contains(f.Message, "; allowed is ") || f.Fix == "" || !strings.Contains(f.String(), f.Resource.Type) {
						t.Errorf("the finding says %q, value %q, fix %q; want %s and %s", f, f.Value, f.Fix, m.place, m.value)
					}
				}
			}
			if found != 1 {
				t.Errorf("found %d times, want once", found)
			}
		})
	}
}

// spares checks that the rules find nothing in the templates, and that this one
// looked at them.
func spares(t *testing.T, rule leastprivilege.Rule, right map[string]string) {
	t.Helper()
	for name, text := range right {
		t.Run("spares "+name, func(t *testing.T) {
			looked := false
			for _, f := range judge(t, text) {
				if f.Outcome != inspection.Passed {
					t.Errorf("found by %s: %s", f.Rule, f)
				}
				looked = looked || f.Rule == rule.ID
			}
			if !looked {
				t.Error("the rule did not look at it")
			}
		})
	}
}

// template returns a template of resources, given as `"Id": {...}`.
func template(resources ...string) string {
	return `{"Resources":{` + strings.Join(resources, ",") + `}}`
}

func resource(kind, properties string) string {
	return `"It":{"Type":"` + kind + `","Properties":{` + properties + `}}`
}

// role returns a template in which a role has the statement.
func role(statement string) string {
	return template(resource("AWS::IAM::Policy", `"Roles":["r"],"PolicyDocument":{"Version":"2012-10-17","Statement":[`+statement+`]}`))
}

// trust returns a template in which the statement says who may assume a role.
func trust(statement string) string {
	return template(resource("AWS::IAM::Role", `"AssumeRolePolicyDocument":{"Statement":`+statement+`}`))
}

const (
	queueARN = `"arn:aws:sqs:eu-west-1:111122223333:orders"`
	denyHTTP = `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`
	closed   = `"PublicAccessBlockConfiguration":{"BlockPublicAcls":true,"BlockPublicPolicy":true,"IgnorePublicAcls":true,"RestrictPublicBuckets":true}`
	sealed   = `"BucketEncryption":{"ServerSideEncryptionConfiguration":[]}`
)

// on returns a template of a resource, and a policy on it with a statement.
func on(kind, properties, policy, names, statements string) string {
	if names != "Bucket" {
		return template(resource(kind, properties), `"Policy":{"Type":"`+policy+`","Properties":{"`+names+`":[{"Ref":"It"}],"PolicyDocument":{"Statement":[`+statements+`]}}}`)
	}
	return template(resource(kind, properties), `"Policy":{"Type":"`+policy+`","Properties":{"Bucket":{"Ref":"It"},"PolicyDocument":{"Statement":[`+statements+`]}}}`)
}

func bucket(properties, statements string) string {
	return on("AWS::S3::Bucket", properties, "AWS::S3::BucketPolicy", "Bucket", statements)
}

func queue(properties, statements string) string {
	return on("AWS::SQS::Queue", properties, "AWS::SQS::QueuePolicy", "Queues", statements)
}

func topic(properties, statements string) string {
	return on("AWS::SNS::Topic", properties, "AWS::SNS::TopicPolicy", "Topics", statements)
}

const (
	rightQueue = `"SqsManagedSseEnabled":true`
	rightTopic = `"KmsMasterKeyId":"alias/aws/sns"`
)
