// Package action runs Go functions as actions of Apache OpenWhisk. The same
// function runs in Lambda and here:
//
//	func main() { action.Start(charge.Handle) }
//
// where Handle is a func(context.Context, Request) (Response, error), as
// lambda.Start takes it.
//
// An action is a Linux executable for amd64 that speaks the ActionLoop protocol
// of OpenWhisk's Go runtime: one line of JSON comes in for each activation, one
// goes out on file descriptor 3.
//
// Actions take and return JSON objects. Any other value is boxed in an object
// with the one member [Value], and so is an object that OpenWhisk would take for
// an error; workflows of package openwhisk box and unbox the same way.
//
// Source: https://github.com/apache/openwhisk-runtime-go/blob/master/docs/ACTION.md.
package action

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"
)

// Value is the member that holds what is no object of its own right.
const Value = "$value"

// failed is the member that makes an object an error in OpenWhisk.
const failed = "error"

// An Error is the failure of an action, with the names that Lambda gives its
// parts: Retry and Catch of a workflow match Type. A handler may return one to
// choose its type.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// An Activation is what OpenWhisk says about one invocation of an action.
type Activation struct {
	ID        string    // of the activation's record
	Action    string    // the action's full name: "/namespace/package/name"
	Namespace string    // the namespace that invoked it
	Deadline  time.Time // when OpenWhisk ends the activation; zero if it did not say
}

type activationKey struct{}

// FromContext returns the activation that a handler runs in, the zero value
// outside one.
func FromContext(ctx context.Context) Activation {
	a, _ := ctx.Value(activationKey{}).(Activation)
	return a
}

// NewContext returns a context for a handler that runs in the activation, as
// Start makes it. Tests of handlers use it.
func NewContext(ctx context.Context, a Activation) context.Context {
	return context.WithValue(ctx, activationKey{}, a)
}

// A Handler answers one activation. It gets the invocation's parameters, an
// object, and returns what is sent back as it is.
type Handler func(ctx context.Context, params json.RawMessage) (any, error)

// Func makes a Handler from a Lambda function's handler: parameters and results
// are unboxed and boxed.
func Func[In, Out any](f func(context.Context, In) (Out, error)) Handler {
	return func(ctx context.Context, params json.RawMessage) (any, error) {
		data, err := Unbox(params)
		if err != nil {
			return nil, err
		}
		var in In
		if err := json.Unmarshal(data, &in); err != nil {
			return nil, fmt.Errorf("decode the parameters: %w", err)
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		return Box(out)
	}
}

// Start serves activations with the function until OpenWhisk ends the process.
// It does not return.
func Start[In, Out any](f func(context.Context, In) (Out, error)) { Run(Func(f)) }

// Run is Start for a Handler.
func Run(h Handler) {
	out := os.NewFile(3, "result")
	err := Serve(context.Background(), os.Stdin, out, os.Getenv("__OW_WAIT_FOR_ACK") != "", h)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Serve answers the activations that come in, one a line, until the input ends.
// With ack it first says that it is ready. The error is that of the input or
// output; a handler's error is the activation's answer.
func Serve(ctx context.Context, in io.Reader, out io.Writer, ack bool, h Handler) error {
	if ack {
		if _, err := io.WriteString(out, `{"ok":true}`+"\n"); err != nil {
			return fmt.Errorf("acknowledge the start: %w", err)
		}
	}
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if _, err := out.Write(append(answer(ctx, line, h), '\n')); err != nil {
				return fmt.Errorf("send a result: %w", err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read an activation: %w", err)
		}
	}
}

// answer returns the line that answers an activation.
func answer(ctx context.Context, line []byte, h Handler) []byte {
	result, err := handle(ctx, line, h)
	if err == nil {
		var data []byte
		if data, err = json.Marshal(result); err == nil {
			return data
		}
	}
	data, _ := json.Marshal(map[string]*Error{failed: errorOf(err)})
	return data
}

func handle(ctx context.Context, line []byte, h Handler) (result any, err error) {
	var message struct {
		Value      json.RawMessage `json:"value"`
		Namespace  string          `json:"namespace"`
		Action     string          `json:"action_name"`
		Activation string          `json:"activation_id"`
		Deadline   json.RawMessage `json:"deadline"` // milliseconds, as text or number
	}
	if err := json.Unmarshal(line, &message); err != nil {
		return nil, fmt.Errorf("decode the activation: %w", err)
	}
	a := Activation{ID: message.Activation, Action: message.Action, Namespace: message.Namespace}
	var ms int64
	if json.Unmarshal(bytes.Trim(message.Deadline, `"`), &ms) == nil && ms > 0 {
		a.Deadline = time.UnixMilli(ms)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, a.Deadline)
		defer cancel()
	}
	if len(message.Value) == 0 {
		message.Value = json.RawMessage("{}")
	}
	// A panic would end the process, and the caller would learn nothing.
	defer func() {
		if p := recover(); p != nil {
			err = &Error{Type: "panic", Message: fmt.Sprint(p)}
		}
	}()
	return h(NewContext(ctx, a), message.Value)
}

// errorOf names an error after its type, as Lambda does for handlers in Go,
// unless it has a name.
func errorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return &Error{Type: t.Name(), Message: err.Error()}
}

// Box returns a value's JSON as an object that OpenWhisk carries unchanged.
func Box(v any) (json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) == nil && members != nil {
		_, isError := members[failed]
		_, isBox := members[Value]
		if !isError && !isBox {
			return data, nil
		}
	}
	return json.Marshal(map[string]json.RawMessage{Value: data})
}

// Unbox returns what Box boxed; other objects come back as they are.
func Unbox(object json.RawMessage) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, fmt.Errorf("decode the parameters: %w", err)
	}
	if v, ok := members[Value]; ok && len(members) == 1 {
		return v, nil
	}
	return object, nil
}
