package security

import (
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/internal/leastprivilege"
	"github.com/serverless-go/cdk/patterns/props"
)

// Rule is a rule of [LeastPrivilege]. docs/security-leastprivilege.md says of
// each what it refuses, and why.
type Rule string

const (
	// WildcardAction refuses actions with a wildcard.
	WildcardAction Rule = "wildcard-action"
	// WildcardResource refuses all resources for an action that AWS can confine.
	WildcardResource Rule = "wildcard-resource"
	// CrossAccount refuses ARNs whose wildcard covers the account.
	CrossAccount Rule = "cross-account"
	// InvertedStatement refuses to allow all but what is listed.
	InvertedStatement Rule = "inverted-statement"
	// PassRole refuses iam:PassRole to any service.
	PassRole Rule = "pass-role"
	// ManagedPolicy refuses policies that the template does not hold.
	ManagedPolicy Rule = "managed-policy"
	// PolicySize refuses inline policies that IAM does not take.
	PolicySize Rule = "policy-size"
	// ConfusedDeputy refuses trust in a service or account, whoever asks it.
	ConfusedDeputy Rule = "confused-deputy"
	// PublicAccess refuses what anybody can reach.
	PublicAccess Rule = "public-access"
	// Secret refuses secrets that the template shows.
	Secret Rule = "secret"
	// Encryption refuses data at rest in the clear.
	Encryption Rule = "encryption"
	// TLS refuses data in transit in the clear.
	TLS Rule = "tls"
)

// LeastPrivilegeProps says what becomes of findings.
type LeastPrivilegeProps struct {
	// ReportOnly lets the synth pass whatever is found, so that an app which
	// exists can be brought in order step by step.
	//
	// Default: what is found and not acknowledged fails the synth.
	ReportOnly bool
}

// LeastPrivilege checks all templates of an app, when it is synthesized, for
// permissions with slack, open doors, data in the clear and secrets in sight.
// It reads what is deployed, property overrides included. Its report,
// least-privilege-report.json and .txt beside the templates, has a line for
// each rule and resource, also for what is right and what was acknowledged.
type LeastPrivilege struct {
	constructs.Construct
	plugin *inspection.Plugin
}

// NewLeastPrivilege makes the check. The scope is the app or a stage. Nil props
// are right.
func NewLeastPrivilege(scope constructs.Construct, id string, p *LeastPrivilegeProps) *LeastPrivilege {
	if p == nil {
		p = &LeastPrivilegeProps{}
	}
	l := &LeastPrivilege{plugin: inspection.NewPlugin(leastprivilege.Plugin, leastprivilege.Inspection()...)}
	construct.Init(l, scope, id)
	if p.ReportOnly {
		l.plugin.ReportOnly()
	}
	l.plugin.Register(scope)
	return l
}

// Open returns how many findings of the last synth fail it, or would if the
// check did more than report.
func (l *LeastPrivilege) Open() int {
	open := 0
	for _, f := range l.plugin.Findings() {
		if f.Outcome == inspection.Violated || f.Outcome == inspection.NotJudged {
			open++
		}
	}
	return open
}

// Acknowledge accepts what the rule finds at the construct, which is in a
// stack, and at all below it; the reason goes into the report. With values it
// accepts only the findings of these, as the report shows them: an action, a
// service. What accepts nothing is a finding itself, so that no exception
// outlives its cause. Write it where the resource is made. It panics with a
// *[props.Error] when an argument is wrong.
//
//	security.Acknowledge(hook, security.PublicAccess, "a web hook, which verifies the sender's signature")
func Acknowledge(scope constructs.IConstruct, rule Rule, reason string, values ...string) {
	var c props.Check
	known := make([]string, 0, len(leastprivilege.Rules()))
	for _, r := range leastprivilege.Rules() {
		known = append(known, r.ID)
	}
	c.Require(slices.Contains(known, string(rule)), "rule", string(rule), strings.Join(known, ", "), "")
	c.Require(strings.TrimSpace(reason) != "", "reason", reason, "why it may stay", "")
	c.Require(!slices.Contains(values, ""), "values", "", "values as the report shows them, or none for all", "")
	switch scope.(type) {
	case awscdk.Stack, awscdk.Stage:
		c.Wrong("scope", *construct.Node(scope).Path(), "a construct in a stack", "name what may stay as it is, not everything")
	}
	if c.Err("") != nil {
		panic(c.Err(*construct.Node(scope).Path()))
	}
	inspection.Acknowledge(scope, inspection.Acknowledgement{
		Plugin: leastprivilege.Plugin, Rule: string(rule), Reason: reason, Values: values,
	})
}
