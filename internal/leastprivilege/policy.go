package leastprivilege

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/internal/inspection"
)

// kind says what a policy document is attached to.
type kind int

const (
	identityPolicy kind = iota // a role, user or group
	trustPolicy                // a role: who may assume it
	resourcePolicy             // what others may do with a resource
	endpointPolicy             // a filter on a VPC endpoint; it grants nothing
)

// document is a policy somewhere in a resource's properties.
type document struct {
	kind       kind
	statements []statement
}

// statement is one statement, with everything in it as texts with places.
type statement struct {
	place                                       string
	allow                                       bool
	actions, notActions, resources, notResource []value
	principals, notPrincipals                   []value
	conditions                                  []condition
}

// value is a text and its place; of a principal also its kind, such as
// "Service".
type value struct{ place, text, kind string }

type condition struct {
	operator, key string
	values        []string
}

// documents returns the policies of a resource, wherever they stand in its
// properties, also as JSON in a text.
func documents(kindOf string, properties map[string]any) []document {
	var out []document
	var find func(place string, v any)
	find = func(place string, v any) {
		switch v := v.(type) {
		case string:
			if strings.Contains(v, `"Statement"`) {
				var parsed map[string]any
				if json.Unmarshal([]byte(v), &parsed) == nil {
					find(place, parsed)
				}
			}
		case []any:
			for i, e := range v {
				find(fmt.Sprintf("%s[%d]", place, i), e)
			}
		case map[string]any:
			if d, ok := parse(kindOf, place, v); ok {
				out = append(out, d)
				return
			}
			for _, k := range slices.Sorted(maps.Keys(v)) {
				find(join(place, k), v[k])
			}
		}
	}
	find("", properties)
	return out
}

func parse(kindOf, place string, m map[string]any) (document, bool) {
	var d document
	list, ok := m["Statement"]
	if !ok {
		return d, false
	}
	principal := false
	for i, e := range elements(list) {
		s, ok := e.(map[string]any)
		if !ok || s["Effect"] == nil {
			continue
		}
		at := fmt.Sprintf("%s[%d]", join(place, "Statement"), i)
		// Where CloudFormation decides on the condition, either must do.
		for _, c := range alternatives(s["Condition"]) {
			d.statements = append(d.statements, statement{
				place: at,
				allow: show(s["Effect"]) != "Deny",

				actions: values(at, s, "Action"), notActions: values(at, s, "NotAction"),
				resources: values(at, s, "Resource"), notResource: values(at, s, "NotResource"),
				principals: principals(at, s, "Principal"), notPrincipals: principals(at, s, "NotPrincipal"),
				conditions: conditions(c),
			})
		}
		principal = principal || s["Principal"] != nil || s["NotPrincipal"] != nil
	}
	switch {
	case strings.HasSuffix(place, "AssumeRolePolicyDocument"):
		d.kind = trustPolicy
	case kindOf == "AWS::EC2::VPCEndpoint":
		d.kind = endpointPolicy
	case principal:
		d.kind = resourcePolicy
	}
	return d, len(d.statements) > 0
}

