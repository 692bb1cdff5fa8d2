package diagram

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the texts of the diagrams instead of comparing with them")

const root = "../.."

var folder = filepath.Join(root, "docs", "diagrams")

// TestDiagramsMatchTemplates fails when a text no longer shows its template,
// or a picture its text.
func TestDiagramsMatchTemplates(t *testing.T) {
	if *update {
		if err := Write(root); err != nil {
			t.Fatal(err)
		}
	}
	known := []string{"README.md"}
	for _, d := range All {
		texts, err := d.Texts(root)
		if err != nil {
			t.Error(err)
			continue
		}
		known = append(known, d.Name+".svg")
		for name, want := range texts {
			known = append(known, name)
			got, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Error(err)
			} else if !bytes.Equal(got, want) {
				t.Errorf("docs/diagrams/%s no longer shows %s: `go run -C docs/diagrams .` writes and draws it anew", name, d.Golden)
			}
		}
		svg, err := os.ReadFile(filepath.Join(folder, d.Name+".svg"))
		if err != nil {
			t.Error(err)
		} else if !*update && !Fresh(svg, texts[d.Name+".d2"]) {
			t.Errorf("docs/diagrams/%s.svg was not drawn from what %s makes now: `go run -C docs/diagrams .` draws it anew", d.Name, d.Golden)
		}
	}
	for _, pattern := range []string{"*.d2", "*.svg", "*.md"} {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !slices.Contains(known, filepath.Base(f)) {
				t.Errorf("docs/diagrams/%s belongs to no row of All", filepath.Base(f))
			}
		}
	}
}

var viewBox = regexp.MustCompile(`viewBox="0 0 (\d+) \d+"`)

// TestDiagramsAreSmall keeps the pictures legible on a page.
func TestDiagramsAreSmall(t *testing.T) {
	for _, d := range All {
		g, err := d.Graph(root)
		if err != nil {
			t.Error(err)
			continue
		}
		// On a page 900 pixels wide, 1300 leave 11 of a label's 16 pixels.
		svg, _ := os.ReadFile(filepath.Join(folder, d.Name+".svg"))
		if m := viewBox.FindSubmatch(svg); m == nil {
			t.Errorf("docs/diagrams/%s.svg does not say how wide it is", d.Name)
		} else if width, _ := strconv.Atoi(string(m[1])); width > 1300 {
			t.Errorf("docs/diagrams/%s.svg is %d wide, at most 1300 can be read on a page: fold a part, or set or unset Right", d.Name, width)
		}
		if n := len(g.Nodes); n > 25 {
			t.Errorf("%s has %d nodes, at most 25 can be taken in: fold a part", d.Name, n)
		}
		for _, n := range g.Nodes {
			if utf8.RuneCountInString(n.Label) > 26 || utf8.RuneCountInString(n.Caption) > 34 {
				t.Errorf("%s: node %s has a long label %q, %q: give it one in Labels", d.Name, n.ID, n.Label, n.Caption)
			}
			if n.Label == "" || n.Caption == "" && n.Kind != "outside" {
				t.Errorf("%s: node %s says %q, %q, and must say both what it is called and what it is", d.Name, n.ID, n.Label, n.Caption)
			}
		}
	}
}

// TestNothingIsForgotten fails when a diagram's template has a resource of a
// type that nobody has decided to draw or to leave out.
func TestNothingIsForgotten(t *testing.T) {
	for _, d := range All {
		template, err := d.template(root)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, id := range template.ids {
			typ := template.resources[id].Type
			_, box := drawn[typ]
			_, part := folded[typ]
			if !box && !part && !slices.Contains(undrawn, typ) {
				t.Errorf("%s: %s is of type %s, which stands in none of the tables drawn, folded and undrawn", d.Golden, id, typ)
			}
		}
	}
}

