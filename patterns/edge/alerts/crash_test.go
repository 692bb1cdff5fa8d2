package alerts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/serverless-go/cdk/patterns/edge/alerts"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/test/engine"
)

// crash ends the process after some calls: the last one takes effect or not,
// and no other call follows until the next process starts.
type crash struct {
	mu      sync.Mutex
	left    int
	effect  bool
	crashed bool
}

func (c *crash) Do(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	dead := c.crashed
	if !dead && c.left == 0 {
		c.crashed = true
	}
	c.left--
	last := c.crashed && !dead
	c.mu.Unlock()
	if dead || last && !c.effect {
		return nil, errors.New("crashed")
	}
	answer, err := http.DefaultClient.Do(r)
	if last && err == nil {
		answer.Body.Close()
		return nil, errors.New("crashed")
	}
	return answer, err
}

// The process dies at each of its calls to the table in turn, before and after
// the call takes effect. Another one then takes the message again and goes on:
// every level is told, the alert is given up once at least, and the count is
// exact.
func TestCrashes(t *testing.T) {
	for _, effect := range []bool{false, true} {
		for n := 0; ; n++ {
			f := newFixture(t, fmt.Sprintf("crash-%t-%d", effect, n))
			sound := f.DynamoDB
			c := &crash{left: n, effect: effect}
			cfg := engine.DynamoDB(t).Config()
			cfg.HTTPClient = c
			f.DynamoDB = dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
			// The process that started afresh does not crash again.
			revive := func() {
				if c.crashed {
					f.DynamoDB = sound
				}
			}
			body := f.reading("a", "DE-HH", false)
			failed := f.batch(t, body)
			revive()
			if len(failed) > 0 {
				if failed = f.batch(t, body); len(failed) > 0 {
					t.Fatalf("call %d: the message fails for good", n)
				}
			}
			for range 25 {
				_ = f.tick(t, 4*time.Minute) // its error is what the alarm sees; the outcome counts
				revive()
			}
			given, count := 0, 0
			for _, p := range f.puts {
				var detail struct{ Count int }
				if err := json.Unmarshal([]byte(p.Detail), &detail); err != nil {
					t.Fatal(err)
				}
				if p.DetailType == schema.AlertUnacknowledgedType {
					given++
				} else if count++; detail.Count != 1 {
					t.Errorf("call %d: the count is %d", n, detail.Count)
				}
			}
			one := func(n int) bool { return n == 1 || n == 2 } // once, and once more after a crash
			if !one(len(f.first.got)) || !one(len(f.second.got)) || !one(given) || !one(count) {
				t.Errorf("call %d, with effect %t: first %d, second %d, given up %d, counts %d",
					n, effect, len(f.first.got), len(f.second.got), given, count)
			}
			if !c.crashed {
				if n < 15 {
					t.Errorf("the whole run took %d calls only", n)
				}
				break
			}
		}
	}
}

// Whatever a reading holds, what is put on the bus of the counts is the six
// fields of AlertCount, with names of the rules.
func TestPrivacy(t *testing.T) {
	f := newFixture(t, "privacy")
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		secret := fmt.Sprintf("personal-%d", random.Uint64())
		e := map[string]any{"id": secret, "time": f.now, "source": secret, "account": secret, secret: secret}
		detail := map[string]any{"id": secret, "locality": "DE-HH", "kind": "fever", "urgent": i%2 == 0}
		for range random.IntN(5) {
			detail[[]string{secret, "count", "windowStart", "jurisdiction", "name"}[random.IntN(5)]] = secret
		}
		if i%5 == 0 { // personal data where a name of the rules belongs
			detail[[]string{"locality", "kind"}[random.IntN(2)]] = secret
		}
		e["detail"] = detail
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if failed := f.batch(t, string(body)); (len(failed) > 0) != (i%5 == 0) {
			t.Errorf("%s: %v came back", body, failed)
		}
	}
	if err := f.tick(t, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, p := range f.puts {
		if strings.Contains(fmt.Sprint(p), "personal-") {
			t.Errorf("personal data is in %+v", p)
		}
		if p.EventBusName == "counts" {
			seen = true
			want := `{"jurisdiction":"eu","locality":"DE-HH","kind":"fever","windowStart":"2026-07-01T12:00:00Z","windowSeconds":3600,"count":160}`
			if p.Detail != want {
				t.Errorf("the count is %s, want %s", p.Detail, want)
			}
		}
	}
	if !seen {
		t.Error("no count was reported")
	}
}

// A subscriber of a locality gets its alerts, and a poison message that comes
// back often enough is among the dead letters.
func TestTopicAndDeadLetters(t *testing.T) {
	cfg := engine.Fauxqs(t).Config()
	topics, queues := sns.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	queue := func(name string, attributes map[string]string) (url, arn string) {
		out, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		return *out.QueueUrl, "arn:aws:sqs:" + engine.Region + ":" + engine.Account + ":" + name
	}
	receive := func(url string) []string {
		out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		var bodies []string
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
		}
		return bodies
	}
	topic, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("level1")})
	if err != nil {
		t.Fatal(err)
	}
	inbox, inboxARN := queue("inbox", nil)
	if _, err := topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: &inboxARN,
		Attributes: map[string]string{"FilterPolicy": `{"locality":["DE-HH"]}`}}); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, "topic")
	f.Levels[0] = []alerts.Channel{&alerts.Topic{Client: topics, ARN: *topic.TopicArn}}
	f.batch(t, f.reading("a", "DE-HH", false), f.reading("b", "DE-BE", false))
	got := receive(inbox)
	if len(got) != 1 || !strings.Contains(got[0], "Fever in Hamburg") {
		t.Errorf("the subscriber has %q", got)
	}

	dead, deadARN := queue("dead", nil)
	source, _ := queue("readings", map[string]string{"VisibilityTimeout": "0",
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"3"}`, deadARN)})
	if _, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &source, MessageBody: aws.String("poison")}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		for _, body := range receive(source) {
			if failed := f.batch(t, body); len(failed) != 1 {
				t.Error("poison was taken")
			}
		}
	}
	if got := receive(dead); len(got) != 1 || got[0] != "poison" {
		t.Errorf("the dead letters are %q", got)
	}
}
