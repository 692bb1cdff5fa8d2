package engine

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// SigV4 checks that requests are signed, as AWS does: with Signature Version 4,
// by a known access key, for the service and region, now.
type SigV4 struct {
	// Service is what requests are signed for, such as "kms" or "sts".
	Service string
	// Region is where. Default: any.
	Region string
	// Credentials returns the credentials of an access key, and false for one that
	// there is not. Default: those of Endpoint.Config.
	Credentials func(accessKeyID string) (aws.Credentials, bool)
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// SignatureError is a request that SigV4 refuses. Code is the error code of
// services with a JSON protocol, such as "InvalidSignatureException"; those with
// XML leave "Exception" away.
type SignatureError struct{ Code, Message string }

func (e *SignatureError) Error() string { return e.Code + ": " + e.Message }

// authorization is the header as the SDKs write it.
var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// Verify returns the access key that signed the request, or a *SignatureError.
// The signature is computed from AWS's description, without the SDK
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
func (s *SigV4) Verify(r *http.Request, body []byte) (accessKeyID string, err error) {
	refuse := func(code, format string, args ...any) (string, error) {
		return "", &SignatureError{code, fmt.Sprintf(format, args...)}
	}
	parts := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if parts == nil {
		return refuse("MissingAuthenticationTokenException", "the request is not signed")
	}
	key, day, region, service, names, signature := parts[1], parts[2], parts[3], parts[4], strings.Split(parts[5], ";"), parts[6]
	find := s.Credentials
	if find == nil {
		find = func(id string) (aws.Credentials, bool) {
			c, err := Endpoint{}.Config().Credentials.Retrieve(context.Background())
			return c, err == nil && c.AccessKeyID == id
		}
	}
	credentials, ok := find(key)
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	stamp := r.Header.Get("X-Amz-Date")
	signed, err := time.Parse("20060102T150405Z", stamp)
	switch {
	case !ok:
		return refuse("UnrecognizedClientException", "access key %s is unknown", key)
	case r.Header.Get("X-Amz-Security-Token") != credentials.SessionToken:
		return refuse("UnrecognizedClientException", "not the session token of %s", key)
	case credentials.CanExpire && !now.Before(credentials.Expires):
		return refuse("ExpiredTokenException", "the session of %s has expired", key)
	case service != s.Service || s.Region != "" && region != s.Region:
		return refuse("InvalidSignatureException", "signed for %s in %s", service, region)
	case err != nil || !strings.HasPrefix(stamp, day) || now.Sub(signed).Abs() > 5*time.Minute:
		return refuse("InvalidSignatureException", "X-Amz-Date is %q", stamp)
	}
	required := []string{"host", "x-amz-date"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && name != "x-amz-date" {
			required = append(required, name)
		}
	}
	for _, name := range required {
		if !slices.Contains(names, name) {
			return refuse("InvalidSignatureException", "%s is not signed", name)
		}
	}

	var headers strings.Builder
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	canonical := strings.Join([]string{r.Method, escapePath(r.URL), sortQuery(r.URL.Query()), headers.String(),
		strings.Join(names, ";"), hash(body)}, "\n")
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hash([]byte(canonical))}, "\n")
	derived := []byte("AWS4" + credentials.SecretAccessKey)
	for _, part := range []string{day, region, service, "aws4_request", text} {
		mac := hmac.New(sha256.New, derived)
		mac.Write([]byte(part))
		derived = mac.Sum(nil)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(derived)), []byte(signature)) {
		return refuse("InvalidSignatureException", "the signature does not match %q", canonical)
	}
	return key, nil
}

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// escapePath returns the path escaped twice, as all services but S3 sign it.
func escapePath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	return strings.Join(segments, "/")
}

func sortQuery(values url.Values) string {
	var pairs []string
	for name, all := range values {
		for _, v := range all {
			pairs = append(pairs, escape(name)+"="+escape(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape leaves the characters that RFC 3986 calls unreserved.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
