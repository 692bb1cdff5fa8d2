package orchestration

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
)

// FanOutProps says what is fanned out.
type FanOutProps struct {
	// Maps are run side by side. Required.
	Maps []DistributedMap
	// Workflow is how the workflow is run: its Alias, Deployment,
	// EncryptionKey, Timeout, logs, traces and alarms. What it does is the fan
	// out's own.
	//
	// Default: as a Workflow's.
	Workflow WorkflowProps
}

// FanOut is a workflow that works on each of up to millions of items in S3. Its
// output has, by label, where each map's results are. If items fail, more than
// are tolerated, so does the execution: mend the cause and redrive it, and
// those that failed or did not run yet are run.
//
// A Standard child costs 25 USD for a million state transitions, one of them for
// its start; an Express one 1 USD for a million and for its time; batches make
// both cheaper (us-east-1, https://aws.amazon.com/step-functions/pricing/).
type FanOut struct {
	constructs.Construct
	workflow *Workflow
	results  awss3.IBucket
}

// NewFanOut makes a fan out. It panics with a *[props.Error] when the props are
// wrong.
func NewFanOut(scope constructs.Construct, id string, p *FanOutProps) *FanOut {
	if p == nil {
		p = &FanOutProps{}
	}
	var c props.Check
	p.check(&c)
	c.Panic(scope, id)
	f := &FanOut{}
	construct.Init(f, scope, id)
	workflow := p.Workflow
	workflow.Allow = nil
	var branches []any
	for _, m := range p.Maps {
		if m.Results == nil {
			m.Results = f.bucket(p)
		}
		state := m.State(f)
		state["Output"] = map[string]any{m.Label: "{% $states.result %}"}
		state["End"] = true
		branches = append(branches, map[string]any{"StartAt": m.Label, "States": map[string]any{m.Label: state}})
		workflow.allow = append(workflow.allow, m.allow()...)
		workflow.Allow = append(workflow.Allow, m.ProcessorAllow...)
	}
	workflow.Definition = map[string]any{
		"Comment": "Works on the items in S3, side by side.",
		"StartAt": "Fan out",
		"States": map[string]any{"Fan out": map[string]any{
			"Type": "Parallel", "Branches": branches, "Output": "{% $merge($states.result) %}", "End": true,
		}},
	}
	if len(branches) == 1 {
		only := branches[0].(map[string]any)
		only["Comment"] = workflow.Definition["Comment"]
		workflow.Definition = only
	}
	f.workflow = NewWorkflow(f, "Workflow", &workflow)
	return f
}

func (p *FanOutProps) check(c *props.Check) {
	c.Require(len(p.Maps) > 0, "Maps", props.Empty, "at least one map", "say what to work on")
	labels := map[string]bool{}
	for i := range p.Maps {
		field := fmt.Sprintf("Maps[%d]", i)
		c.Nested(field, p.Maps[i].check)
		label := p.Maps[i].Label
		c.Require(!labels[label], field+".Label", label, "a label that no other map has", "")
		labels[label] = true
	}
	w := &p.Workflow
	c.Require(w.Definition == nil && w.File == "" && w.Chain == nil && w.Substitutions == nil && w.QueryLanguage == "" && len(w.Allow) == 0,
		"Workflow", props.Words("set with a definition"), "none", "leave Definition, File, Substitutions, Chain, QueryLanguage and Allow out")
	c.Require(!w.Express, "Workflow.Express", w.Express, "false", "set Express of the maps, for their children")
}

// bucket makes the bucket of the results, once.
func (f *FanOut) bucket(p *FanOutProps) awss3.IBucket {
	if f.results == nil {
		f.results = defaults.Bucket(f, "Results", &awss3.BucketProps{EncryptionKey: p.Workflow.EncryptionKey})
	}
	return f.results
}

// Workflow returns the workflow.
func (f *FanOut) Workflow() *Workflow { return f.workflow }

// Alarms returns the alarms that were made, which are the workflow's.
func (f *FanOut) Alarms() []awscloudwatch.CfnAlarm { return f.workflow.Alarms() }

// Results returns the new bucket of the results, nil if every map has its own.
func (f *FanOut) Results() awss3.IBucket { return f.results }

// GrantStart lets the grantee start it.
func (f *FanOut) GrantStart(grantee awsiam.IGrantable) awsiam.Grant {
	return f.workflow.GrantStart(grantee)
}

// GrantRead lets the grantee see executions and their outputs, but not the
// results in the bucket.
func (f *FanOut) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	return f.workflow.GrantRead(grantee)
}

// GrantRedrive lets the grantee redrive executions that failed.
func (f *FanOut) GrantRedrive(grantee awsiam.IGrantable) awsiam.Grant {
	return f.workflow.GrantRedrive(grantee)
}
