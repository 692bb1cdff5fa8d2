package cdktest

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// cycle returns resources that depend on each other in a circle, which
// CloudFormation refuses only when it deploys, or nil.
func cycle(template Template) []string {
	resources, _ := template["Resources"].(map[string]any)
	const visiting, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(id string) []string
	visit = func(id string) []string {
		path = append(path, id)
		state[id] = visiting
		for _, next := range references(resources[id], resources) {
			switch state[next] {
			case visiting:
				return append(path[slices.Index(path, next):], next)
			case 0:
				if found := visit(next); found != nil {
					return found
				}
			}
		}
		path = path[:len(path)-1]
		state[id] = done
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		if state[id] == 0 {
			if found := visit(id); found != nil {
				return found
			}
		}
	}
	return nil
}

var substitution = regexp.MustCompile(`\$\{([A-Za-z0-9]+)(\.[^}]+)?\}`)

// references returns the ids of the resources that v refers to.
func references(v any, resources map[string]any) []string {
	found := map[string]bool{}
	add := func(id any) {
		if name, ok := id.(string); ok && resources[name] != nil {
			found[name] = true
		}
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for key, e := range v {
				switch key {
				case "Ref", "DependsOn":
					add(e)
				case "Fn::GetAtt":
					if list, ok := e.([]any); ok && len(list) > 0 {
						add(list[0])
					} else if s, ok := e.(string); ok {
						id, _, _ := strings.Cut(s, ".")
						add(id)
					}
				case "Fn::Sub":
					text := e
					if list, ok := e.([]any); ok && len(list) > 0 {
						text = list[0]
					}
					s, _ := text.(string)
					for _, m := range substitution.FindAllStringSubmatch(s, -1) {
						add(m[1])
					}
				}
				if key == "DependsOn" {
					if list, ok := e.([]any); ok {
						for _, id := range list {
							add(id)
						}
					}
				}
				walk(e)
			}
		}
	}
	walk(v)
	return slices.Sorted(maps.Keys(found))
}
