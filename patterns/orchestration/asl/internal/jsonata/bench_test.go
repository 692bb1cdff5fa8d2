package jsonata

import "testing"

// BenchmarkEval evaluates what a typical field of a state holds.
func BenchmarkEval(b *testing.B) {
	env := Env{Bindings: []byte(`{"model": 7, "states": {"input": {"shard": "03", "cursor": "c"}, "context": {"Execution": {"Name": "run", "Input": {}}}}}`)}
	for _, expression := range []string{
		`$states.input.cursor`,
		`$model`,
		`$merge([$states.input, {'cursor': $states.input.cursor ? $states.input.cursor : '', 'done': true}])`,
	} {
		b.Run(expression, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Eval(expression, env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