// TestPagesShowDiagrams fails when a picture is on no page.
func TestPagesShowDiagrams(t *testing.T) {
	for _, d := range All {
		page, err := os.ReadFile(filepath.Join(root, "docs", d.Page))
		if err != nil {
			t.Error(err)
		} else if !bytes.Contains(page, []byte("diagrams/"+d.Name+".svg")) {
			t.Errorf("docs/%s does not show diagrams/%s.svg", d.Page, d.Name)
		}
	}
}

// TestEveryConstructHasADiagram fails when a construct or a system has neither
// a diagram nor a reason for having none.
func TestEveryConstructHasADiagram(t *testing.T) {
	told := map[string]bool{}
	for _, d := range All {
		told[d.Of] = true
	}
	for of, why := range Undrawn {
		if told[of] {
			t.Errorf("%s has a diagram and a reason for having none", of)
		}
		if why == "" {
			t.Errorf("%s has no diagram and no reason", of)
		}
		told[of] = false
	}
	exist := map[string]bool{}
	families, err := os.ReadDir(filepath.Join(root, "patterns"))
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.Name() == "internal" {
			continue
		}
		constructs, types := constructsOf(t, filepath.Join(root, "patterns", family.Name()))
		for _, name := range types {
			exist[family.Name()+"."+name] = true
		}
		goldens, err := filepath.Glob(filepath.Join(root, "patterns", family.Name(), "testdata", "Test*.golden.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range goldens {
			// TestProjectionDefaults is of a Projection, which no function makes.
			if name := longestPrefix(strings.TrimPrefix(filepath.Base(g), "Test"), types); name != "" {
				constructs = append(constructs, name)
			}
		}
		slices.Sort(constructs)
		for _, name := range slices.Compact(constructs) {
			if _, ok := told[family.Name()+"."+name]; !ok {
				t.Errorf("%s.%s has no diagram: add a row to All, or a reason to Undrawn", family.Name(), name)
			}
		}
	}
	goldens, err := filepath.Glob(filepath.Join(root, "test", "testdata", "Test*.golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(g), "Test"), ".golden.json")
		// TestHealthWatchEverything_eu-west-1 is of the system HealthWatch.
		system := longestPrefix(name, slices.Collect(maps.Keys(told)))
		if exist[system] = true; system == "" {
			t.Errorf("the system of test/testdata/%s has no diagram: add a row to All, or a reason to Undrawn", filepath.Base(g))
		}
	}
	for of := range told {
		if !exist[of] {
			t.Errorf("there is no %s", of)
		}
	}
}

// constructsOf returns what functions of the package make within a scope, and
// all its exported types.
func constructsOf(t *testing.T, dir string) (constructs, types []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				made, ok := strings.CutPrefix(decl.Name.Name, "New")
				if ok && made != "" && decl.Recv == nil && len(decl.Type.Params.List) > 0 {
					scope, ok := decl.Type.Params.List[0].Type.(*ast.SelectorExpr)
					if ok && scope.Sel.Name == "Construct" {
						constructs = append(constructs, made)
					}
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
						types = append(types, s.Name.Name)
					}
				}
			}
		}
	}
	return constructs, types
}

func longestPrefix(s string, of []string) string {
	longest := ""
	for _, p := range of {
		if strings.HasPrefix(s, p) && len(p) > len(longest) {
			longest = p
		}
	}
	return longest
}

// TestSeesAStalePicture plants the mistake.
func TestSeesAStalePicture(t *testing.T) {
	d := All[0]
	text, err := fs.ReadFile(os.DirFS(folder), d.Name+".d2")
	if err != nil {
		t.Fatal(err)
	}
	svg, err := fs.ReadFile(os.DirFS(folder), d.Name+".svg")
	if err != nil {
		t.Fatal(err)
	}
	if !Fresh(svg, text) {
		t.Skip("TestDiagramsMatchTemplates tells")
	}
	if Fresh(svg, append(text, "another: box\n"...)) {
		t.Error("a picture passes for one of another text")
	}
}
