package leastprivilege

import "strings"

// PassRole refuses to hand roles to just any service.
var PassRole = Rule{
	ID:      "pass-role",
	Refuses: "`iam:PassRole` without `iam:PassedToService`",
	Why:     "who may pass a role to a service of their choice has the role's rights",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",
	judge: func(s *subject) verdict {
		looked := false
		var found []problem
		s.allowing(func(d document, st statement) {
			for _, a := range st.actions {
				if !strings.EqualFold(a.text, "iam:PassRole") {
					continue
				}
				looked = true
				if !st.limited("iam:passedtoservice") {
					found = append(found, problem{a.place, a.text, "with the condition StringEquals iam:PassedToService",
						"add the condition with the service that gets the role"})
				}
			}
		})
		return verdict{looked: looked, right: "roles are passed to named services", problems: found}
	},
}
