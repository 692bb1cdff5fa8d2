package asl_test

import (
	"encoding/json"
	"testing"

	"github.com/serverless-go/cdk/patterns/orchestration/asl"
)

// FuzzParse checks that no definition makes the checker panic, and no valid
// one the interpreter, stored and resumed between its steps.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"valid.json", "broken.json"} {
		for _, c := range corpus(f, file) {
			f.Add(c.source(), []byte(`{"n": 1, "list": [1, 2]}`))
		}
	}
	f.Fuzz(func(t *testing.T, definition, input []byte) {
		m, err := asl.Parse(definition)
		if err != nil {
			if problems := asl.Check(definition); len(problems) == 0 {
				t.Errorf("Parse refuses what Check accepts: %v", err)
			}
			return
		}
		var in any
		if json.Unmarshal(input, &in) != nil {
			in = string(input)
		}
		x, err := m.Start(in, asl.StartOptions{Untraced: true})
		if err != nil {
			return
		}
		for range 20 {
			x.Advance(x.Now())
			for i, task := range x.Tasks() {
				var err error
				if i%3 == 2 {
					err = x.SendTaskFailure(task.Token, &asl.Error{Name: "Fuzz"})
				} else {
					err = x.SendTaskSuccess(task.Token, in)
				}
				if err != nil {
					t.Error(err)
				}
			}
			data, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			if x, err = m.Resume(data); err != nil {
				t.Fatal(err)
			}
			if next, ok := x.Wake(); ok {
				x.Advance(next)
			}
			if x.Status() != asl.Running {
				_ = x.Redrive(x.Now())
			}
		}
	})
}
