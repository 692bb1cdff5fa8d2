package engine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/test/iam"
)

// STS is a double of the AWS Security Token Service. It speaks the service's
// query protocol for AssumeRole and AssumeRoleWithWebIdentity, verifies
// signatures, holds requests against the limits of the API and decides with the
// roles' trust policies. The sessions that it begins have tags, which
// [STS.Decide] and [STS.Gate] evaluate the roles' policies with.
type STS struct {
	Endpoint
	// Now is the clock. Set it before the first call. Default: time.Now.
	Now func() time.Time

	script
	mu        sync.Mutex
	roles     map[string]*iam.TemplateRole
	roleTags  map[string]map[string]string
	providers map[string]*provider
	sessions  map[string]*Session // by access key
	assumed   []*Session
}

// Session is a session of a role.
type Session struct {
	Role                 string // ARN
	Name, SourceIdentity string
	Tags                 map[string]string
	Transitive           []string // keys of tags
	Policy               *iam.Policy
	PolicyText           string
	Credentials          aws.Credentials
	Duration             time.Duration
}

// provider is an OIDC provider of the account.
type provider struct {
	arn    string
	verify func(raw string) (map[string]any, error)
}

// NewSTS starts a double that ends with the test.
func NewSTS(t testing.TB) *STS {
	t.Helper()
	s := &STS{
		roles: map[string]*iam.TemplateRole{}, roleTags: map[string]map[string]string{}, providers: map[string]*provider{},
		sessions: map[string]*Session{},
	}
	s.Endpoint = listen(t, s)
	return s
}

// AddRole adds a role. Its tags count as those of its sessions, which may
// override them.
func (s *STS) AddRole(role *iam.TemplateRole, tags map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[role.ARN], s.roleTags[role.ARN] = role, tags
}

// AddProvider adds an OIDC provider whose issuer's tokens verify checks.
func (s *STS) AddProvider(arn, issuer string, verify func(raw string) (claims map[string]any, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers[issuer] = &provider{arn, verify}
}

// Start begins a session of a role as a service does for its own functions,
// and returns a configuration whose calls of STS reach the double.
func (s *STS) Start(role string) aws.Config {
	session := s.begin(&Session{Role: role, Name: "service", Duration: time.Hour})
	return s.Config(session.Credentials)
}

// Config returns a configuration with the credentials whose calls of STS reach
// the double.
func (s *STS) Config(c aws.Credentials) aws.Config {
	cfg := s.Endpoint.Config()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
	return cfg
}

// Fail makes the next calls of an operation fail with an error code, such as
// "Throttling".
func (s *STS) Fail(operation, code string, times int) {
	s.add(fault{operation: operation, code: code, left: times})
}

// Assumed returns the sessions that were begun by calls, in order.
func (s *STS) Assumed() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.assumed)
}

// Decide decides whether the session of an access key may perform an action.
func (s *STS) Decide(accessKeyID, action, resource string, context iam.Context) iam.Decision {
	s.mu.Lock()
	session := s.sessions[accessKeyID]
	s.mu.Unlock()
	if session == nil {
		return iam.Decision{Reason: "because the access key is unknown"}
	}
	return s.decide(session, action, resource, context, iam.Policies{})
}

func (s *STS) decide(session *Session, action, resource string, context iam.Context, p iam.Policies) iam.Decision {
	s.mu.Lock()
	role, tags := s.roles[session.Role], s.roleTags[session.Role]
	s.mu.Unlock()
	request := iam.Request{Principal: iam.Principal{ARN: session.Role}, Action: action, Resource: resource, Context: iam.Context{
		"aws:PrincipalArn": {session.Role}, "aws:PrincipalAccount": {Account},
	}}
	for key, value := range context {
		request.Context[key] = value
	}
	// Tags of the session win over those of the role.
	for _, all := range []map[string]string{tags, session.Tags} {
		for key, value := range all {
			request.Context["aws:PrincipalTag/"+strings.ToLower(key)] = []string{value}
		}
	}
	if session.SourceIdentity != "" {
		request.Context["aws:SourceIdentity"] = []string{session.SourceIdentity}
	}
	if role != nil {
		p.Identity = role.Policies
	}
	if session.Policy != nil {
		p.Session = []*iam.Policy{session.Policy}
	}
	return iam.Evaluate(request, p)
}

