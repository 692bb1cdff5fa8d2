package leastprivilege

import "strings"

// CrossAccount refuses ARNs whose wildcard covers the account.
var CrossAccount = Rule{
	ID:      "cross-account",
	Refuses: "an ARN with a wildcard in its partition, service or account",
	Why:     "it names resources of other accounts, or of services that nobody thought of",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html",
	judge: func(s *subject) verdict {
		var found []problem
		s.allowing(func(d document, st statement) {
			for _, v := range append(append([]value(nil), st.resources...), st.principals...) {
				a, ok := parseARN(v.text)
				if ok && strings.ContainsAny(a.partition+a.service+a.account, "*?") {
					found = append(found, problem{v.place, v.text, "an ARN with its partition, service and account",
						"write ${AWS::Partition} and ${AWS::AccountId}, or the account that you mean"})
				}
			}
		})
		return verdict{looked: len(s.documents) > 0, right: "no ARN covers other accounts", problems: found}
	},
}
