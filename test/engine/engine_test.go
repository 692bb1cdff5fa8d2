package engine_test

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	db "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/serverless-go/cdk/test/engine"
)

const fetched = "ENGINE_TEST_FETCHED"

func TestMain(m *testing.M) {
	// Inside the namespace it would be called a second time, without a network.
	engine.Main(m, func() { os.Setenv(fetched, os.Getenv(fetched)+"once ") })
}

func TestFetchesOutside(t *testing.T) {
	engine.Fauxqs(t)
	if got := os.Getenv(fetched); got != "once " {
		t.Errorf("what the tests need was fetched %q, want once", got)
	}
}

func TestDynamoDB(t *testing.T) {
	client := dynamodb.NewFromConfig(engine.DynamoDB(t).Config())
	table := rand.Text()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String(table),
		BillingMode:          db.BillingModePayPerRequest,
		AttributeDefinitions: []db.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: db.ScalarAttributeTypeS}},
		KeySchema:            []db.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: db.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.ListTables(t.Context(), nil)
	if err != nil || !slices.Contains(out.TableNames, table) {
		t.Errorf("ListTables = %v, %v, want %s in it", out, err, table)
	}
}

func TestFauxqs(t *testing.T) {
	cfg := engine.Fauxqs(t).Config()
	queues := sqs.NewFromConfig(cfg)
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(rand.Text())})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: queue.QueueUrl, MessageBody: aws.String("hello")}); err != nil {
		t.Fatal(err)
	}
	got, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl})
	if err != nil || len(got.Messages) != 1 || *got.Messages[0].Body != "hello" {
		t.Errorf("ReceiveMessage = %v, %v", got, err)
	}
	if _, err := s3.NewFromConfig(cfg).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(strings.ToLower(rand.Text()))}); err != nil {
		t.Error(err)
	}
}

func TestEngineIsSharedByTests(t *testing.T) {
	if a, b := engine.Fauxqs(t), engine.Fauxqs(t); a != b {
		t.Errorf("two endpoints, %v and %v", a, b)
	}
}

func TestIsolation(t *testing.T) {
	engine.Fauxqs(t)
	// 192.0.2.0/24 is reserved for documentation (RFC 5737). Dialing UDP sends
	// nothing; it fails where there is no route.
	conn, err := net.DialTimeout("udp", "192.0.2.1:9", time.Second)
	if err == nil {
		conn.Close()
		t.Skip("this system does not allow network namespaces")
	}
}

func TestKMS(t *testing.T) {
	double := engine.NewKMS(t)
	client := kms.NewFromConfig(double.Config())
	alice := map[string]string{"subject": "alice", "table": "events"}
	made, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{
		KeyId: aws.String("key"), KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: alice,
	})
	if err != nil || len(made.Plaintext) != 32 {
		t.Fatalf("GenerateDataKey = %d bytes, %v", len(made.Plaintext), err)
	}
	opened, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob, EncryptionContext: alice})
	if err != nil || string(opened.Plaintext) != string(made.Plaintext) {
		t.Errorf("Decrypt = %v, %v", opened, err)
	}

	for name, in := range map[string]*kms.DecryptInput{
		"other context": {CiphertextBlob: made.CiphertextBlob, EncryptionContext: map[string]string{"subject": "bob", "table": "events"}},
		"no context":    {CiphertextBlob: made.CiphertextBlob},
		"garbage":       {CiphertextBlob: []byte("garbage"), EncryptionContext: alice},
	} {
		_, err := client.Decrypt(t.Context(), in)
		if invalid := new(kmstypes.InvalidCiphertextException); !errors.As(err, &invalid) {
			t.Errorf("Decrypt with %s: %v, want InvalidCiphertextException", name, err)
		}
	}

	double.Fail("Decrypt", "DisabledException", 1)
	in := &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob, EncryptionContext: alice}
	if _, err := client.Decrypt(t.Context(), in); !errors.As(err, new(*kmstypes.DisabledException)) {
		t.Errorf("Decrypt with a fault: %v, want DisabledException", err)
	}
	if _, err := client.Decrypt(t.Context(), in); err != nil {
		t.Errorf("Decrypt after the fault: %v", err)
	}
	if got := double.Calls("Decrypt"); got != 6 {
		t.Errorf("%d calls of Decrypt counted, want 6", got)
	}
}

func TestFaults(t *testing.T) {
	faults := &engine.Faults{}
	cfg := engine.Fauxqs(t).Config()
	cfg.HTTPClient = faults
	cfg.RetryMaxAttempts = 1
	client := sqs.NewFromConfig(cfg)

	queue := aws.String(rand.Text())

	faults.Refuse("CreateQueue", "ThrottlingException", 1)
	if _, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: queue}); err == nil {
		t.Error("a refused call succeeded")
	}
	faults.Lose("CreateQueue", 1)
	if _, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: queue}); !errors.Is(err, engine.ErrLost) {
		t.Errorf("a call whose answer was lost: %v", err)
	}
	if _, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: queue}); err != nil {
		t.Errorf("the lost call did not reach the engine: %v", err)
	}
	if got := faults.Calls("CreateQueue"); got != 2 {
		t.Errorf("%d calls counted, want 2", got)
	}
}
