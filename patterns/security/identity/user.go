package identity

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

// ErrExpired is returned by the calls of a user whose session is over.
var ErrExpired = errors.New("identity: the user's session is over")

// ErrNobody is the error of [Config] outside a handler that acts as a user.
var ErrNobody = errors.New("identity: no user in the context")

// User is who a call acts for. Printing or logging one shows neither
// credentials nor the subject.
type User struct {
	tenant, subject string
	config          aws.Config
	expires         time.Time
}

// Tenant returns the user's tenant, as it stands in keys and prefixes.
func (u *User) Tenant() string { return u.tenant }

// Subject returns the user's subject, as it stands in keys and prefixes: a
// hash if the broker hashes it.
func (u *User) Subject() string { return u.subject }

// Key returns the partition key of the user's items, behind the prefix that
// they were granted with, mostly "".
func (u *User) Key(prefix string) string { return schema.UserKey(prefix, u.tenant, u.subject) }

// ObjectPrefix returns what the keys of the user's objects begin with.
func (u *User) ObjectPrefix() string { return schema.ObjectPrefix(u.tenant, u.subject) }

// Expires returns when the user's configuration stops working.
func (u *User) Expires() time.Time { return u.expires }

// Config returns the AWS configuration with the user's rights. Clients that
// are made from it must not outlive the invocation.
func (u *User) Config() aws.Config { return u.config.Copy() }

// String returns the user's tenant.
func (u *User) String() string { return "a user of " + u.tenant }

// GoString returns what String does.
func (u *User) GoString() string { return u.String() }

// LogValue returns what String does.
func (u *User) LogValue() slog.Value { return slog.StringValue(u.String()) }

// session is one of the broker's, and provides its credentials while it lasts.
// It is used through a pointer, of which fmt prints the address.
type session struct {
	tenant, subject string
	credentials     aws.Credentials
	expires         time.Time // when nothing works any more
	until           time.Time // when it is no longer handed out
	now             func() time.Time
}

// Retrieve returns the credentials, or ErrExpired.
func (s *session) Retrieve(context.Context) (aws.Credentials, error) {
	if !s.now().Before(s.expires) {
		return aws.Credentials{}, ErrExpired
	}
	return s.credentials, nil
}

// String keeps the credentials out of messages.
func (s *session) String() string { return "credentials of a user" }

// GoString returns what String does.
func (s *session) GoString() string { return s.String() }

type contextKey struct{}

// WithUser returns a context that carries the user, for tests of handlers and
// for middleware of one's own.
func WithUser(ctx context.Context, u *User) context.Context {
	return context.WithValue(ctx, contextKey{}, u)
}

// FromContext returns the user that a call acts for, or nil.
func FromContext(ctx context.Context) *User {
	u, _ := ctx.Value(contextKey{}).(*User)
	return u
}

// Config returns the AWS configuration of the context's user. Outside a
// handler that acts as a user it returns ErrNobody and a configuration without
// credentials.
func Config(ctx context.Context) (aws.Config, error) {
	u := FromContext(ctx)
	if u == nil {
		return aws.Config{}, ErrNobody
	}
	return u.Config(), nil
}
