package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/serverless-go/cdk/patterns/security/identity"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

// fake is a broker that believes the token: "tenant.sub.n".
type fake struct {
	calls   atomic.Int64
	now     func() time.Time
	lasts   time.Duration // of credentials; default 15 minutes
	token   time.Duration // until the token's end; default an hour
	change  func(*schema.ImpersonationResponse)
	err     error
	blocked chan struct{} // answers when closed
}

func (f *fake) Impersonate(ctx context.Context, r schema.ImpersonationRequest) (*schema.ImpersonationResponse, error) {
	n := f.calls.Add(1)
	if f.blocked != nil {
		select {
		case <-f.blocked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	now := time.Now()
	if f.now != nil {
		now = f.now()
	}
	or := func(d, fallback time.Duration) time.Duration {
		if d == 0 {
			return fallback
		}
		return d
	}
	parts := strings.Split(r.Token, ".")
	answer := &schema.ImpersonationResponse{
		AccessKeyID: "key-" + r.Token + "-" + r.Set, SecretAccessKey: fmt.Sprintf("secret-%d", n), SessionToken: "session",
		Expires: now.Add(or(f.lasts, 15*time.Minute)), TokenExpires: now.Add(or(f.token, time.Hour)), Tenant: parts[0], Subject: parts[1],
	}
	if f.change != nil {
		f.change(answer)
	}
	return answer, nil
}

func keyOf(t *testing.T, u *identity.User) string {
	t.Helper()
	c, err := u.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.AccessKeyID
}

func TestUser(t *testing.T) {
	users := identity.New(aws.Config{Region: "eu-west-1", ClientLogMode: aws.LogSigning | aws.LogRequest}, &fake{}, nil)
	u, err := users.As(t.Context(), "acme.ann.1", "read-own")
	if err != nil {
		t.Fatal(err)
	}
	if mode := u.Config().ClientLogMode; mode != 0 {
		t.Errorf("the user's clients log with mode %d", mode)
	}
	if u.Tenant() != "acme" || u.Subject() != "ann" || u.Key("cart:") != "cart:acme#ann" || u.ObjectPrefix() != "acme/ann/" || u.Config().Region != "eu-west-1" {
		t.Errorf("%s %s %s %s", u.Tenant(), u.Subject(), u.Key("cart:"), u.ObjectPrefix())
	}
	if identity.FromContext(t.Context()) != nil {
		t.Error("a user from nowhere")
	}
	cfg, err := identity.Config(identity.WithUser(t.Context(), u))
	if err != nil || cfg.Credentials == nil {
		t.Errorf("configuration %v, %v", cfg.Credentials, err)
	}
}

// However it is printed or logged, a user shows neither credentials nor subject.
func TestUserIsNotPrinted(t *testing.T) {
	users := identity.New(aws.Config{}, &fake{}, nil)
	u, err := users.As(t.Context(), "acme.very-secret-subject.1", "read")
	if err != nil {
		t.Fatal(err)
	}
	provider := u.Config().Credentials
	var logs strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logs, nil), slog.NewJSONHandler(&logs, nil)} {
		slog.New(handler).Info("call", "user", u)
	}
	for _, text := range []string{
		logs.String(), fmt.Sprintf("%v %+v %s %#v", u, u, u, u), fmt.Sprintf("%v %+v %s %#v", provider, provider, provider, provider),
		fmt.Sprintf("%+v %#v", u.Config(), u.Config()), fmt.Sprintf("%+v", identity.WithUser(t.Context(), u)),
	} {
		if strings.Contains(text, "secret-") {
			t.Errorf("printed as %s", text)
		}
	}
}

