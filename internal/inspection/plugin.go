package inspection

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
)

// Outcome is what a rule says about one resource.
type Outcome string

const (
	Passed       Outcome = "passed"
	Violated     Outcome = "violated"
	NotJudged    Outcome = "not judged" // fails like Violated
	Acknowledged Outcome = "acknowledged"
)

// Finding is one line of the report.
type Finding struct {
	Rule     string    `json:"rule"`
	Resource *Resource `json:"-"`
	Outcome  Outcome   `json:"outcome"`
	Value    string    `json:"value,omitempty"` // what an Acknowledgement can name
	Message  string    `json:"message"`
	Fix      string    `json:"fix,omitempty"`
	Reason   string    `json:"reason,omitempty"` // why it was acknowledged
}

// String says what was found where.
func (f Finding) String() string {
	r := f.Resource
	return fmt.Sprintf("%s/%s (%s): %s", r.Stack.Path, r.ID, r.Type, f.Message)
}

// Rule judges an app. Its findings name each resource that it looked at, also
// those it found right.
type Rule interface {
	Name() string
	Check(*App) []Finding
}

// Plugin runs rules when the CDK validates the app. The CDK runs it also where
// CDK_VALIDATION=false turns the CDK's own validation off.
type Plugin struct {
	name            string
	rules           []Rule
	acknowledgments map[acknowledgment]string
	findings        []Finding
	reportOnly      bool
	assembly        string // the folder of what is validated
	report          string // the path of the report's files, without their endings
}

type acknowledgment struct{ rule, path string }

// NewPlugin returns a plugin with the name, which also names the files of its
// report.
func NewPlugin(name string, rules ...Rule) *Plugin {
	return &Plugin{name: name, rules: rules, acknowledgments: map[acknowledgment]string{}}
}

// Register lets the CDK run the plugin over the templates of the app or the stage
// that the scope is, or is in. A plugin has one scope. Its report of an earlier
// synth is removed: the CDK refuses a plugin that changes a file which was there
// before.
func (p *Plugin) Register(scope constructs.Construct) {
	construct.Once(scope, "Validations", func() awscdk.Validations { return awscdk.Validations_Of(scope) }).AddPlugins(p)
	stage, ok := scope.(awscdk.Stage)
	if !ok {
		stage = awscdk.Stage_Of(scope)
	}
	p.assembly = folder(stage)
	p.report = filepath.Join(construct.Once(stage, "folder of its app", func() string { return folder(outermost(stage)) }), p.name+"-report")
	for _, form := range reportForms {
		if err := os.Remove(p.report + form); err != nil && !errors.Is(err, fs.ErrNotExist) {
			panic(err)
		}
	}
}

var reportForms = []string{".json", ".txt"}

// folder returns where the stage's templates are written.
func folder(stage awscdk.Stage) string {
	return *construct.Once(stage, "Outdir", stage.Outdir)
}

// outermost returns the app that the stage is in, or is.
func outermost(stage awscdk.Stage) awscdk.Stage {
	for parent := stage.ParentStage(); parent != nil; parent = stage.ParentStage() {
		stage = parent
	}
	return stage
}

// Acknowledge accepts what the rule finds at the resource with the construct
// path. Without a reason it has no effect.
func (p *Plugin) Acknowledge(rule, path, reason string) {
	if reason != "" {
		p.acknowledgments[acknowledgment{rule, path}] = reason
	}
}

// Run returns what the rules find, resource by resource, with what was
// acknowledged marked. An Acknowledgement that accepts nothing is a finding.
func (p *Plugin) Run(app *App) []Finding {
	var findings []Finding
	for _, rule := range p.rules {
		for _, f := range rule.Check(app) {
			f.Rule = rule.Name()
			if f.Outcome == Violated || f.Outcome == NotJudged {
				if reason, ok := p.acknowledgments[acknowledgment{f.Rule, f.Resource.Path}]; ok && f.Resource.Path != "" {
					f.Outcome, f.Reason = Acknowledged, reason
				}
				app.accept(p.name, &f)
			}
			findings = append(findings, f)
		}
	}
	findings = append(findings, app.unused(p.name)...)
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Resource.Stack.Path, b.Resource.Stack.Path),
			cmp.Compare(a.Resource.ID, b.Resource.ID))
	})
	return findings
}

// ReportOnly lets the synth pass whatever the rules find.
func (p *Plugin) ReportOnly() { p.reportOnly = true }

// Findings returns what the last validation found.
func (p *Plugin) Findings() []Finding { return p.findings }

// Name returns the plugin's name.
func (p *Plugin) Name() *string { return &p.name }

// Version returns no version: the plugin is a part of the app.
func (p *Plugin) Version() *string { return nil }

// RuleIds returns the names of the rules.
func (p *Plugin) RuleIds() *[]*string {
	names := make([]string, len(p.rules))
	for i, rule := range p.rules {
		names[i] = rule.Name()
	}
	return jsii.Strings(names...)
}

// Validate is called by the CDK with all templates written. It panics if it
// cannot read them or write the report. What the CDK says of the stacks, at four
// calls each, also stands beside the templates.
func (p *Plugin) Validate(awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
	places, err := Places(p.assembly)
	if err != nil {
		panic(err)
	}
	app, err := Read(places...)
	if err != nil {
		panic(err)
	}
	p.findings = p.Run(app)
	if err := WriteReport(p.report, p.findings); err != nil {
		panic(err)
	}
	violations := []*awscdk.PolicyViolation{}
	if p.reportOnly {
		return &awscdk.PolicyValidationPluginReport{Success: jsii.Bool(true), Violations: &violations}
	}
	for _, f := range p.findings {
		if f.Outcome != Violated && f.Outcome != NotJudged {
			continue
		}
		violation := &awscdk.PolicyViolation{
			RuleName:    &f.Rule,
			Description: jsii.String(f.String()),
			// The CDK's own Acknowledge silences a rule in the whole app, whatever
			// construct it is called on, unless the rule is fatal.
			Severity: jsii.String("fatal"),
			ViolatingResources: &[]*awscdk.PolicyViolatingResource{{
				ResourceLogicalId: &f.Resource.ID,
				TemplatePath:      &f.Resource.Stack.Template,
				Locations:         jsii.Strings("Properties"),
			}},
		}
		if f.Fix != "" {
			violation.Fix = &f.Fix
		}
		violations = append(violations, violation)
	}
	return &awscdk.PolicyValidationPluginReport{Success: jsii.Bool(len(violations) == 0), Violations: &violations}
}

// WriteReport writes the findings to two files, for programs (.json) and for
// people (.txt).
func WriteReport(base string, findings []Finding) error {
	type entry struct {
		Stack  string `json:"stack"`
		Region string `json:"region,omitempty"`
		ID     string `json:"logicalId"`
		Path   string `json:"path,omitempty"`
		Type   string `json:"type"`
		Finding
	}
	entries := make([]entry, len(findings))
	var lines bytes.Buffer
	for i, f := range findings {
		r := f.Resource
		entries[i] = entry{r.Stack.Path, r.Stack.Region, r.ID, r.Path, r.Type, f}
		fmt.Fprintf(&lines, "%s: %s: %s", f.Outcome, f.Rule, f)
		if f.Fix != "" {
			fmt.Fprintf(&lines, "; %s", f.Fix)
		}
		if f.Reason != "" {
			fmt.Fprintf(&lines, " (acknowledged: %s)", f.Reason)
		}
		lines.WriteByte('\n')
	}
	data, err := json.MarshalIndent(entries, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(base+".json", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(base+".txt", lines.Bytes(), 0o644)
}
