// Package routing holds what the edge decides by and the code that decides.
//
// A Table says where a request may go. Its Entries are kept in a CloudFront
// KeyValueStore or a Workers KV namespace, so that a change of the table takes
// no change of code. CloudFrontFunction and Worker return the code: one
// TypeScript source, compiled for two edges by esbuild when the app is
// synthesized, without Node.js.
package routing

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// Table is what the edge decides by.
type Table struct {
	// Jurisdictions are where data may stay, by lower-case name such as "eu".
	// At least one is needed.
	Jurisdictions map[string]Jurisdiction

	// Countries maps ISO 3166-1 alpha-2 codes in upper case to jurisdictions.
	// Default: none, every request goes to Default.
	Countries map[string]string

	// Default is the jurisdiction of requests from a country that is not in
	// Countries or not known.
	// Default: they are refused, with status 451 (RFC 7725) where the country
	// is known and 403 where it is not.
	Default string

	// Maintenance stops all jurisdictions.
	// Default: off.
	Maintenance Maintenance

	// Experiments are A/B tests by lower-case name.
	// Default: none.
	Experiments map[string]Experiment

	// Token is the shape that a token must have on protected paths.
	// Default: no token is looked for.
	Token Token

	// Paths maps path prefixes to who may pass. The longest prefix that ends
	// where a segment of the path ends decides: "/a" covers "/a" and "/a/b",
	// not "/ab". A path that no prefix covers is protected if Token is set.
	// Default: none.
	Paths map[string]Access
}

// Jurisdiction is where the requests of some countries go.
type Jurisdiction struct {
	// Origins are host names in order of preference. On CloudFront each is
	// also the id of an origin of the distribution. CloudFront tries the first
	// two, a Worker all, and both only for GET, HEAD and OPTIONS. At least one is needed.
	Origins []string

	// Maintenance stops this jurisdiction.
	// Default: off.
	Maintenance Maintenance
}

// Maintenance answers requests with status 503 instead of passing them on.
type Maintenance struct {
	// On turns maintenance on.
	// Default: off.
	On bool

	// RetryAfter is what clients are told to wait, in whole seconds of at most
	// one day.
	// Default: 5 minutes.
	RetryAfter time.Duration

	// Allow are client addresses and CIDR ranges that pass nevertheless.
	// Default: none.
	Allow []string
}

// Experiment divides clients among variants. A client keeps its variant as long
// as the experiment's name, variants and weights stay.
type Experiment struct {
	// Subject is the request header that tells clients apart, such as
	// "x-device-id". A client without it, or with one that is longer than 256
	// bytes or not of visible ASCII, gets the first variant.
	Subject string

	// Variants are two or more; the first one is the control.
	Variants []Variant
}

// Variant is one side of an experiment.
type Variant struct {
	// Name is in lower case and unique in its experiment.
	Name string

	// Weight is the variant's share of the sum of all weights, 0 to 10,000.
	Weight int
}

// Token is the shape of a token. The edge looks at the form only, to keep
// plainly worthless requests off the origins; a token that passes is not
// verified, and origins must verify it.
type Token struct {
	// Form is what the token looks like.
	// Default: FormNone.
	Form TokenForm

	// Header is the request header that carries the token.
	// Default: "authorization".
	Header string

	// Scheme stands before the token, compared without case.
	// Default: "Bearer" in the header "authorization", none in others.
	Scheme string

	// MaxBytes bounds the header's value, at most 8,192.
	// Default: 4,096.
	MaxBytes int
}

// TokenForm is what a token looks like.
type TokenForm string

const (
	// FormNone looks for no token.
	FormNone TokenForm = ""
	// FormOpaque is an opaque reference: 32 bytes in unpadded base64url, 43 characters.
	FormOpaque TokenForm = "opaque"
	// FormReference is a reference of a security.OpaqueInvocation: "sgref_" and
	// 48 characters of base64url. Header is then "x-access-reference".
	FormReference TokenForm = "reference"
	// FormJWT is a signed JSON Web Token in its compact form: three parts in
	// base64url, none of them empty (RFC 7515, section 7.1).
	FormJWT TokenForm = "jwt"
)

// Access is who may pass on a path.
type Access string

const (
	// Public lets everyone pass.
	Public Access = "public"
	// Protected lets those pass whose token has the table's shape. CORS
	// preflights, which cannot carry one, pass as well.
	Protected Access = "protected"
)

// Limits of a CloudFront KeyValueStore; those of Workers KV are not lower
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-keyvaluestores).
const (
	MaxKey   = 512
	MaxValue = 1 << 10
	MaxStore = 5 << 20
)

// Version is the layout of the entries. The edge code refuses another one.
const Version = 1