func (s *STS) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// credentials finds those of an access key, for SigV4.
func (s *STS) credentials(accessKeyID string) (aws.Credentials, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.sessions[accessKeyID]
	if !ok {
		return aws.Credentials{}, false
	}
	return session.Credentials, true
}

func (s *STS) begin(session *Session) *Session {
	session.Credentials = aws.Credentials{
		AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text(), SessionToken: "session/" + rand.Text(),
		CanExpire: true, Expires: s.now().Add(session.Duration).Truncate(time.Second),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[session.Credentials.AccessKeyID] = session
	return session
}

// stsError is an error as the query protocol answers it.
type stsError struct {
	status        int
	code, message string
}

func (e *stsError) Error() string { return e.code + ": " + e.message }

func invalidInput(format string, args ...any) error {
	return &stsError{http.StatusBadRequest, "ValidationError", fmt.Sprintf(format, args...)}
}

func accessDenied(format string, args ...any) error {
	return &stsError{http.StatusForbidden, "AccessDenied", fmt.Sprintf(format, args...)}
}

// ServeHTTP answers as STS does.
func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var form url.Values
	if err == nil {
		form, err = url.ParseQuery(string(body))
	}
	operation := form.Get("Action")
	var session *Session
	if err == nil {
		session, err = s.answer(r, body, operation, form)
	}
	w.Header().Set("Content-Type", "text/xml")
	if err != nil {
		refused := &stsError{http.StatusBadRequest, "MalformedQueryString", err.Error()}
		var signature *SignatureError
		if errors.As(err, &signature) {
			refused = &stsError{http.StatusForbidden, strings.TrimSuffix(signature.Code, "Exception"), signature.Message}
		}
		errors.As(err, &refused)
		w.WriteHeader(refused.status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`,
			escapeXML(refused.code), escapeXML(refused.message))
		return
	}
	c := session.Credentials
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials>`+
		`<AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>%[3]s</SecretAccessKey><SessionToken>%[4]s</SessionToken><Expiration>%[5]s</Expiration>`+
		`</Credentials><SourceIdentity>%[6]s</SourceIdentity></%[1]sResult></%[1]sResponse>`,
		operation, c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expires.UTC().Format(time.RFC3339), escapeXML(session.SourceIdentity))
}

func escapeXML(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (s *STS) answer(r *http.Request, body []byte, operation string, form url.Values) (*Session, error) {
	if f, fails := s.take(operation); fails {
		// Messages of STS quote the request.
		return nil, &stsError{http.StatusBadRequest, f.code, "injected by the test for " + form.Encode()}
	}
	var session *Session
	var err error
	switch operation {
	case "AssumeRole":
		var key string
		check := SigV4{Service: "sts", Region: Region, Credentials: s.credentials, Now: s.Now}
		if key, err = check.Verify(r, body); err == nil {
			session, err = s.assumeRole(key, form)
		}
	case "AssumeRoleWithWebIdentity":
		session, err = s.assumeWithToken(form)
	default:
		return nil, &stsError{http.StatusBadRequest, "InvalidAction", fmt.Sprintf("operation %q is not one of AssumeRole, AssumeRoleWithWebIdentity", operation)}
	}
	if err != nil {
		return nil, err
	}
	s.begin(session)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assumed = append(s.assumed, session)
	return session, nil
}

// The forms that the API's reference gives for AssumeRole
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
var (
	sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalID  = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
	tagText     = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	policyText  = regexp.MustCompile(`^[\x{9}\x{A}\x{D}\x{20}-\x{FF}]*$`)
)

// parseSession reads what both operations have.
func parseSession(form url.Values) (*Session, error) {
	session := &Session{Role: form.Get("RoleArn"), Name: form.Get("RoleSessionName"), Duration: time.Hour}
	if !sessionName.MatchString(session.Name) {
		return nil, invalidInput("RoleSessionName %q", session.Name)
	}
	if text := form.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 900 || seconds > 3600 {
			return nil, invalidInput("DurationSeconds %q is not from 900 to the role's maximum, 3600", text)
		}
		session.Duration = time.Duration(seconds) * time.Second
	}
	if session.PolicyText = form.Get("Policy"); form.Has("Policy") {
		if n := len([]rune(session.PolicyText)); n < 1 || n > 2048 || !policyText.MatchString(session.PolicyText) {
			return nil, invalidInput("Policy has %d characters, or forbidden ones", len(session.PolicyText))
		}
		var err error
		if session.Policy, err = iam.Parse([]byte(session.PolicyText)); err != nil {
			return nil, &stsError{http.StatusBadRequest, "MalformedPolicyDocument", err.Error()}
		}
	}
	return session, nil
}

// setTags checks and sets the tags that a request or token has.
func (session *Session) setTags(tags map[string]string, count int, transitive []string) error {
	if count > 50 || len(tags) != count {
		return invalidInput("%d tags, of which %d have different keys", count, len(tags))
	}
	folded := map[string]bool{}
	for key, value := range tags {
		if length := len([]rune(key)); length < 1 || length > 128 || !tagText.MatchString(key) || strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalidInput("tag key %q", key)
		}
		if len([]rune(value)) > 256 || !tagText.MatchString(value) {
			return invalidInput("value %q of the tag %s", value, key)
		}
		if folded[strings.ToLower(key)] {
			return invalidInput("the tag %s is there twice", key)
		}
		folded[strings.ToLower(key)] = true
	}
	for _, key := range transitive {
		if _, ok := tags[key]; !ok {
			return invalidInput("the transitive tag %q is not set", key)
		}
	}
	session.Tags, session.Transitive = tags, transitive
	return nil
}

