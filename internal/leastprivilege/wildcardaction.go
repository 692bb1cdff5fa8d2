package leastprivilege

import (
	"slices"
	"strings"
)

// WildcardAction refuses actions that are not named in full.
var WildcardAction = Rule{
	ID:      "wildcard-action",
	Refuses: "an action with a wildcard, such as `*`, `s3:*` or `s3:Get*`",
	Why:     "it allows what nobody asked for, and what AWS adds to the service next year",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
	judge: func(s *subject) verdict {
		var found []problem
		s.allowing(func(d document, st statement) {
			for _, a := range st.actions {
				switch {
				case !strings.ContainsAny(a.text, "*?$"), slices.Contains(narrowFamilies, a.text):
				case a.text == "kms:*" && s.is("AWS::KMS::Key", "AWS::KMS::ReplicaKey") && ownOnly(s, st):
					// Who may use the key is then decided by IAM policies, which
					// this rule reads; without it a key can become unmanageable:
					// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
				default:
					found = append(found, problem{a.place, a.text, "an action's full name",
						"name the actions that the code calls"})
				}
			}
		})
		return verdict{looked: len(s.documents) > 0, right: "every action is named", problems: found}
	},
}

// narrowFamilies are wildcards over variants of one operation that AWS's key
// policies use themselves:
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
var narrowFamilies = []string{"kms:GenerateDataKey*", "kms:ReEncrypt*"}

func ownOnly(s *subject, st statement) bool {
	return len(st.principals) > 0 && !slices.ContainsFunc(st.principals, func(p value) bool {
		return p.kind != "AWS" || !own(s.Stack, p.text)
	})
}
