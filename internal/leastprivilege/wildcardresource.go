package leastprivilege

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// WildcardResource refuses resources that are not named where AWS can tell
// them apart.
var WildcardResource = Rule{
	ID:      "wildcard-resource",
	Refuses: "a resource `*`, or all of a kind such as `table/*`, for an action that AWS can confine to a resource",
	Why:     "it allows the action on everything in the account, today's and tomorrow's",
	Source:  "https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html",
	judge: func(s *subject) verdict {
		looked := false
		var found []problem
		s.allowing(func(d document, st statement) {
			// In a resource's own policy "*" is that resource; the policy of
			// CloudWatch Logs is the account's.
			if d.kind == trustPolicy || d.kind == resourcePolicy && !s.is("AWS::Logs::ResourcePolicy") {
				return
			}
			looked = true
			for _, r := range st.resources {
				if !all(r.text) {
					continue
				}
				for _, a := range st.actions {
					// A wildcard is another rule's to refuse.
					if !confinable(a.text) || a.text == "*" || strings.HasSuffix(a.text, ":*") {
						continue
					}
					found = append(found, problem{fmt.Sprintf("%s on %q", a.place, r.text), a.text, "an action that knows no resources",
						"name the resources that the code uses, in a statement of this action's own"})
				}
			}
		})
		return verdict{looked: looked, right: "every resource is named, but for actions that know none", problems: found}
	},
}

// unconfinable lists, a service a line, the actions that know no resources.
//
//go:embed unconfinable.txt
var unconfinable string

// withoutResource are more of them: the reference lists an optional resource
// that the usual call does not name.
var withoutResource = []string{
	"cloudwatch:PutMetricData", // a data set, which metrics by PutMetricData do not go to
}

var unconfinableActions = func() map[string]bool {
	known := map[string]bool{}
	for line := range strings.Lines(unconfinable) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		for _, name := range fields[1:] {
			known[strings.ToLower(fields[0]+":"+name)] = true
		}
	}
	return known
}()

// confinable reports whether the action can be confined to a resource. Actions
// of services that the table does not know are taken to be.
func confinable(action string) bool {
	return !unconfinableActions[strings.ToLower(action)] && !slices.Contains(withoutResource, action)
}

// more is an ARN with a wildcard put to its end, which names also what is
// called alike.
var more = regexp.MustCompile(`^\$\{[^{}]+\.Arn\}[*?]`)

// nameFirst are the services whose ARNs have no kind before the name.
var nameFirst = []string{"codecommit", "execute-api", "neptune-db", "s3", "sns", "sqs"}

// all reports whether a resource stands for all of its kind.
func all(resource string) bool {
	if anything(resource) || more.MatchString(resource) {
		return true
	}
	a, ok := parseARN(resource)
	if !ok {
		return false
	}
	parts := strings.FieldsFunc(a.resource, func(c rune) bool { return c == '/' || c == ':' })
	switch {
	case len(parts) == 0:
		return false
	case slices.Contains(nameFirst, a.service):
		return strings.ContainsAny(a.resource[:1], "*?")
	}
	// A wildcard in the kind covers the names, too.
	return strings.ContainsAny(parts[0], "*?") || len(parts) > 1 && anything(parts[1])
}

// anything reports whether a pattern fits whatever is there.
func anything(pattern string) bool { return pattern != "" && strings.Trim(pattern, "*?") == "" }
