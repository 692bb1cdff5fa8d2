package cdktest

import (
	"strings"
	"testing"
)

func TestDeployed(t *testing.T) {
	ref := func(id string) any { return map[string]any{"Ref": id} }
	arn := map[string]any{"Fn::GetAtt": []any{"Handler", "Arn"}}
	for _, test := range []struct {
		value any
		want  string
	}{
		{"text", "text"},
		{ref("Table"), "Table"},
		{ref("AWS::Region"), "eu-west-1"},
		{arn, "arn:aws:any:eu-west-1:123456789012:function:Handler"},
		{map[string]any{"Fn::GetAtt": []any{"Topic", "TopicName"}}, "Topic.TopicName"},
		{map[string]any{"Fn::Join": []any{"-", []any{"a", ref("B"), "c"}}}, "a-B-c"},
		{map[string]any{"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::AccountId}"}, "arn:aws:sqs:123456789012"},
		{map[string]any{"Fn::Sub": []any{"${Own} ${Other}", map[string]any{"Own": ref("B")}}}, "B Other"},
	} {
		if got, err := deployed(test.value); err != nil || got != test.want {
			t.Errorf("%v is %q, %v; want %q", test.value, got, err, test.want)
		}
	}
	for _, value := range []any{
		nil, 5, []any{"a"}, map[string]any{}, map[string]any{"Fn::Join": "a"}, map[string]any{"Fn::Join": []any{1, 2}},
		map[string]any{"Fn::Join": []any{"", []any{"a", 5}}}, map[string]any{"Ref": 1}, map[string]any{"Fn::If": []any{"a", "b", "c"}},
		map[string]any{"Fn::Sub": []any{"${Own}", map[string]any{"Own": 5}}},
	} {
		if got, err := deployed(value); err == nil || !strings.Contains(err.Error(), "cannot resolve") {
			t.Errorf("%v is %q, %v; want an error", value, got, err)
		}
	}
}
