package e2e

import (
	"strings"
	"testing"
)

func TestParseParametersRefuses(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"remove:header.Authorization", "''", "reserved"},
		{"overwrite:header.x-amzn-trace-id", "1", "reserved"},
		{"overwrite:path", "/", "not supported"},
		{"delete:header.x", "", "not supported"},
		{"overwrite:header.x", "$stageVariables.x", "not supported"},
	} {
		if _, err := parseParameters(map[string]string{c.key: c.value}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.key, err, c.want)
		}
	}
}
