package eventlog

import (
	"testing"
	"time"
)

// A read that began before Forget and ends after it brings a key that is gone.
func TestForgottenStaysForgotten(t *testing.T) {
	k := &keyring{ttl: time.Minute}
	k.keep("c-1", nil)
	k.keep("c-1", []byte("late"))
	if key, err := k.find(t.Context(), "c-1"); key != nil || err != nil {
		t.Errorf("find = %q, %v; want the subject forgotten", key, err)
	}
}

// The key of a snapshot never comes from fewer keys than it names.
func TestSnapshotSecret(t *testing.T) {
	k := &keyring{ttl: time.Minute}
	k.keep("c-1", []byte("one"))
	k.keep("c-2", []byte("two"))
	k.keep("c-3", nil)
	a := &Aggregate[int]{Log: &Log{options: Options{Subjects: "subjects"}, keys: k}, Name: "n"}
	seen := make(map[string]bool)
	for _, test := range []struct {
		stream   string
		subjects []string
		want     bool
	}{
		{"s", []string{"c-1"}, true},
		{"s", []string{"c-1", "c-2"}, true},
		{"other", []string{"c-1"}, true},
		{"s", []string{"c-3"}, false},
		{"s", []string{"c-1", "c-3"}, false},
	} {
		secret, err := a.snapshotSecret(t.Context(), test.stream, test.subjects)
		if err != nil || (secret != nil) != test.want || seen[string(secret)] && test.want {
			t.Errorf("secret of %s with %v: %x, %v; want a new one: %v", test.stream, test.subjects, secret, err, test.want)
		}
		seen[string(secret)] = true
	}
}

func TestNewID(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	previous := ""
	for range 1000 {
		now = now.Add(250 * time.Nanosecond)
		id := newID(now)
		if len(id) != 36 || id[14] != '7' || checkName("id", id) != nil {
			t.Fatalf("%q is not a UUID of version 7", id)
		}
		if id[:18] < previous {
			t.Fatalf("%q sorts before %q, which is older", id, previous)
		}
		previous = id[:18]
	}
	if got, want := newID(time.UnixMilli(0x123456789abc))[:18], "12345678-9abc-7000"; got != want {
		t.Errorf("newID = %q..., want %q...", got, want)
	}
}
