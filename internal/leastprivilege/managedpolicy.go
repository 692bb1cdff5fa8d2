package leastprivilege

import "strings"

// ManagedPolicy refuses policies that are not written in the template.
var ManagedPolicy = Rule{
	ID:      "managed-policy",
	Refuses: "a managed policy that the template does not hold",
	Why:     "AWS's are written for everybody, mostly for every resource, and change without a commit of yours",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html",
	judge: func(s *subject) verdict {
		if !s.is("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group", "AWS::SSO::PermissionSet") {
			return verdict{}
		}
		var found []problem
		for _, place := range []string{"ManagedPolicyArns", "ManagedPolicies"} {
			for _, list := range s.get(place) {
				for _, e := range elements(list) {
					if made := s.sibling(show(e)); made == nil || !made.is("AWS::IAM::ManagedPolicy") {
						found = append(found, problem{place, show(e), "a policy of this template",
							"write a statement for what the role calls"})
					}
				}
			}
		}
		return about("its policies stand in the template", found)
	},
}

// sibling returns the resource of the same template that the text refers to as
// a whole, nil if it is none.
func (s *subject) sibling(reference string) *subject {
	id, ok := strings.CutPrefix(reference, "${")
	if !ok || strings.IndexByte(id, '}') != len(id)-1 {
		return nil
	}
	id, _, _ = strings.Cut(id[:len(id)-1], ".")
	for _, other := range s.siblings {
		if other.ID == id {
			return other
		}
	}
	return nil
}
