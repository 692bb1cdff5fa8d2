package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// A Deployment is everything that belongs to one workflow: a package with its
// actions, and triggers with rules, whose names begin with the package's.
type Deployment struct {
	// Package holds the actions. It belongs to the deployment alone.
	Package string `json:"package"`
	// Workflow is the name of the action that runs the workflow.
	Workflow string `json:"workflow"`
	// Actions are made in this order.
	Actions []Spec `json:"actions"`
	// Triggers each start the workflow.
	Triggers []Event `json:"triggers,omitempty"`
}

// A Spec is an action to be made.
type Spec struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind"`
	Archive    string   `json:"archive,omitempty"`    // the file with its code
	Components []string `json:"components,omitempty"` // of a sequence
	Conductor  bool     `json:"conductor,omitempty"`
	Limits     Limits   `json:"limits,omitzero"`
}

// An Event is a trigger to be made, with a rule that starts the workflow.
type Event struct {
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

// FullName returns the name of an action of the deployment's package, in
// whatever namespace the package is.
func (d *Deployment) FullName(action string) string { return "/_/" + d.Package + "/" + action }

// Channel returns the name of the trigger of an event, and of its rule.
func (d *Deployment) Channel(event string) string { return d.Package + "." + event }

// Annotations of what a deployment makes.
const (
	ownerKey  = "serverless-go-cdk-owner"
	digestKey = "serverless-go-cdk-digest"
)

// ErrNotOwned means that the namespace has an entity of the same name that
// somebody else made. It is left alone.
var ErrNotOwned = errors.New("api: not made by this deployment, which leaves it alone: choose another name")

// A Deployer makes a namespace hold a deployment, or no longer hold it. Both can
// be repeated at any time, with the same result.
type Deployer struct {
	Client *Client
	// Owner marks what the deployer makes. It changes and deletes nothing that
	// is marked otherwise or not at all.
	Owner string
}

// Apply makes the namespace hold the deployment, whose archives are in files,
// and deletes what an earlier one had and this one has not. If it fails, it puts
// back everything as it was; the error says so if it could not.
func (d *Deployer) Apply(ctx context.Context, to *Deployment, files fs.FS) error {
	c := &change{Deployer: d, ctx: ctx}
	err := c.apply(to, files)
	if err == nil {
		return nil
	}
	// What is left of the time may be nothing, and half a deployment is worse
	// than a late answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, undo := range slices.Backward(c.undo) {
		if failure := undo(ctx); failure != nil {
			err = errors.Join(err, fmt.Errorf("roll back: %w", failure))
		}
	}
	return err
}

// Remove deletes everything that the deployer made in and for the package.
func (d *Deployer) Remove(ctx context.Context, pkg string) error {
	c := &change{Deployer: d, ctx: ctx}
	old, err := d.Client.Package(ctx, pkg)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	exists := err == nil
	if exists && !d.owns(old.Annotations) {
		return nil // it never was ours: its own deployment failed
	}
	if err := c.prune(&Deployment{Package: pkg}, old); err != nil {
		return err
	}
	if !exists {
		return nil
	}
	return missing(d.Client.DeletePackage(ctx, pkg))
}

func (d *Deployer) owns(annotations []KeyValue) bool { return value(annotations, ownerKey) == d.Owner }

// missing takes what is not there for deleted.
func missing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// A change is a deployment on its way, with how to undo what is done.
type change struct {
	*Deployer
	ctx  context.Context
	undo []func(context.Context) error
}

func (c *change) undoing(f func(context.Context) error) { c.undo = append(c.undo, f) }

func (c *change) apply(to *Deployment, files fs.FS) error {
	pkg, err := c.Client.Package(c.ctx, to.Package)
	switch {
	case errors.Is(err, ErrNotFound):
		pkg = &Package{Name: to.Package, Annotations: []KeyValue{{ownerKey, c.Owner}}}
		if err := c.Client.PutPackage(c.ctx, pkg); err != nil {
			return err
		}
		c.undoing(func(ctx context.Context) error { return missing(c.Client.DeletePackage(ctx, to.Package)) })
	case err != nil:
		return err
	case !c.owns(pkg.Annotations):
		return fmt.Errorf("%w: package %s", ErrNotOwned, to.Package)
	}
	for _, spec := range to.Actions {
		if err := c.action(to.Package, spec, files); err != nil {
			return err
		}
	}
	for _, event := range to.Triggers {
		if err := c.event(to, event); err != nil {
			return err
		}
	}
	return c.prune(to, pkg)
}

