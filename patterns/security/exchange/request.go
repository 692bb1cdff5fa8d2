package exchange

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/serverless-go/cdk/patterns/security/token"
)

// GrantType is the one grant type of this endpoint (RFC 8693, section 2.1).
const GrantType = "urn:ietf:params:oauth:grant-type:token-exchange"

// Token types (RFC 8693, section 3).
const (
	AccessToken = "urn:ietf:params:oauth:token-type:access_token"
	JWT         = "urn:ietf:params:oauth:token-type:jwt"
	IDToken     = "urn:ietf:params:oauth:token-type:id_token"
)

// Error codes (RFC 6749, section 5.2; RFC 8693, section 2.2.2).
const (
	InvalidRequest       = "invalid_request" // also of every token that is not acceptable
	InvalidClient        = "invalid_client"
	UnsupportedGrantType = "unsupported_grant_type"
	InvalidScope         = "invalid_scope"
	InvalidTarget        = "invalid_target"
	// TemporarilyUnavailable goes with status 503. The RFCs leave that case to
	// HTTP.
	TemporarilyUnavailable = "temporarily_unavailable"
)

// Error is a request that is refused. Code and Description are for who sent it;
// the error that Unwrap returns is for logs only. None holds a token.
type Error struct {
	Code, Description string
	cause             error
}

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	s := "exchange a token: " + e.Code + ": " + e.Description
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.cause }

// Status returns the HTTP status of the answer.
func (e *Error) Status() int {
	if e.Code == TemporarilyUnavailable {
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// Request is what is asked for.
type Request struct {
	SubjectToken, SubjectTokenType string
	ActorToken, ActorTokenType     string
	// Audience is the one service that the token is for.
	Audience string
	// Scope is nil for all that is allowed.
	Scope []string
	// RequestedTokenType is AccessToken or JWT.
	RequestedTokenType string
}

// MaxForm is the size of the largest request that is taken, in bytes: two
// tokens and their company.
const MaxForm = 3 * token.MaxSize

// parameters of a request (RFC 8693, section 2.1). Others are ignored, as RFC
// 6749, section 3.2, says.
var parameters = []string{"grant_type", "resource", "audience", "scope", "requested_token_type",
	"subject_token", "subject_token_type", "actor_token", "actor_token_type"}

// ParseForm reads the form of a request (RFC 8693, section 2.1). Its error is an
// *Error.
//
// One audience or resource must be named, as a token for several could be
// passed on from one to the other; a resource is an audience that is a URI.
func ParseForm(contentType string, body []byte) (*Request, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse(InvalidRequest, "the body must be application/x-www-form-urlencoded")
	}
	if len(body) > MaxForm {
		return nil, refuse(InvalidRequest, "the body has more than %d bytes", MaxForm)
	}
	form, err := url.ParseQuery(string(body)) // its error quotes the body
	if err != nil {
		return nil, refuse(InvalidRequest, "the body is not a well-formed form")
	}
	values := make(map[string]string)
	for _, name := range parameters {
		switch given := form[name]; {
		case len(given) > 1 && (name == "audience" || name == "resource"):
			return nil, refuse(InvalidTarget, "more than one %s is named", name)
		case len(given) > 1:
			return nil, refuse(InvalidRequest, "%s is given more than once", name)
		case len(given) == 1:
			if !utf8.ValidString(given[0]) {
				return nil, refuse(InvalidRequest, "%s is not UTF-8", name)
			}
			values[name] = given[0]
		}
	}
	r := &Request{
		SubjectToken: values["subject_token"], SubjectTokenType: values["subject_token_type"],
		ActorToken: values["actor_token"], ActorTokenType: values["actor_token_type"],
		Audience: values["audience"], RequestedTokenType: values["requested_token_type"],
	}
	// A parameter without a value counts as absent (RFC 6749, section 3.2).
	switch grant := values["grant_type"]; grant {
	case GrantType:
	case "":
		return nil, refuse(InvalidRequest, "grant_type is missing")
	default:
		return nil, refuse(UnsupportedGrantType, "grant_type must be %s", GrantType)
	}
	switch resource := values["resource"]; {
	case resource == "":
	case r.Audience != "":
		return nil, refuse(InvalidTarget, "audience and resource name two targets")
	case !isResource(resource):
		return nil, refuse(InvalidTarget, "resource must be an absolute URI without a fragment")
	default:
		r.Audience = resource
	}
	if s := values["scope"]; s != "" {
		if r.Scope, err = token.ParseScope(s); err != nil {
			return nil, refuse(InvalidScope, "scope %s", err)
		}
	}
	if r.RequestedTokenType == "" {
		r.RequestedTokenType = AccessToken
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// isResource reports whether s is an absolute URI without a fragment (RFC 8707,
// section 2).
func isResource(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && !strings.Contains(s, "#")
}

// check returns an *Error unless the request is complete.
func (r *Request) check() error {
	switch {
	case r.SubjectToken == "":
		return refuse(InvalidRequest, "subject_token is missing")
	case r.SubjectTokenType == "":
		return refuse(InvalidRequest, "subject_token_type is missing")
	case r.ActorToken != "" && r.ActorTokenType == "":
		return refuse(InvalidRequest, "actor_token_type is missing")
	case r.ActorToken == "" && r.ActorTokenType != "":
		return refuse(InvalidRequest, "actor_token_type is given without actor_token")
	case r.Audience == "":
		return refuse(InvalidRequest, "audience or resource is missing")
	case r.RequestedTokenType != AccessToken && r.RequestedTokenType != JWT:
		return refuse(InvalidRequest, "requested_token_type must be that of an access token or a JWT")
	}
	return nil
}

// asError returns the *Error in an error's chain, or one that tells the client
// that nobody can say now.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: TemporarilyUnavailable, Description: "try again later", cause: err}
}
