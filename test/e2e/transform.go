package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
)

// fill replaces the <variables> of an input template. In a template that is
// JSON a variable outside quotes becomes JSON (a string gets its quotes), one
// inside quotes becomes text, escaped. A variable without value becomes
// nothing: outside quotes that spoils the JSON, and the delivery fails.
func fill(template string, value func(variable string) (any, bool)) (string, error) {
	var out strings.Builder
	quoted := false
	for i := 0; i < len(template); i++ {
		c := template[i]
		switch {
		case c == '\\' && quoted && i+1 < len(template):
			out.WriteByte(c)
			i++
			out.WriteByte(template[i])
		case c == '"':
			quoted = !quoted
			out.WriteByte(c)
		case c == '<':
			end := strings.IndexByte(template[i:], '>')
			if end < 0 {
				return "", fmt.Errorf("input template %q: < at %d is never closed", template, i)
			}
			v, ok := value(template[i+1 : i+end])
			i += end
			if !ok {
				continue
			}
			text, err := json.Marshal(v)
			if err != nil {
				return "", fmt.Errorf("input template: %w", err)
			}
			if s, isText := v.(string); isText && quoted {
				text = text[1 : len(text)-1]
			} else if quoted {
				escaped, _ := json.Marshal(string(text))
				text = escaped[1 : len(escaped)-1]
			} else if isText && !strings.ContainsAny(template, "{[\"") {
				text = []byte(s) // free text, not JSON
			}
			out.Write(text)
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), nil
}

// inputTransformer is a rule target's.
type inputTransformer struct {
	InputPathsMap map[string]string
	InputTemplate string
}

// apply makes the target's input of the event, given as delivered and decoded.
func (t *inputTransformer) apply(event any, rule, ruleARN string) ([]byte, error) {
	text, err := fill(t.InputTemplate, func(variable string) (any, bool) {
		switch variable {
		case "aws.events.rule-arn":
			return ruleARN, true
		case "aws.events.rule-name":
			return rule, true
		case "aws.events.event", "aws.events.event.json":
			return event, true
		case "aws.events.event.ingestion-time":
			return lookup(event, "$.time")
		}
		return lookup(event, t.InputPathsMap[variable])
	})
	if err != nil {
		return nil, err
	}
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("input transformer made invalid JSON: %.200s", text)
	}
	return []byte(text), nil
}