func values(place string, s map[string]any, key string) []value {
	if _, ok := s[key]; !ok {
		return nil
	}
	var out []value
	_, list := s[key].([]any)
	for i, e := range elements(s[key]) {
		at := join(place, key)
		if list {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		out = append(out, value{place: at, text: show(e)})
	}
	return out
}

func principals(place string, s map[string]any, key string) []value {
	var out []value
	for _, p := range elements(s[key]) {
		m, ok := p.(map[string]any)
		if !ok {
			out = append(out, value{place: join(place, key), text: show(p), kind: "AWS"})
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			for _, v := range values(join(place, key), m, k) {
				v.kind = k
				out = append(out, v)
			}
		}
	}
	return out
}

func conditions(value any) []condition {
	var out []condition
	operators, _ := value.(map[string]any)
	for _, operator := range slices.Sorted(maps.Keys(operators)) {
		keys, _ := operators[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			c := condition{operator: operator, key: strings.ToLower(key)}
			for _, e := range elements(keys[key]) {
				c.values = append(c.values, show(e))
			}
			out = append(out, c)
		}
	}
	return out
}

// allowing calls f with each statement that allows something.
func (s *subject) allowing(f func(document, statement)) {
	for _, d := range s.documents {
		for _, st := range d.statements {
			if st.allow {
				f(d, st)
			}
		}
	}
}

// required are the operators that a request without the key does not meet.
// ForAllValues and the IfExists forms are true when the key is absent.
var required = []string{
	"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress",
	"ForAnyValue:StringEquals", "ForAnyValue:StringEqualsIgnoreCase", "ForAnyValue:StringLike",
	"ForAnyValue:ArnEquals", "ForAnyValue:ArnLike",
}

// limited reports whether a condition confines the statement to values of one
// of the keys.
func (s statement) limited(keys ...string) bool {
	return slices.ContainsFunc(s.conditions, func(c condition) bool { return c.confines(keys...) })
}

// confines reports whether the condition asks for values of one of the keys, of
// which those that end in ":" are prefixes. A value that every account can bring
// confines nothing.
func (c condition) confines(keys ...string) bool {
	known := slices.ContainsFunc(keys, func(key string) bool {
		return c.key == key || strings.HasSuffix(key, ":") && strings.HasPrefix(c.key, key)
	})
	return known && slices.Contains(required, c.operator) && len(c.values) > 0 && !slices.ContainsFunc(c.values, func(value string) bool {
		// An organization's path goes on after its id.
		id, _, _ := strings.Cut(value, "/")
		return anyAccount(value) || slices.Contains(ids, c.key) && strings.ContainsAny(id, "*?")
	})
}

// ids are the keys whose values AWS hands out at random, so that what begins
// alike belongs to anybody.
var ids = []string{
	"aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner",
	"aws:sourcevpc", "aws:sourcevpce", "aws:vpceaccount", "aws:vpceorgid", "kms:calleraccount", "s3:dataaccesspointaccount",
}

// anyAccount reports whether a condition's value fits what every account has.
func anyAccount(value string) bool {
	if strings.Trim(value, "*?:/") == "" {
		return true
	}
	if network, err := netip.ParsePrefix(value); err == nil {
		return network.Bits() < 8 // two halves are the whole, too
	}
	a, ok := parseARN(value)
	if !ok {
		return false
	}
	// Where the account is left out, everybody can have what is called so.
	name, _, _ := strings.Cut(a.resource, "/")
	return strings.ContainsAny(a.account, "*?") ||
		a.account == "" && (all(value) || slices.Contains(nameFirst, a.service) && strings.ContainsAny(name, "*?"))
}

var placeholder = regexp.MustCompile(`\$\{[^{}]*\}`)

// arn is an ARN's fields, in which "$" stands for what is known only when the
// stack is deployed.
type arn struct{ partition, service, region, account, resource string }

// parseARN reads an ARN. A wildcard covers colons, too, and so fills the
// fields that are missing after it.
func parseARN(text string) (arn, bool) {
	fields := strings.SplitN(placeholder.ReplaceAllString(text, "$"), ":", 6)
	if fields[0] != "arn" {
		return arn{}, false
	}
	for last := fields[len(fields)-1]; len(fields) < 6; {
		if !strings.Contains(last, "*") {
			return arn{}, false
		}
		fields = append(fields, "*")
	}
	return arn{fields[1], fields[2], fields[3], fields[4], fields[5]}, true
}

// own reports whether the principal is the account that the stack is in, as a
// whole.
func own(stack *inspection.Stack, principal string) bool {
	account := stack.Account
	if account == "" {
		account = "${AWS::AccountId}"
	}
	return principal == account ||
		strings.HasPrefix(principal, "arn:") && strings.HasSuffix(principal, ":iam::"+account+":root")
}
