package action_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serverless-go/cdk/patterns/orchestration/openwhisk/action"
)

type SoldOut struct{ Item string }

func (e *SoldOut) Error() string { return e.Item + " is sold out" }

func serve(t *testing.T, ack bool, h action.Handler, lines ...string) []string {
	t.Helper()
	var out strings.Builder
	if err := action.Serve(t.Context(), strings.NewReader(strings.Join(lines, "\n")), &out, ack, h); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestServe(t *testing.T) {
	h := action.Func(func(ctx context.Context, in any) (any, error) {
		switch in {
		case "panic":
			panic("no such seat")
		case "fail":
			return nil, &SoldOut{"seat"}
		case "named":
			return nil, &action.Error{Type: "Declined", Message: "the card"}
		case "plain":
			return nil, errors.New("plain")
		case "unmarshalable":
			return func() {}, nil
		}
		return in, nil
	})
	got := serve(t, true, h,
		`{"value": {"a": 1}}`,
		``,
		`{}`,
		`{"value": {"$value": [1, 2]}}`,
		`{"value": {"$value": "panic"}}`,
		`{"value": {"$value": "fail"}}`,
		`{"value": {"$value": "named"}}`,
		`{"value": {"$value": "plain"}}`,
		`{"value": {"$value": "unmarshalable"}}`,
		`not JSON`,
	)
	want := []string{
		`{"ok":true}`,
		`{"a":1}`,
		`{}`,
		`{"$value":[1,2]}`,
		`{"error":{"errorType":"panic","errorMessage":"no such seat"}}`,
		`{"error":{"errorType":"SoldOut","errorMessage":"seat is sold out"}}`,
		`{"error":{"errorType":"Declined","errorMessage":"the card"}}`,
		`{"error":{"errorType":"errorString","errorMessage":"plain"}}`,
		`{"error":{"errorType":"UnsupportedTypeError","errorMessage":"json: unsupported type: func()"}}`,
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if last := got[len(got)-1]; len(got) != len(want)+1 || !strings.Contains(last, `"errorType":"wrapError"`) {
		t.Errorf("a line that is not JSON is answered by %s", last)
	}
}

func TestActivation(t *testing.T) {
	for _, deadline := range []string{`1700000000123`, `"1700000000123"`} {
		var got action.Activation
		var ctxDeadline time.Time
		serve(t, false, func(ctx context.Context, _ json.RawMessage) (any, error) {
			got = action.FromContext(ctx)
			ctxDeadline, _ = ctx.Deadline()
			return struct{}{}, nil
		}, `{"value": {}, "namespace": "guest", "action_name": "/guest/shop/charge", "activation_id": "a1", "api_key": "secret", "deadline": `+deadline+`}`)
		want := action.Activation{ID: "a1", Action: "/guest/shop/charge", Namespace: "guest", Deadline: time.UnixMilli(1700000000123)}
		if diff := cmp.Diff(want, got); diff != "" || !ctxDeadline.Equal(want.Deadline) {
			t.Errorf("activation with deadline %s (-want +got):\n%s", deadline, diff)
		}
	}
	if a := action.FromContext(t.Context()); a != (action.Activation{}) {
		t.Errorf("outside an activation: %v", a)
	}
}

func TestBox(t *testing.T) {
	for value, boxed := range map[string]string{
		`{"a":1}`:                `{"a":1}`,
		`{}`:                     `{}`,
		`null`:                   `{"$value":null}`,
		`[1]`:                    `{"$value":[1]}`,
		`"text"`:                 `{"$value":"text"}`,
		`{"error":"none"}`:       `{"$value":{"error":"none"}}`,
		`{"$value":1}`:           `{"$value":{"$value":1}}`,
		`{"$value":1,"other":2}`: `{"$value":{"$value":1,"other":2}}`,
	} {
		got, err := action.Box(json.RawMessage(value))
		if err != nil || string(got) != boxed {
			t.Errorf("Box(%s) = %s, %v; want %s", value, got, err, boxed)
		}
		back, err := action.Unbox(got)
		if err != nil || string(back) != value {
			t.Errorf("Unbox(%s) = %s, %v; want %s", got, back, err, value)
		}
	}
	if _, err := action.Unbox(json.RawMessage(`[1]`)); err == nil {
		t.Error("an array was unboxed")
	}
}
