// Package leastprivilege judges templates: permissions with slack, doors
// without a lock, secrets in the open. One rule a file; they read what was
// synthesized, and so see what a property override changed.
//
// Nothing here calls the CDK but Acknowledge.
package leastprivilege

import (
	"fmt"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/inspection"
)

// Plugin is the name of the check, and of its report.
const Plugin = "least-privilege"

// Rule is one thing that the check refuses.
type Rule struct {
	ID      string
	Refuses string // in the form "a ... that ..."
	Why     string
	Source  string // the document that says so

	judge func(*subject) verdict
}

// Rules returns all rules, in the order of the documentation.
func Rules() []Rule {
	return []Rule{
		WildcardAction, WildcardResource, CrossAccount, InvertedStatement, PassRole,
		ManagedPolicy, PolicySize, ConfusedDeputy, PublicAccess, Secret, Encryption, TLS,
	}
}

// Inspection returns the rules in the form that an inspection.Plugin runs.
func Inspection() []inspection.Rule {
	shared := &reader{}
	rules := make([]inspection.Rule, 0, len(Rules()))
	for _, r := range Rules() {
		rules = append(rules, check{r, shared})
	}
	return rules
}

// reader reads an app once for all rules.
type reader struct {
	app *inspection.App
	all []*subject
}

func (r *reader) subjects(app *inspection.App) []*subject {
	if r.app != app {
		r.app, r.all = app, nil
		for _, stack := range app.Stacks {
			r.all = append(r.all, subjects(stack)...)
		}
	}
	return r.all
}

// Acknowledge accepts what the rule finds at the construct and below it, or
// only the findings of the values. It is for the constructs of this module:
// whether there is something to find may depend on their users' props.
func Acknowledge(scope constructs.IConstruct, rule Rule, reason string, values ...string) {
	inspection.Acknowledge(scope, inspection.Acknowledgement{
		Plugin: Plugin, Rule: rule.ID, Reason: reason, Values: values, Optional: true,
	})
}

// verdict is what a rule says of a subject.
type verdict struct {
	looked   bool   // the rule is about such a resource
	right    string // what it saw where nothing is wrong
	problems []problem
}

// problem is one thing that is wrong.
type problem struct{ place, value, allowed, fix string }

// about returns a verdict with the problems, for a subject that the rule is
// about.
func about(right string, problems []problem) verdict {
	return verdict{looked: true, right: right, problems: problems}
}

// check is a rule in the form that an inspection.Plugin runs.
type check struct {
	rule Rule
	*reader
}

// Name returns the rule's id.
func (c check) Name() string { return c.rule.ID }

// Check judges each resource, parameter and output of the app.
func (c check) Check(app *inspection.App) []inspection.Finding {
	var findings []inspection.Finding
	for _, s := range c.subjects(app) {
		v := c.rule.judge(s)
		if !v.looked {
			continue
		}
		for _, p := range v.problems {
			findings = append(findings, inspection.Finding{
				Resource: s.Resource, Outcome: inspection.Violated, Value: p.value, Fix: p.fix,
				Message: fmt.Sprintf("%s is %q; allowed is %s", p.place, p.value, p.allowed),
			})
		}
		if len(v.problems) == 0 {
			findings = append(findings, inspection.Finding{Resource: s.Resource, Outcome: inspection.Passed, Message: v.right})
		}
	}
	return findings
}
