// Package iam decides what AWS's Identity and Access Management would: whether
// a principal's policies allow an action on a resource.
//
// Tests use it to ask questions of synthesized templates ("may any role delete
// an event?") and, in test/e2e, to refuse the calls that a template does not
// allow. It follows the evaluation logic of the IAM User Guide for requests
// within one account: an explicit deny wins, then boundaries must allow, then
// either the identity's or the resource's policies must.
package iam

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Policy is a policy document.
type Policy struct {
	Version    string
	ID         string
	Statements []Statement
}

// Statement is one statement of a policy.
type Statement struct {
	Sid    string
	Effect string // "Allow" or "Deny"

	// Principals and NotPrincipals map a kind of principal ("AWS", "Service",
	// "Federated", "CanonicalUser", "*") to its names. Both are nil in identity
	// policies.
	Principals, NotPrincipals map[string][]string

	Actions, NotActions     []string
	Resources, NotResources []string

	// Conditions maps an operator, such as "StringEquals", to context keys and
	// the values each is compared with.
	Conditions map[string]map[string][]string
}

// Parse reads a policy document. It refuses elements that it does not know, for
// a misspelt "Conditions" would silently widen what is allowed.
func Parse(document []byte) (*Policy, error) {
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := strict(document, &raw); err != nil {
		return nil, fmt.Errorf("policy document: %w", err)
	}
	var list []json.RawMessage
	if one := bytes.TrimSpace(raw.Statement); len(one) > 0 && one[0] == '{' {
		list = append(list, one)
	} else if err := json.Unmarshal(raw.Statement, &list); err != nil {
		return nil, fmt.Errorf("policy document: Statement: %w", err)
	}
	p := &Policy{Version: raw.Version, ID: raw.ID}
	for i, r := range list {
		s, err := parseStatement(r)
		if err != nil {
			return nil, fmt.Errorf("policy document: statement %d: %w", i, err)
		}
		p.Statements = append(p.Statements, *s)
	}
	return p, nil
}

func parseStatement(document []byte) (*Statement, error) {
	var raw struct {
		Sid, Effect             string
		Principal, NotPrincipal principals
		Action, NotAction       values
		Resource, NotResource   values
		Condition               map[string]map[string]values
	}
	if err := strict(document, &raw); err != nil {
		return nil, err
	}
	if raw.Effect != "Allow" && raw.Effect != "Deny" {
		return nil, fmt.Errorf("Effect is %q; it must be Allow or Deny", raw.Effect)
	}
	if (raw.Action == nil) == (raw.NotAction == nil) {
		return nil, fmt.Errorf("exactly one of Action and NotAction must be given")
	}
	if raw.Resource != nil && raw.NotResource != nil {
		return nil, fmt.Errorf("Resource and NotResource exclude each other")
	}
	s := &Statement{
		Sid: raw.Sid, Effect: raw.Effect,
		Principals: raw.Principal, NotPrincipals: raw.NotPrincipal,
		Actions: raw.Action, NotActions: raw.NotAction,
		Resources: raw.Resource, NotResources: raw.NotResource,
	}
	for operator, keys := range raw.Condition {
		if _, err := parseOperator(operator); err != nil {
			return nil, err
		}
		if s.Conditions == nil {
			s.Conditions = map[string]map[string][]string{}
		}
		s.Conditions[operator] = map[string][]string{}
		for key, want := range keys {
			s.Conditions[operator][key] = want
		}
	}
	return s, nil
}

func strict(document []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// values is one value or a list of them; numbers and booleans are taken as
// their text, as IAM does.
type values []string

func (v *values) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return err
	}
	list, ok := x.([]any)
	if !ok {
		list = []any{x}
	}
	*v = make(values, 0, len(list))
	for _, e := range list {
		switch e := e.(type) {
		case string:
			*v = append(*v, e)
		case json.Number:
			*v = append(*v, e.String())
		case bool:
			*v = append(*v, fmt.Sprint(e))
		default:
			return fmt.Errorf("%s is neither a string, a number nor a boolean; resolve intrinsic functions before parsing", b)
		}
	}
	return nil
}

type principals map[string][]string

func (p *principals) UnmarshalJSON(b []byte) error {
	if string(b) == `"*"` {
		*p = principals{"*": {"*"}}
		return nil
	}
	var raw map[string]values
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("principal: %w", err)
	}
	*p = principals{}
	for kind, names := range raw {
		if !slices.Contains([]string{"AWS", "Service", "Federated", "CanonicalUser"}, kind) {
			return fmt.Errorf("principal of unknown kind %q", kind)
		}
		(*p)[kind] = names
	}
	return nil
}

// Match reports whether name matches the pattern, in which * stands for any
// characters and ? for exactly one.
func Match(pattern, name string) bool {
	// The usual two-pointer walk: linear for all patterns that occur here and
	// never exponential.
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
