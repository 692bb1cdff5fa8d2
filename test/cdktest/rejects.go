package cdktest

import (
	"fmt"
	"strings"
	"testing"
)

// Rejects fails the test unless f panics with a message that has each of the
// wanted texts in it. Use it for wrong props: want the construct's path, the
// field, what was given and what to do.
func Rejects(t testing.TB, f func(), want ...string) {
	t.Helper()
	message, panicked := try(f)
	if !panicked {
		t.Errorf("nothing was rejected, want a panic with %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(message, w) {
			t.Errorf("the message lacks %q:\n%s", w, message)
		}
	}
}

func try(f func()) (message string, panicked bool) {
	defer func() {
		if r := recover(); r != nil {
			message, panicked = fmt.Sprint(r), true
		}
	}()
	f()
	return "", false
}
