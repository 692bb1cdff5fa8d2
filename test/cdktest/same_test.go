package cdktest

import (
	"strings"
	"testing"
)

func TestSame(t *testing.T) {
	template := func(hash, memory string) Template {
		return Template{
			"Parameters": map[string]any{"BootstrapVersion": map[string]any{"Type": "String"}},
			"Resources":  map[string]any{"Function": map[string]any{"Properties": map[string]any{"Code": strings.Repeat(hash, 64), "Memory": memory}}},
		}
	}
	want := template("a", "256")
	Same(t, want, template("b", "256"))
	Same(t, want, Template{"Resources": want["Resources"]})

	messages := failing(t, func(tb testing.TB) { Same(tb, want, template("a", "512")) })
	if len(messages) != 1 || !strings.Contains(messages[0], "Resources.Function.Properties.Memory") {
		t.Errorf("reported %q, want the path of what differs", messages)
	}
}
