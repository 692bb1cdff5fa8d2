package iam

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Principal is who makes a request.
type Principal struct {
	// ARN is the identity's: of a role, not of its session. Empty for a service.
	ARN string
	// Service is the service principal, such as "events.amazonaws.com", that
	// acts in its own name. Empty for a role.
	Service string
	// Federated is the identity provider that vouches for somebody who has no
	// identity in the account yet: the ARN of an OIDC provider, or
	// "cognito-identity.amazonaws.com". Empty for a role.
	Federated string
}

// String returns the principal's ARN or service name.
func (p Principal) String() string { return cmp.Or(p.Service, p.Federated, p.ARN) }

// Context holds the condition keys of a request. Names are compared without
// regard to case. A key with no values counts as absent.
type Context map[string][]string

func (c Context) get(key string) ([]string, bool) {
	if v, ok := c[key]; ok {
		return v, len(v) > 0
	}
	for k, v := range c {
		if strings.EqualFold(k, key) {
			return v, len(v) > 0
		}
	}
	return nil, false
}

// Request is one action on one resource.
type Request struct {
	Principal Principal
	Action    string // such as "dynamodb:PartiQLInsert"
	Resource  string // an ARN, or "*" for an action on no particular resource
	Context   Context
}

// Policies are all policies that bear on a request.
type Policies struct {
	// Identity are the principal's own policies.
	Identity []*Policy
	// Boundaries are permissions boundaries and service control policies: each
	// of them must allow, none of them grants.
	Boundaries []*Policy
	// Session are the session policies that a session was begun with, if any:
	// one of them must allow, none of them grants
	// (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session).
	Session []*Policy
	// Resource are the resource's policies. In one account an allow of theirs
	// for the principal itself suffices; one for its account only delegates to
	// the identity's policies.
	Resource []*Policy
	// ResourceRules is true for the resources that nobody reaches unless their
	// own policy says so: KMS keys, and roles being assumed.
	ResourceRules bool
}

// Decision is the outcome of an evaluation. Its zero value is an implicit deny.
type Decision struct {
	Allowed bool
	// Explicit is true when a Deny statement matched.
	Explicit bool
	// Statement is the statement that decided, nil for an implicit deny.
	Statement *Statement
	// Reason says in one sentence why, for messages.
	Reason string
}

// Evaluate decides a request.
func Evaluate(r Request, p Policies) Decision {
	all := [][]*Policy{p.Identity, p.Boundaries, p.Session, p.Resource}
	for i, list := range all {
		for _, policy := range list {
			if s := policy.find("Deny", r, i == 3); s != nil {
				return Decision{Explicit: true, Statement: s, Reason: fmt.Sprintf("with an explicit deny in %s", s.name())}
			}
		}
	}
	for _, b := range p.Boundaries {
		if b.find("Allow", r, false) == nil {
			return Decision{Reason: fmt.Sprintf("because no permissions boundary allows the %s action", r.Action)}
		}
	}
	if len(p.Session) > 0 && !slices.ContainsFunc(p.Session, func(s *Policy) bool { return s.find("Allow", r, false) != nil }) {
		return Decision{Reason: fmt.Sprintf("because no session policy allows the %s action", r.Action)}
	}
	delegated := false
	for _, policy := range p.Resource {
		for s := range policy.matching("Allow", r, true) {
			if !s.delegates(r.Principal) {
				return Decision{Allowed: true, Statement: s}
			}
			delegated = true
		}
	}
	if p.ResourceRules && !delegated {
		return Decision{Reason: fmt.Sprintf("because no resource-based policy allows the %s action", r.Action)}
	}
	for _, policy := range p.Identity {
		if s := policy.find("Allow", r, false); s != nil {
			return Decision{Allowed: true, Statement: s}
		}
	}
	if r.Principal.ARN == "" {
		return Decision{Reason: fmt.Sprintf("because no resource-based policy allows the %s action", r.Action)}
	}
	return Decision{Reason: fmt.Sprintf("because no identity-based policy allows the %s action", r.Action)}
}

