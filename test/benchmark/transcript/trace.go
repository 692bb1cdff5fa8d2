package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

// request is what Go asks of the CDK's process.
type request struct {
	API        string     `json:"api"`
	FQN        string     `json:"fqn"`
	Args       []any      `json:"args"`
	Interfaces []string   `json:"interfaces"`
	Overrides  []override `json:"overrides"`
	Object     reference  `json:"objref"`
	Method     string     `json:"method"`
	Property   string     `json:"property"`
	Value      any        `json:"value"`

	Complete *struct {
		Callback string `json:"cbid"`
		Result   any    `json:"result"`
		Error    string `json:"err"`
	} `json:"complete"`
}

// override is a method or a property of an object that Go implements.
type override struct {
	Method   string `json:"method"`
	Property string `json:"property"`
}

type reference struct {
	ID string `json:"$jsii.byref"`
}

// answer is what the CDK's process says: the value, an error, or that it needs
// an answer of Go's first.
type answer struct {
	OK       json.RawMessage `json:"ok"`
	Error    *string         `json:"error"`
	Callback *callback       `json:"callback"`
}

type callback struct {
	ID     string         `json:"cbid"`
	Get    *request       `json:"get"`
	Invoke *request       `json:"invoke"`
	Set    map[string]any `json:"set"`
}

// call is a request with its answer, and the calls of Go that it made meanwhile.
type call struct {
	request
	result    any
	failed    bool
	callbacks []*callOfGo
}

// read reads the result, which stands in different places.
func (c *call) read(ok []byte) error {
	if c.API == "create" {
		return json.Unmarshal(ok, &c.result)
	}
	var places struct{ Result, Value any }
	if len(ok) > 0 {
		if err := json.Unmarshal(ok, &places); err != nil {
			return err
		}
	}
	if c.result = places.Result; c.result == nil {
		c.result = places.Value
	}
	return nil
}

// id is that of the object which the call made.
func (c *call) id() string {
	made, _ := c.result.(map[string]any)
	id, _ := made["$jsii.byref"].(string)
	return id
}

// callOfGo is a call of what Go implements.
type callOfGo struct {
	object  string
	member  override
	args    []any
	calls   []*call
	result  any
	failure string
}

// trace reads jsii's trace.
type trace struct{ lines [][]byte }

const (
	toCDK   = "> "
	fromCDK = "< "
)

// Requests returns the requests in a trace of jsii's, as JSON: what an app
// prints with JSII_DEBUG=1.
func Requests(traced []byte) [][]byte {
	var requests [][]byte
	for _, line := range newTrace(traced).lines {
		if request, ok := bytes.CutPrefix(line, []byte(toCDK)); ok {
			requests = append(requests, request)
		}
	}
	return requests
}

// message is the beginning of a line that matters. What else jsii prints, at
// great length, may end without a line's end.
var message = regexp.MustCompile(`[<>] \{"`)

func newTrace(traced []byte) *trace {
	t := &trace{}
	for line := range bytes.Lines(traced) {
		for _, at := range message.FindAllIndex(line, -1) {
			if line := bytes.TrimSpace(line[at[0]:]); json.Valid(line[len(toCDK):]) {
				t.lines = append(t.lines, line)
				break
			}
		}
	}
	return t
}

// next reads the message that follows if it goes this way.
func (t *trace) next(way string, message any) (ok bool, err error) {
	if len(t.lines) == 0 {
		return false, nil
	}
	text, ok := bytes.CutPrefix(t.lines[0], []byte(way))
	if !ok {
		return false, nil
	}
	t.lines = t.lines[1:]
	if err := json.Unmarshal(text, message); err != nil {
		return false, fmt.Errorf("%s: %w", text, err)
	}
	return true, nil
}

// calls reads calls until the trace ends, or a callback, which it returns.
func (t *trace) calls() (calls []*call, complete *request, err error) {
	for {
		r := &request{}
		switch ok, err := t.next(toCDK, r); {
		case err != nil:
			return nil, nil, err
		case !ok && len(t.lines) > 0:
			return nil, nil, fmt.Errorf("an answer to no request: %s", t.lines[0])
		case !ok || r.Complete != nil:
			return calls, r, nil
		}
		c := &call{request: *r}
		if err := t.answer(c); err != nil {
			return nil, nil, err
		}
		calls = append(calls, c)
	}
}

// answer reads the answer to the call, and what the CDK needs of Go before it.
func (t *trace) answer(c *call) error {
	for {
		var a answer
		if ok, err := t.next(fromCDK, &a); err != nil || !ok {
			return err // the last request, with which Go says that it ends, has no answer
		}
		if a.Error != nil {
			c.failed = true
			return nil
		}
		if a.Callback == nil {
			return c.read(a.OK)
		}
		g := &callOfGo{}
		switch called := a.Callback; {
		case called.Get != nil:
			g.object, g.member = called.Get.Object.ID, override{Property: called.Get.Property}
		case called.Invoke != nil:
			g.object, g.member, g.args = called.Invoke.Object.ID, override{Method: called.Invoke.Method}, called.Invoke.Args
		default:
			return fmt.Errorf("a callback of another kind: %+v", called)
		}
		calls, complete, err := t.calls()
		if err != nil {
			return err
		}
		if complete.Complete == nil {
			return fmt.Errorf("callback %s is not completed", a.Callback.ID)
		}
		g.calls, g.result, g.failure = calls, complete.Complete.Result, complete.Complete.Error
		c.callbacks = append(c.callbacks, g)
	}
}
