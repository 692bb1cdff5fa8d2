package asl

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/jsonata"
	"github.com/serverless-go/cdk/patterns/orchestration/asl/internal/jsonpath"
)

// An env is what the fields of one state are evaluated in.
type env struct {
	language QueryLanguage
	// data is "$" of JSONPath. It changes as the state goes on.
	data any
	// states is $states of JSONata.
	states    map[string]any
	context   map[string]any
	variables map[string]any
	now       time.Time
	rand      *rand.Rand

	bindings []byte // of JSONata, made once
}

func (e *env) roots() jsonpath.Roots {
	return jsonpath.Roots{Input: e.data, Context: e.context, Variables: e.variables}
}

// with returns the environment for the state's next stage: other data for
// JSONPath, one more field of $states for JSONata.
func (e *env) with(field string, data any) *env {
	next := *e
	next.data = data
	next.bindings = nil
	next.states = map[string]any{"input": e.states["input"], "context": e.context}
	if field != "" {
		next.states[field] = data
	}
	return &next
}

// eval evaluates a field.
func (e *env) eval(v value) (any, *Error) {
	switch {
	case v.path != nil:
		found, err := v.path.Select(e.roots())
		if err != nil {
			return nil, errorf(ErrorRuntime, "%v", err)
		}
		return found, nil
	case v.call != nil:
		return e.call(*v.call)
	case e.language == JSONata:
		return e.expressions(v.json)
	}
	return e.template(v.json)
}

// or evaluates a field, or returns what stands for it when it is absent.
func (e *env) or(v value, absent any) (any, *Error) {
	if !v.set {
		return absent, nil
	}
	return e.eval(v)
}

// assigned evaluates an Assign field.
func (e *env) assigned(v value) (map[string]any, *Error) {
	out, err := e.or(v, nil)
	if err != nil {
		return nil, err
	}
	if n := dataSize(out); n > MaxDataSize {
		return nil, errorf(ErrorDataLimitExceeded, "the variables of one Assign have %d bytes, more than %d", n, MaxDataSize)
	}
	vars, _ := out.(map[string]any)
	return vars, nil
}

// template evaluates a payload template.
func (e *env) template(v any) (any, *Error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, field := range v {
			name, dynamic := strings.CutSuffix(key, ".$")
			var err *Error
			if dynamic {
				out[name], err = e.dynamic(field)
			} else {
				out[key], err = e.template(field)
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			var err *Error
			if out[i], err = e.template(element); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func (e *env) dynamic(v any) (any, *Error) {
	text, _ := v.(string)
	if jsonpath.IsCall(text) {
		call, err := jsonpath.CompileCall(text)
		if err != nil {
			return nil, errorf(ErrorRuntime, "%v", err)
		}
		return e.call(call)
	}
	path, err := jsonpath.Compile(text)
	if err != nil {
		return nil, errorf(ErrorRuntime, "%v", err)
	}
	found, err := path.Select(e.roots())
	if err != nil {
		return nil, errorf(ErrorParameterPathFailure, "%v", err)
	}
	return found, nil
}

func (e *env) call(c jsonpath.Call) (any, *Error) {
	v, err := c.Eval(e.roots(), e.rand)
	if err != nil {
		return nil, errorf(ErrorIntrinsicFailure, "%v", err)
	}
	return v, nil
}

// expressions evaluates the JSONata in a value, however deep.
func (e *env) expressions(v any) (any, *Error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, field := range v {
			var err *Error
			if out[key], err = e.expressions(field); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			var err *Error
			if out[i], err = e.expressions(element); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if !isExpression(v) {
		return v, nil
	}
	return e.expression(v.(string))
}

func (e *env) expression(text string) (any, *Error) {
	if e.bindings == nil {
		scope := make(map[string]any, len(e.variables)+1)
		for name, v := range e.variables {
			scope[name] = v
		}
		scope["states"] = e.states
		data, err := json.Marshal(scope)
		if err != nil {
			return nil, errorf(ErrorQueryEvaluation, "%v", err)
		}
		e.bindings = data
	}
	v, err := jsonata.Eval(expressionOf(text), jsonata.Env{Bindings: e.bindings, Now: e.now, Rand: e.rand})
	if err != nil {
		var failed *jsonata.Error
		if !errors.As(err, &failed) {
			return nil, errorf(ErrorRuntime, "%v", err)
		}
		return nil, errorf(ErrorQueryEvaluation, "The JSONata expression '%s' failed: %v", expressionOf(text), failed)
	}
	return v, nil
}

// number evaluates a field that must be a number of the span.
func (e *env) number(field string, v value, allowed span) (float64, *Error) {
	n, err := e.eval(v)
	if err != nil {
		return 0, err
	}
	if e.language == JSONata {
		if f, ok := n.(float64); ok && allowed.integer {
			n = float64(int64(f))
		}
	}
	if mismatch := allowed.check(n); mismatch != nil {
		return 0, errorf(e.typeError(), "%s %v", field, mismatch)
	}
	return n.(float64), nil
}

// typeError is the name of the error for a value of the wrong type.
func (e *env) typeError() string {
	if e.language == JSONata {
		return ErrorQueryEvaluation
	}
	return ErrorRuntime
}

// selected applies InputPath or OutputPath to data.
func (e *env) selected(field string, p *pathField, data any) (any, *Error) {
	switch {
	case p == nil:
		return data, nil
	case p.null:
		return map[string]any{}, nil
	}
	found, err := p.path.Select(jsonpath.Roots{Input: data, Context: e.context, Variables: e.variables})
	if err != nil {
		return nil, errorf(ErrorRuntime, "%s: %v", field, err)
	}
	return found, nil
}

// placed applies ResultPath: it puts the result into the state's input.
func placed(p *pathField, input, result any) (any, *Error) {
	switch {
	case p == nil:
		return result, nil
	case p.null:
		return input, nil
	}
	out, err := p.path.Put(input, result)
	if err != nil {
		return nil, errorf(ErrorResultPathMatchFailure, "ResultPath: %v", err)
	}
	return out, nil
}
