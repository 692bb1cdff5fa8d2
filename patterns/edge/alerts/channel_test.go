package alerts_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/edge/alerts"
)

func TestWebhook(t *testing.T) {
	secret := []byte("sixteen bytes or more")
	status := http.StatusNoContent
	var signed, key string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get(alerts.SignatureHeader) == alerts.Sign(secret, r.Header.Get(alerts.TimestampHeader), body) {
			signed = string(body)
		}
		key = r.Header.Get(alerts.IdempotencyHeader)
		w.WriteHeader(status)
	}))
	defer server.Close()
	hook := &alerts.Webhook{ID: "PAGER", URL: server.URL, Client: server.Client(),
		Secret: func(context.Context) ([]byte, error) { return secret, nil }}
	n := &alerts.Notice{Alert: "DE-BE/fever/1", Level: 2}
	if err := hook.Send(t.Context(), n); err != nil || !strings.Contains(signed, `"alert":"DE-BE/fever/1"`) || key != "DE-BE/fever/1/2/false" {
		t.Errorf("signed %q, key %q, error %v", signed, key, err)
	}
	status = http.StatusServiceUnavailable
	if err := hook.Send(t.Context(), n); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("error %v, want the status", err)
	}
	// The function's own client refuses what is not public.
	hook.Client = alerts.NewHTTPClient()
	if err := hook.Send(t.Context(), n); err == nil || !strings.Contains(err.Error(), "127.0.0.1 is not a public address") {
		t.Errorf("loopback was called, error %v", err)
	}
	hook.URL = "http://example.com"
	if err := hook.Send(t.Context(), n); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("error %v, want https", err)
	}
}
