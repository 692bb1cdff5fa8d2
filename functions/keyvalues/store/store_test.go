package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	kvs "github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/serverless-go/cdk/functions/keyvalues/store"
)

const arn = "arn:aws:cloudfront::123456789012:key-value-store/11111111-2222-3333-4444-555555555555"

// double plays a KeyValueStore over HTTP, with its ETags, quotas and pages.
type double struct {
	mu      sync.Mutex
	entries map[string]string
	version int
	updates int
	// fault is asked before each update: a status other than 0 is answered,
	// after the update if lost.
	fault func(update int) (status int, code string, lost bool)
	// meanwhile runs before a page is answered.
	meanwhile func(d *double)
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	refuse := func(status int, code string) {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"Message":%q}`, code)
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-ECDSA-P256-SHA256 ") {
		refuse(403, "IncompleteSignature")
		return
	}
	etag := func() string { return "E" + strconv.Itoa(d.version) }
	listing := strings.HasSuffix(r.URL.Path, "/keys")
	switch {
	case r.Method == http.MethodGet && listing:
		if d.meanwhile != nil {
			d.meanwhile(d)
		}
		keys := slices.Sorted(maps.Keys(d.entries))
		from, _ := strconv.Atoi(r.URL.Query().Get("NextToken"))
		from = min(from, len(keys))
		to := min(from+50, len(keys))
		page := map[string]any{}
		items := []map[string]string{}
		for _, k := range keys[from:to] {
			items = append(items, map[string]string{"Key": k, "Value": d.entries[k]})
		}
		page["Items"] = items
		if to < len(keys) {
			page["NextToken"] = strconv.Itoa(to)
		}
		json.NewEncoder(w).Encode(page)
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", etag())
		json.NewEncoder(w).Encode(map[string]any{"ItemCount": len(d.entries), "TotalSizeInBytes": d.size(), "KvsARN": arn, "Created": 1})
	case r.Method == http.MethodPost && listing:
		d.updates++
		status, code, lost := 0, "", false
		if d.fault != nil {
			status, code, lost = d.fault(d.updates)
		}
		if status != 0 && !lost {
			refuse(status, code)
			return
		}
		if r.Header.Get("If-Match") != etag() {
			refuse(409, "ConflictException")
			return
		}
		var in struct{ Puts, Deletes []struct{ Key, Value string } }
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &in) != nil || len(in.Puts)+len(in.Deletes) > 50 || len(in.Puts)+len(in.Deletes) == 0 {
			refuse(400, "ValidationException")
			return
		}
		next := maps.Clone(d.entries)
		for _, p := range in.Puts {
			next[p.Key] = p.Value
		}
		for _, p := range in.Deletes {
			delete(next, p.Key)
		}
		if (&double{entries: next}).size() > 5<<20 {
			refuse(402, "ServiceQuotaExceededException")
			return
		}
		d.entries = next
		d.version++
		if lost {
			refuse(status, code)
			return
		}
		w.Header().Set("ETag", etag())
		json.NewEncoder(w).Encode(map[string]any{"ItemCount": len(d.entries), "TotalSizeInBytes": d.size()})
	}
}

func (d *double) size() (n int) {
	for k, v := range d.entries {
		n += len(k) + len(v)
	}
	return n
}

// objects plays S3.
type objects map[string]map[string]string

func (o objects) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	entries, ok := o[*in.Key]
	if !ok {
		return nil, errors.New("NoSuchKey")
	}
	data, err := json.Marshal(entries)
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(string(data)))}, err
}

// redirect sends every request to the double, whatever host it is for.
type redirect struct{ host string }

func (d redirect) Do(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", d.host
	return http.DefaultClient.Do(r)
}

func numbered(prefix string, n, size int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("%s%05d", prefix, i)] = strings.Repeat("x", size)
	}
	return m
}

func TestEntries(t *testing.T) {
	once := func(at, status int, code string, lost bool) func(int) (int, string, bool) {
		return func(n int) (int, string, bool) {
			if n == at {
				return status, code, lost
			}
			return 0, "", false
		}
	}
	old, now := numbered("old", 120, 10), numbered("new", 130, 10)
	foreign := map[string]string{"foreign": "1"}
	both := func(ms ...map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range ms {
			maps.Copy(all, m)
		}
		return all
	}
	wrote := false
	tests := map[string]struct {
		kind       cfn.RequestType
		exclusive  string
		have, want map[string]string // want: what is there in the end
		now        map[string]string
		updates    int // exactly, unless 0
		fault      func(int) (int, string, bool)
		meanwhile  func(*double)
		reason     string
	}{
		"create":       {kind: cfn.RequestCreate, have: foreign, now: now, want: both(foreign, now), updates: 3},
		"repeated":     {kind: cfn.RequestUpdate, have: now, now: now, want: now},
		"own keys":     {kind: cfn.RequestUpdate, have: both(foreign, old), now: now, want: both(foreign, now), updates: 5},
		"exclusive":    {kind: cfn.RequestUpdate, exclusive: "true", have: both(foreign, old), now: now, want: now},
		"emptied":      {kind: cfn.RequestUpdate, exclusive: "true", have: old, now: map[string]string{}, want: map[string]string{}},
		"deleted":      {kind: cfn.RequestDelete, exclusive: "true", have: old, now: old, want: old},
		"half written": {kind: cfn.RequestUpdate, have: both(old, map[string]string{"new00001": "stale"}), now: now, want: now},
		"full": {kind: cfn.RequestUpdate, exclusive: "true", have: numbered("a", 5000, 1000), now: numbered("b", 5000, 1000),
			want: numbered("b", 5000, 1000)},
		"throttled": {kind: cfn.RequestUpdate, have: old, now: now, want: now, fault: once(2, 429, "ThrottlingException", false)},
		"lost":      {kind: cfn.RequestUpdate, have: old, now: now, want: now, fault: once(2, 500, "InternalServerException", true)},
		"conflict":  {kind: cfn.RequestUpdate, have: old, now: now, want: now, fault: once(3, 409, "ConflictException", false)},
		"meanwhile": {kind: cfn.RequestUpdate, have: old, now: now, want: both(foreign, now), meanwhile: func(d *double) {
			if !wrote {
				wrote = true
				d.entries = both(d.entries, foreign)
				d.version++
			}
		}},
		"refused": {kind: cfn.RequestUpdate, have: old, now: now, want: old, fault: once(1, 400, "ValidationException", false), reason: "update the store " + arn},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &double{entries: test.have, fault: test.fault, meanwhile: test.meanwhile}
			s := httptest.NewServer(d)
			defer s.Close()
			h := handler(s, objects{"old": old, "now": test.now})
			err := do(h, test.kind, test.exclusive)
			if test.reason == "" && err != nil || test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)) {
				t.Fatalf("error %v, want %q", err, test.reason)
			}
			if !maps.Equal(d.entries, test.want) {
				t.Errorf("%d entries, want %d", len(d.entries), len(test.want))
			}
			if test.updates != 0 && d.updates != test.updates {
				t.Errorf("%d updates, want %d", d.updates, test.updates)
			}
			if maps.Equal(test.have, test.want) && d.version != 0 {
				t.Error("written without need")
			}
		})
	}
}

// TestCrash ends an update between two batches, and lets CloudFormation repeat it.
func TestCrash(t *testing.T) {
	old, now := numbered("old", 120, 10), numbered("new", 130, 10)
	d := &double{entries: maps.Clone(old), fault: func(n int) (int, string, bool) {
		if n >= 2 {
			return 400, "ValidationException", false
		}
		return 0, "", false
	}}
	s := httptest.NewServer(d)
	defer s.Close()
	h := handler(s, objects{"old": old, "now": now})
	if err := do(h, cfn.RequestUpdate, "false"); err == nil || len(d.entries) != 170 {
		t.Fatalf("error %v, %d entries; want an error after the first batch", err, len(d.entries))
	}
	d.fault = nil
	if err := do(h, cfn.RequestUpdate, "false"); err != nil || !maps.Equal(d.entries, now) {
		t.Errorf("error %v, %d entries", err, len(d.entries))
	}
}

// TestAssetGone has no entries of before: a store that others write to stays as
// it is, and an exclusive one does not need them.
func TestAssetGone(t *testing.T) {
	old, now := numbered("old", 3, 1), numbered("new", 3, 1)
	d := &double{entries: old}
	s := httptest.NewServer(d)
	defer s.Close()
	h := handler(s, objects{"now": now})
	if err := do(h, cfn.RequestUpdate, "false"); err == nil || !strings.Contains(err.Error(), "s3://assets/old") || d.updates != 0 {
		t.Errorf("error %v, %d updates", err, d.updates)
	}
	if err := do(h, cfn.RequestUpdate, "true"); err != nil || !maps.Equal(d.entries, now) {
		t.Errorf("error %v, entries %v", err, d.entries)
	}
}

// TestDenied is refused until a permission of the same deployment is known.
func TestDenied(t *testing.T) {
	now := numbered("new", 3, 1)
	d := &double{entries: map[string]string{}, fault: func(n int) (int, string, bool) {
		if n <= 2 {
			return 403, "AccessDeniedException", false
		}
		return 0, "", false
	}}
	s := httptest.NewServer(d)
	defer s.Close()
	if err := do(handler(s, objects{"now": now}), cfn.RequestCreate, "false"); err != nil || d.updates != 3 || !maps.Equal(d.entries, now) {
		t.Errorf("error %v, %d updates, entries %v", err, d.updates, d.entries)
	}
}

func handler(s *httptest.Server, o objects) *store.Handler {
	client := kvs.New(kvs.Options{
		Region: "eu-central-1", HTTPClient: redirect{strings.TrimPrefix(s.URL, "http://")},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "key"}, nil
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond }),
	})
	return &store.Handler{Store: client, Objects: o, Pause: time.Millisecond}
}

func do(h *store.Handler, kind cfn.RequestType, exclusive string) error {
	if exclusive == "" {
		exclusive = "false"
	}
	p := func(key string) map[string]any {
		return map[string]any{"ServiceToken": "arn", "Store": arn, "Bucket": "assets", "Key": key, "Exclusive": exclusive}
	}
	id, _, err := h.Handle(context.Background(), cfn.Event{RequestType: kind, PhysicalResourceID: arn, ResourceProperties: p("now"), OldResourceProperties: p("old")})
	if id != arn {
		return fmt.Errorf("physical ID %s", id)
	}
	return err
}
