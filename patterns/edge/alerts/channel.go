package alerts

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
)

// Notice is what a channel is told about an alert.
type Notice struct {
	Alert        string        `json:"alert"` // its id
	Jurisdiction string        `json:"jurisdiction"`
	Locality     string        `json:"locality"`
	Kind         string        `json:"kind"`
	WindowStart  time.Time     `json:"windowStart"`
	Urgent       bool          `json:"urgent"`
	Level        int           `json:"level"` // 1 is the first
	Count        int           `json:"count"`
	Message      rules.Message `json:"message"`
}

// Channel is a way to tell somebody. Send may be called more than once with the
// same notice.
type Channel interface {
	// Name is unique within a level and does not change.
	Name() string
	Send(ctx context.Context, n *Notice) error
}

// Topic publishes on an SNS topic, whose subscribers read e-mail or SMS. They
// can choose by the attributes locality, kind, urgent and level.
type Topic struct {
	Client *sns.Client
	ARN    string
}

// Name returns the topic's ARN.
func (t *Topic) Name() string { return t.ARN }

// Send publishes the notice's message, its short form to telephones.
func (t *Topic) Send(ctx context.Context, n *Notice) error {
	body, err := json.Marshal(map[string]string{"default": n.Message.Text, "sms": n.Message.Short})
	if err != nil {
		return err
	}
	attribute := func(s string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &s}
	}
	_, err = t.Client.Publish(ctx, &sns.PublishInput{
		TopicArn: &t.ARN, Subject: &n.Message.Subject, Message: aws.String(string(body)), MessageStructure: aws.String("json"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"locality": attribute(n.Locality), "kind": attribute(n.Kind),
			"urgent": attribute(strconv.FormatBool(n.Urgent)), "level": attribute(strconv.Itoa(n.Level)),
		},
	})
	return err
}

// Headers of a webhook's request. The signature is "v1=" and the hexadecimal
// HMAC-SHA-256 (RFC 2104) of the timestamp, a dot and the body.
const (
	TimestampHeader   = "X-Alert-Timestamp"
	SignatureHeader   = "X-Alert-Signature"
	IdempotencyHeader = "Idempotency-Key"
)

// Webhook posts the notice as JSON to a URL of the app's own configuration.
// Nothing of a reading takes part in where it is sent.
type Webhook struct {
	ID     string
	URL    string
	Secret func(ctx context.Context) ([]byte, error) // signs
	Client *http.Client                              // from NewHTTPClient
	Now    func() time.Time                          // Default: time.Now
}

// Name returns the webhook's name.
func (w *Webhook) Name() string { return "webhook " + w.ID }

// Send posts the notice. Any answer but 2xx is an error.
func (w *Webhook) Send(ctx context.Context, n *Notice) error {
	if !strings.HasPrefix(w.URL, "https://") {
		return errors.New("alerts: the webhook's URL is not https")
	}
	secret, err := w.Secret(ctx)
	if err != nil {
		return fmt.Errorf("alerts: the webhook's secret: %w", err)
	}
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	now := time.Now
	if w.Now != nil {
		now = w.Now
	}
	timestamp := strconv.FormatInt(now().Unix(), 10)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(TimestampHeader, timestamp)
	r.Header.Set(SignatureHeader, Sign(secret, timestamp, body))
	r.Header.Set(IdempotencyHeader, fmt.Sprintf("%s/%d/%t", n.Alert, n.Level, n.Urgent))
	answer, err := w.Client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	// Read a little, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, answer.Body, 4096)
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("alerts: the webhook answered %d", answer.StatusCode)
	}
	return nil
}

// Sign returns the signature of a webhook's request. Receivers compute it anew,
// compare with hmac.Equal, and refuse old timestamps.
func Sign(secret []byte, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// NewHTTPClient returns a client for webhooks. It follows no redirect, uses no
// proxy, speaks TLS 1.2 or newer, and connects to public addresses only,
// whatever the name resolves to at that moment, so that a webhook cannot be
// turned against the network that the function is in
// (https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html).
func NewHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: 3 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !public(to.Addr()) {
			return fmt.Errorf("alerts: %s is not a public address", to.Addr())
		}
		return nil
	}}
	return &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 3 * time.Second,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        16,
			IdleConnTimeout:     time.Minute,
		},
	}
}

// reserved are networks that netip does not call private but that are not the
// public internet (https://www.iana.org/assignments/iana-ipv4-special-registry).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"),
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, network := range reserved {
		if network.Contains(a) {
			return false
		}
	}
	return true
}

// secrets reads and remembers secrets, for five minutes each, so that a rotated
// one is used soon.
type secrets struct {
	client *secretsmanager.Client
	mu     sync.Mutex
	known  map[string]secret
}

type secret struct {
	value []byte
	until time.Time
}

func newSecrets(cfg aws.Config) *secrets {
	return &secrets{client: secretsmanager.NewFromConfig(cfg), known: map[string]secret{}}
}

func (s *secrets) of(arn string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if k, ok := s.known[arn]; ok && time.Now().Before(k.until) {
			return k.value, nil
		}
		out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		if err != nil {
			return nil, err
		}
		value := []byte(aws.ToString(out.SecretString))
		if len(value) == 0 {
			value = out.SecretBinary
		}
		if len(value) < 16 {
			return nil, errors.New("the secret is shorter than 16 bytes")
		}
		s.known[arn] = secret{value, time.Now().Add(5 * time.Minute)}
		return value, nil
	}
}
