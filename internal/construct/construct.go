// Package construct holds what every construct of this module does the same
// way: how it becomes a construct, how the user's props are layered over ours,
// and how Go's values become the CDK's.
package construct

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Init makes x a construct in the tree. x must be a pointer to a struct that
// embeds constructs.Construct and has a pointer-receiver method.
//
// Assigning the result of constructs.NewConstruct to the embedded field would
// look simpler, but x itself would be unknown to jsii, which panics as soon as
// x is used as a scope.
func Init(x, scope constructs.Construct, id string) {
	constructs.NewConstruct_Override(x, scope, &id)
	join(x, scope, id)
}

// Scope makes a construct that only groups others.
func Scope(scope constructs.Construct, id string) constructs.Construct {
	made := constructs.NewConstruct(scope, &id)
	join(made, scope, id)
	return made
}

// UniqueName returns a name for what CloudFormation makes none for, in lower
// case, of at most so many letters, digits and separators.
func UniqueName(scope constructs.Construct, separator string, most int) string {
	return strings.ToLower(*awscdk.Names_UniqueResourceName(scope, &awscdk.UniqueResourceNameOptions{
		MaxLength: jsii.Number(most), Separator: &separator, AllowedSpecialCharacters: &separator,
	}))
}

// Layer returns props in which what the pattern requires wins over what the
// user gave, which wins over our defaults. None of the three is changed.
func Layer[T any](defaults, user, required *T) *T {
	out := new(T)
	dst := reflect.ValueOf(out).Elem()
	for _, layer := range []*T{defaults, user, required} {
		if layer == nil {
			continue
		}
		src := reflect.ValueOf(layer).Elem()
		for i := range dst.NumField() {
			if f := src.Field(i); !f.IsZero() {
				dst.Field(i).Set(f)
			}
		}
	}
	return out
}

// Duration returns d as the CDK's type, in the largest unit that holds it
// whole, for that is the unit the CDK's own messages use.
func Duration(d time.Duration) awscdk.Duration {
	switch {
	case d%(24*time.Hour) == 0 && d > 0:
		return awscdk.Duration_Days(jsii.Number(float64(d / (24 * time.Hour))))
	case d%time.Second == 0:
		return awscdk.Duration_Seconds(jsii.Number(d.Seconds()))
	default:
		return awscdk.Duration_Millis(jsii.Number(float64(d.Milliseconds())))
	}
}

// Seconds returns the CDK's duration, which is whole seconds; 0 if it is known
// only when the stack is deployed, for such numbers are negative.
func Seconds(d awscdk.Duration) time.Duration {
	return time.Duration(max(0, *d.ToSeconds(nil))) * time.Second
}

// Map returns the map with pointers to its values, nil for an empty map.
func Map(m map[string]string) *map[string]*string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]*string, len(m))
	for k, v := range m {
		out[k] = &v
	}
	return &out
}

// SetEnvironment sets variables of the grantee, if it is a function of ours, in
// the order of the template's text.
func SetEnvironment(grantee any, variables map[string]string) {
	fn, ok := grantee.(interface{ AddEnvironment(key, value string) })
	if !ok {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		fn.AddEnvironment(key, variables[key])
	}
}

// Text returns a pointer to s, nil for the empty string, which means unset.
func Text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Or returns value, or fallback where value is the zero value.
func Or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
