package iam

import "testing"

// Synthesized is a Template in a test: what it cannot answer fails the test.
type Synthesized struct {
	*Template
	t testing.TB
}

// NewSynthesized reads a template for a test.
func NewSynthesized(t testing.TB, template map[string]any, account, region string) *Synthesized {
	t.Helper()
	return &Synthesized{must(NewTemplate(template, account, region))(t), t}
}

// Role returns the only role whose logical id begins with the prefix.
func (s *Synthesized) Role(prefix string) *TemplateRole {
	s.t.Helper()
	return must(s.Template.Role(prefix))(s.t)
}

// ID returns the only logical id of the type that begins with the prefix.
func (s *Synthesized) ID(resourceType, prefix string) string {
	s.t.Helper()
	return must(s.Template.ID(resourceType, prefix))(s.t)
}

// Find returns the ARN of the only resource of the type whose logical id begins
// with the prefix.
func (s *Synthesized) Find(resourceType, prefix string) string {
	s.t.Helper()
	return s.ARN(s.ID(resourceType, prefix))
}

// Property returns a resolved property of a resource, nil if it has none.
func (s *Synthesized) Property(id string, path ...string) any {
	s.t.Helper()
	return must(s.Template.Property(id, path...))(s.t)
}

// Policy returns the policy that a value of the template is.
func (s *Synthesized) Policy(document any) *Policy {
	s.t.Helper()
	return must(s.policy("policy", document))(s.t)
}

// Resolve returns v without intrinsic functions.
func (s *Synthesized) Resolve(v any) any {
	s.t.Helper()
	return must(s.Template.Resolve(v))(s.t)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
