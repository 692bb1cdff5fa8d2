package identity

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/serverless-go/cdk/patterns/security/internal/memo"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// Options tune Users. The zero value is good.
type Options struct {
	// MaxSessions is how many sessions are kept.
	//
	// Default: 1,000, about 3 MB.
	MaxSessions int
	// Margin is how long before its credentials end a session is no longer
	// handed out. It should be longer than an invocation takes.
	//
	// Default: 1 minute.
	Margin time.Duration
	// Timeout is how long the broker is waited for.
	//
	// Default: 5 seconds.
	Timeout time.Duration
	// Now is the clock.
	//
	// Default: time.Now.
	Now func() time.Time
}

// Users turns tokens into users. It is safe for concurrent use.
type Users struct {
	config   aws.Config
	broker   Broker
	options  Options
	sessions *memo.Cache[key, *session]
}

// key is the hash of a token and a permission set.
type key [sha256.Size]byte

// New returns Users whose configurations are cfg with the credentials of the
// broker's sessions.
func New(cfg aws.Config, broker Broker, o *Options) *Users {
	u := &Users{config: cfg.Copy(), broker: broker}
	if o != nil {
		u.options = *o
	}
	if u.options.MaxSessions <= 0 {
		u.options.MaxSessions = 1000
	}
	if u.options.Margin <= 0 {
		u.options.Margin = time.Minute
	}
	if u.options.Timeout <= 0 {
		u.options.Timeout = 5 * time.Second
	}
	if u.options.Now == nil {
		u.options.Now = time.Now
	}
	// A log of requests would hold what signs them.
	u.config.ClientLogMode = 0
	u.sessions = memo.New[key, *session](u.options.MaxSessions, u.options.Timeout)
	return u
}

// FromEnv returns Users of the broker that the environment names, as
// security.Impersonation's GrantImpersonate sets it.
func FromEnv(cfg aws.Config) (*Users, error) {
	name := os.Getenv(schema.EnvBroker)
	if name == "" {
		return nil, fmt.Errorf("identity: %s must be set; GrantImpersonate does it", schema.EnvBroker)
	}
	client := lambda.NewFromConfig(cfg, func(o *lambda.Options) { o.ClientLogMode = 0 })
	return New(cfg, &LambdaBroker{Client: client, Function: name}, nil), nil
}

// As returns the user whose token it is, with the rights of the permission set.
// The error is ErrToken, ErrSet or ErrUnavailable.
func (u *Users) As(ctx context.Context, token, set string) (*User, error) {
	if token == "" {
		return nil, ErrToken
	}
	// Whoever waits for one call of the broker has the same token: they are one
	// caller.
	s, err := u.sessions.Get(ctx, keyOf(token, set),
		func(s *session) bool { return u.options.Now().Before(s.until) },
		func(ctx context.Context) (*session, error) { return u.ask(ctx, token, set) })
	switch {
	case errors.Is(err, ErrToken), errors.Is(err, ErrSet), errors.Is(err, ErrUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !u.options.Now().Before(s.expires):
		return nil, ErrToken
	}
	user := &User{tenant: s.tenant, subject: s.subject, config: u.config.Copy(), expires: s.expires}
	user.config.Credentials = s
	return user, nil
}

// keyOf hashes token and set, each with its length, so that no other pair has
// the same text.
func keyOf(token, set string) (k key) {
	h := sha256.New()
	for _, part := range []string{token, set} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	h.Sum(k[:0])
	return k
}

// ask asks the broker for a session.
func (u *Users) ask(ctx context.Context, token, set string) (*session, error) {
	r, err := u.broker.Impersonate(ctx, schema.ImpersonationRequest{Token: token, Set: set})
	if err != nil {
		slog.ErrorContext(ctx, "no answer of the broker", "error", err)
		return nil, ErrUnavailable
	}
	switch r.Error {
	case "":
	case schema.RefusedToken:
		return nil, ErrToken
	case schema.RefusedSet, schema.RefusedSize:
		slog.ErrorContext(ctx, "the permission set cannot be used", "code", r.Error, "set", set)
		return nil, ErrSet
	default:
		slog.ErrorContext(ctx, "the broker refuses", "code", r.Error)
		return nil, ErrUnavailable
	}
	if r.AccessKeyID == "" || r.SecretAccessKey == "" || r.SessionToken == "" ||
		r.Tenant == "" || r.Subject == "" || r.Expires.IsZero() || r.TokenExpires.IsZero() {
		slog.ErrorContext(ctx, "the broker's answer is incomplete")
		return nil, ErrUnavailable
	}
	s := &session{
		tenant: r.Tenant, subject: r.Subject, now: u.options.Now,
		expires: earlier(r.Expires, r.TokenExpires),
		until:   earlier(r.Expires.Add(-u.options.Margin), r.TokenExpires),
	}
	s.credentials = aws.Credentials{
		AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey, SessionToken: r.SessionToken,
		Source: "identity", CanExpire: true, Expires: s.expires,
	}
	return s, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