func (s *STS) assumeRole(accessKeyID string, form url.Values) (*Session, error) {
	s.mu.Lock()
	caller := s.sessions[accessKeyID]
	s.mu.Unlock()
	session, err := parseSession(form)
	if err != nil {
		return nil, err
	}
	tags, count := map[string]string{}, 0
	for ; form.Has(fmt.Sprintf("Tags.member.%d.Key", count+1)); count++ {
		tags[form.Get(fmt.Sprintf("Tags.member.%d.Key", count+1))] = form.Get(fmt.Sprintf("Tags.member.%d.Value", count+1))
	}
	var transitive []string
	for form.Has(fmt.Sprintf("TransitiveTagKeys.member.%d", len(transitive)+1)) {
		transitive = append(transitive, form.Get(fmt.Sprintf("TransitiveTagKeys.member.%d", len(transitive)+1)))
	}
	if err := session.setTags(tags, count, transitive); err != nil {
		return nil, err
	}
	context := s.context(session)
	if id := form.Get("ExternalId"); form.Has("ExternalId") {
		if len(id) < 2 || len(id) > 1224 || !externalID.MatchString(id) {
			return nil, invalidInput("ExternalId %q", id)
		}
		context["sts:ExternalId"] = []string{id}
	}
	session.SourceIdentity = form.Get("SourceIdentity")
	if form.Has("SourceIdentity") && (!sessionName.MatchString(session.SourceIdentity) || strings.HasPrefix(session.SourceIdentity, "aws:")) {
		return nil, invalidInput("SourceIdentity %q", session.SourceIdentity)
	}
	// What a chain of roles began with goes on to its end.
	if caller.SourceIdentity != "" && session.SourceIdentity != "" && caller.SourceIdentity != session.SourceIdentity {
		return nil, accessDenied("the source identity cannot be changed in a chain of roles")
	}
	session.SourceIdentity = cmp.Or(session.SourceIdentity, caller.SourceIdentity)
	if session.SourceIdentity != "" {
		context["sts:SourceIdentity"] = []string{session.SourceIdentity}
	}
	for _, key := range caller.Transitive {
		for own := range tags {
			if strings.EqualFold(own, key) {
				return nil, invalidInput("the tag %s is inherited and cannot be set", key)
			}
		}
		session.Tags[key] = caller.Tags[key]
		session.Transitive = append(session.Transitive, key)
	}

	actions := []string{"sts:AssumeRole"}
	if len(session.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if session.SourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	trust, err := s.trust(session.Role)
	if err != nil {
		return nil, err
	}
	for _, action := range actions {
		if d := s.decide(caller, action, session.Role, context, iam.Policies{Resource: trust, ResourceRules: true}); !d.Allowed {
			return nil, accessDenied("User: %s is not authorized to perform: %s on resource: %s %s", caller.Role, action, session.Role, d.Reason)
		}
	}
	return session, nil
}

// context returns the condition keys that a request sets.
func (s *STS) context(session *Session) iam.Context {
	context := iam.Context{"sts:RoleSessionName": {session.Name}, "sts:TransitiveTagKeys": slices.Clone(session.Transitive)}
	for key, value := range session.Tags {
		context["aws:RequestTag/"+key] = []string{value}
		context["aws:TagKeys"] = append(context["aws:TagKeys"], key)
	}
	return context
}

func (s *STS) trust(role string) ([]*iam.Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.roles[role]; r != nil {
		return []*iam.Policy{r.Trust}, nil
	}
	return nil, accessDenied("there is no role %s", role)
}

// Claims by which a token sets tags and the source identity
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html).
const (
	tagsClaim   = "https://aws.amazon.com/tags"
	sourceClaim = "https://aws.amazon.com/source_identity"
)

