package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/serverless-go/cdk/patterns/edge/schema"
)

var (
	first  = strings.Repeat("a", Min)
	second = strings.Repeat("b", Min)
)

// guarded returns a guard, the versions that its Secrets Manager has, and how
// often that was asked.
func guarded(t *testing.T) (g *Guard, versions map[string]string, calls *int, now *time.Time) {
	t.Helper()
	versions, calls, now = map[string]string{"AWSCURRENT": first}, new(int), new(time.Time)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*calls++
		var in struct{ SecretId, VersionStage string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.SecretId != "edge" {
			t.Errorf("asked for %v, %v", in, err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		value, ok := versions[in.VersionStage]
		switch {
		case versions["down"] != "":
			w.WriteHeader(http.StatusInternalServerError)
		case !ok:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException"}`)
		default:
			_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": value})
		}
	}))
	t.Cleanup(s.Close)
	client := secretsmanager.New(secretsmanager.Options{Region: "eu-west-1", BaseEndpoint: &s.URL, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		})})
	*now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	return &Guard{Client: client, Secret: "edge", Now: func() time.Time { return *now }}, versions, calls, now
}

func header(value string) map[string]string { return map[string]string{schema.OriginHeader: value} }

func TestCheck(t *testing.T) {
	g, _, calls, _ := guarded(t)
	for _, tt := range []struct {
		headers map[string]string
		want    error
	}{
		{header(first), nil},
		{map[string]string{"X-Origin-Secret": first}, nil},
		{header(second), ErrStranger},
		{header(first + "a"), ErrStranger},
		{header(first[1:]), ErrStranger},
		{header(""), ErrStranger},
		{nil, ErrStranger},
		{map[string]string{"x-other": first}, ErrStranger},
	} {
		if err := g.Check(t.Context(), tt.headers); !errors.Is(err, tt.want) {
			t.Errorf("%v: %v, want %v", tt.headers, err, tt.want)
		}
	}
	if *calls != 2 {
		t.Errorf("Secrets Manager was asked %d times, want once for each version", *calls)
	}
}

// A change of the secret refuses nobody: old and new are taken until the next
// change.
func TestRotation(t *testing.T) {
	g, versions, _, now := guarded(t)
	want := func(value string, want error) {
		t.Helper()
		if err := g.Check(t.Context(), header(value)); !errors.Is(err, want) {
			t.Errorf("%.1s: %v, want %v", value, err, want)
		}
	}
	want(first, nil)
	versions["AWSPREVIOUS"], versions["AWSCURRENT"] = first, second
	want(first, nil)
	want(second, ErrStranger) // not read yet: the router does not send it yet
	*now = now.Add(5 * time.Minute)
	want(first, nil)
	want(second, nil)
	versions["AWSPREVIOUS"], versions["AWSCURRENT"] = second, strings.Repeat("c", Min)
	*now = now.Add(5 * time.Minute)
	want(first, ErrStranger)
	want(second, nil)
	versions["down"] = "yes"
	*now = now.Add(time.Hour)
	want(second, nil)
	want(first, ErrStranger)
}

func TestUnread(t *testing.T) {
	for name, change := range map[string]func(map[string]string){
		"down":    func(v map[string]string) { v["down"] = "yes" },
		"missing": func(v map[string]string) { delete(v, "AWSCURRENT") },
		"short":   func(v map[string]string) { v["AWSCURRENT"] = "short" },
	} {
		g, versions, _, _ := guarded(t)
		change(versions)
		err := g.Check(t.Context(), header(first))
		if err == nil || errors.Is(err, ErrStranger) {
			t.Errorf("%s: %v", name, err)
		}
		if err := g.Check(t.Context(), nil); !errors.Is(err, ErrStranger) {
			t.Errorf("%s: without the header %v", name, err)
		}
	}
}

func TestWrap(t *testing.T) {
	g, versions, _, _ := guarded(t)
	served := 0
	h := g.Wrap(Handler(func(_ context.Context, payload []byte) ([]byte, error) { served++; return payload, nil }))
	request := func(value string) string {
		return fmt.Sprintf(`{"version":"2.0","headers":{%q:%q},"body":"x"}`, schema.OriginHeader, value)
	}
	ask := func(payload string) string {
		out, err := h.Invoke(t.Context(), []byte(payload))
		if err != nil {
			t.Error(err)
		}
		return string(out)
	}
	versions["down"] = "yes"
	if got := ask(request(first)); !strings.Contains(got, `"statusCode":503`) {
		t.Errorf("while the secret is not known: %s", got)
	}
	delete(versions, "down")
	if got := ask(request(second)); !strings.Contains(got, `"statusCode":403`) || served > 0 {
		t.Errorf("a stranger: %s", got)
	}
	if got := ask(request(first)); got != request(first) || served != 1 {
		t.Errorf("through the router: %s", got)
	}
	if _, err := h.Invoke(t.Context(), []byte("[")); err == nil {
		t.Error("no error for what is no request")
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv(schema.EnvOriginSecret, "edge")
	g, err := FromEnv(aws.Config{})
	if err != nil || g.Secret != "edge" {
		t.Errorf("%v, %v", g, err)
	}
	t.Setenv(schema.EnvOriginSecret, "")
	if _, err := FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), schema.EnvOriginSecret) {
		t.Errorf("without a name: %v", err)
	}
}
