package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// parameter is a parameter mapping of an integration's requests, such as
// remove:header.x or overwrite:header.x.
type parameter struct{ verb, header, value string }

// reserved are the headers that a mapping cannot change
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html).
var reserved = regexp.MustCompile(`^(access-control-.*|apigw-.*|authorization|connection|content-(encoding|length|location)|forwarded|` +
	`keep-alive|origin|proxy-authenticate|proxy-authorization|te|trailers|transfer-encoding|upgrade|via|x-amzn?-.*|x-forwarded-(for|host|proto))$`)

func parseParameters(parameters map[string]string) ([]parameter, error) {
	var list []parameter
	for key, value := range parameters {
		verb, target, _ := strings.Cut(key, ":")
		header, isHeader := strings.CutPrefix(target, "header.")
		header = strings.ToLower(header)
		switch {
		case !isHeader || verb != "append" && verb != "overwrite" && verb != "remove":
			return nil, fmt.Errorf("the parameter mapping %s is not supported", key)
		case reserved.MatchString(header):
			return nil, fmt.Errorf("the header of the parameter mapping %s is reserved", key)
		case strings.HasPrefix(value, "$") && !strings.HasPrefix(value, "$request.") && !strings.HasPrefix(value, "$context.authorizer."):
			return nil, fmt.Errorf("the value %s of the parameter mapping %s is not supported", value, key)
		}
		list = append(list, parameter{verb, header, value})
	}
	return list, nil
}

// mapped changes an event's headers. All values are of the request as it came.
func mapped(event map[string]any, parameters []parameter, authorized map[string]any) {
	headers := maps.Clone(event["headers"].(map[string]string))
	for _, m := range parameters {
		value := m.value
		if name, ok := strings.CutPrefix(value, "$context.authorizer."); ok {
			value = ""
			if v, ok := authorized[name]; ok {
				value = fmt.Sprint(v)
			}
		} else if strings.HasPrefix(value, "$request.") {
			value = requestValue(value, event)
		}
		switch {
		case m.verb == "remove":
			delete(headers, m.header)
		case m.verb == "append" && headers[m.header] != "":
			headers[m.header] += "," + value
		default:
			headers[m.header] = value
		}
	}
	event["headers"] = headers
}

// requestValue is what a selection such as $request.header.name selects.
func requestValue(selection string, event map[string]any) string {
	if name, ok := strings.CutPrefix(selection, "$request.header."); ok {
		return event["headers"].(map[string]string)[strings.ToLower(name)]
	}
	if name, ok := strings.CutPrefix(selection, "$request.querystring."); ok {
		parameters, _ := event["queryStringParameters"].(map[string]string)
		return parameters[name]
	}
	return ""
}
