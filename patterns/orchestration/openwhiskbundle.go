package orchestration

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/internal/asset"
	"github.com/serverless-go/cdk/patterns/orchestration/asl"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/api"
)

// openWhiskConductorEntry is the action that runs a workflow.
const openWhiskConductorEntry = "github.com/serverless-go/cdk/functions/openwhiskconductor"

const sequenceKind = "sequence"

// translate returns the workflow for OpenWhisk, without tokens: the actions
// take the place of functions that have no name before the stack is deployed.
func translate(text string, actions map[string]string) (*openwhisk.Workflow, asl.Problems) {
	w, err := openwhisk.Translate([]byte(text), actions)
	var problems asl.Problems
	if err != nil {
		if !errors.As(err, &problems) {
			problems = asl.Problems{{Message: err.Error()}}
		}
		return nil, problems
	}
	if !strings.Contains(text, token) {
		return w, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var document map[string]any
	if err := decoder.Decode(&document); err != nil {
		return nil, asl.Problems{{Message: err.Error()}}
	}
	r := resolver{actions: w.Actions}
	r.machine(document)
	if r.problems != nil {
		return nil, r.problems
	}
	if w.Definition, err = json.Marshal(document); err != nil {
		return nil, asl.Problems{{Message: err.Error()}}
	}
	return w, nil
}

// token begins a value that is known when the stack is deployed.
const token = "${Token["

// A resolver takes the tokens out of a definition.
type resolver struct {
	actions  map[string]string // by state
	problems asl.Problems
}

func (r *resolver) machine(machine map[string]any) {
	states, _ := machine["States"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state, _ := states[name].(map[string]any)
		var inner []any
		for _, field := range []string{"ItemProcessor", "Iterator"} {
			if m, ok := state[field]; ok {
				inner = append(inner, m)
			}
		}
		branches, _ := state["Branches"].([]any)
		for _, m := range append(inner, branches...) {
			if m, ok := m.(map[string]any); ok {
				r.machine(m)
			}
		}
		r.task(name, state)
		for _, field := range slices.Sorted(maps.Keys(state)) {
			if field != "ItemProcessor" && field != "Iterator" && field != "Branches" {
				r.search(name, field, state[field])
			}
		}
	}
}

// task names the action where a token stands for its function.
func (r *resolver) task(name string, state map[string]any) {
	stand := func(fields map[string]any, field string) {
		if text, ok := fields[field].(string); ok && strings.Contains(text, token) {
			fields[field] = "${" + r.actions[name] + "}"
		}
	}
	resource, _ := state["Resource"].(string)
	if partition, service, ok := strings.Cut(resource, ":states:::"); ok && strings.Contains(partition, token) {
		state["Resource"] = "arn:aws:states:::" + service
	}
	stand(state, "Resource")
	for _, field := range []string{"Parameters", "Arguments"} {
		if arguments, ok := state[field].(map[string]any); ok && state["Type"] == string(asl.Task) {
			stand(arguments, "FunctionName")
		}
	}
}

// search records the tokens that are left.
func (r *resolver) search(state, field string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			r.search(state, field+"."+key, v[key])
		}
	case []any:
		for i, e := range v {
			r.search(state, fmt.Sprintf("%s[%d]", field, i), e)
		}
	case string:
		if strings.Contains(v, token) {
			r.problems = append(r.problems, asl.Problem{State: state, Field: field,
				Message: "is known to CloudFormation only, when the stack is deployed: give OpenWhisk a plain value, or pass it in the input"})
		}
	}
}

// openWhiskBundle is a bundle whose executables are still to be built.
type openWhiskBundle struct {
	*openwhisk.Bundle
	entries map[string]string // by action
}

func (p *OpenWhiskProps) bundle(w *openwhisk.Workflow) *openWhiskBundle {
	d := &api.Deployment{Package: p.Package, Workflow: p.Name}
	b := &openWhiskBundle{
		Bundle:  &openwhisk.Bundle{Deployment: d, Executables: map[string]string{}},
		entries: map[string]string{},
	}
	add := func(spec api.Spec, entry string) {
		spec.Kind, spec.Archive = p.Runtime, spec.Name+".zip"
		d.Actions = append(d.Actions, spec)
		b.entries[spec.Name] = entry
	}
	for _, key := range slices.Sorted(maps.Keys(p.Functions)) {
		f := p.Functions[key]
		if _, made := b.entries[f.name()]; made || f.Action != "" {
			continue
		}
		add(api.Spec{Name: f.name(), Limits: api.Limits{Timeout: int(f.Timeout.Milliseconds()), Memory: f.Memory}}, f.Entry)
	}
	// Keys can be tokens, whose order is that of other constructs.
	slices.SortFunc(d.Actions, func(a, b api.Spec) int { return strings.Compare(a.Name, b.Name) })
	if components, ok := w.Sequence(); ok {
		d.Actions = append(d.Actions, api.Spec{Name: p.Name, Kind: sequenceKind, Components: components})
	} else {
		b.Workflow = w
		add(api.Spec{Name: p.Name, Conductor: true,
			Limits: api.Limits{Timeout: int(p.ActivationTimeout.Milliseconds()), Memory: p.Memory}}, openWhiskConductorEntry)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
		d.Triggers = append(d.Triggers, api.Event{Name: name, Parameters: p.Triggers[name]})
	}
	return b
}

// write builds the executables, unless the app is not bundled, and writes the
// bundle into a folder of the user's cache, named by the hash of all that is in
// it.
func (b *openWhiskBundle) write(build bool) (dir, hash string, err error) {
	sum := sha256.New()
	content := []any{b.Deployment, b.Workflow, string(b.Deployment.Manifest()), build}
	for _, name := range slices.Sorted(maps.Keys(b.entries)) {
		source := b.entries[name]
		if build {
			// The Go runtime's images are for amd64
			// (https://github.com/apache/openwhisk-runtime-go/blob/master/docs/DEPLOY.md).
			h, err := asset.Find(source, "amd64")
			if err != nil {
				return "", "", err
			}
			if source, err = h.SourceHash(); err != nil {
				return "", "", err
			}
			built, err := h.Build(source)
			if err != nil {
				return "", "", err
			}
			b.Executables[name] = filepath.Join(built, "bootstrap")
		}
		content = append(content, name, source)
	}
	if err := json.NewEncoder(sum).Encode(content); err != nil {
		return "", "", err
	}
	hash = hex.EncodeToString(sum.Sum(nil))
	parent, err := asset.Cached("openwhisk")
	if err != nil {
		return "", "", err
	}
	dir, err = asset.Folder(filepath.Join(parent, hash), b.Write)
	return dir, hash, err
}