// One call of the broker serves a session's time, for each token and set.
func TestCache(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	f := &fake{now: clock}
	users := identity.New(aws.Config{}, f, &identity.Options{Now: clock})
	ask := func(token, set string, calls int64) {
		t.Helper()
		if _, err := users.As(t.Context(), token, set); err != nil {
			t.Fatal(err)
		}
		if got := f.calls.Load(); got != calls {
			t.Errorf("%d calls of the broker, want %d", got, calls)
		}
	}
	ask("acme.ann.1", "read", 1)
	ask("acme.ann.1", "read", 1)
	ask("acme.ann.1", "write", 2)
	ask("acme.ann.2", "read", 3)
	ask("acme.bob.1", "read", 4)
	now = now.Add(14*time.Minute - time.Second)
	ask("acme.ann.1", "read", 4)
	now = now.Add(time.Second) // a minute before the end
	ask("acme.ann.1", "read", 5)
}

// A session ends with its token.
func TestCacheEndsWithToken(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	f := &fake{now: clock, token: 5 * time.Minute}
	users := identity.New(aws.Config{}, f, &identity.Options{Now: clock})
	u, err := users.As(t.Context(), "acme.ann.1", "read")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(5*time.Minute - time.Second)
	keyOf(t, u)
	if _, err := users.As(t.Context(), "acme.ann.1", "read"); err != nil || f.calls.Load() != 1 {
		t.Errorf("%v, %d calls", err, f.calls.Load())
	}
	now = now.Add(time.Second)
	if _, err := u.Config().Credentials.Retrieve(t.Context()); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("the session goes on: %v", err)
	}
	f.token = -time.Second // a broker that takes the token all the same
	if u, err := users.As(t.Context(), "acme.ann.1", "read"); !errors.Is(err, identity.ErrToken) {
		t.Errorf("got %v, %v", u, err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	f := &fake{}
	users := identity.New(aws.Config{}, f, &identity.Options{MaxSessions: 10})
	for i := range 100 {
		if _, err := users.As(t.Context(), fmt.Sprintf("acme.u%d.1", i), "read"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		users.As(t.Context(), fmt.Sprintf("acme.u%d.1", i), "read")
	}
	if calls := f.calls.Load(); calls != 200 {
		t.Errorf("%d calls: more than 10 of 100 sessions were kept", calls)
	}
}

// All who come with a token at once share one call, and one who goes away does
// not take it from the others.
func TestSingleFlight(t *testing.T) {
	f := &fake{blocked: make(chan struct{})}
	users := identity.New(aws.Config{}, f, nil)
	gone, leave := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := users.As(gone, "acme.ann.1", "read"); !errors.Is(err, identity.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
	})
	for f.calls.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	leave()
	for range 50 {
		group.Go(func() {
			if u, err := users.As(t.Context(), "acme.ann.1", "read"); err != nil || u.Subject() != "ann" {
				t.Errorf("got %v, %v", u, err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	close(f.blocked)
	group.Wait()
	if calls := f.calls.Load(); calls != 1 {
		t.Errorf("%d calls of the broker", calls)
	}
}

// Hundreds of users at once, in handlers that run side by side: each sees
// their own rights. Run it with -race.
func TestNeverShared(t *testing.T) {
	f := &fake{}
	users := identity.New(aws.Config{}, f, &identity.Options{MaxSessions: 100})
	handler := users.HTTP("read", handlerFunc(func(ctx context.Context, event []byte) ([]byte, error) {
		u := identity.FromContext(ctx)
		c, err := u.Config().Credentials.Retrieve(ctx)
		return []byte(c.AccessKeyID + " " + u.Key("")), err
	}))
	var group sync.WaitGroup
	for i := range 400 {
		group.Go(func() {
			for n := range 5 {
				token := fmt.Sprintf("t%d.u%d.%d", i%9, i, n%2)
				answer, err := handler.Invoke(t.Context(), httpEvent("Bearer "+token))
				if want := "key-" + token + fmt.Sprintf("-read t%d#u%d", i%9, i); err != nil || string(answer) != want {
					t.Errorf("got %s, %v, want %s", answer, err, want)
				}
			}
		})
	}
	group.Wait()
}

type handlerFunc func(context.Context, []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

func httpEvent(authorization string) []byte {
	event, _ := json.Marshal(events.APIGatewayV2HTTPRequest{Version: "2.0", Headers: map[string]string{"authorization": authorization}})
	return event
}

// Whatever goes wrong, the handler is not called.
func TestFailsClosed(t *testing.T) {
	refusal := func(code string) func(*schema.ImpersonationResponse) {
		return func(r *schema.ImpersonationResponse) { *r = schema.ImpersonationResponse{Error: code} }
	}
	for _, c := range []struct {
		name   string
		broker *fake
		want   error
		status int
	}{
		{"refused token", &fake{change: refusal(schema.RefusedToken)}, identity.ErrToken, 401},
		{"set too large for STS", &fake{change: refusal(schema.RefusedSize)}, identity.ErrSet, 500},
		{"unknown set", &fake{change: refusal(schema.RefusedSet)}, identity.ErrSet, 500},
		{"refused request", &fake{change: refusal(schema.RefusedRequest)}, identity.ErrUnavailable, 503},
		{"refusal that is not known", &fake{change: refusal("?")}, identity.ErrUnavailable, 503},
		{"refusal with credentials", &fake{change: func(r *schema.ImpersonationResponse) { r.Error = schema.RefusedToken }}, identity.ErrToken, 401},
		{"no answer", &fake{err: errors.New("connection refused")}, identity.ErrUnavailable, 503},
		{"never an answer", &fake{blocked: make(chan struct{})}, identity.ErrUnavailable, 503},
		{"empty answer", &fake{change: func(r *schema.ImpersonationResponse) { *r = schema.ImpersonationResponse{} }}, identity.ErrUnavailable, 503},
		{"no secret", &fake{change: func(r *schema.ImpersonationResponse) { r.SecretAccessKey = "" }}, identity.ErrUnavailable, 503},
		{"no session", &fake{change: func(r *schema.ImpersonationResponse) { r.SessionToken = "" }}, identity.ErrUnavailable, 503},
		{"no tenant", &fake{change: func(r *schema.ImpersonationResponse) { r.Tenant = "" }}, identity.ErrUnavailable, 503},
		{"no subject", &fake{change: func(r *schema.ImpersonationResponse) { r.Subject = "" }}, identity.ErrUnavailable, 503},
		{"no end", &fake{change: func(r *schema.ImpersonationResponse) { r.Expires = time.Time{} }}, identity.ErrUnavailable, 503},
		{"no token's end", &fake{change: func(r *schema.ImpersonationResponse) { r.TokenExpires = time.Time{} }}, identity.ErrUnavailable, 503},
		{"ended credentials", &fake{lasts: -time.Second}, identity.ErrToken, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			users := identity.New(aws.Config{}, c.broker, &identity.Options{Timeout: 20 * time.Millisecond})
			next := handlerFunc(func(context.Context, []byte) ([]byte, error) {
				t.Error("the handler was called")
				return nil, nil
			})
			answer, err := users.HTTP("read", next).Invoke(t.Context(), httpEvent("Bearer acme.ann.1"))
			var response events.APIGatewayV2HTTPResponse
			if err != nil || json.Unmarshal(answer, &response) != nil || response.StatusCode != c.status {
				t.Errorf("answer %s, %v, want %d", answer, err, c.status)
			}
			if c.status == 401 && response.Headers["www-authenticate"] == "" || c.status == 503 && response.Headers["retry-after"] == "" {
				t.Errorf("headers %v", response.Headers)
			}
			extract := func(context.Context, []byte) (string, error) { return "acme.ann.1", nil }
			if answer, err := users.Handler("read", extract, next).Invoke(t.Context(), nil); !errors.Is(err, c.want) || answer != nil {
				t.Errorf("answer %s, %v, want %v", answer, err, c.want)
			}
		})
	}
	t.Run("no token in the event", func(t *testing.T) {
		users := identity.New(aws.Config{}, &fake{}, nil)
		for want, extract := range map[string]identity.Extract{
			"the token is not valid": func(context.Context, []byte) (string, error) { return "", nil },
			"nowhere":                func(context.Context, []byte) (string, error) { return "", errors.New("nowhere") },
		} {
			if _, err := users.Handler("read", extract, nil).Invoke(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	})
}

type lambdaFunc func(*lambda.InvokeInput) (*lambda.InvokeOutput, error)

func (f lambdaFunc) Invoke(_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	return f(in)
}

func TestLambdaBroker(t *testing.T) {
	request := schema.ImpersonationRequest{Token: "t.o.k", Set: "read"}
	var sent string
	broker := func(out *lambda.InvokeOutput, err error) *identity.LambdaBroker {
		return &identity.LambdaBroker{Function: "broker", Client: lambdaFunc(func(in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
			sent = *in.FunctionName + " " + string(in.Payload)
			return out, err
		})}
	}
	r, err := broker(&lambda.InvokeOutput{Payload: []byte(`{"tenant":"acme"}`)}, nil).Impersonate(t.Context(), request)
	if err != nil || r.Tenant != "acme" || sent != `broker {"token":"t.o.k","set":"read"}` {
		t.Errorf("%v, %v, sent %s", r, err, sent)
	}
	for _, c := range []struct {
		out  *lambda.InvokeOutput
		err  error
		want string
	}{
		{nil, errors.New("throttled"), "throttled"},
		{&lambda.InvokeOutput{FunctionError: aws.String("Unhandled"), Payload: []byte(`{"errorMessage":"secret"}`)}, nil, "the broker failed: Unhandled"},
		{&lambda.InvokeOutput{Payload: []byte(`{"secretAccessKey":"secret"`)}, nil, "no JSON"},
		{&lambda.InvokeOutput{Payload: []byte(`secret`)}, nil, "no JSON"},
	} {
		r, err := broker(c.out, c.err).Impersonate(t.Context(), request)
		if r != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, %v, want %q", r, err, c.want)
		}
	}
}

func TestFromEnv(t *testing.T) {
	if _, err := identity.FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), schema.EnvBroker) {
		t.Errorf("got %v", err)
	}
	t.Setenv(schema.EnvBroker, "arn:aws:lambda:eu-west-1:123456789012:function:broker")
	if users, err := identity.FromEnv(aws.Config{Region: "eu-west-1"}); err != nil || users == nil {
		t.Errorf("got %v", err)
	}
}

func FuzzBearer(f *testing.F) {
	f.Add(string(httpEvent("Bearer a.b.c")))
	f.Add(`{"version":"2.0","headers":{"authorization":"bearer x","Authorization":"Bearer y"}}`)
	f.Add(`{"version":"1.0","headers":{"Authorization":"Bearer x"}}`)
	f.Add(`{"version":"2.0","headers":{"authorization":"Bearer a,Bearer b"}}`)
	f.Fuzz(func(t *testing.T, event string) {
		token, err := identity.Bearer(t.Context(), []byte(event))
		if err != nil {
			if token != "" || !errors.Is(err, identity.ErrToken) {
				t.Errorf("token %q with %v", token, err)
			}
			return
		}
		if token == "" || strings.ContainsAny(token, ", \t\r\n\"\\") {
			t.Errorf("token %q", token)
		}
		var in struct{ Headers map[string]string }
		if json.Unmarshal([]byte(event), &in) != nil {
			t.Errorf("a token from what is no event: %s", event)
		}
		n := 0
		for name, value := range in.Headers {
			if strings.EqualFold(name, "authorization") {
				n++
				if !strings.EqualFold(value[:7], "bearer ") || value[7:] != token {
					t.Errorf("header %q gave %q", value, token)
				}
			}
		}
		if n != 1 {
			t.Errorf("%d headers gave a token", n)
		}
	})
}
