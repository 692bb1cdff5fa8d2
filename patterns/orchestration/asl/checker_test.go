package asl_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// A checked is one definition of testdata/check, with the mistake it has.
type checked struct {
	Name       string          `json:"name"`
	Definition json.RawMessage `json:"definition"`
	Text       string          `json:"text"` // instead of a definition that encoding/json cannot hold
	State      string          `json:"state"`
	Field      string          `json:"field"`
	Message    string          `json:"message"`
}

func (c checked) source() []byte {
	if c.Text != "" {
		return []byte(c.Text)
	}
	return c.Definition
}

func corpus(t testing.TB, file string) []checked {
	t.Helper()
	data, err := os.ReadFile("testdata/check/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var list []checked
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 60 {
		t.Fatalf("%s has %d definitions, want 60 or more", file, len(list))
	}
	return list
}

func TestCheckAcceptsValid(t *testing.T) {
	for _, c := range corpus(t, "valid.json") {
		t.Run(c.Name, func(t *testing.T) {
			if problems := asl.Check(c.source()); problems != nil {
				t.Error(problems)
			}
		})
	}
}

// TestCheckRefusesBroken wants the mistake of each definition, with its state
// and field, and no other complaint.
func TestCheckRefusesBroken(t *testing.T) {
	for _, c := range corpus(t, "broken.json") {
		t.Run(c.Name, func(t *testing.T) {
			problems := asl.Check(c.source())
			if len(problems) != 1 {
				t.Fatalf("%d problems, want 1: %v", len(problems), problems)
			}
			p := problems[0]
			if p.State != c.State || p.Field != c.Field || !strings.Contains(p.Message, c.Message) {
				t.Errorf("%s\nwant state %q, field %s: ...%s...", p, c.State, c.Field, c.Message)
			}
		})
	}
}

func TestProblemsError(t *testing.T) {
	_, err := asl.Parse([]byte(`{"StartAt": "A", "TimeoutSeconds": "5", "States": {"A": {"Type": "Wait", "End": true}}}`))
	want := "the state machine definition has 2 problems:\n" +
		"\tstate machine, field TimeoutSeconds: must be an integer from 1 to 99999999, not the string \"5\"\n" +
		"\tstate \"A\", field Seconds: is missing: say how long to wait in Seconds or until when in Timestamp"
	if err == nil || err.Error() != want {
		t.Errorf("the error is\n%v\nwant\n%s", err, want)
	}
}
