package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/internal/regionname"
)

// residencyInquiry is the judgement of one marked resource.
type residencyInquiry struct {
	check        *residencyApp
	resource     *inspection.Resource
	properties   any // resolved
	jurisdiction string
	allowed      []string
	rule         string // the one that asks
	found        []inspection.Finding
	named        map[string]bool // places that were found to name a region
}

// residencyApp is what an inquiry knows of the whole app.
type residencyApp struct {
	*inspection.App
	exports map[string][]residencyExport
}

type residencyExport struct {
	stack *inspection.Stack
	value any
}

func newResidencyApp(app *inspection.App) *residencyApp {
	a := &residencyApp{App: app, exports: map[string][]residencyExport{}}
	for _, s := range app.Stacks {
		var template struct {
			Outputs map[string]struct {
				Value  any
				Export struct{ Name any }
			}
		}
		file, err := os.ReadFile(s.Template)
		if err == nil {
			err = json.Unmarshal(file, &template)
		}
		if err != nil {
			panic(fmt.Errorf("residency: stack %s: %w", s.Path, err))
		}
		for _, o := range template.Outputs {
			if name := s.Text(o.Export.Name); name != "" {
				a.exports[name] = append(a.exports[name], residencyExport{s, o.Value})
			}
		}
	}
	return a
}

// nested says whether the app has the template of a nested stack.
func (a *residencyApp) nested(r *inspection.Resource) bool {
	for _, s := range a.Stacks {
		if s.Parent == r.Stack && (s.Path == r.Stack.Path+"/"+r.ID || strings.HasPrefix(r.Path, s.Path+".NestedStack/") || r.Path == s.Path) {
			return true
		}
	}
	return false
}

// bucketStacks returns the stacks with a bucket of this name.
func (a *residencyApp) bucketStacks(name string) (stacks []*inspection.Stack) {
	for _, s := range a.Stacks {
		for _, r := range s.Resources {
			if r.Type == "AWS::S3::Bucket" && s.Text(r.Properties["BucketName"]) == name {
				stacks = append(stacks, s)
			}
		}
	}
	return stacks
}

// distributions returns the distributions that run a version of a function at
// the edge.
func (a *residencyApp) distributions(version *inspection.Resource) (names []string) {
	for _, s := range a.Stacks {
		for _, r := range s.Resources {
			if r.Type != "AWS::CloudFront::Distribution" {
				continue
			}
			for _, f := range residencyFind(s.Resolve(r.Properties), "DistributionConfig.**.LambdaFunctionARN", "") {
				text, _ := f.value.(string)
				name := version.Stack.Text(version.Properties["FunctionName"])
				if s == version.Stack && text == "${"+version.ID+"}" || !strings.Contains(name, "${") && strings.Contains(text, ":function:"+name+":") {
					names = append(names, s.Path+"/"+r.ID)
				}
			}
		}
	}
	return names
}

func (s *residencyInquiry) about(outcome inspection.Outcome, what, fix string) {
	where := construct.Or(s.resource.Stack.Region, "an unknown region")
	message := fmt.Sprintf("rule %s, in %s: %s; data of %q may lie in %s", s.rule, where, what, s.jurisdiction, strings.Join(s.allowed, ", "))
	for _, f := range s.found {
		if f.Message == message {
			return
		}
	}
	s.found = append(s.found, inspection.Finding{Resource: s.resource, Outcome: outcome, Fix: fix, Message: message})
}

func (s *residencyInquiry) wrong(what, fix string) { s.about(inspection.Violated, what, fix) }

func (s *residencyInquiry) unclear(what string) {
	s.about(inspection.NotJudged, what, "acknowledge it with a reason")
}

// region judges a value that names a region.
func (s *residencyInquiry) region(path string, value any) {
	path = strings.TrimPrefix(path, ".")
	switch name, ok := value.(string); {
	case name == "${AWS::NoValue}":
	case !ok || name == "" || strings.Contains(name, "${"):
		s.unclear(path + " is known only when the stack is deployed")
	case !slices.Contains(s.allowed, name):
		s.named[path] = true
		s.wrong(path+" names "+name, "remove it, or name an allowed region")
	}
}

var residencyReference = regexp.MustCompile(`\$\{([^{}]+)\}`)