// find returns the first statement of the effect that matches the request.
func (p *Policy) find(effect string, r Request, resourcePolicy bool) *Statement {
	for s := range p.matching(effect, r, resourcePolicy) {
		return s
	}
	return nil
}

// matching are the statements of the effect that match the request.
func (p *Policy) matching(effect string, r Request, resourcePolicy bool) iter.Seq[*Statement] {
	return func(yield func(*Statement) bool) {
		for i := range p.Statements {
			s := &p.Statements[i]
			if s.Effect == effect && s.Matches(r, resourcePolicy) && !yield(s) {
				return
			}
		}
	}
}

// Matches reports whether the statement is about the request. resourcePolicy
// tells that the statement stands in a resource's policy: its principal must
// match then, and a missing Resource means the resource itself.
func (s *Statement) Matches(r Request, resourcePolicy bool) bool {
	return (!resourcePolicy || s.matchesPrincipal(r.Principal)) &&
		s.matchesAction(r.Action) && s.matchesResource(r, resourcePolicy) && s.matchesConditions(r.Context)
}

func (s *Statement) matchesAction(action string) bool {
	match := func(pattern string) bool { return Match(strings.ToLower(pattern), strings.ToLower(action)) }
	if s.NotActions != nil {
		return !anyOf(s.NotActions, match)
	}
	return anyOf(s.Actions, match)
}

func (s *Statement) matchesResource(r Request, resourcePolicy bool) bool {
	match := func(resource string) bool {
		p, ok := expand(resource, r.Context)
		return ok && Match(p.String(), literal.Replace(r.Resource))
	}
	switch {
	case s.NotResources != nil:
		return !anyOf(s.NotResources, match)
	case s.Resources == nil:
		return resourcePolicy
	default:
		return anyOf(s.Resources, match)
	}
}

func (s *Statement) matchesConditions(context Context) bool {
	for name, keys := range s.Conditions {
		op, err := parseOperator(name)
		if err != nil {
			return s.Effect == "Deny"
		}
		for key, want := range keys {
			have, present := context.get(key)
			have = each(have, literal.Replace)
			expanded := make([]string, 0, len(want))
			for _, w := range want {
				if p, ok := expand(w, context); ok {
					expanded = append(expanded, p.String())
				}
			}
			if !op.holds(expanded, have, present) {
				return false
			}
		}
	}
	return true
}

func each(list []string, f func(string) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func (s *Statement) matchesPrincipal(p Principal) bool {
	if s.NotPrincipals != nil {
		return !names(s.NotPrincipals, p)
	}
	return names(s.Principals, p)
}

// names reports whether the principal element names p, itself or its account.
func names(element map[string][]string, p Principal) bool {
	if element["*"] != nil {
		return true
	}
	if p.Service != "" {
		return anyOf(element["Service"], func(s string) bool { return s == p.Service || s == "*" })
	}
	if p.Federated != "" {
		return slices.Contains(element["Federated"], p.Federated)
	}
	return anyOf(element["AWS"], func(s string) bool {
		return s == "*" || s == p.ARN || isAccountOf(s, p.ARN)
	})
}

// delegates reports whether the statement names the principal's account but not
// the principal itself.
func (s *Statement) delegates(p Principal) bool {
	if p.ARN == "" || s.NotPrincipals != nil || s.Principals["*"] != nil {
		return false
	}
	return !anyOf(s.Principals["AWS"], func(name string) bool { return name == "*" || name == p.ARN })
}

func isAccountOf(name, arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return false
	}
	return name == parts[4] || strings.HasPrefix(name, "arn:") && strings.HasSuffix(name, "::"+parts[4]+":root")
}

func (s *Statement) name() string {
	if s.Sid != "" {
		return fmt.Sprintf("the statement %q", s.Sid)
	}
	return "a statement without Sid"
}
