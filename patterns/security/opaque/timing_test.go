package opaque_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/serverless-go/cdk/patterns/security/internal/reference"
	"github.com/serverless-go/cdk/patterns/security/opaque"
)

// wire notes what is sent to the table.
type wire struct{ sent []string }

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.sent = append(w.sent, r.Header.Get("X-Amz-Target")+" "+string(body))
	return http.DefaultClient.Do(r)
}

// dead returns references that let nobody in, for each reason that there is.
func dead(t *testing.T, s *opaque.Store, c *clock) map[string]string {
	t.Helper()
	revoked, r := issue(t, s)
	if err := s.Revoke(t.Context(), "ann", r.ID); err != nil {
		t.Fatal(err)
	}
	expired, _ := issue(t, s)
	c.Add(2 * time.Hour)
	return map[string]string{"unknown": reference.New(), "revoked": revoked, "expired": expired}
}

// Each reason leads to the same call with the same bytes but for the hash.
func TestRefusalsSendTheSame(t *testing.T) {
	c := newClock()
	s, _ := newStore(t, c)
	refs := dead(t, s, c)
	w := &wire{}
	s.DynamoDB = dynamodb.New(s.DynamoDB.Options(), func(o *dynamodb.Options) { o.HTTPClient = w })
	var first any
	for name, ref := range refs {
		w.sent = nil
		if _, err := s.Lookup(t.Context(), ref); err != opaque.ErrRefused {
			t.Errorf("%s: error %v", name, err)
		}
		if len(w.sent) != 1 {
			t.Fatalf("%s: %d calls", name, len(w.sent))
		}
		operation, body, _ := strings.Cut(strings.ReplaceAll(w.sent[0], reference.Hash(ref), "HASH"), " ")
		var sent any // the SDK writes members in a random order
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = sent
		}
		if !reflect.DeepEqual(sent, first) || operation != "DynamoDB_20120810.GetItem" || !strings.Contains(body, `"ConsistentRead":true`) || strings.Contains(body, "sgref_") {
			t.Errorf("%s sends %s\n%s, another\n%s", name, operation, sent, first)
		}
	}
}

// How long a refusal takes does not tell its reason. The test is generous: a
// machine under load, and what the engine itself does, must not fail it; a step
// that only one of the reasons takes would.
func TestRefusalsTakeTheSame(t *testing.T) {
	const rounds = 250
	c := newClock()
	s, _ := newStore(t, c)
	s.DynamoDB = dynamodb.New(s.DynamoDB.Options(), func(o *dynamodb.Options) { o.HTTPClient = http.DefaultClient })
	refs := dead(t, s, c)
	took := map[string][]time.Duration{}
	for range rounds {
		for name, ref := range refs { // in a random order
			begun := time.Now()
			_, err := s.Lookup(t.Context(), ref)
			took[name] = append(took[name], time.Since(begun))
			if err != opaque.ErrRefused {
				t.Fatal(err)
			}
		}
	}
	for name := range took {
		slices.Sort(took[name])
	}
	middle := func(name string) time.Duration { return took[name][rounds/2] }
	for _, name := range []string{"revoked", "expired"} {
		if a, b := middle(name), middle("unknown"); a > 2*b || b > 2*a {
			t.Errorf("half of the %s are refused within %s, of the unknown within %s", name, a, b)
		}
		if d := distance(took[name], took["unknown"]); d > 0.6 {
			t.Errorf("the distributions of %s and unknown are %.2f apart", name, d)
		}
	}
	t.Logf("medians: unknown %s, revoked %s, expired %s; Kolmogorov-Smirnov %.2f and %.2f", middle("unknown"), middle("revoked"), middle("expired"),
		distance(took["revoked"], took["unknown"]), distance(took["expired"], took["unknown"]))
}

// distance is the statistic of the two-sample Kolmogorov-Smirnov test: how far
// the two distributions are apart where they are furthest, 0 to 1.
func distance(a, b []time.Duration) float64 {
	most := 0.0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if a[i] <= b[j] {
			i++
		} else {
			j++
		}
		d := float64(i)/float64(len(a)) - float64(j)/float64(len(b))
		most = max(most, d, -d)
	}
	return most
}
