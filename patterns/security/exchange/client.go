package exchange

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/serverless-go/cdk/patterns/security/internal/memo"
	"github.com/serverless-go/cdk/patterns/security/internal/web"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// ClientOptions are the options of a Client. Zero means default.
type ClientOptions struct {
	// HTTP calls the endpoint. Default: a client that follows no redirects.
	HTTP *http.Client
	// Sign signs the requests, see SignIAM. Default: they are not signed.
	Sign func(r *http.Request, body []byte) error
	// ActorToken returns this actor's own token. Default: none is sent.
	ActorToken func(context.Context) (string, error)
	// Scopes are asked for by audience. Default: all that is allowed.
	Scopes map[string][]string
	// SubjectTokenType names the subjects' tokens. Default: AccessToken.
	SubjectTokenType string
	// MinLife is the least time that a token is still valid when it is handed
	// out, at most half of its lifetime. Default: 30 seconds.
	MinLife time.Duration
	// MaxTokens is the number of tokens that are remembered; the one unused for
	// longest goes first. Default: 1,000.
	MaxTokens int
	// Timeout is the time for an exchange. Default: 3 seconds.
	Timeout time.Duration
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// Client gets tokens for the next hop: for each subject's token and audience one
// that is used until shortly before it expires, and one exchange for all who
// want it meanwhile. It can be used by several goroutines; one subject never
// gets another's.
type Client struct {
	endpoint string
	o        ClientOptions
	tokens   *memo.Cache[[sha256.Size]byte, received]
}

type received struct {
	token  string
	expiry time.Time
	margin time.Duration
}

// NewClient returns a client of an endpoint, whose URL must be https, or http at
// a loopback address.
func NewClient(endpoint string, o *ClientOptions) *Client {
	c := &Client{endpoint: endpoint}
	if o != nil {
		c.o = *o
	}
	if c.o.HTTP == nil {
		c.o.HTTP = web.Client()
	}
	if c.o.SubjectTokenType == "" {
		c.o.SubjectTokenType = AccessToken
	}
	if c.o.MinLife <= 0 {
		c.o.MinLife = 30 * time.Second
	}
	if c.o.MaxTokens <= 0 {
		c.o.MaxTokens = 1000
	}
	if c.o.Timeout <= 0 {
		c.o.Timeout = 3 * time.Second
	}
	if c.o.Now == nil {
		c.o.Now = time.Now
	}
	c.tokens = memo.New[[sha256.Size]byte, received](c.o.MaxTokens, c.o.Timeout)
	return c
}

type subjectKey struct{}

// WithSubject returns a context of work for the subject whose token was sent to
// this function, and verified.
func WithSubject(ctx context.Context, raw string) context.Context {
	return context.WithValue(ctx, subjectKey{}, raw)
}

// Token returns a token with which to call the audience for the context's
// subject. A refusal is an *Error; when nobody could tell, the error Is
// token.ErrUnavailable.
func (c *Client) Token(ctx context.Context, audience string) (string, error) {
	subject, _ := ctx.Value(subjectKey{}).(string)
	if subject == "" || audience == "" {
		return "", errors.New("exchange a token: the context has no subject, or there is no audience")
	}
	if !web.IsSecure(c.endpoint) {
		return "", errors.New("exchange a token: the endpoint's URL must be https")
	}
	// The hash of the token has a fixed size: it keeps the two apart.
	of := sha256.Sum256([]byte(subject))
	key := sha256.Sum256(append(of[:], audience...))
	good := func(r received) bool { return c.o.Now().Add(r.margin).Before(r.expiry) }
	got, err := c.tokens.Get(ctx, key, good, func(ctx context.Context) (received, error) { return c.exchange(ctx, subject, audience) })
	if refused := (*Error)(nil); err != nil && !errors.As(err, &refused) && !errors.Is(err, token.ErrUnavailable) {
		err = fmt.Errorf("%w: exchange a token: %w", token.ErrUnavailable, err)
	}
	return got.token, err
}

func (c *Client) exchange(ctx context.Context, subject, audience string) (received, error) {
	form := url.Values{
		"grant_type": {GrantType}, "subject_token": {subject}, "subject_token_type": {c.o.SubjectTokenType},
		"audience": {audience}, "requested_token_type": {AccessToken},
	}
	if scopes := c.o.Scopes[audience]; len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	if c.o.ActorToken != nil {
		own, err := c.o.ActorToken(ctx)
		if err != nil {
			return received{}, err
		}
		form.Set("actor_token", own)
		form.Set("actor_token_type", AccessToken)
	}
	body := []byte(form.Encode())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return received{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if c.o.Sign != nil {
		if err := c.o.Sign(r, body); err != nil {
			return received{}, err
		}
	}
	began := c.o.Now()
	res, err := c.o.HTTP.Do(r)
	if err != nil {
		return received{}, err
	}
	defer res.Body.Close()
	const maxAnswer = token.MaxSize + 4<<10
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil || len(answer) > maxAnswer {
		return received{}, errors.Join(errors.New("the answer cannot be read or is too large"), err)
	}
	if res.StatusCode != http.StatusOK {
		var e refusal
		if res.StatusCode < 500 && json.Unmarshal(answer, &e) == nil && isCode(e.Error) {
			return received{}, &Error{Code: e.Error, Description: "refused by the endpoint"}
		}
		return received{}, fmt.Errorf("answered with status %d", res.StatusCode)
	}
	var out Response
	if json.Unmarshal(answer, &out) != nil || !strings.EqualFold(out.TokenType, "Bearer") || out.IssuedTokenType != AccessToken ||
		!isToken(out.AccessToken) || out.ExpiresIn <= 0 || out.ExpiresIn > 24*60*60 {
		return received{}, errors.New("the answer is no bearer token with an expiry")
	}
	lifetime := time.Duration(out.ExpiresIn) * time.Second
	return received{out.AccessToken, began.Add(lifetime), min(c.o.MinLife, lifetime/2)}, nil
}

// isCode reports whether s is an error code, which is shown in logs.
func isCode(s string) bool {
	return s != "" && len(s) < 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// isToken reports whether s can be sent in a header (RFC 6750, section 2.1).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/=", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= token.MaxSize
}

// Transport returns a transport for calls of the audience: each carries a token
// for it and the subject of its context, whatever Authorization it had.
func (c *Client) Transport(audience string, base http.RoundTripper) http.RoundTripper {
	return transport(func(r *http.Request) (*http.Response, error) {
		raw, err := c.Token(r.Context(), audience)
		if err != nil {
			if r.Body != nil {
				r.Body.Close()
			}
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+raw)
		return base.RoundTrip(r)
	})
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// SignIAM signs requests to an API of API Gateway whose routes IAM authorizes.
func SignIAM(cfg aws.Config) func(*http.Request, []byte) error {
	signer := v4.NewSigner()
	return func(r *http.Request, body []byte) error {
		credentials, err := cfg.Credentials.Retrieve(r.Context())
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		return signer.SignHTTP(r.Context(), credentials, r, hex.EncodeToString(sum[:]), "execute-api", cfg.Region, time.Now())
	}
}
