package policies_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/serverless-go/cdk/functions/replicapolicies/policies"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// world plays DynamoDB's API of policies in all regions. A region is the host
// that a request is for, and must be the one that it is signed for.
type world struct {
	mu       sync.Mutex
	policies map[string]string // by ARN; a replica without a policy has ""
	calls    []string          // "Put eu-west-1", in the order of arrival
	faults   []fault
	stale    int // so many answers of Get are the policy of before
}

// fault fails so many calls; lost ones act and do not answer.
type fault struct {
	call string
	left int
	code string
	lost bool
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	region := strings.TrimSuffix(strings.TrimPrefix(r.Host, "dynamodb."), ".test")
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	call := strings.TrimSuffix(operation, "ResourcePolicy") + " " + region
	w.calls = append(w.calls, call)
	body, _ := io.ReadAll(r.Body)
	refuse := func(code string) {
		status := 400
		if code == "InternalServerError" {
			status = 500
		}
		rw.Header().Set("Content-Type", "application/x-amz-json-1.0")
		rw.WriteHeader(status)
		fmt.Fprintf(rw, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"played"}`, code)
	}
	if _, err := (&engine.SigV4{Service: "dynamodb", Region: region}).Verify(r, body); err != nil {
		refuse("InvalidSignatureException")
		return
	}
	lost := ""
	for i := range w.faults {
		if f := &w.faults[i]; f.call == call && f.left > 0 {
			f.left--
			if !f.lost {
				refuse(f.code)
				return
			}
			lost = f.code
			break
		}
	}
	var in struct{ ResourceArn, Policy string }
	json.Unmarshal(body, &in)
	before, there := w.policies[in.ResourceArn]
	answer := map[string]any{}
	switch {
	case !there || !strings.Contains(in.ResourceArn, ":dynamodb:"+region+":"):
		refuse("ResourceNotFoundException")
		return
	case operation == "PutResourcePolicy":
		if !json.Valid([]byte(in.Policy)) {
			refuse("ValidationException")
			return
		}
		w.policies[in.ResourceArn] = in.Policy
		answer["RevisionId"] = revision(in.Policy)
	case operation == "GetResourcePolicy":
		if w.stale > 0 {
			w.stale--
			before = "before"
		}
		if before == "" {
			refuse("PolicyNotFoundException")
			return
		}
		answer["Policy"], answer["RevisionId"] = before, revision(before)
	case operation == "DeleteResourcePolicy":
		w.policies[in.ResourceArn] = ""
	default:
		refuse("UnknownOperationException")
		return
	}
	if lost != "" {
		refuse(lost)
		return
	}
	rw.Header().Set("Content-Type", "application/x-amz-json-1.0")
	json.NewEncoder(rw).Encode(answer)
}

// revision is the same for the same policy, as DynamoDB's is.
func revision(policy string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(policy))) }

// redirect sends every request to the world, whatever host it is for.
type redirect struct{ host string }

func (d redirect) Do(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.Host, out.URL.Scheme, out.URL.Host = r.URL.Host, "http", d.host
	return http.DefaultClient.Do(out)
}

func (w *world) handler(t *testing.T) *policies.Handler {
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	credentials := engine.Endpoint{}.Config().Credentials
	return &policies.Handler{Pause: time.Millisecond, Client: func(region string) *dynamodb.Client {
		return dynamodb.New(dynamodb.Options{
			Region: region, Credentials: credentials, BaseEndpoint: aws.String("http://dynamodb." + region + ".test"),
			HTTPClient: redirect{strings.TrimPrefix(server.URL, "http://")},
			Retryer:    retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond }),
		})
	}}
}

func arn(region string) string { return "arn:aws:dynamodb:" + region + ":123456789012:table/readings" }

// given are a resource's properties as CloudFormation hands them over.
func given(sids map[string]string) map[string]any {
	arns, documents := map[string]any{}, map[string]any{}
	for region, sid := range sids {
		arns[region] = arn(region)
		documents[region] = map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{"Sid": sid, "Effect": "Deny"}}}
	}
	return map[string]any{"ServiceToken": "x", "Table": "readings", "Arns": arns, "Policies": documents}
}

func text(sid string) string {
	return `{"Statement":[{"Effect":"Deny","Sid":"` + sid + `"}],"Version":"2012-10-17"}`
}

func do(ctx context.Context, h *policies.Handler, kind cfn.RequestType, now, old map[string]string) error {
	event := cfn.Event{RequestType: kind, ResourceProperties: given(now), OldResourceProperties: given(old), PhysicalResourceID: "replica-policies/readings"}
	id, _, err := h.Handle(ctx, event)
	if id != "replica-policies/readings" {
		return fmt.Errorf("physical ID %s", id)
	}
	return err
}

const paris, ireland = "eu-west-3", "eu-west-1"

func TestHandle(t *testing.T) {
	a := map[string]string{paris: "A", ireland: "A"}
	b := map[string]string{paris: "Bb", ireland: "Bb"}
	have := func(parisHas, irelandHas string) map[string]string {
		return map[string]string{arn(paris): parisHas, arn(ireland): irelandHas}
	}
	put := func(code string, left int) []fault { return []fault{{call: "Put " + paris, left: left, code: code}} }
	for name, tt := range map[string]struct {
		kind     cfn.RequestType
		now, old map[string]string
		have     map[string]string
		faults   []fault
		stale    int
		want     map[string]string
		reasons  []string // none: it succeeds
	}{
		"created":      {kind: cfn.RequestCreate, now: a, have: have("", ""), want: have(text("A"), text("A"))},
		"repeated":     {kind: cfn.RequestCreate, now: a, have: have(text("A"), text("A")), want: have(text("A"), text("A"))},
		"changed":      {kind: cfn.RequestUpdate, now: b, old: a, have: have(text("A"), text("A")), want: have(text("Bb"), text("Bb"))},
		"rolled back":  {kind: cfn.RequestUpdate, now: a, old: b, have: have(text("Bb"), text("A")), want: have(text("A"), text("A"))},
		"region added": {kind: cfn.RequestUpdate, now: a, old: map[string]string{paris: "A"}, have: have(text("A"), ""), want: have(text("A"), text("A"))},
		"region removed": {kind: cfn.RequestUpdate, now: map[string]string{paris: "A"}, old: a,
			have: map[string]string{arn(paris): text("A")}, want: map[string]string{arn(paris): text("A")}},
		"another's policy": {kind: cfn.RequestCreate, now: a, have: have(text("Other"), ""), want: have(text("A"), text("A"))},
		"seconds ago":      {kind: cfn.RequestUpdate, now: b, old: a, have: have(text("A"), text("A")), faults: put("LimitExceededException", 9), want: have(text("Bb"), text("Bb"))},
		"not active":       {kind: cfn.RequestCreate, now: a, have: have("", ""), faults: put("ResourceInUseException", 9), want: have(text("A"), text("A"))},
		"not there yet":    {kind: cfn.RequestCreate, now: a, have: have("", ""), faults: put("ResourceNotFoundException", 9), want: have(text("A"), text("A"))},
		"throttled":        {kind: cfn.RequestCreate, now: a, have: have("", ""), faults: put("ThrottlingException", 20), want: have(text("A"), text("A"))},
		"broken":           {kind: cfn.RequestCreate, now: a, have: have("", ""), faults: put("InternalServerError", 20), want: have(text("A"), text("A"))},
		"answer lost": {kind: cfn.RequestCreate, now: a, have: have("", ""), want: have(text("A"), text("A")),
			faults: []fault{{call: "Put " + paris, left: 1, code: "InternalServerError", lost: true}}},
		"behind": {kind: cfn.RequestUpdate, now: b, old: a, have: have(text("A"), text("A")), stale: 5, want: have(text("Bb"), text("Bb"))},
		"not seen yet": {kind: cfn.RequestCreate, now: a, have: have("", ""), want: have(text("A"), text("A")),
			faults: []fault{{call: "Get " + paris, left: 3, code: "PolicyNotFoundException"}}},
		"permission new": {kind: cfn.RequestCreate, now: a, have: have("", ""), faults: put("AccessDeniedException", 11), want: have(text("A"), text("A"))},
		"denied": {kind: cfn.RequestCreate, now: a, have: have("", ""), faults: put("AccessDeniedException", 1000), want: have("", text("A")),
			reasons: []string{"put the policy of readings in " + paris, "AccessDeniedException"}},
		"refused": {kind: cfn.RequestUpdate, now: b, old: a, have: have(text("A"), text("A")), faults: put("ValidationException", 1), want: have(text("A"), text("Bb")),
			reasons: []string{"put the policy of readings in " + paris, "ValidationException"}},

		"deleted":           {kind: cfn.RequestDelete, now: a, have: have(text("A"), text("A")), want: have("", "")},
		"deleted twice":     {kind: cfn.RequestDelete, now: a, have: have("", ""), want: have("", "")},
		"replica gone":      {kind: cfn.RequestDelete, now: a, have: map[string]string{arn(paris): text("A")}, want: map[string]string{arn(paris): ""}},
		"table gone":        {kind: cfn.RequestDelete, now: a, have: map[string]string{}, want: map[string]string{}},
		"right gone":        {kind: cfn.RequestDelete, now: a, have: have(text("A"), text("A")), faults: []fault{{call: "Delete " + paris, left: 99, code: "AccessDeniedException"}}, want: have(text("A"), "")},
		"deleted, busy":     {kind: cfn.RequestDelete, now: a, have: have(text("A"), text("A")), faults: []fault{{call: "Delete " + paris, left: 9, code: "LimitExceededException"}}, want: have("", "")},
		"deletion refused":  {kind: cfn.RequestDelete, now: a, have: have(text("A"), text("A")), faults: []fault{{call: "Delete " + paris, left: 9, code: "ValidationException"}}, want: have(text("A"), ""), reasons: []string{"remove the policy of readings in " + paris}},
		"nothing to delete": {kind: cfn.RequestDelete, have: have(text("A"), ""), want: have(text("A"), "")},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{policies: tt.have, faults: tt.faults, stale: tt.stale}
			err := do(context.Background(), w.handler(t), tt.kind, tt.now, tt.old)
			if (err == nil) != (tt.reasons == nil) {
				t.Fatalf("error %v, want %q", err, tt.reasons)
			}
			for _, reason := range tt.reasons {
				if !strings.Contains(err.Error(), reason) {
					t.Errorf("error %v, want %q", err, reason)
				}
			}
			if !maps.Equal(w.policies, tt.want) {
				t.Errorf("policies are\n%v, want\n%v", w.policies, tt.want)
			}
			for _, call := range w.calls {
				if _, region, _ := strings.Cut(call, " "); tt.now[region] == "" {
					t.Errorf("%s is not among the resource's regions", call)
				}
			}
			if last := len(w.calls) - 1; tt.reasons == nil && tt.kind != cfn.RequestDelete && !strings.HasPrefix(w.calls[last], "Get ") {
				t.Errorf("it answers before the policies are seen: %v", w.calls)
			}
		})
	}
}

// One replica that never comes takes the time there is and no more, tells so,
// and keeps no other region waiting.
func TestTimeIsOver(t *testing.T) {
	w := &world{policies: map[string]string{arn(ireland): ""}}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second+200*time.Millisecond) // 90 s are for the answer
	defer cancel()
	start := time.Now()
	err := do(ctx, w.handler(t), cfn.RequestCreate, map[string]string{paris: "A", ireland: "A"}, nil)
	if err == nil || !strings.Contains(err.Error(), "in "+paris) || !strings.Contains(err.Error(), "ResourceNotFoundException") ||
		!strings.Contains(err.Error(), "see that the replica is ACTIVE, then deploy again") || strings.Contains(err.Error(), ireland) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	if w.policies[arn(ireland)] != text("A") || !slices.Contains(w.calls, "Get "+ireland) {
		t.Errorf("%s waited for %s", ireland, paris)
	}
	// Once the replica is there, the same deployment succeeds.
	w.policies[arn(paris)] = ""
	if err := do(context.Background(), w.handler(t), cfn.RequestCreate, map[string]string{paris: "A", ireland: "A"}, nil); err != nil || w.policies[arn(paris)] != text("A") {
		t.Errorf("error %v", err)
	}
}

// A failed deployment is deleted, though nothing of it may be there.
func TestFailedCreationIsDeleted(t *testing.T) {
	w := &world{policies: map[string]string{arn(ireland): ""}, faults: []fault{{call: "Put " + ireland, left: 1, code: "ValidationException"}}}
	h := w.handler(t)
	if do(context.Background(), h, cfn.RequestCreate, map[string]string{ireland: "A"}, nil) == nil {
		t.Fatal("no error")
	}
	if err := do(context.Background(), h, cfn.RequestDelete, map[string]string{ireland: "A"}, nil); err != nil {
		t.Error(err)
	}
}

// Properties that nobody can read are told, and nothing is called.
func TestProperties(t *testing.T) {
	w := &world{}
	_, _, err := w.handler(t).Handle(context.Background(), cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: map[string]any{"Policies": "none"}})
	if err == nil || !strings.Contains(err.Error(), "read the properties") || len(w.calls) > 0 {
		t.Errorf("error %v, calls %v", err, w.calls)
	}
	if _, err := policies.FromEnv(aws.Config{Region: "us-east-1"}); err != nil {
		t.Error(err)
	}
}