// action makes one action, unless it is there already.
func (c *change) action(pkg string, spec Spec, files fs.FS) error {
	a := &Action{Name: spec.Name, Exec: Exec{Kind: spec.Kind, Components: spec.Components}, Parameters: []KeyValue{}}
	if len(spec.Components) == 0 {
		a.Limits = spec.Limits.filled()
	}
	if spec.Archive != "" {
		code, err := fs.ReadFile(files, spec.Archive)
		if err != nil {
			return fmt.Errorf("the code of action %s: %w", spec.Name, err)
		}
		a.Exec.Code = base64.StdEncoding.EncodeToString(code)
	}
	sum, err := json.Marshal(struct {
		Spec Spec
		Code string
	}{spec, a.Exec.Code})
	if err != nil {
		return err
	}
	hash := sha256.Sum256(sum)
	digest := hex.EncodeToString(hash[:])
	// A conductor that is replaced by a sequence must not stay one.
	a.Annotations = []KeyValue{{digestKey, digest}, {"conductor", spec.Conductor}}

	old, err := c.Client.Action(c.ctx, pkg, spec.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		c.undoing(func(ctx context.Context) error { return missing(c.Client.DeleteAction(ctx, pkg, spec.Name)) })
	case err != nil:
		return err
	case value(old.Annotations, digestKey) == digest:
		return nil // a new version would end the workflows in flight
	default:
		c.undoing(func(ctx context.Context) error { return c.Client.PutAction(ctx, pkg, old) })
	}
	return c.Client.PutAction(c.ctx, pkg, a)
}

// event makes a trigger and the rule that starts the workflow.
func (c *change) event(to *Deployment, e Event) error {
	name := to.Channel(e.Name)
	trigger := &Trigger{Name: name, Annotations: []KeyValue{{ownerKey, c.Owner}}, Parameters: []KeyValue{}}
	for key, v := range e.Parameters {
		trigger.Parameters = append(trigger.Parameters, KeyValue{key, v})
	}
	slices.SortFunc(trigger.Parameters, func(a, b KeyValue) int { return strings.Compare(a.Key, b.Key) })
	oldTrigger, err := c.Client.Trigger(c.ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		c.undoing(func(ctx context.Context) error { return missing(c.Client.DeleteTrigger(ctx, name)) })
	case err != nil:
		return err
	case !c.owns(oldTrigger.Annotations):
		return fmt.Errorf("%w: trigger %s", ErrNotOwned, name)
	default:
		c.undoing(func(ctx context.Context) error { return c.Client.PutTrigger(ctx, oldTrigger) })
	}
	if err := c.Client.PutTrigger(c.ctx, trigger); err != nil {
		return err
	}
	rule := &Rule{
		Name: name, Trigger: "/_/" + name, Action: to.FullName(to.Workflow),
		Annotations: []KeyValue{{ownerKey, c.Owner}},
	}
	oldRule, err := c.Client.Rule(c.ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		c.undoing(func(ctx context.Context) error { return c.deleteRule(ctx, name) })
	case err != nil:
		return err
	case !c.owns(oldRule.Annotations):
		return fmt.Errorf("%w: rule %s", ErrNotOwned, name)
	default:
		c.undoing(func(ctx context.Context) error { return c.putRule(ctx, oldRule, oldRule.Status == "active") })
	}
	return c.putRule(c.ctx, rule, true)
}

func (c *change) putRule(ctx context.Context, r *Rule, active bool) error {
	if err := c.Client.PutRule(ctx, r); err != nil {
		return err
	}
	return c.Client.SetRule(ctx, r.Name, active)
}

// deleteRule makes the rule inactive first, as old versions of OpenWhisk want.
func (c *change) deleteRule(ctx context.Context, name string) error {
	if err := c.Client.SetRule(ctx, name, false); err != nil {
		return missing(err)
	}
	return missing(c.Client.DeleteRule(ctx, name))
}

// prune deletes what the deployment does not have: rules before their triggers,
// the workflow before its actions.
func (c *change) prune(to *Deployment, pkg *Package) error {
	kept := func(name string) bool {
		return slices.ContainsFunc(to.Triggers, func(e Event) bool { return to.Channel(e.Name) == name })
	}
	doomed := func(name string, annotations []KeyValue) bool {
		return strings.HasPrefix(name, to.Channel("")) && c.owns(annotations) && !kept(name)
	}
	rules, err := c.Client.Rules(c.ctx)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if !doomed(r.Name, r.Annotations) {
			continue
		}
		// A list tells nothing of the rule's state.
		r, err := c.Client.Rule(c.ctx, r.Name)
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		c.undoing(func(ctx context.Context) error { return c.putRule(ctx, r, r.Status == "active") })
		if err := c.deleteRule(c.ctx, r.Name); err != nil {
			return err
		}
	}
	triggers, err := c.Client.Triggers(c.ctx)
	if err != nil {
		return err
	}
	for _, t := range triggers {
		if !doomed(t.Name, t.Annotations) {
			continue
		}
		t, err := c.Client.Trigger(c.ctx, t.Name)
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		c.undoing(func(ctx context.Context) error { return c.Client.PutTrigger(ctx, t) })
		if err := missing(c.Client.DeleteTrigger(c.ctx, t.Name)); err != nil {
			return err
		}
	}
	for _, m := range pkg.Actions {
		if slices.ContainsFunc(to.Actions, func(s Spec) bool { return s.Name == m.Name }) {
			continue
		}
		old, err := c.Client.Action(c.ctx, to.Package, m.Name)
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		c.undoing(func(ctx context.Context) error { return c.Client.PutAction(ctx, to.Package, old) })
		if err := missing(c.Client.DeleteAction(c.ctx, to.Package, m.Name)); err != nil {
			return err
		}
	}
	return nil
}
