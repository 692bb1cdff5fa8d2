package cdktest

import (
	"encoding/json"
	"strings"
	"testing"
)

// Same fails the test with the difference unless both templates are equal but
// for what [Golden] masks. Use it where a stack is written anew and nothing
// may be replaced.
func Same(t testing.TB, want, got Template) {
	t.Helper()
	var templates [2]any
	for i, template := range []Template{want, got} {
		masked, err := mask(template)
		if err == nil {
			err = json.Unmarshal(masked, &templates[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if lines := difference("", templates[0], templates[1]); len(lines) > 0 {
		t.Errorf("the templates differ (- want, + got):\n%s", strings.Join(lines, "\n"))
	}
}
