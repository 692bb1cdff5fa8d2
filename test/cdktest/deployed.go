package cdktest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Deployed returns a text of a template, such as a state machine's
// DefinitionString, as CloudFormation would fill it in for account 123456789012
// in eu-west-1: Ref, Fn::GetAtt, Fn::Join and Fn::Sub are resolved. A reference
// to a resource becomes its logical id, its Arn an ARN that ends with the
// logical id. The test fails when the value holds anything else.
func Deployed(t testing.TB, value any) string {
	t.Helper()
	text, err := deployed(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

func deployed(value any) (string, error) {
	function, argument := "", value
	switch v := value.(type) {
	case string:
		return v, nil
	case map[string]any:
		if len(v) == 1 {
			for function, argument = range v {
			}
		}
	}
	list, isList := argument.([]any)
	switch {
	case function == "Ref":
		if id, ok := argument.(string); ok {
			return reference(id), nil
		}
	case function == "Fn::GetAtt" && isList && len(list) == 2:
		return reference(fmt.Sprintf("%s.%s", list...)), nil
	case function == "Fn::Join" && isList && len(list) == 2:
		separator, ok := list[0].(string)
		elements, isList := list[1].([]any)
		if !ok || !isList {
			break
		}
		parts := make([]string, len(elements))
		for i, element := range elements {
			var err error
			if parts[i], err = deployed(element); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, separator), nil
	case function == "Fn::Sub":
		text, own := argument, map[string]any{}
		if isList && len(list) == 2 {
			text = list[0]
			own, _ = list[1].(map[string]any)
		}
		if s, ok := text.(string); ok {
			return substituted(s, own)
		}
	}
	b, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	return "", fmt.Errorf("cdktest cannot resolve %s; it knows texts, Ref, Fn::GetAtt, Fn::Join and Fn::Sub", b)
}

// substituted fills in the variables of an Fn::Sub, some of which have values
// of their own.
func substituted(s string, own map[string]any) (string, error) {
	var wrong error
	text := variable.ReplaceAllStringFunc(s, func(match string) string {
		name := match[2 : len(match)-1]
		value, ok := own[name]
		if !ok {
			return reference(name)
		}
		text, err := deployed(value)
		if err != nil {
			wrong = err
		}
		return text
	})
	return text, wrong
}

// reference returns what a name stands for: of a pseudo parameter, a resource,
// or a resource's attribute.
func reference(name string) string {
	switch name {
	case "AWS::Partition":
		return "aws"
	case "AWS::Region":
		return "eu-west-1"
	case "AWS::AccountId":
		return "123456789012"
	case "AWS::URLSuffix":
		return "amazonaws.com"
	}
	if id, ok := strings.CutSuffix(name, ".Arn"); ok {
		return "arn:aws:any:eu-west-1:123456789012:function:" + id
	}
	return name
}
