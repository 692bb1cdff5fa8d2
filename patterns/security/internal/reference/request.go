package reference

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

// credentialHeaders carry other credentials than a reference. A request that
// brings one has two identities, and what is behind the door may believe the
// wrong one; an HTTP API cannot remove Authorization.
var credentialHeaders = []string{
	"authorization", "proxy-authorization", "x-forwarded-authorization", "x-original-authorization", "x-amz-security-token",
}

// internalPrefixes begin the names of headers that only load balancers and our
// own functions set.
var internalPrefixes = []string{schema.InternalHeaderPrefix, "x-amzn-oidc-"}

// Carrier is what a request brings: the parts in which a credential can be.
type Carrier struct {
	Headers map[string]string
	Cookies []string
	Path    string // as it came
	Query   string // as it came
	// Decoded are names and values in the query and the path, as API Gateway
	// decoded them; see Decode.
	Decoded []string
}

// Decode lists what API Gateway decoded.
func Decode(query, path map[string]string) []string {
	var all []string
	for name, value := range query {
		all = append(all, name, value)
	}
	for _, value := range path { // the names are the route's
		all = append(all, value)
	}
	return all
}

// Foreign returns what a request brings that must not pass a door, or "". It is
// said without the value. internal are further names of headers that no client
// may send. The reference's own header is not looked at.
func (c *Carrier) Foreign(internal []string) string {
	for name, value := range c.Headers {
		plain := plainName(name)
		switch {
		case lower(name) == schema.ReferenceHeader:
			continue
		case plain == schema.ReferenceHeader:
			return "a header whose name looks like the reference's"
		case slices.Contains(credentialHeaders, plain):
			return "a header with other credentials"
		case slices.ContainsFunc(internalPrefixes, func(p string) bool { return strings.HasPrefix(plain, p) }),
			slices.ContainsFunc(internal, func(i string) bool { return plain == plainName(i) }):
			return "an internal header"
		case Contains(value):
			return "a reference in another header"
		}
	}
	for _, cookie := range c.Cookies {
		name, value, _ := strings.Cut(cookie, "=")
		if plainName(name) == schema.ReferenceHeader || Contains(decoded(value)) {
			return "a reference in a cookie"
		}
	}
	for _, pair := range strings.FieldsFunc(c.Query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if n := plainName(decoded(name)); n == schema.ReferenceHeader || n == "access-token" || Contains(decoded(name)) || Contains(decoded(value)) {
			return "a reference or a token in the query"
		}
	}
	if Contains(decoded(c.Path)) {
		return "a reference in the path"
	}
	if slices.ContainsFunc(c.Decoded, func(s string) bool { return plainName(s) == schema.ReferenceHeader || Contains(s) }) {
		return "a reference in the query or the path"
	}
	return ""
}

// Mentions reports whether a part other than the reference's own header has the
// reference in it, which a source may spell in any way.
func (c *Carrier) Mentions(reference string) bool {
	for name, value := range c.Headers {
		if lower(name) != schema.ReferenceHeader && strings.Contains(value, reference) {
			return true
		}
	}
	in := func(s string) bool { return strings.Contains(decoded(s), reference) || strings.Contains(s, reference) }
	return slices.ContainsFunc(c.Cookies, in) || in(c.Path) || in(c.Query) || slices.ContainsFunc(c.Decoded, in)
}

// None is why there is no reference when its header is missing.
const None = "no reference"

// Reference returns the text in the reference's own header, or why there is
// none.
func (c *Carrier) Reference() (reference, why string) {
	n := 0
	for name, value := range c.Headers {
		if lower(name) == schema.ReferenceHeader {
			reference = value
			n++
		}
	}
	switch {
	case n == 0:
		return "", None
	case n > 1 || strings.ContainsAny(reference, ", \t\r\n"):
		// API Gateway joins headers of one name with commas.
		return "", "more than one reference, or one with spaces"
	}
	return reference, ""
}

// lower returns the name with ASCII's letters in lower case, and nothing else
// changed: other scripts have letters whose lower case is ASCII.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// plainName returns the name that software behind the door may read a header's
// or parameter's name as: without regard to case, with underscores for hyphens
// (CGI), without what is around it, and with look-alikes of other scripts and
// invisible characters as the letters they look like.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '\uff01' && r <= '\uff5e' { // full-width forms of ASCII
			r -= 0xfee0
		}
		switch {
		case r == '_', r >= '\u2010' && r <= '\u2015', r == '\u2212', r == '\ufe58', r == '\ufe63':
			return '-'
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		if ascii, ok := lookAlikes[unicode.ToLower(r)]; ok {
			return ascii
		}
		return unicode.ToLower(r)
	}, name)
}

// lookAlikes are letters of other scripts that are drawn as ASCII's, for the
// letters in the names here (Unicode Technical Standard 39).
var lookAlikes = map[rune]rune{
	'а': 'a', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'һ': 'h', 'і': 'i', 'ј': 'j', 'о': 'o', 'р': 'p', 'ѕ': 's', 'у': 'y', 'х': 'x', 'ԛ': 'q', 'ԝ': 'w',
	'α': 'a', 'ε': 'e', 'ι': 'i', 'ν': 'v', 'ο': 'o', 'ρ': 'p', 'τ': 't', 'υ': 'u', 'χ': 'x', 'ı': 'i', 'ſ': 's', 'ⅰ': 'i', 'ⅹ': 'x',
}

// decoded undoes percent-encoding, as often as it was done, within reason. What
// cannot be decoded stays.
func decoded(s string) string {
	for range 4 {
		d, err := url.QueryUnescape(s)
		if err != nil || d == s {
			break
		}
		s = d
	}
	return s
}
