package test_test

import (
	"go/ast"
	"path/filepath"
	"strings"
	"testing"
)

// A role that is made in another way lacks the statement of the residency around
// it, and whoever uses the construct finds its synth refused.
func TestRolesAreMadeInOnePlace(t *testing.T) {
	found := map[string]bool{}
	for _, dir := range []string{"../internal", "../patterns", "../stacks"} {
		docsWalk(t, dir, func(file string) {
			ast.Inspect(docsParse(t, file), func(n ast.Node) bool {
				call, _ := n.(*ast.SelectorExpr)
				if call == nil {
					return true
				}
				if pkg, _ := call.X.(*ast.Ident); pkg != nil && pkg.Name == "awsiam" && (strings.HasPrefix(call.Sel.Name, "NewRole") || strings.HasPrefix(call.Sel.Name, "NewCfnRole")) {
					found[filepath.ToSlash(file)] = true
				}
				return true
			})
		})
	}
	const place = "../internal/defaults/role.go"
	if !found[place] {
		t.Errorf("no role is made in %s", place)
	}
	delete(found, place)
	for file := range found {
		t.Errorf("%s makes a role: use defaults.Role", file)
	}
}
