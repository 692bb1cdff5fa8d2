package leastprivilege

import (
	"regexp"
	"slices"
	"strings"
)

// ConfusedDeputy refuses to trust a service or an account whoever asks it.
var ConfusedDeputy = Rule{
	ID:      "confused-deputy",
	Refuses: "trust in a service without `aws:SourceAccount` or `aws:SourceArn`, in another account without `sts:ExternalId`, in an identity provider without its `aud` or `sub`",
	Why:     "the deputy acts for others, too, and could be made to act on your resources for them",
	Source:  "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
	judge: func(s *subject) verdict {
		if s.is("AWS::Lambda::Permission") {
			return about("only the named source may invoke the function", permissionProblems(s))
		}
		looked := false
		var found []problem
		s.allowing(func(d document, st statement) {
			if d.kind != trustPolicy && d.kind != resourcePolicy {
				return
			}
			looked = true
			for _, p := range st.principals {
				switch p.kind {
				case "Service":
					found = append(found, serviceProblems(d, st, p)...)
				case "Federated":
					if !federationLimited(st, p.text) {
						found = append(found, problem{p.place, p.text, "with a condition on the provider's aud or sub",
							"add StringEquals on the audience and the subject"})
					}
				case "AWS":
					if d.kind == trustPolicy && foreign(s, p.text) && !st.limited(append([]string{"sts:externalid"}, organization...)...) {
						found = append(found, problem{p.place, p.text, "with the condition StringEquals sts:ExternalId",
							"add the condition, with an id of your own for each account"})
					}
				}
			}
		})
		return verdict{looked: looked, right: "who is trusted is trusted for named sources", problems: found}
	},
}

var (
	sources      = []string{"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths"}
	organization = []string{"aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths"}
	// KMS says for which account's resource a service asks.
	kmsSources = []string{"kms:encryptioncontext:", "kms:calleraccount", "kms:viaservice"}
)

// sourceless are services that assume a role only for resources to which it
// was passed, which is possible within its account alone, and whose documents
// name no source key for that:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
var sourceless = []string{"apigateway", "codedeploy", "ec2", "edgelambda", "lambda"}

func serviceProblems(d document, st statement, p value) []problem {
	name, _, _ := strings.Cut(p.text, ".")
	if d.kind == trustPolicy && slices.Contains(sourceless, name) {
		return nil
	}
	// It tells that a key is there, and EventBridge asks before it knows for
	// which resource:
	// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-archives-cmkey.html
	if len(st.actions) == 1 && st.actions[0].text == "kms:DescribeKey" {
		return nil
	}
	if !st.limited(append(sources, kmsSources...)...) {
		return []problem{{p.place, p.text, "with the condition aws:SourceAccount or aws:SourceArn",
			"add StringEquals aws:SourceAccount with ${AWS::AccountId}"}}
	}
	if strings.HasSuffix(name, "s3") && !st.limited("aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths") && !namesOwnBucket(st) {
		return []problem{{p.place, p.text, "with aws:SourceAccount beside aws:SourceArn, for a bucket's ARN has no account",
			"add StringEquals aws:SourceAccount with ${AWS::AccountId}"}}
	}
	return nil
}

// namesOwnBucket reports whether the source is a bucket of the template. Its
// name cannot become another account's while the stack stands.
func namesOwnBucket(st statement) bool {
	return slices.ContainsFunc(st.conditions, func(c condition) bool {
		return c.key == "aws:sourcearn" && !slices.ContainsFunc(c.values, func(v string) bool { return !strings.HasPrefix(v, "${") })
	})
}

// shared are identity providers that sign for everybody with one audience:
// only the subject tells whose token it is. See, for the first,
// https://docs.github.com/en/actions/concepts/security/openid-connect
var shared = []string{"token.actions.githubusercontent.com", "gitlab.com", "app.terraform.io", "agent.buildkite.com"}

// owned matches their subjects that name an owner, as in "repo:shop/cdk:*" and
// "organization:shop:*".
var owned = regexp.MustCompile(`^[^:*?]+:[^:/*?]+[:/]`)

func federationLimited(st statement, provider string) bool {
	everybodys := slices.ContainsFunc(shared, func(name string) bool { return strings.HasSuffix(provider, "/"+name) })
	return slices.ContainsFunc(st.conditions, func(c condition) bool {
		named := strings.HasSuffix(c.key, ":sub") || strings.HasSuffix(c.key, ":aud") && !everybodys
		return named && slices.Contains(required, c.operator) && len(c.values) > 0 && !slices.ContainsFunc(c.values, func(value string) bool {
			return anyAccount(value) || everybodys && !owned.MatchString(value)
		})
	})
}

// foreign reports whether the principal is another account or one of its
// roles. A principal that is known only at deployment is the template's own.
func foreign(s *subject, principal string) bool {
	account := principal
	if a, ok := parseARN(principal); ok {
		account = a.account
	}
	digits := len(account) == 12 && strings.Trim(account, "0123456789") == ""
	return digits && account != s.Stack.Account
}

func permissionProblems(s *subject) []problem {
	principal := s.text("Principal")
	service := strings.HasSuffix(principal, ".amazonaws.com") || strings.HasSuffix(principal, ".amazonaws.com.cn") || strings.HasSuffix(principal, ".${AWS::URLSuffix}")
	arn, account := s.has("SourceArn") && !anyAccount(s.text("SourceArn")), s.has("SourceAccount")
	switch {
	case !service || s.has("PrincipalOrgID"):
		return nil
	case !arn && !account:
		return []problem{{"Principal", principal, "with SourceArn or SourceAccount", "set SourceArn to what invokes the function"}}
	case strings.HasPrefix(principal, "s3.") && !account && s.sibling(s.text("SourceArn")) == nil:
		return []problem{{"Principal", principal, "with SourceAccount beside SourceArn, for a bucket's ARN has no account", "set SourceAccount"}}
	}
	return nil
}