const (
	defaultRetryAfter = 5 * time.Minute
	maxRetryAfter     = 24 * time.Hour
	defaultTokenBytes = 4096
	maxTokenBytes     = 8192
	maxWeight         = 10000
)

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	countryForm = regexp.MustCompile(`^[A-Z]{2}$`)
	hostForm    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	headerForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	schemeForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,31}$`)
	prefixForm  = regexp.MustCompile(`^(/|(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)$`)
)

// maxHost is the limit of a CloudFront origin's id.
const maxHost = 128

const nameAllowed = "1 to 32 lower-case letters, digits and hyphens, the first a letter"

// Check records everything that is wrong with the table.
func (t Table) Check(c *props.Check) {
	var wrong props.Check
	t.check(&wrong)
	if wrong.Err("") == nil {
		// Only a table that makes sense has entries to measure.
		checkEntries(&wrong, t.entries())
	}
	c.Include(&wrong)
}

func (t Table) check(c *props.Check) {
	c.Require(len(t.Jurisdictions) > 0, "Jurisdictions", props.Empty, "at least one", "name where data may stay")
	for name, jurisdiction := range sorted(t.Jurisdictions) {
		field := fmt.Sprintf("Jurisdictions[%q]", name)
		c.Require(nameForm.MatchString(name), field, name, nameAllowed, "rename the jurisdiction")
		c.Nested(field, jurisdiction.check)
	}
	for country, jurisdiction := range sorted(t.Countries) {
		field := fmt.Sprintf("Countries[%q]", country)
		c.Require(countryForm.MatchString(country), field, country, "two upper-case letters (ISO 3166-1 alpha-2)", "")
		t.known(c, field, jurisdiction)
	}
	if t.Default != "" {
		t.known(c, "Default", t.Default)
	} else {
		c.Require(len(t.Countries) > 0, "Countries", props.Empty, "at least one country where Default is empty", "set Default, or every request is refused")
	}
	c.Nested("Maintenance", t.Maintenance.check)
	for name, experiment := range sorted(t.Experiments) {
		field := fmt.Sprintf("Experiments[%q]", name)
		c.Require(nameForm.MatchString(name), field, name, nameAllowed, "rename the experiment")
		c.Nested(field, experiment.check)
	}
	c.Nested("Token", t.Token.check)
	for prefix, access := range sorted(t.Paths) {
		field := fmt.Sprintf("Paths[%q]", prefix)
		c.Require(prefixForm.MatchString(prefix), field, prefix, `"/", or segments of letters, digits, ".", "_", "~" and "-" that do not begin with a dot, without a slash at the end`, "")
		c.Require(access == Public || access == Protected, field, string(access), "routing.Public or routing.Protected", "")
		c.Require(access != Protected || t.Token.Form != FormNone, field, string(access), "routing.Public where Token is not set", "set Token.Form")
	}
}

func (t Table) known(c *props.Check, field, jurisdiction string) {
	_, ok := t.Jurisdictions[jurisdiction]
	c.Require(ok, field, jurisdiction, "a name in Jurisdictions", "")
}

func (j Jurisdiction) check(c *props.Check) {
	c.Require(len(j.Origins) > 0, "Origins", props.Empty, "at least one host name", "")
	seen := make(map[string]bool)
	for i, origin := range j.Origins {
		field := fmt.Sprintf("Origins[%d]", i)
		c.Require(len(origin) <= maxHost && hostForm.MatchString(origin), field, origin,
			fmt.Sprintf("a lower-case host name of at most %d characters, known when the app is synthesized", maxHost), "give the API a domain name")
		c.Require(!seen[origin], field, origin, "each origin once", "leave one out")
		seen[origin] = true
	}
	c.Nested("Maintenance", j.Maintenance.check)
}

func (m Maintenance) check(c *props.Check) {
	c.Require(m.RetryAfter >= 0 && m.RetryAfter <= maxRetryAfter && m.RetryAfter%time.Second == 0,
		"RetryAfter", m.RetryAfter, "whole seconds from 1s to 24h, or 0 for the default", "")
	for i, allowed := range m.Allow {
		_, err := parsePrefix(allowed)
		c.Require(err == nil, fmt.Sprintf("Allow[%d]", i), allowed, "an IPv4 or IPv6 address, or a CIDR range without host bits", "")
	}
}

func (e Experiment) check(c *props.Check) {
	c.Require(headerForm.MatchString(e.Subject) && !strings.HasPrefix(e.Subject, schema.RoutingPrefix) && e.Subject != "cookie", "Subject", e.Subject,
		fmt.Sprintf("a lower-case header name other than cookie that does not begin with %q", schema.RoutingPrefix), "")
	c.Require(len(e.Variants) >= 2, "Variants", len(e.Variants), "two or more", "")
	total, seen := 0, make(map[string]bool)
	for i, v := range e.Variants {
		field := fmt.Sprintf("Variants[%d].", i)
		c.Require(nameForm.MatchString(v.Name), field+"Name", v.Name, nameAllowed, "")
		c.Require(!seen[v.Name], field+"Name", v.Name, "each name once", "")
		c.Require(v.Weight >= 0 && v.Weight <= maxWeight, field+"Weight", v.Weight, fmt.Sprintf("0 to %d", maxWeight), "")
		seen[v.Name] = true
		total += v.Weight
	}
	c.Require(len(e.Variants) < 2 || total > 0, "Variants", "no weight", "weights with a sum above 0", "")
}

func (t Token) check(c *props.Check) {
	c.Require(slices.Contains([]TokenForm{FormNone, FormOpaque, FormReference, FormJWT}, t.Form), "Form", string(t.Form),
		"routing.FormOpaque, routing.FormReference, routing.FormJWT or routing.FormNone", "")
	c.Require(t.Form != FormNone || t == Token{}, "Form", props.Empty, "a form where other fields of Token are set", "set Form")
	c.Require(t.Header == "" || headerForm.MatchString(t.Header) && !strings.HasPrefix(t.Header, schema.RoutingPrefix) && t.Header != "cookie", "Header", t.Header,
		fmt.Sprintf("a lower-case header name other than cookie that does not begin with %q, or empty for the default", schema.RoutingPrefix), "")
	c.Require(t.Scheme == "" || schemeForm.MatchString(t.Scheme), "Scheme", t.Scheme, "letters, digits and hyphens, or empty for the default", "")
	props.Between(c, "MaxBytes", t.MaxBytes, 1, maxTokenBytes)
}

func checkEntries(c *props.Check, entries map[string]string) {
	store := 0
	for key, value := range sorted(entries) {
		c.Require(len(value) <= MaxValue, fmt.Sprintf("Entries[%q]", key), fmt.Sprintf("%d bytes", len(value)),
			fmt.Sprintf("at most %d bytes, the limit of a value in a KeyValueStore", MaxValue), hints[kind(key)])
		c.Require(len(key) <= MaxKey, "Entries", key, fmt.Sprintf("keys of at most %d bytes", MaxKey), "")
		store += len(key) + len(value)
	}
	c.Require(store <= MaxStore, "Entries", fmt.Sprintf("%d bytes", store), fmt.Sprintf("at most %d bytes, the limit of a KeyValueStore", MaxStore), "name fewer jurisdictions")
}

// hints say what makes an entry smaller.
var hints = map[string]string{
	keySettings:     "allow fewer ranges in Maintenance, on bounds of four bits",
	keyCountries:    "give the jurisdictions shorter names, or use Default",
	keyPaths:        "use shorter or fewer prefixes",
	keyExperiments:  "end an experiment, or use shorter names",
	keyJurisdiction: "use fewer origins, or allow fewer ranges in Maintenance, on bounds of four bits",
}

// The keys of the entries; the edge code reads them by the same names.
const (
	keySettings     = "settings"
	keyCountries    = "countries"
	keyPaths        = "paths"
	keyExperiments  = "experiments"
	keyJurisdiction = "jurisdiction/"
)

func kind(key string) string {
	if strings.HasPrefix(key, keyJurisdiction) {
		return keyJurisdiction
	}
	return key
}

// The values of the entries, in JSON.
type (
	settings struct {
		Version     int          `json:"version"`
		Default     string       `json:"default,omitempty"`
		Maintenance *maintenance `json:"maintenance,omitempty"`
		Token       *token       `json:"token,omitempty"`
		Paths       bool         `json:"paths,omitempty"`
		Experiments bool         `json:"experiments,omitempty"`
	}
	maintenance struct {
		RetryAfter int      `json:"retryAfter"`
		Allow      []string `json:"allow,omitempty"` // as prefixes returns them
	}
	token struct {
		Form   TokenForm `json:"form"`
		Header string    `json:"header"`
		Scheme string    `json:"scheme,omitempty"`
		Max    int       `json:"max"`
	}
	jurisdiction struct {
		Origins     []string     `json:"origins"`
		Maintenance *maintenance `json:"maintenance,omitempty"`
	}
	experiment struct {
		Name     string   `json:"name"`
		Subject  string   `json:"subject"`
		Variants []string `json:"variants"`
		Weights  []int    `json:"weights"`
	}
)

// Entries returns the table as key-value pairs for a CloudFront KeyValueStore
// and for Workers KV alike. Equal tables have equal entries. The error is a
// *props.Error that lists everything that is wrong with the table.
//
// All of a table's countries share one entry, as do its paths and its
// experiments: what the edge reads is there or the table is broken, and a store
// that fails can never be taken for a country that is not listed.
func (t Table) Entries() (map[string]string, error) {
	var c props.Check
	t.Check(&c)
	if err := c.Err("routing.Table"); err != nil {
		return nil, err
	}
	return t.entries(), nil
}

func (t Table) entries() map[string]string {
	s := settings{Version: Version, Default: t.Default, Maintenance: t.Maintenance.entry(), Paths: len(t.Paths) > 0, Experiments: len(t.Experiments) > 0}
	if t.Token.Form != FormNone {
		full := t.Token.withDefaults()
		s.Token = &token{Form: full.Form, Header: full.Header, Scheme: strings.ToLower(full.Scheme), Max: full.MaxBytes}
	}
	// The codes of a jurisdiction's countries in one string: two letters each.
	countries := make(map[string]string)
	for country, name := range sorted(t.Countries) {
		countries[name] += country
	}
	entries := map[string]string{keySettings: text(s), keyCountries: text(countries)}
	if s.Paths {
		paths := make(map[Access][]string)
		for prefix, access := range sorted(t.Paths) {
			paths[access] = append(paths[access], prefix)
		}
		entries[keyPaths] = text(paths)
	}
	if s.Experiments {
		var all []experiment
		for name, e := range sorted(t.Experiments) {
			one := experiment{Name: name, Subject: e.Subject}
			for _, v := range e.Variants {
				one.Variants = append(one.Variants, v.Name)
				one.Weights = append(one.Weights, v.Weight)
			}
			all = append(all, one)
		}
		entries[keyExperiments] = text(all)
	}
	for name, j := range t.Jurisdictions {
		entries[keyJurisdiction+name] = text(jurisdiction{Origins: j.Origins, Maintenance: j.Maintenance.entry()})
	}
	return entries
}

func (t Token) withDefaults() Token {
	if t.Header == "" {
		t.Header = "authorization"
	}
	if t.Scheme == "" && t.Header == "authorization" {
		t.Scheme = "Bearer"
	}
	if t.MaxBytes == 0 {
		t.MaxBytes = defaultTokenBytes
	}
	return t
}

func (m Maintenance) entry() *maintenance {
	if !m.On {
		return nil
	}
	e := &maintenance{RetryAfter: int(m.RetryAfter.Seconds())}
	if m.RetryAfter == 0 {
		e.RetryAfter = int(defaultRetryAfter.Seconds())
	}
	for _, allowed := range m.Allow {
		if prefix, err := parsePrefix(allowed); err == nil {
			e.Allow = append(e.Allow, prefixes(prefix)...)
		}
	}
	return e
}

// parsePrefix reads an address or a CIDR range.
func parsePrefix(s string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(s); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err == nil && (prefix != prefix.Masked() || prefix.Addr().Is4In6()) {
		err = fmt.Errorf("%s has host bits", s)
	}
	return prefix, err
}

// prefixes returns what the hexadecimal forms of a range's addresses begin
// with, after "4." or "6.": the edge compares strings and does no arithmetic. A range that does not
// end on a bound of four bits has up to eight of them.
func prefixes(p netip.Prefix) []string {
	bytes := p.Addr().AsSlice()
	hex := fmt.Sprintf("%x", bytes)
	family := "6."
	if p.Addr().Is4() {
		family = "4."
	}
	whole, rest := p.Bits()/4, p.Bits()%4
	start := family + hex[:whole]
	if rest == 0 {
		return []string{start}
	}
	first := strings.IndexByte("0123456789abcdef", hex[whole])
	var all []string
	for i := range 1 << (4 - rest) {
		all = append(all, start+fmt.Sprintf("%x", first+i))
	}
	return all
}

// Assign returns the variant of a subject in the experiment of the given name,
// as the edge assigns it.
func (e Experiment) Assign(name, subject string) string {
	total := 0
	for _, v := range e.Variants {
		total += v.Weight
	}
	if len(e.Variants) == 0 {
		return ""
	}
	if total == 0 || !subjectForm.MatchString(subject) {
		return e.Variants[0].Name
	}
	at := int(hash(name+" "+subject) % uint32(total))
	for _, v := range e.Variants {
		if at -= v.Weight; at < 0 {
			return v.Name
		}
	}
	return e.Variants[0].Name
}

var subjectForm = regexp.MustCompile(`^[!-~]{1,256}$`)

// hash is FNV-1a of 32 bits, and the finalizer of MurmurHash3 that spreads the
// last characters over all bits.
func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// text returns JSON, in which maps are sorted by key.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types: strings, numbers and lists
	}
	return string(b)
}

// sorted iterates over a map in the order of its keys.
func sorted[V any](m map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
