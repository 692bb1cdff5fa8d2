package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/serverless-go/cdk/functions/cloudflareworker/worker"
	"github.com/serverless-go/cdk/patterns/edge/cloudflare"
	"github.com/serverless-go/cdk/patterns/edge/cloudflare/cloudflaretest"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// account plays AWS.
type account struct{}

func (account) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	text, version := map[string]string{"token": cloudflaretest.Token, "key": "hidden-value"}[*in.SecretId], "1"
	return &secretsmanager.GetSecretValueOutput{SecretString: &text, VersionId: &version}, nil
}

func (account) GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(`{"module": "export default {}", "entries": {"TABLE": {"de": "eu"}}}`))}, nil
}

// TestLife creates, updates and deletes a Worker, with an update that fails and
// cannot be undone, and looks for secrets in all that is said.
func TestLife(t *testing.T) {
	var said bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&said, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	s := cloudflaretest.New(t, nil)
	h := &worker.Handler{Secrets: account{}, Objects: account{},
		Client: cloudflare.Client{URL: s.URL, Attempts: 2, Backoff: time.Millisecond}}
	properties := func(stage string) map[string]any {
		return map[string]any{
			"ServiceToken": "arn", "AccountId": cloudflaretest.Account, "Name": "router", "Token": map[string]any{"Arn": "token"},
			"Variables": map[string]any{"STAGE": stage}, "Secrets": map[string]any{"KEY": map[string]any{"Arn": "key"}},
			"Routes": []any{map[string]any{"ZoneId": "z1", "Pattern": stage + ".example.com/*"}},
			"Steps":  []any{map[string]any{"Percentage": "10", "Seconds": "0.01"}},
		}
	}
	id := ""
	do := func(kind cfn.RequestType, now, old string) error {
		got, data, err := h.Handle(t.Context(), cfn.Event{RequestType: kind, StackID: "stack", LogicalResourceID: "Worker",
			PhysicalResourceID: id, ResourceProperties: properties(now), OldResourceProperties: properties(old)})
		id = got
		fmt.Fprintln(&said, got, data, err)
		return err
	}
	if err := do(cfn.RequestCreate, "one", ""); err != nil {
		t.Fatal(err)
	}
	if want := "cloudflare://" + cloudflaretest.Account + "/router"; id != want {
		t.Errorf("physical ID %s, want %s", id, want)
	}
	s.Fault = func(_ int, r *http.Request) *cloudflaretest.Fault {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/deployments") {
			return &cloudflaretest.Fault{Status: http.StatusForbidden}
		}
		return nil
	}
	if err := do(cfn.RequestUpdate, "two", "one"); err == nil {
		t.Error("an update without deployments succeeds")
	}
	if !strings.Contains(said.String(), schema.CloudflareNotRestored) {
		t.Errorf("the log does not say that something is left: %s", &said)
	}
	s.Fault = nil
	if err := do(cfn.RequestUpdate, "two", "one"); err != nil || !strings.Contains(s.State(), "STAGE=two") {
		t.Errorf("%v, state %s", err, s.State())
	}
	if err := do(cfn.RequestDelete, "two", ""); err != nil || s.State() != "" {
		t.Errorf("%v, left: %s", err, s.State())
	}
	for _, secret := range []string{cloudflaretest.Token, "hidden-value"} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("said: %s", &said)
		}
	}
}
