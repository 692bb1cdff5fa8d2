package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestAccesses maps requests as SDKs send them to what IAM is asked for.
func TestAccesses(t *testing.T) {
	d := &Deployment{stack: stack{account: "1", region: "eu"}}
	d.iam = &authority{stack: &d.stack}
	d.tables = map[string]*table{"arn:aws:dynamodb:eu:1:table/events": {partitionKeys: map[string]string{"": "stream", "streams": "shard"}}}
	const dynamo, json10 = "DynamoDB_20120810.", "application/x-amz-json-1.0"
	for _, c := range []struct {
		service, target, method, path, contentType, body string
		want                                             string // action resource leading-key, ...
	}{
		{"dynamodb", dynamo + "GetItem", "POST", "/", json10, `{"TableName":"events","Key":{"stream":{"S":"a"},"version":{"N":"1"}}}`, "dynamodb:GetItem table/events a"},
		{"dynamodb", dynamo + "Query", "POST", "/", json10, `{"TableName":"arn:aws:dynamodb:eu:1:table/events","IndexName":"streams","KeyConditionExpression":"#s = :s","ExpressionAttributeNames":{"#s":"shard"},"ExpressionAttributeValues":{":s":{"S":"07"}}}`,
			"dynamodb:Query table/events/index/streams 07"},
		{"dynamodb", dynamo + "ExecuteTransaction", "POST", "/", json10, `{"TransactStatements":[{"Statement":"INSERT INTO \"events\" VALUE {'version': ?, 'stream': ?}","Parameters":[{"N":"1"},{"S":"a"}]},{"Statement":"DELETE FROM events WHERE stream = 'a'"}]}`,
			"dynamodb:PartiQLInsert table/events a, dynamodb:PartiQLDelete table/events "},
		{"dynamodb", dynamo + "ExecuteStatement", "POST", "/", json10, `{"Statement":"SELECT * FROM \"events\".\"streams\" WHERE shard = ?"}`, "dynamodb:PartiQLSelect table/events/index/streams "},
		{"dynamodb", dynamo + "ExecuteStatement", "POST", "/", json10, `{"Statement":"UPDATE events SET a = 1 WHERE stream = 'x'"}`, "dynamodb:PartiQLUpdate table/events "},
		{"dynamodb", dynamo + "TransactWriteItems", "POST", "/", json10, `{"TransactItems":[{"Put":{"TableName":"events","Item":{"stream":{"S":"b"}}}},{"ConditionCheck":{"TableName":"events","Key":{"stream":{"S":"c"}}}}]}`,
			"dynamodb:PutItem table/events b, dynamodb:ConditionCheckItem table/events c"},
		{"dynamodb", dynamo + "BatchWriteItem", "POST", "/", json10, `{"RequestItems":{"events":[]}}`, "dynamodb:BatchWriteItem table/events "},
		{"sqs", "AmazonSQS.SendMessageBatch", "POST", "/", json10, `{"QueueUrl":"https://sqs.eu.amazonaws.com/1/q","Entries":[]}`, "sqs:SendMessage arn:aws:sqs:eu:1:q "},
		{"sns", "", "POST", "/", "application/x-www-form-urlencoded", "Action=Publish&TopicArn=arn%3Aaws%3Asns%3Aeu%3A1%3At&Message=hi", "sns:Publish arn:aws:sns:eu:1:t "},
		{"s3", "", "PUT", "/bucket/a/b.json", "", "", "s3:PutObject arn:aws:s3:::bucket/a/b.json "},
		{"s3", "", "GET", "/bucket?list-type=2&prefix=a", "", "", "s3:ListBucket arn:aws:s3:::bucket "},
		{"kms", "TrentService.Decrypt", "POST", "/", json10, `{"CiphertextBlob":"azEAcmVzdA=="}`, "kms:Decrypt arn:aws:kms:eu:1:key/k1 "},
		{"kms", "TrentService.GenerateDataKey", "POST", "/", json10, `{"KeyId":"arn:aws:kms:eu:1:key/k2"}`, "kms:GenerateDataKey arn:aws:kms:eu:1:key/k2 "},
		{"events", "AWSEvents.PutEvents", "POST", "/", json10, `{"Entries":[{"EventBusName":"shop"},{}]}`, "events:PutEvents arn:aws:events:eu:1:event-bus/shop , events:PutEvents arn:aws:events:eu:1:event-bus/default "},
		{"states", "AWSStepFunctions.StartExecution", "POST", "/", json10, `{"stateMachineArn":"arn:m"}`, "states:StartExecution arn:m "},
		{"firehose", "Firehose_20150804.PutRecordBatch", "POST", "/", json10, `{"DeliveryStreamName":"s"}`, "firehose:PutRecordBatch arn:aws:firehose:eu:1:deliverystream/s "},
		{"lambda", "", "POST", "/2015-03-31/functions/f/invocations?Qualifier=live", "", "{}", "lambda:InvokeFunction arn:aws:lambda:eu:1:function:f:live "},
	} {
		r, err := http.NewRequest(c.method, "http://x"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.target != "" {
			r.Header.Set("X-Amz-Target", c.target)
		}
		r.Header.Set("Content-Type", c.contentType)
		in := &call{service: c.service, request: r, body: []byte(c.body)}
		in.operation = in.operationName()
		accesses, err := d.accesses(in)
		var got []string
		for _, a := range accesses {
			got = append(got, a.action+" "+strings.TrimPrefix(a.resource, "arn:aws:dynamodb:eu:1:")+" "+strings.Join(a.context["dynamodb:LeadingKeys"], ","))
		}
		if text := strings.Join(got, ", "); err != nil || text != c.want {
			t.Errorf("%s %s%s: %q, %v; want %q", c.service, c.target, c.path, text, err, c.want)
		}
	}
	for _, c := range []call{
		{service: "dynamodb", operation: "ExecuteStatement", body: []byte(`{"Statement":"MERGE INTO x"}`)},
		{service: "lambda", operation: "POST"},
		{service: "ec2", operation: "RunInstances"},
	} {
		c.request, _ = http.NewRequest("POST", "http://x/", nil)
		if a, err := d.accesses(&c); err == nil {
			t.Errorf("%s %s: %v, want an error", c.service, c.operation, a)
		}
	}
}

func TestOwner(t *testing.T) {
	for resource, want := range map[string]string{
		"arn:aws:s3:::bucket/a/b":                   "arn:aws:s3:::bucket",
		"arn:aws:dynamodb:eu:1:table/t/index/i":     "arn:aws:dynamodb:eu:1:table/t",
		"arn:aws:dynamodb:eu:1:table/t/stream/2026": "arn:aws:dynamodb:eu:1:table/t",
		"arn:aws:sqs:eu:1:q":                        "arn:aws:sqs:eu:1:q",
		"*":                                         "*",
		"arn:aws:lambda:eu:1:function:f:live":       "arn:aws:lambda:eu:1:function:f:live",
	} {
		if got := owner(resource); got != want {
			t.Errorf("owner(%s) = %s, want %s", resource, got, want)
		}
	}
}

func TestShuffleKeepsAll(t *testing.T) {
	f := newFaults(Faults{Seed: 3, Crash: 1})
	items := []int{1, 2, 3, 4, 5, 6, 7, 8}
	shuffle(f, items)
	if slices.IsSorted(items) {
		t.Error("nothing was shuffled")
	}
	slices.Sort(items)
	if !slices.Equal(items, []int{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("items are %v", items)
	}
	if f.hit("x", 0) || !f.hit("x", 1) || f.crash("") < 1 || f.injected["x"] != 1 {
		t.Error("probabilities 0 and 1 are not certain")
	}
}
