package test_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// docsCode are blocks that are not prose.
var docsCode = regexp.MustCompile("(?ms)^```.*?^```$")

// docsRead returns a page of the repository.
func docsRead(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docsHandbook are the pages of families and constructs: those of the
// handbook's first table.
func docsHandbook(t *testing.T) []string {
	t.Helper()
	table, _, _ := strings.Cut(docsRead(t, "docs/README.md"), "| System |")
	var pages []string
	for _, m := range regexp.MustCompile(`\]\(([a-z-]+\.md)\)`).FindAllStringSubmatch(table, -1) {
		pages = append(pages, "docs/"+m[1])
	}
	if len(pages) < 25 {
		t.Fatalf("the handbook lists %d pages only", len(pages))
	}
	return pages
}

// docsSections returns what stands before the first section, the sections'
// headings and their texts.
func docsSections(page string) (intro string, headings []string, texts map[string]string) {
	texts = map[string]string{}
	code := false
	lines := strings.Split(page, "\n")
	for n, line := range lines {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if heading, ok := strings.CutPrefix(line, "## "); ok && !code {
			headings = append(headings, heading)
			continue
		}
		if len(headings) == 0 {
			intro += lines[n] + "\n"
		} else {
			texts[headings[len(headings)-1]] += line + "\n"
		}
	}
	return intro, headings, texts
}

// docsShape finds what a page lacks of the shape that all share. Its problems
// are texts for the one who wrote it.
func docsShape(page string) (problems []string) {
	intro, headings, texts := docsSections(page)
	if !strings.HasPrefix(intro, "# ") {
		problems = append(problems, "begins without a title")
	}
	if !strings.Contains(intro, "```mermaid") && !strings.Contains(intro, "(diagrams/") && !strings.Contains(intro, "```go") {
		problems = append(problems, "has neither a picture nor an example before its first section")
	}
	if example, picture := strings.Index(intro, "```go"), strings.Index(intro, "```mermaid"); example >= 0 && example < picture {
		problems = append(problems, "shows the example before the picture")
	}
	first, last := []string{"When to use it", "Resources", "Failure modes"}, []string{"Costs", "Limits", "Sources"}
	if !strings.Contains(page, "(diagrams/") { // libraries, and families whose constructs have pages of their own
		first = slices.DeleteFunc(first, func(h string) bool { return h == "Resources" && !slices.Contains(headings, h) })
	}
	want := slices.Concat(first, slices.DeleteFunc(slices.Clone(headings), func(h string) bool {
		return slices.Contains(first, h) || slices.Contains(last, h)
	}), last)
	if !slices.Equal(headings, want) {
		problems = append(problems, "has the sections\n  "+strings.Join(headings, ", ")+"\nwant\n  "+strings.Join(want, ", "))
	}
	if failures := strings.ToLower(texts["Failure modes"]); !strings.Contains(failures, "| what fails | what happens | what you do |") {
		problems = append(problems, "says in no table what fails, what happens, what you do")
	}
	if sources := strings.TrimSpace(texts["Sources"]); !strings.HasPrefix(sources, "- ") || regexp.MustCompile(`(^|[^(])https://`).MatchString(sources) {
		problems = append(problems, "has no list of sources in which each address has a name")
	}
	return append(problems, docsPrices(texts["Costs"])...)
}

// docsPrices finds figures that name no region or no date.
func docsPrices(costs string) (problems []string) {
	if !strings.Contains(costs, "USD") {
		return nil
	}
	if !regexp.MustCompile(`\b[a-z]{2}-[a-z]+-\d\b`).MatchString(costs) {
		problems = append(problems, "has prices without a region")
	}
	if !regexp.MustCompile(`\b(January|February|March|April|May|June|July|August|September|October|November|December) 20\d\d\b`).MatchString(costs) {
		problems = append(problems, "has prices without a month")
	}
	return problems
}

// A reader who knows one page finds the same things at the same places of all.
func TestDocsHaveOneShape(t *testing.T) {
	for _, name := range docsHandbook(t) {
		for _, problem := range docsShape(docsRead(t, name)) {
			t.Errorf("%s %s", name, problem)
		}
	}
}

func TestDocsShapeSeesMistakes(t *testing.T) {
	sound := "# Thing\n\nIt is.\n\n```go\nx\n```\n\n## When to use it\n\n## Failure modes\n\n| What fails | What happens | What you do |\n\n## Own\n\n" +
		"## Costs\n\n1 USD (us-east-1, November 2026)\n\n## Limits\n\n## Sources\n\n- [x](https://x)\n"
	if problems := docsShape(sound); len(problems) > 0 {
		t.Errorf("refused a sound page: %q", problems)
	}
	for old, wrong := range map[string]string{
		"```go":             "```go\ny\n```\n\n```mermaid",
		"# Thing":           "Thing",
		"```go\nx\n```":     "x",
		"## When to use it": "## When",
		"## Own":            "## Sources",
		"[x](":              "",
		"- [x]":             "[x]",
		"What you do":       "Why",
		"us-east-1, ":       "",
		"November 2026":     "this year",
		"It is.":            "[![It](diagrams/it.svg)](diagrams/it.md)", // a construct, and no resources
	} {
		if len(docsShape(strings.Replace(sound, old, wrong, 1))) == 0 {
			t.Errorf("%q for %q was not seen", wrong, old)
		}
	}
}

// docsAnchors are the anchors that GitHub gives to a page's headings.
func docsAnchors(page string) map[string]bool {
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#{1,6} (.*)$`).FindAllStringSubmatch(docsCode.ReplaceAllString(page, ""), -1) {
		anchors[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])] = true
	}
	return anchors
}

