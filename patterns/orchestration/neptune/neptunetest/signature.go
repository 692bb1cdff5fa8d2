package neptunetest

import (
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
)

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// verify computes the signature that the request must have, from the
// specification and without the SDK that signed it
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
func (s *Server) verify(r *http.Request, body []byte) error {
	refuse := func(code, format string, args ...any) error {
		return &answerError{http.StatusForbidden, code, fmt.Sprintf(format, args...)}
	}
	parts := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if parts == nil {
		return refuse("MissingAuthenticationTokenException", "Authorization is %q", r.Header.Get("Authorization"))
	}
	key, day, region, service, names, signature := parts[1], parts[2], parts[3], parts[4], strings.Split(parts[5], ";"), parts[6]
	if key != s.Credentials.AccessKeyID || region != s.Region || service != s.Service {
		return refuse("InvalidSignatureException", "signed by %s for %s in %s", key, service, region)
	}
	stamp := r.Header.Get("X-Amz-Date")
	signed, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || !strings.HasPrefix(stamp, day) || time.Since(signed).Abs() > 5*time.Minute {
		return refuse("InvalidSignatureException", "X-Amz-Date is %q", stamp)
	}
	if r.Header.Get("X-Amz-Security-Token") != s.Credentials.SessionToken {
		return refuse("UnrecognizedClientException", "not the session's token")
	}
	for _, name := range []string{"host", "x-amz-date", "x-amz-security-token"} {
		if !slices.Contains(names, name) {
			return refuse("InvalidSignatureException", "%s is not signed", name)
		}
	}

	var headers strings.Builder
	for _, name := range names {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	canonical := strings.Join([]string{r.Method, escapeTwice(r.URL), canonicalQuery(r.URL.Query()), headers.String(),
		strings.Join(names, ";"), sum(body)}, "\n")
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, sum([]byte(canonical))}, "\n")
	derived := []byte("AWS4" + s.Credentials.SecretAccessKey)
	for _, part := range []string{day, region, service, "aws4_request", text} {
		mac := hmac.New(sha256.New, derived)
		mac.Write([]byte(part))
		derived = mac.Sum(nil)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(derived)), []byte(signature)) {
		return refuse("InvalidSignatureException", "the signature does not match %q", canonical)
	}
	return nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// escapeTwice returns the path as all services but S3 want it signed.
func escapeTwice(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	return strings.Join(segments, "/")
}

func canonicalQuery(values url.Values) string {
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
