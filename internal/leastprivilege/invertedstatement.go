package leastprivilege

// InvertedStatement refuses to allow everything but something.
var InvertedStatement = Rule{
	ID:      "inverted-statement",
	Refuses: "`NotAction`, `NotResource` or `NotPrincipal` in a statement that allows",
	Why:     "it allows everything but what is listed, and so what AWS or you add later",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html",
	judge: func(s *subject) verdict {
		var found []problem
		s.allowing(func(d document, st statement) {
			for name, list := range map[string][]value{"Action": st.notActions, "Resource": st.notResource, "Principal": st.notPrincipals} {
				for _, v := range list {
					found = append(found, problem{v.place, v.text, name, "list in " + name + " what is allowed"})
				}
			}
		})
		return verdict{looked: len(s.documents) > 0, right: "what is allowed is listed", problems: found}
	},
}