// place judges a value that names where data comes from or goes to.
func (s *residencyInquiry) place(path string, value any, bucket bool) {
	path = strings.TrimPrefix(path, ".")
	switch v := value.(type) {
	case map[string]any:
		s.function(path, v, bucket)
	case string:
		s.literal(path, v, s.resource.Stack, bucket)
	case nil:
	default:
		s.unclear(path + " is neither a name nor a function")
	}
}

// function judges a function that Resolve leaves.
func (s *residencyInquiry) function(path string, v map[string]any, bucket bool) {
	switch {
	case v["Fn::ImportValue"] != nil:
		name, _ := v["Fn::ImportValue"].(string)
		for _, e := range s.check.exports[name] {
			// Exports are a region's own.
			if e.stack.Region == s.resource.Stack.Region {
				if text := e.stack.Text(e.value); text != "" {
					s.literal(path, text, e.stack, bucket)
					return
				}
			}
		}
		s.unclear(fmt.Sprintf("%s imports %q, which no stack of this app exports in this region", path, name))
	case v["Fn::GetStackOutput"] != nil:
		of, _ := v["Fn::GetStackOutput"].(map[string]any)
		if of["Region"] != nil {
			s.region(path+".Region", of["Region"])
		}
	default:
		// What takes texts apart: judge the texts that say where something is.
		judged := false
		visit(path, v, func(at, text string) {
			if strings.HasPrefix(text, "arn:") || strings.Contains(text, "${") {
				judged = true
				s.literal(at, text, s.resource.Stack, bucket)
			}
		})
		if !judged {
			s.unclear(path + " is a function that the check does not follow")
		}
	}
}

// literal judges a resolved text of a stack.
func (s *residencyInquiry) literal(path, text string, stack *inspection.Stack, bucket bool) {
	switch {
	case text == "${AWS::NoValue}":
	case strings.HasPrefix(text, "arn:") && len(residencyARN(text)) == 6:
		s.arn(path, residencyARN(text), stack)
	case strings.HasPrefix(text, "s3://") || strings.HasPrefix(text, "s3a://"):
		_, rest, _ := strings.Cut(text, "://")
		s.bucket(path, strings.SplitN(rest, "/", 2)[0], stack)
	case webHost.MatchString(text):
		host := webHost.FindStringSubmatch(text)[1]
		regions := regionname.Mentioned(host)
		switch {
		case s.references(path, host, stack): // such as an API of the stack
		case len(regions) == 0 || !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn") && !strings.HasSuffix(host, ".on.aws"):
			s.unclear(path + " is a web address, which may be anywhere")
		default:
			for _, region := range regions {
				s.region(path, region)
			}
		}
	case strings.Contains(text, "{{resolve:"):
		s.unclear(path + " is known only when the stack is deployed")
	case s.references(path, text, stack):
	case bucket:
		s.bucket(path, strings.SplitN(text, ".s3.", 2)[0], stack)
	}
	// What is left is a name, which belongs to the region of the stack.
}

// references judges a text's references and says whether it has some.
func (s *residencyInquiry) references(path, text string, stack *inspection.Stack) bool {
	all := residencyReference.FindAllStringSubmatch(text, -1)
	for _, m := range all {
		id, attribute, _ := strings.Cut(m[1], ".")
		switch r := stack.Resource(id); {
		case r != nil:
			s.reader(path, r, attribute)
		case strings.HasPrefix(id, "AWS::"):
		default:
			s.unclear(path + " is the parameter " + id)
		}
	}
	return len(all) > 0
}

// reader judges a resource of the CDK's that brings a value from elsewhere.
func (s *residencyInquiry) reader(path string, r *inspection.Resource, name string) {
	switch r.Type {
	case "Custom::CrossRegionStringParameterReader":
		s.region(path+" by "+r.ID, r.Stack.Text(r.Properties["Region"]))
	case "Custom::CrossRegionExportReader":
		for _, stack := range s.check.Stacks {
			for _, w := range stack.Resources {
				props, _ := w.Properties["WriterProps"].(map[string]any)
				exports, _ := props["exports"].(map[string]any)
				if _, ok := exports[name]; !ok || w.Type != "Custom::CrossRegionExportWriter" {
					continue
				}
				if !slices.Contains(s.allowed, stack.Region) {
					s.wrong(path+" comes from "+stack.Path+" in "+construct.Or(stack.Region, "an unknown region"), "refer to what lies in an allowed region")
				}
				return
			}
		}
		s.unclear(path + " comes from a stack that the check does not find")
	}
}

