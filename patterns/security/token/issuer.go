package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serverless-go/cdk/patterns/security/internal/memo"
)

// IssuerOptions are the options of an Issuer. Zero means default.
type IssuerOptions struct {
	// Lifetime is how long a new token is valid. Default: 5 min.
	Lifetime time.Duration
	// MinLife is the least time that a token is still valid when it is handed
	// out, unless its request wants less. Default: half of Lifetime.
	MinLife time.Duration
	// MaxTokens is the number of tokens that are remembered; the one unused for
	// longest goes first. Default: 10,000.
	MaxTokens int
	// MaxRate is the number of signatures a second that are asked of KMS, on
	// average; as many may be asked at once. Default: 50.
	MaxRate int
	// Timeout is the time for a signature. Default: 3 seconds.
	Timeout time.Duration
	// Type is the tokens' "typ". Default: TypeAccessToken.
	Type string
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// Issuer issues tokens. Those who want the same token get the same one, while
// it has MinLife left, and wait for the same signature.
//
// So the signatures asked of KMS are bounded: for one request at most one in
// any span of Lifetime - MinLife (less the second that dates are cut to) while
// no more than MaxTokens are in use, and for all together MaxRate a second and a
// burst of as many. Beyond that rate Token returns an error that Is
// ErrUnavailable. Failures count, too, and are not remembered; the retries of
// the KMS client come on top: with NewKMSClient one for each that failed. Each
// process counts for itself, and may ask for its burst when it starts.
type Issuer struct {
	issuer string
	signer *Signer
	o      IssuerOptions
	tokens *memo.Cache[[sha256.Size]byte, *Issued]

	mu     sync.Mutex
	left   float64 // signatures that may be asked now
	filled time.Time
}

// Request is the token that is wanted. All of it decides whether two requests
// are for the same.
type Request struct {
	Subject, Tenant, ClientID string
	// Audience is who the token is for: one, so that nobody can pass it on.
	Audience string
	// Scope is a set: order and duplicates do not matter.
	Scope []string
	Actor *Actor
	// Reference keeps tokens apart that are alike but for where they come from,
	// such as the hash of the session that can be revoked. It is not in the token.
	Reference string
	// NotAfter is the latest expiry, such as that of the session. Default: no
	// limit but Lifetime.
	NotAfter time.Time
	// Private holds further claims.
	Private map[string]json.RawMessage
}

// Issued is a token. It must not be changed, since others get it too.
type Issued struct {
	Token  string
	Expiry time.Time
	Scope  []string
}

// NewIssuer returns an issuer of tokens whose "iss" is the issuer's name, an
// https URL by custom.
func NewIssuer(issuer string, signer *Signer, o *IssuerOptions) *Issuer {
	i := &Issuer{issuer: issuer, signer: signer}
	if o != nil {
		i.o = *o
	}
	fill(&i.o.Lifetime, 5*time.Minute)
	if i.o.MinLife <= 0 || i.o.MinLife >= i.o.Lifetime {
		i.o.MinLife = i.o.Lifetime / 2
	}
	fill(&i.o.MaxTokens, 10_000)
	fill(&i.o.MaxRate, 50)
	fill(&i.o.Timeout, 3*time.Second)
	if i.o.Type == "" {
		i.o.Type = TypeAccessToken
	}
	if i.o.Now == nil {
		i.o.Now = time.Now
	}
	i.tokens = memo.New[[sha256.Size]byte, *Issued](i.o.MaxTokens, i.o.Timeout)
	i.left, i.filled = float64(i.o.MaxRate), i.o.Now()
	return i
}

// Name returns the issuer's name ("iss").
func (i *Issuer) Name() string { return i.issuer }

// Signer returns the signer of the tokens.
func (i *Issuer) Signer() *Signer { return i.signer }

// Token returns a token as requested, new or of before. Its error Is
// ErrUnavailable when KMS does not sign now; any other is a mistake in the
// request.
func (i *Issuer) Token(ctx context.Context, r Request) (*Issued, error) {
	now := i.o.Now()
	if r.Subject == "" || r.Audience == "" {
		return nil, errors.New("issue a token: it needs a subject and an audience")
	}
	limit := r.NotAfter.Truncate(time.Second) // as tokens write dates
	if !limit.IsZero() && !limit.After(now) {
		return nil, errors.New("issue a token: its time is over")
	}
	scope := slices.Clone(r.Scope)
	slices.Sort(scope)
	scope = slices.Compact(scope)
	claims := &Claims{
		Issuer: i.issuer, Subject: r.Subject, Audience: []string{r.Audience}, ClientID: r.ClientID,
		Scope: scope, Tenant: r.Tenant, Actor: r.Actor, Private: r.Private,
	}
	same, err := claims.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("issue a token: %w", err)
	}
	// Of the claims as they are written, nothing can be left out by mistake. JSON
	// ends with its brace and a date in decimals has no NUL, which keeps the three
	// parts apart.
	key := sha256.Sum256(fmt.Appendf(same, "\x00%d\x00%s", limit.Unix(), r.Reference))

	good := func(t *Issued) bool {
		// One with the latest expiry cannot be bettered.
		return now.Add(i.o.MinLife).Before(t.Expiry) || t.Expiry.Equal(limit) && now.Before(limit)
	}
	issued, err := i.tokens.Get(ctx, key, good, func(ctx context.Context) (*Issued, error) {
		now := i.o.Now()
		if !i.allowed(now) {
			return nil, fmt.Errorf("%w: more than %d signatures a second are wanted", ErrUnavailable, i.o.MaxRate)
		}
		claims.IssuedAt, claims.ID = now, rand.Text()
		claims.Expiry = now.Add(i.o.Lifetime).Truncate(time.Second)
		if !limit.IsZero() && limit.Before(claims.Expiry) {
			claims.Expiry = limit
		}
		raw, err := i.signer.Sign(ctx, i.o.Type, claims)
		if err != nil {
			return nil, err
		}
		return &Issued{Token: raw, Expiry: claims.Expiry, Scope: scope}, nil
	})
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrUnavailable) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return issued, err
}

// allowed takes one signature from those that may be asked now.
func (i *Issuer) allowed(now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if passed := now.Sub(i.filled); passed > 0 {
		i.left = min(float64(i.o.MaxRate), i.left+passed.Seconds()*float64(i.o.MaxRate))
		i.filled = now
	}
	if i.left < 1 {
		return false
	}
	i.left--
	return true
}
