package leastprivilege

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// openOperations finds what anybody may call of an API that an OpenAPI
// definition describes. API Gateway takes an operation's own security and no
// other:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func openOperations(s *subject) []problem {
	var found []problem
	if len(s.get("BodyS3Location")) > 0 {
		found = append(found, unread("BodyS3Location"))
	}
	for _, body := range s.get("Body") {
		if body == any(noValue) {
			continue
		}
		paths, schemes, ok := definition(body)
		if !ok {
			found = append(found, unread("Body"))
			continue
		}
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			for _, methods := range alternatives(paths[path]) {
				methods, _ := methods.(map[string]any)
				for _, method := range slices.Sorted(maps.Keys(methods)) {
					if !slices.Contains(operations, method) {
						continue
					}
					for _, operation := range alternatives(methods[method]) {
						if operation, _ := operation.(map[string]any); !locked(operation, schemes) {
							name := strings.ToUpper(strings.TrimSuffix(strings.TrimPrefix(method, "x-amazon-apigateway-"), "-method")) + " " + path
							found = append(found, problem{"Body.paths", name, "operations with a security of their own",
								"name an authorizer or awsSigv4 in the operation's security; a definition's own is ignored, and a plain API key is no secret of one caller"})
						}
					}
				}
			}
		}
	}
	return found
}

func unread(place string) problem {
	return problem{place, "unread", "a definition that stands in the template", "write it inline, or acknowledge that all its operations ask who calls"}
}

// operations are the members of a path that can be called. A preflight
// (OPTIONS) carries no credentials.
var operations = []string{"get", "put", "post", "delete", "head", "patch", "trace", "x-amazon-apigateway-any-method"}

// definition returns the paths and security schemes of an OpenAPI definition. It
// returns false for one that is not in the template as a whole.
func definition(body any) (paths, schemes map[string]any, ok bool) {
	m, _ := body.(map[string]any)
	if text, isText := body.(string); isText && json.Unmarshal([]byte(text), &m) != nil {
		return nil, nil, false
	}
	paths, ok = m["paths"].(map[string]any)
	if _, included := m["Fn::Transform"]; included || !ok {
		return nil, nil, false
	}
	for _, path := range paths {
		if m, _ := path.(map[string]any); m["Fn::Transform"] != nil {
			return nil, nil, false
		}
	}
	if schemes, _ = m["securityDefinitions"].(map[string]any); schemes == nil { // OpenAPI 2
		components, _ := m["components"].(map[string]any)
		schemes, _ = components["securitySchemes"].(map[string]any)
	}
	return paths, schemes, true
}

// locked reports whether each way to call the operation asks who calls.
func locked(operation, schemes map[string]any) bool {
	if auth, _ := operation["x-amazon-apigateway-auth"].(map[string]any); auth["type"] == "AWS_IAM" {
		return true
	}
	ways := elements(operation["security"])
	return len(ways) > 0 && !slices.ContainsFunc(ways, func(way any) bool {
		names, _ := way.(map[string]any)
		for name := range names {
			if scheme, _ := schemes[name].(map[string]any); asks(scheme) {
				return false
			}
		}
		return true
	})
}

// asks reports whether a security scheme tells one caller from another.
func asks(scheme map[string]any) bool {
	return scheme != nil && (scheme["type"] != "apiKey" || scheme["x-amazon-apigateway-authtype"] != nil || scheme["x-amazon-apigateway-authorizer"] != nil)
}