// docsPages are all pages that a reader comes by.
func docsPages(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"}
	err := filepath.WalkDir("../docs", func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".md") {
			pages = append(pages, strings.TrimPrefix(filepath.ToSlash(name), "../"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// Every relative link leads somewhere, to the section it names.
func TestDocsLinks(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, name := range docsPages(t) {
		page := docsRead(t, name)
		for _, m := range links.FindAllStringSubmatch(docsCode.ReplaceAllString(page, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			} else if anchor != "" && !docsAnchors(docsRead(t, target))[anchor] {
				t.Errorf("%s links to %s, a section that is not there", name, m[1])
			}
		}
	}
	for _, dir := range []string{"../patterns", "../stacks", "../test", "../functions", "../examples"} {
		comments := regexp.MustCompile(`(?:^|[^/\w])docs/([a-z-]+\.md)(?:#([\w-]+))?`)
		docsWalk(t, dir, func(file string) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range comments.FindAllStringSubmatch(string(source), -1) {
				page, err := os.ReadFile("../docs/" + m[1])
				if err != nil {
					t.Errorf("%s names docs/%s, which is not there", file, m[1])
				} else if m[2] != "" && !docsAnchors(string(page))[m[2]] {
					t.Errorf("%s names docs/%s#%s, a section that is not there", file, m[1], m[2])
				}
			}
		})
	}
}

// docsWalk calls f with each Go file below dir that is no test.
func docsWalk(t *testing.T, dir string, f func(file string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "testdata" || d.Name() == "cdk.out") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			f(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func docsParse(t *testing.T, file string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// docsNames are the exported names of this module: of its packages, and of
// methods and fields of any type. Packages of one name are taken together.
func docsNames(t *testing.T) (packages map[string]map[string]bool, members map[string]bool) {
	t.Helper()
	packages, members = map[string]map[string]bool{}, map[string]bool{"Node": true} // of every construct
	for _, dir := range []string{"../patterns", "../stacks", "../test", "../functions", "../examples"} {
		docsWalk(t, dir, func(file string) {
			parsed := docsParse(t, file)
			names := packages[parsed.Name.Name]
			if names == nil {
				names = map[string]bool{}
				packages[parsed.Name.Name] = names
			}
			for _, decl := range parsed.Decls {
				switch decl := decl.(type) {
				case *ast.FuncDecl:
					if decl.Recv != nil {
						members[decl.Name.Name] = true
					} else {
						names[decl.Name.Name] = true
					}
				case *ast.GenDecl:
					for _, spec := range decl.Specs {
						switch spec := spec.(type) {
						case *ast.TypeSpec:
							names[spec.Name.Name] = true
							if s, ok := spec.Type.(*ast.StructType); ok {
								for _, field := range s.Fields.List {
									for _, name := range field.Names {
										members[name.Name] = true
									}
								}
							}
							if i, ok := spec.Type.(*ast.InterfaceType); ok {
								for _, method := range i.Methods.List {
									for _, name := range method.Names {
										members[name.Name] = true
									}
								}
							}
						case *ast.ValueSpec:
							for _, name := range spec.Names {
								names[name.Name] = true
							}
						}
					}
				}
			}
		})
	}
	return packages, members
}

// What pages call by a Go name exists.
func TestDocsNames(t *testing.T) {
	packages, members := docsNames(t)
	made := map[string]bool{"NewShop": true} // a reader's own
	for _, names := range packages {
		maps.Copy(made, names)
	}
	qualified := regexp.MustCompile(`(?:^|[^\w./-])([a-z]\w*)\.([A-Z]\w*)`)
	news := regexp.MustCompile(`(?:^|[^\w.])(New[A-Z]\w*)`)
	grants := regexp.MustCompile("`(Grant[A-Z]\\w*)")
	checked := 0
	for _, name := range docsPages(t) {
		if strings.HasPrefix(name, "docs/diagrams/") || name == "CHANGELOG.md" { // pictures, and a past that had other names
			continue
		}
		page := docsRead(t, name)
		for _, m := range qualified.FindAllStringSubmatch(page, -1) {
			names, ours := packages[m[1]]
			if !ours {
				continue
			}
			// A variable can have a package's name: cascade.AddReaction.
			if checked++; !names[m[2]] && !members[m[2]] {
				t.Errorf("%s says %s.%s, which is not there", name, m[1], m[2])
			}
		}
		for _, m := range grants.FindAllStringSubmatch(page, -1) {
			if checked++; !members[m[1]] {
				t.Errorf("%s says %s, which no construct has", name, m[1])
			}
		}
		for _, m := range news.FindAllStringSubmatch(page, -1) {
			if checked++; !made[m[1]] {
				t.Errorf("%s says %s, which is not there", name, m[1])
			}
		}
	}
	if checked < 200 {
		t.Errorf("%d names were found in all pages: this test looks at the wrong texts", checked)
	}
}

// docsProp says what the comment of a prop lacks.
var docsProp = regexp.MustCompile(`\bDefault: \S|\bRequired\b|\b[Ss]et \w+ or \w+`)

// docsPropProblems finds exported fields of a package's props whose comment does
// not say what they are when they are left out. Props are structs that are
// called so, those that tell of a default anywhere, and all that these hold.
func docsPropProblems(files []*ast.File) (problems []string) {
	structs, props, order := map[string]*ast.StructType{}, map[string]bool{}, []string{}
	for _, file := range files {
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok || !typ.Name.IsExported() {
					continue
				}
				if fields, ok := typ.Type.(*ast.StructType); ok {
					structs[typ.Name.Name] = fields
					order = append(order, typ.Name.Name)
				}
			}
		}
	}
	var held func(name string)
	held = func(name string) {
		if structs[name] == nil || props[name] {
			return
		}
		props[name] = true
		for _, field := range structs[name].Fields.List {
			ast.Inspect(field.Type, func(n ast.Node) bool {
				if of, ok := n.(*ast.Ident); ok {
					held(of.Name)
				}
				_, function := n.(*ast.FuncType) // gets what is made
				return !function
			})
		}
	}
	for _, name := range order {
		tells := func(field *ast.Field) bool { return strings.Contains(field.Doc.Text(), "Default:") }
		if strings.HasSuffix(name, "Props") || slices.ContainsFunc(structs[name].Fields.List, tells) {
			held(name)
		}
	}
	for _, typ := range order {
		if !props[typ] {
			continue
		}
		for _, field := range structs[typ].Fields.List {
			text := strings.Join(strings.Fields(field.Doc.Text()), " ")
			for _, name := range field.Names {
				switch field := typ + "." + name.Name; {
				case !name.IsExported():
				case text == "":
					problems = append(problems, field+" has no comment")
				case !docsProp.MatchString(text):
					problems = append(problems, field+` says neither "Default: ..." nor "Required"`)
				}
			}
		}
	}
	return problems
}

// Every prop says what it is when it is left out.
func TestDocsProps(t *testing.T) {
	packages := map[string][]*ast.File{}
	docsWalk(t, "../patterns", func(file string) {
		dir := path.Dir(filepath.ToSlash(file))
		if path.Dir(dir) != "../patterns" || dir == "../patterns/alarm" { // in-Lambda libraries have options
			return
		}
		packages[dir] = append(packages[dir], docsParse(t, file))
	})
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		for _, problem := range docsPropProblems(packages[dir]) {
			t.Errorf("%s: %s", dir, problem)
		}
	}
}

func TestDocsPropsSeesMistakes(t *testing.T) {
	source := []byte("package p\n\ntype XProps struct {\n\tA int\n\t// B is.\n\tB int\n\t// C is.\n\t//\n\t// Default: 1.\n\tC int\n\t// D is. Required.\n\tD int\n\te int\n" +
		"\t// F is. Required.\n\tF map[string][]*V\n\t// G is. Required.\n\tG func(*Z)\n}\n\n" +
		"type Y struct {\n\t// A is.\n\tA int\n\t// B is. Default: 1.\n\tB int\n}\n\ntype Z struct {\n\tA int\n}\n\ntype V struct {\n\t// A is. Required.\n\tA W\n}\n\ntype W struct {\n\tA int\n}\n")
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := `XProps.A has no comment; XProps.B says neither "Default: ..." nor "Required"; Y.A says neither "Default: ..." nor "Required"; W.A has no comment`
	if got := strings.Join(docsPropProblems([]*ast.File{file}), "; "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// docsWordings are what comments say otherwise than all others do.
var docsWordings = []struct {
	wrong *regexp.Regexp
	want  string
}{
	{regexp.MustCompile(`[Dd]efault:?\s[^.]*?\b\d+\s?(ms|s|m|h|d)\b`), "a duration in words, such as 15 minutes"},
	{regexp.MustCompile(`[Dd]efault:?\s(an?|one)\s(second|minute|hour|day)\b`), "a duration with a figure, such as 1 minute"},
	{regexp.MustCompile(`[Dd]efault:?\s\d{4,}[.,;\s]|\b10240\b`), "a number with a comma, such as 10,240"},
	{regexp.MustCompile(`\bSet\s\w+\sor\s\w+\.`), `"Set X or Y, not both."`},
	{regexp.MustCompile(`(^|\n\n)https://`), `"Source: " or "Sources: " before an address`},
}

// docsOwnProps is the type of props that the package itself has.
var docsOwnProps = regexp.MustCompile(`^\*\w*Props$`)

// docsPanics are functions that refuse no props, and why.
var docsPanics = map[string]string{
	"NewLeastPrivilege": "its one prop is true or false",
}

// docsWordingProblems finds comments that are worded otherwise than those of
// all others, and functions with props that do not say how they refuse them.
func docsWordingProblems(file *ast.File) (problems []string) {
	for _, comment := range file.Comments {
		for _, w := range docsWordings {
			if found := w.wrong.FindString(comment.Text()); found != "" {
				problems = append(problems, strings.TrimSpace(found)+" is not "+w.want)
			}
		}
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || !f.Name.IsExported() || docsPanics[f.Name.Name] != "" {
			continue
		}
		takes := slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
			return docsOwnProps.MatchString(types.ExprString(p.Type))
		})
		if takes && !strings.Contains(strings.Join(strings.Fields(f.Doc.Text()), " "), "anics with a *[props.Error]") {
			problems = append(problems, f.Name.Name+` does not say "It panics with a *[props.Error] when the props are wrong."`)
		}
	}
	return problems
}

// Readers meet one wording for one thing.
func TestDocsWording(t *testing.T) {
	docsWalk(t, "../patterns", func(file string) {
		for _, problem := range docsWordingProblems(docsParse(t, file)) {
			t.Errorf("%s: %s", file, problem)
		}
	})
}

func TestDocsWordingSeesMistakes(t *testing.T) {
	source := "package p\n\n// A is.\n//\n// Default: 15m.\nvar A int\n\n// B is; default\n// 30 s.\nvar B int\n\n// C is. Default: a minute.\nvar C int\n\n" +
		"// D is. Default: 2000.\nvar D int\n\n// E is. Set E or\n// F.\nvar E int\n\n// F is.\n//\n// https://example.com\nvar F int\n\n" +
		"// NewG makes.\nfunc NewG(scope S, p *GProps) *G\n\n" +
		"// H is, at https://example.com. Set H or G, not both. Default: 2,000 in 15 minutes, one in a minute.\n//\n// Source: https://example.com.\nvar H int\n\n" +
		"// NewI makes. It panics with a\n// *[props.Error] when the props are wrong.\nfunc NewI(p *Props) *I\n\n// J takes others' props.\nfunc J(p *awssqs.QueueProps)\n"
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Default: 15m is not a duration in words", "30 s is not", "Default: a minute is not a duration with a figure", "Default: 2000. is not a number with a comma",
		`F. is not "Set X or Y, not both."`, `https:// is not "Source: "`, "NewG does not say"}
	got := docsWordingProblems(file)
	if len(got) != len(want) {
		t.Fatalf("got %q, want %d", got, len(want))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
}

// docsSentinels are errors whose text has a reader that knows no packages.
var docsSentinels = map[string]string{
	"broker.ErrUnavailable": "Lambda shows it to whoever invokes the broker",
}

// docsSentinelProblems finds exported errors whose text does not begin with
// their package's name.
func docsSentinelProblems(file *ast.File) (problems []string) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, value := range spec.Values {
				call, ok := value.(*ast.CallExpr)
				name := file.Name.Name + "." + spec.Names[i].Name
				if !ok || !spec.Names[i].IsExported() || docsSentinels[name] != "" || types.ExprString(call.Fun) != "errors.New" {
					continue
				}
				if text := types.ExprString(call.Args[0]); !strings.HasPrefix(text, `"`+file.Name.Name+": ") {
					problems = append(problems, name+" is "+text)
				}
			}
		}
	}
	return problems
}

