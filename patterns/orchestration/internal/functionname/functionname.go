// Package functionname knows the ways to name a Lambda function.
package functionname

import "strings"

// All returns the names of what f names: f itself, and of an ARN also what is
// left of it without its qualifier, and the bare name.
func All(f string) []string {
	names := []string{f}
	if _, name, ok := strings.Cut(f, ":function:"); ok {
		base, qualifier, qualified := strings.Cut(name, ":")
		if qualified {
			names = append(names, strings.TrimSuffix(f, ":"+qualifier))
		}
		names = append(names, base)
	}
	return names
}
