package eventlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Registry says which Go type stands for which type of event. It does not
// change once it is made and is safe for concurrent use.
//
// A registry need not know every type in the store: an event of a type that it
// does not know is read with a nil payload.
type Registry struct {
	byName map[string]*eventType
	byType map[reflect.Type]*eventType
}

// Definition is an event type, made by Type.
type Definition struct{ definition *eventType }

// eventType is a registered type.
type eventType struct {
	name     string
	version  int
	payload  reflect.Type
	personal []*personal    // what leads to personal fields, empty without any
	subject  []int          // index of the field that names the subject, nil without one
	lifts    map[int]upcast // by the version they lift
	problems []error
}

type upcast struct {
	from, to reflect.Type
	lift     func(any) (any, error)
}

// TypeOption adds to the definition of an event type.
type TypeOption func(*eventType)

// NewRegistry returns a registry of the types, and of SubjectForgotten. It
// panics with an error that lists everything wrong with the definitions, which
// are part of the program's text like a regular expression's.
func NewRegistry(types ...Definition) *Registry {
	r := &Registry{byName: make(map[string]*eventType), byType: make(map[reflect.Type]*eventType)}
	var problems []error
	for _, d := range append(types, Type[SubjectForgotten](schema.TombstoneType, 1)) {
		t := d.definition
		problems = append(problems, t.problems...)
		if r.byName[t.name] != nil {
			problems = append(problems, fmt.Errorf("event type %q is defined twice", t.name))
		}
		if other := r.byType[t.payload]; other != nil {
			problems = append(problems, fmt.Errorf("event types %q and %q both have the payload %v; give each its own Go type", other.name, t.name, t.payload))
		}
		r.byName[t.name], r.byType[t.payload] = t, t
	}
	if err := errors.Join(problems...); err != nil {
		panic(fmt.Errorf("eventlog: registry: %w", err))
	}
	return r
}

// Type defines the event type with the name, whose payload is T at the version.
// Raise the version when T changes so that old payloads no longer decode into
// it with their meaning kept, and give an Upcast for each version before.
//
// Payloads are written and read with encoding/json. Fields tagged
// eventlog:"personal" are sealed with the key of the subject, which the string
// field tagged eventlog:"subject" names, or the event itself.
func Type[T any](name string, version int, options ...TypeOption) Definition {
	t := &eventType{name: name, version: version, payload: reflect.TypeFor[T](), lifts: make(map[int]upcast)}
	if name == "" {
		t.problem("has no name")
	}
	if version < 1 {
		t.problem("has version %d, want 1 or more", version)
	}
	if t.payload.Kind() == reflect.Pointer || t.payload.Kind() == reflect.Interface {
		t.problem("has the payload %v, want a type that is no pointer and no interface", t.payload)
	}
	t.scanTags()
	for _, option := range options {
		option(t)
	}
	t.checkLifts()
	return Definition{t}
}

// Upcast lifts payloads of version from to the next version when they are
// read. Old is the payload's Go type at that version, and New the one at the
// next; upcasts chain. Fields of a forgotten subject are zero in old.
func Upcast[Old, New any](from int, lift func(old Old) (New, error)) TypeOption {
	return func(t *eventType) {
		if _, double := t.lifts[from]; double {
			t.problem("has two upcasts from version %d", from)
		}
		t.lifts[from] = upcast{
			from: reflect.TypeFor[Old](), to: reflect.TypeFor[New](),
			lift: func(old any) (any, error) { return lift(old.(Old)) },
		}
	}
}

// Personal declares fields as personal, as the tag eventlog:"personal" does, for
// types that cannot be tagged. A field is named as in Go: "Email",
// "Address.Street"; a path leads through pointers, slices and maps.
func Personal(fields ...string) TypeOption {
	return func(t *eventType) {
		for _, field := range fields {
			p := declare(t.payload, field)
			if p == nil {
				t.problem("has no field %s to be personal", field)
			}
			t.personal = append(t.personal, p)
		}
	}
}

// Subject declares the string field that names the subject, as the tag
// eventlog:"subject" does.
func Subject(field string) TypeOption {
	return func(t *eventType) {
		if t.payload.Kind() == reflect.Struct {
			if f, found := t.payload.FieldByName(field); found && f.Type.Kind() == reflect.String {
				t.subject = f.Index
				return
			}
		}
		t.problem("has no string field %s to name the subject", field)
	}
}

func (t *eventType) problem(format string, args ...any) {
	t.problems = append(t.problems, fmt.Errorf("event type %q %s", t.name, fmt.Sprintf(format, args...)))
}

// checkLifts checks that the upcasts form a chain that ends at the payload.
func (t *eventType) checkLifts() {
	for from, lift := range t.lifts {
		if from < 1 || from >= t.version {
			t.problem("has an upcast from version %d, want 1 to %d", from, t.version-1)
			continue
		}
		next := t.payload
		if from+1 < t.version {
			after, found := t.lifts[from+1]
			if !found {
				t.problem("has an upcast from version %d but none from %d", from, from+1)
				continue
			}
			next = after.from
		}
		if lift.to != next {
			t.problem("has an upcast from version %d to %v, want to %v", from, lift.to, next)
		}
	}
	slices.SortFunc(t.problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}

// of returns the type of a payload and the payload as a value.
func (r *Registry) of(payload any) (*eventType, reflect.Value, error) {
	v := reflect.ValueOf(payload)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		return nil, v, errors.New("the payload is nil")
	}
	t := r.byType[v.Type()]
	if t == nil {
		return nil, v, fmt.Errorf("Go type %v is not registered", v.Type())
	}
	return t, v, nil
}

// decode returns the payload that was recorded as data at a version, lifted to
// the current version.
func (t *eventType) decode(version int, data []byte) (any, error) {
	if version > t.version {
		return nil, fmt.Errorf("version %d is newer than %d, the newest that this program knows; deploy the newer program first", version, t.version)
	}
	recorded := t.payload
	if version < t.version {
		lift, found := t.lifts[version]
		if !found {
			return nil, fmt.Errorf("no upcast from version %d", version)
		}
		recorded = lift.from
	}
	target := reflect.New(recorded)
	if err := json.Unmarshal(data, target.Interface()); err != nil {
		return nil, err
	}
	payload := target.Elem().Interface()
	for ; version < t.version; version++ {
		lifted, err := t.lifts[version].lift(payload)
		if err != nil {
			return nil, fmt.Errorf("upcast from version %d: %w", version, err)
		}
		payload = lifted
	}
	return payload, nil
}