// residencyARN takes an ARN apart, whose references may have colons.
func residencyARN(text string) []string {
	return strings.SplitN(residencyReference.ReplaceAllStringFunc(text, func(r string) string { return strings.ReplaceAll(r, ":", "") }), ":", 6)
}

func (s *residencyInquiry) arn(path string, parts []string, stack *inspection.Stack) {
	service, region, resource := parts[2], parts[3], parts[5]
	switch {
	case region == "" && service == "s3":
		s.bucket(path, strings.SplitN(resource, "/", 2)[0], stack)
	case region == "" && service == "iam":
	case region == "":
		s.unclear(path + " has no region")
	case region == "${AWSRegion}": // the stack has no region, which is found already
	default:
		s.region(path, region)
	}
}

// bucket judges a bucket, whose name does not say where it lies.
func (s *residencyInquiry) bucket(path, name string, stack *inspection.Stack) {
	if s.references(path, name, stack) {
		return
	}
	stacks := s.check.bucketStacks(name)
	if len(stacks) == 0 {
		s.unclear(fmt.Sprintf("%s is the bucket %q, of which the app does not say where it lies", path, name))
	}
	for _, at := range stacks {
		if !slices.Contains(s.allowed, at.Region) {
			s.wrong(fmt.Sprintf("%s is the bucket %q, which lies in %s", path, name, construct.Or(at.Region, "an unknown region")), "name a bucket in an allowed region")
		}
	}
}

// residencyValue is a value and where it stands.
type residencyValue struct {
	path  string
	value any
}

func (s *residencyInquiry) find(path string) []residencyValue {
	return residencyFind(s.properties, path, "")
}

func (s *residencyInquiry) value(path string) any {
	for _, f := range s.find(path) {
		return f.value
	}
	return nil
}

func (s *residencyInquiry) text(path string) string { t, _ := s.value(path).(string); return t }

func (s *residencyInquiry) list(path string) []any { l, _ := s.value(path).([]any); return l }

var residencyStep = regexp.MustCompile(`^([^\[]*)(?:\[(\d*)\])?$`)

// residencyFind returns the values at a path such as "Targets[].Arn",
// "Targets[0].Arn" or "**.Arn", in both branches of conditions.
func residencyFind(value any, path, at string) (found []residencyValue) {
	if m, ok := value.(map[string]any); ok && len(m) == 1 && m["Fn::If"] != nil {
		branches, _ := m["Fn::If"].([]any)
		for i := 1; i < len(branches); i++ {
			found = append(found, residencyFind(branches[i], path, fmt.Sprintf("%s.Fn::If[%d]", at, i))...)
		}
		return found
	}
	if path == "" {
		return []residencyValue{{strings.TrimPrefix(at, "."), value}}
	}
	step, rest, _ := strings.Cut(path, ".")
	if step == "**" {
		switch v := value.(type) {
		case map[string]any:
			found = residencyFind(value, rest, at)
			for _, k := range slices.Sorted(maps.Keys(v)) {
				found = append(found, residencyFind(v[k], path, at+"."+k)...)
			}
		case []any:
			for i, e := range v {
				found = append(found, residencyFind(e, path, fmt.Sprintf("%s[%d]", at, i))...)
			}
		}
		return found
	}
	parts := residencyStep.FindStringSubmatch(step)
	m, _ := value.(map[string]any)
	inside, ok := m[parts[1]]
	if !ok {
		return nil
	}
	at += "." + parts[1]
	if !strings.HasSuffix(step, "]") {
		return residencyFind(inside, rest, at)
	}
	for _, list := range residencyFind(inside, "", at) {
		elements, ok := list.value.([]any)
		if !ok {
			found = append(found, residencyFind(list.value, rest, list.path)...) // a function, or one value in place of a list
		}
		for i, e := range elements {
			if parts[2] == "" || parts[2] == strconv.Itoa(i) {
				found = append(found, residencyFind(e, rest, fmt.Sprintf("%s[%d]", list.path, i))...)
			}
		}
	}
	return found
}