func (s *STS) assumeWithToken(form url.Values) (*Session, error) {
	session, err := parseSession(form)
	if err != nil {
		return nil, err
	}
	raw := form.Get("WebIdentityToken")
	issuer, err := unverifiedIssuer(raw)
	if err != nil {
		return nil, &stsError{http.StatusBadRequest, "InvalidIdentityToken", err.Error()}
	}
	s.mu.Lock()
	p := s.providers[issuer]
	s.mu.Unlock()
	if p == nil {
		return nil, &stsError{http.StatusBadRequest, "InvalidIdentityToken", "no OpenIDConnect provider found in your account for " + issuer}
	}
	claims, err := p.verify(raw)
	if err != nil {
		return nil, &stsError{http.StatusBadRequest, "InvalidIdentityToken", err.Error()}
	}
	tags, transitive, err := tokenTags(claims)
	if err == nil {
		err = session.setTags(tags, len(tags), transitive)
	}
	if err != nil {
		return nil, err
	}
	context := s.context(session)
	host := strings.TrimPrefix(issuer, "https://")
	for _, name := range []string{"aud", "sub", "amr"} {
		switch v := claims[name].(type) {
		case string:
			context[host+":"+name] = []string{v}
		case []any:
			for _, e := range v {
				context[host+":"+name] = append(context[host+":"+name], fmt.Sprint(e))
			}
		}
	}
	actions := []string{"sts:AssumeRoleWithWebIdentity"}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if source, ok := claims[sourceClaim].(string); ok {
		session.SourceIdentity = source
		context["sts:SourceIdentity"] = []string{source}
		actions = append(actions, "sts:SetSourceIdentity")
	}
	trust, err := s.trust(session.Role)
	if err != nil {
		return nil, err
	}
	for _, action := range actions {
		d := iam.Evaluate(iam.Request{Principal: iam.Principal{Federated: p.arn}, Action: action, Resource: session.Role, Context: context},
			iam.Policies{Resource: trust, ResourceRules: true})
		if !d.Allowed {
			return nil, accessDenied("Not authorized to perform %s %s", action, d.Reason)
		}
	}
	return session, nil
}

func unverifiedIssuer(raw string) (string, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", errors.New("not a signed token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	return claims.Issuer, err
}

// tokenTags returns the tags of a token's claim, which has a list with one
// value for each key.
func tokenTags(claims map[string]any) (tags map[string]string, transitive []string, err error) {
	text, err := json.Marshal(claims[tagsClaim])
	var claim struct {
		PrincipalTags     map[string][]string `json:"principal_tags"`
		TransitiveTagKeys []string            `json:"transitive_tag_keys"`
	}
	if err == nil {
		err = json.Unmarshal(text, &claim)
	}
	if err != nil {
		return nil, nil, &stsError{http.StatusBadRequest, "InvalidIdentityToken", "the claim of the tags cannot be read"}
	}
	tags = map[string]string{}
	for key, values := range claim.PrincipalTags {
		if len(values) != 1 {
			return nil, nil, invalidInput("the tag %s has %d values", key, len(values))
		}
		tags[key] = values[0]
	}
	return tags, claim.TransitiveTagKeys, nil
}