// Whoever reads an error in a log sees whose it is.
func TestDocsSentinels(t *testing.T) {
	docsWalk(t, "../patterns", func(file string) {
		for _, problem := range docsSentinelProblems(docsParse(t, file)) {
			t.Errorf("%s: %s", file, problem)
		}
	})
}

func TestDocsSentinelsSeesMistakes(t *testing.T) {
	source := "package p\n\nvar ErrA = errors.New(\"p: a\")\n\nvar (\n\tErrB = errors.New(\"b\")\n\terrC = errors.New(\"c\")\n\tD = d(\"d\")\n)\n"
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(docsSentinelProblems(file), "; "), `p.ErrB is "b"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// docsTopic is what every topic of alarms says first.
const docsTopic = "Topic is told when an alarm goes off and when it is over. "

// docsAlarmProblems finds alarms in props that are not named as others are: in
// a field Alarms, of a type that ends so and has the Topic before the tunings.
func docsAlarmProblems(file *ast.File) (problems []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		typ, ok := n.(*ast.TypeSpec)
		if !ok || !typ.Name.IsExported() {
			return true
		}
		fields, ok := typ.Type.(*ast.StructType)
		if !ok {
			return true
		}
		alarms, topic := strings.HasSuffix(typ.Name.Name, "Alarms"), false
		for _, field := range fields.Fields.List {
			of := types.ExprString(field.Type)
			for _, name := range field.Names {
				at := typ.Name.Name + "." + name.Name
				text := strings.Join(strings.Fields(field.Doc.Text()), " ") + " "
				switch {
				case alarms && name.Name == "Topic":
					if topic = true; !strings.HasPrefix(text, docsTopic) {
						problems = append(problems, at+" does not begin with "+docsTopic)
					}
				case of == "alarm.Tuning" && !alarms:
					problems = append(problems, at+" is a tuning outside of a type that ends in Alarms")
				case of == "alarm.Tuning" && !topic:
					problems = append(problems, at+" stands before the Topic")
				case of == "alarm.Tuning" && strings.Contains(name.Name, "Alarm"), name.Name == "AlarmTopic":
					problems = append(problems, at+" repeats Alarm")
				case name.Name == "Alarms" && !strings.HasSuffix(of, "Alarms"):
					problems = append(problems, at+" is no tunings")
				}
			}
		}
		return true
	})
	return problems
}

// All constructs have their alarms tuned in one way.
func TestDocsAlarms(t *testing.T) {
	docsWalk(t, "../patterns", func(file string) {
		for _, problem := range docsAlarmProblems(docsParse(t, file)) {
			t.Errorf("%s: %s", file, problem)
		}
	})
}

func TestDocsAlarmsSeesMistakes(t *testing.T) {
	source := []byte("package p\n\ntype XProps struct {\n\tAlarmTopic awssns.ITopic\n\tSlow alarm.Tuning\n\tAlarms []awscloudwatch.IAlarm\n}\n\n" +
		"type YProps struct {\n\tAlarms YAlarms\n}\n\ntype YAlarms struct {\n\tSlow alarm.Tuning\n\t// Topic is told.\n\tTopic awssns.ITopic\n\tLateAlarm alarm.Tuning\n\tFunctions function.Alarms\n}\n")
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := "XProps.AlarmTopic repeats Alarm; XProps.Slow is a tuning outside of a type that ends in Alarms; XProps.Alarms is no tunings; " +
		"YAlarms.Slow stands before the Topic; YAlarms.Topic does not begin with " + docsTopic + "; YAlarms.LateAlarm repeats Alarm"
	if got := strings.Join(docsAlarmProblems(file), "; "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// docsAccessorProblems finds constructs of a package that have alarms and do
// not return them, or return a list that a caller can change. A construct has
// alarms if its props have tunings of them, themselves or in props within, or
// if there is a type of tunings by its name.
func docsAccessorProblems(files []*ast.File) (problems []string) {
	name := func(of ast.Expr) string {
		if pointer, ok := of.(*ast.StarExpr); ok {
			of = pointer.X
		}
		return types.ExprString(of)
	}
	fields, accessors, made := map[string]*ast.FieldList{}, map[string]*ast.FuncDecl{}, map[string][]string{}
	for _, file := range files {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					typ, ok := spec.(*ast.TypeSpec)
					if !ok || !typ.Name.IsExported() {
						continue
					}
					if of, ok := typ.Type.(*ast.StructType); ok {
						fields[typ.Name.Name] = of.Fields
					}
				}
			case *ast.FuncDecl:
				if decl.Recv != nil && decl.Name.Name == "Alarms" {
					accessors[name(decl.Recv.List[0].Type)] = decl
				}
				if !decl.Name.IsExported() || decl.Type.Results == nil || len(decl.Type.Results.List) != 1 {
					continue
				}
				for _, parameter := range decl.Type.Params.List {
					props := name(parameter.Type)
					made[props] = append(made[props], name(decl.Type.Results.List[0].Type))
				}
			}
		}
	}
	tuned := func(props string) bool {
		return fields[props] != nil && slices.ContainsFunc(fields[props].List, func(field *ast.Field) bool {
			return slices.ContainsFunc(field.Names, func(n *ast.Ident) bool { return n.Name == "Alarms" })
		})
	}
	has := func(props string) bool {
		return tuned(props) || slices.ContainsFunc(fields[props].List, func(field *ast.Field) bool { return tuned(name(field.Type)) })
	}
	var constructs []string
	for typ := range fields {
		if x, ok := strings.CutSuffix(typ, "Alarms"); ok {
			constructs = append(constructs, x)
		}
		if strings.HasSuffix(typ, "Props") && has(typ) {
			constructs = append(append(constructs, made[typ]...), strings.TrimSuffix(typ, "Props"))
		}
	}
	slices.Sort(constructs)
	for _, x := range slices.Compact(constructs) {
		if fields[x] == nil { // no type: what RemediationProps make is a Reaction
			continue
		}
		accessor := accessors[x]
		if accessor == nil {
			problems = append(problems, x+" has alarms and no method Alarms")
			continue
		}
		if results := accessor.Type.Results; results == nil || len(results.List) != 1 || name(results.List[0].Type) != "[]awscloudwatch.CfnAlarm" {
			problems = append(problems, x+".Alarms does not return []awscloudwatch.CfnAlarm")
		}
		ast.Inspect(accessor.Body, func(n ast.Node) bool {
			if back, ok := n.(*ast.ReturnStmt); ok && len(back.Results) == 1 {
				if _, field := back.Results[0].(*ast.SelectorExpr); field {
					problems = append(problems, x+".Alarms returns the construct's own list")
				}
			}
			return true
		})
	}
	return problems
}

// Every construct returns the alarms that it made.
func TestDocsAlarmAccessors(t *testing.T) {
	packages := map[string][]*ast.File{}
	docsWalk(t, "../patterns", func(file string) {
		packages[path.Dir(filepath.ToSlash(file))] = append(packages[path.Dir(filepath.ToSlash(file))], docsParse(t, file))
	})
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		for _, problem := range docsAccessorProblems(packages[dir]) {
			t.Errorf("%s: %s", dir, problem)
		}
	}
}

func TestDocsAlarmAccessorsSeesMistakes(t *testing.T) {
	sources := []string{
		"type AProps struct {\n\tAlarms AAlarms\n}\n\ntype A struct{}\n\nfunc NewA(scope S, p *AProps) *A { return nil }\n",
		"type BProps struct {\n\tAlarms BAlarms\n}\n\ntype B struct{ alarms []awscloudwatch.CfnAlarm }\n\nfunc (b *B) Alarms() []awscloudwatch.CfnAlarm { return b.alarms }\n",
		"type CProps struct {\n\tInner *BProps\n}\n\ntype C struct{}\n",
		"type Props struct {\n\tAlarms Alarms\n}\n\ntype D struct{}\n\nfunc (b *B) AddD(id string, p *Props) *D { return nil }\n",
		"type E struct{}\n\ntype EAlarms struct{}\n\nfunc (e *E) Alarms() []string { return nil }\n",
		"type F struct{ alarms []awscloudwatch.CfnAlarm }\n\ntype FProps struct {\n\tAlarms BAlarms\n}\n\nfunc (f *F) Alarms() []awscloudwatch.CfnAlarm { return slices.Clone(f.alarms) }\n",
		"type G struct{}\n\ntype GProps struct{}\n\nfunc NewG(p *GProps) *G { return nil }\n",
	}
	var files []*ast.File
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), "p.go", "package p\n\n"+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	want := "A has alarms and no method Alarms; B.Alarms returns the construct's own list; C has alarms and no method Alarms; " +
		"D has alarms and no method Alarms; E.Alarms does not return []awscloudwatch.CfnAlarm"
	if got := strings.Join(docsAccessorProblems(files), "; "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// docsConstructProblems finds constructs of a package, which its files make as
// NewX(scope, id, props), that its tests neither look at as constructs, in a
// TestXIsConstruct, nor show to a reader, in an ExampleNewX.
func docsConstructProblems(files, tests []*ast.File) (problems []string) {
	written, looks := map[string]bool{}, map[string]bool{}
	for _, file := range tests {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			written[f.Name.Name] = true
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && types.ExprString(call.Fun) == "cdktest.IsConstruct" {
					looks[f.Name.Name] = true
				}
				return true
			})
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || len(f.Type.Params.List) == 0 || types.ExprString(f.Type.Params.List[0].Type) != "constructs.Construct" {
				continue
			}
			x, made := strings.CutPrefix(f.Name.Name, "New")
			if !made || x == "" { // alarm.New makes a resource
				continue
			}
			if test := "Test" + x + "IsConstruct"; !looks[test] {
				problems = append(problems, x+" has no "+test+" that calls cdktest.IsConstruct")
			}
			if example := "ExampleNew" + x; !written[example] {
				problems = append(problems, x+" has no "+example)
			}
		}
	}
	return problems
}

// Every construct can be a scope, be tagged and be depended upon, and has an
// example.
func TestDocsConstructs(t *testing.T) {
	packages, checked := map[string][]*ast.File{}, 0
	docsWalk(t, "../patterns", func(file string) {
		dir := path.Dir(filepath.ToSlash(file))
		packages[dir] = append(packages[dir], docsParse(t, file))
	})
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		names, err := filepath.Glob(dir + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		var tests []*ast.File
		for _, name := range names {
			tests = append(tests, docsParse(t, name))
		}
		for _, problem := range docsConstructProblems(packages[dir], tests) {
			t.Errorf("%s: %s", dir, problem)
		}
		checked += len(docsConstructProblems(packages[dir], nil)) / 2
	}
	if checked < 30 {
		t.Errorf("%d constructs were found: this test looks at the wrong functions", checked)
	}
}

func TestDocsConstructsSeesMistakes(t *testing.T) {
	parse := func(source string) []*ast.File {
		file, err := parser.ParseFile(token.NewFileSet(), "p.go", "package p\n\n"+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return []*ast.File{file}
	}
	files := parse("func NewA(scope constructs.Construct, id string, p *AProps) *A\n\nfunc NewB(scope constructs.Construct, id string, p *BProps) *B\n\n" +
		"func NewC(scope, inner constructs.Construct) *C\n\nfunc NewD(name string) *D\n\nfunc (a *A) NewE(scope constructs.Construct) *E\n\nfunc newF(scope constructs.Construct) *F\n\n" +
		"func New(scope constructs.Construct, id string) awscloudwatch.CfnAlarm\n")
	tests := parse("func TestAIsConstruct(t *testing.T) { cdktest.IsConstruct(t, NewA()) }\n\nfunc ExampleNewA() {}\n\n" +
		"func TestBIsConstruct(t *testing.T) { awscdk.Tags_Of(NewB()) }\n\nfunc (c *C) ExampleNewC() {}\n\nfunc TestC(t *testing.T) { cdktest.IsConstruct(t, NewC()) }\n")
	want := "B has no TestBIsConstruct that calls cdktest.IsConstruct; B has no ExampleNewB; " +
		"C has no TestCIsConstruct that calls cdktest.IsConstruct; C has no ExampleNewC"
	if got := strings.Join(docsConstructProblems(files, tests), "; "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Every exported name of a public package has a comment that begins with it
// and ends as a sentence does.
func TestDocsComments(t *testing.T) {
	docsWalk(t, "../patterns", func(file string) {
		if strings.Contains(filepath.ToSlash(file), "/internal/") {
			return
		}
		parsed := docsParse(t, file)
		check := func(name string, comment *ast.CommentGroup) {
			text := strings.TrimSpace(comment.Text())
			if text == "" {
				t.Errorf("%s: %s has no comment", file, name)
				return
			}
			words := strings.Fields(text)
			if word := words[0]; word != name && !slices.Contains([]string{"A", "An", "The", "Deprecated:"}, word) {
				t.Errorf("%s: the comment of %s begins with %s", file, name, word)
			}
			// An example, a list or an address may come last.
			last := text[strings.LastIndex(text, "\n")+1:]
			if !strings.ContainsAny(last[len(last)-1:], ".:)]}") && !strings.HasPrefix(last, "\t") && !strings.HasPrefix(last, "  ") && !strings.Contains(last, "://") {
				t.Errorf("%s: the comment of %s ends without a full stop: %s", file, name, last)
			}
		}
		for _, decl := range parsed.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				known := decl.Recv != nil && slices.Contains([]string{"Error", "Unwrap", "String", "ServeHTTP"}, decl.Name.Name) // their interfaces say what they do
				if decl.Name.IsExported() && docsExportedReceiver(decl) && (decl.Doc != nil || !known) {
					check(decl.Name.Name, decl.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.IsExported() {
							comment := spec.Doc
							if comment == nil {
								comment = decl.Doc
							}
							check(spec.Name.Name, comment)
						}
					case *ast.ValueSpec:
						if spec.Names[0].IsExported() && spec.Doc == nil && spec.Comment == nil && decl.Doc == nil {
							t.Errorf("%s: %s has no comment", file, spec.Names[0].Name)
						}
					}
				}
			}
		}
	})
}

func docsExportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}
