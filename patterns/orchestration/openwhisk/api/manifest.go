package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Manifest returns the deployment as the manifest.yaml of wskdeploy, whose
// archives lie beside it.
//
// Source: https://github.com/apache/openwhisk-wskdeploy/tree/master/specification/html.
func (d *Deployment) Manifest() []byte {
	var m manifest
	m.line(0, "packages", "")
	m.line(1, quote(d.Package), "")
	m.line(2, "version", quote("1.0.0"))
	m.line(2, "license", "unlicensed")
	m.group("actions", d.Actions, func(s Spec) bool { return s.Archive != "" }, func(s Spec) {
		m.line(3, quote(s.Name), "")
		m.line(4, "function", quote(s.Archive))
		m.line(4, "runtime", quote(s.Kind))
		if s.Conductor {
			m.line(4, "annotations", "")
			m.line(5, "conductor", "true")
		}
		m.limits(s.Limits)
	})
	m.group("sequences", d.Actions, func(s Spec) bool { return s.Archive == "" }, func(s Spec) {
		names := make([]string, len(s.Components))
		for i, full := range s.Components {
			names[i] = full
			if path.Dir(full) == "/_/"+d.Package {
				names[i] = path.Base(full)
			}
		}
		m.line(3, quote(s.Name), "")
		m.line(4, "actions", quote(strings.Join(names, ", ")))
	})
	if len(d.Triggers) > 0 {
		m.line(2, "triggers", "")
		for _, e := range d.Triggers {
			if len(e.Parameters) == 0 {
				m.line(3, quote(d.Channel(e.Name)), "{}")
				continue
			}
			m.line(3, quote(d.Channel(e.Name)), "")
			m.line(4, "inputs", "")
			for _, key := range slices.Sorted(maps.Keys(e.Parameters)) {
				m.line(5, quote(key), quote(e.Parameters[key]))
			}
		}
		m.line(2, "rules", "")
		for _, e := range d.Triggers {
			m.line(3, quote(d.Channel(e.Name)), "")
			m.line(4, "trigger", quote(d.Channel(e.Name)))
			m.line(4, "action", quote(d.Workflow))
		}
	}
	return m.Bytes()
}

type manifest struct{ bytes.Buffer }

func (m *manifest) line(depth int, key, value string) {
	fmt.Fprintln(m, strings.TrimRight(strings.Repeat("  ", depth)+key+": "+value, " "))
}

func (m *manifest) group(name string, actions []Spec, of func(Spec) bool, write func(Spec)) {
	if !slices.ContainsFunc(actions, of) {
		return
	}
	m.line(2, name, "")
	for _, s := range actions {
		if of(s) {
			write(s)
		}
	}
}

func (m *manifest) limits(l Limits) {
	if l == (Limits{}) {
		return
	}
	m.line(4, "limits", "")
	for _, limit := range []struct {
		name  string
		value int
	}{{"timeout", l.Timeout}, {"memorySize", l.Memory}} {
		if limit.value != 0 {
			m.line(5, limit.name, fmt.Sprint(limit.value))
		}
	}
}

// quote returns a value as JSON, which is YAML too.
func quote(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the deployment came from JSON or is about to become it
	}
	return string(data)
}
