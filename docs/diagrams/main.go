// Command diagrams draws architecture diagrams of CloudFormation templates.
//
//	go run -C docs/diagrams .                 # this repository's, where their text has changed
//	go run -C docs/diagrams . -all            # this repository's, each of them
//	go run -C docs/diagrams . -svg out.svg /path/to/cdk.out/Shop.template.json
//	go run -C docs/diagrams . -part Orders=Store -fold -mermaid - /path/to/cdk.out/Shop.template.json
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/serverless-go/cdk/test/diagram"
	"oss.terrastruct.com/d2/d2graph"
	"oss.terrastruct.com/d2/d2layouts/d2elklayout"
	"oss.terrastruct.com/d2/d2lib"
	"oss.terrastruct.com/d2/d2renderers/d2svg"
	"oss.terrastruct.com/d2/d2themes/d2themescatalog"
	"oss.terrastruct.com/d2/lib/log"
	"oss.terrastruct.com/d2/lib/textmeasure"
)

// root is the main module's folder, seen from this one.
const root = "../.."

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	var (
		flags   = flag.NewFlagSet("diagrams", flag.ContinueOnError)
		all     = flags.Bool("all", false, "draw each picture, also those whose text is the same")
		svg     = flags.String("svg", "", "where to write the template's picture; - for standard output")
		d2      = flags.String("d2", "", "where to write the template's diagram in D2")
		mermaid = flags.String("mermaid", "", "where to write the template's diagram in Mermaid")
		title   = flags.String("title", "", "title of the diagram; default: the file's name")
		fold    = flags.Bool("fold", false, "draw each part as one box")
		right   = flags.Bool("right", false, "from left to right instead of from top to bottom")
		parts   []diagram.Part
	)
	flags.Func("part", "`PREFIX=TITLE`: a frame around the resources whose logical ids begin so; may be repeated", func(s string) error {
		prefix, title, _ := strings.Cut(s, "=")
		if prefix == "" {
			return errors.New("want PREFIX=TITLE")
		}
		parts = append(parts, diagram.Part{Prefix: prefix, Title: cmp.Or(title, prefix)})
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return drawOurs(*all, stdout)
	}
	if *svg == "" && *d2 == "" && *mermaid == "" {
		*svg = "-"
	}
	file := flags.Arg(0)
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	t, err := diagram.Read(b)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(parts) == 0 {
		parts = t.Parts()
	}
	for i := range parts {
		parts[i].Fold = *fold
	}
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	g, err := t.Graph(diagram.Options{Title: cmp.Or(*title, name), Parts: parts, Right: *right})
	if err != nil {
		return err
	}
	if n := len(g.Nodes); n > 25 && *svg != "" {
		fmt.Fprintf(os.Stderr, "%d boxes are more than a picture can show legibly: try -fold\n", n)
	}
	if *d2 != "" {
		if err := write(*d2, []byte(g.D2()), stdout); err != nil {
			return err
		}
	}
	if *mermaid != "" {
		if err := write(*mermaid, []byte(g.Mermaid()), stdout); err != nil {
			return err
		}
	}
	if *svg == "" {
		return nil
	}
	picture, err := draw([]byte(g.D2()))
	if err != nil {
		return err
	}
	return write(*svg, picture, stdout)
}

func write(file string, b []byte, stdout io.Writer) error {
	if file == "-" {
		_, err := stdout.Write(b)
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

// drawOurs writes the texts of this repository's diagrams and draws those that
// have changed.
func drawOurs(all bool, stdout io.Writer) error {
	if err := diagram.Write(root); err != nil {
		return err
	}
	for _, d := range diagram.All {
		text, err := os.ReadFile(d.Name + ".d2")
		if err != nil {
			return err
		}
		old, err := os.ReadFile(d.Name + ".svg")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !all && diagram.Fresh(old, text) {
			continue
		}
		picture, err := draw(text)
		if err != nil {
			return fmt.Errorf("%s.d2: %w", d.Name, err)
		}
		if err := os.WriteFile(d.Name+".svg", picture, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s.svg\n", d.Name)
	}
	return nil
}

// draw lays out a text in D2 and returns the picture, with the mark of the
// text that it shows.
func draw(text []byte) ([]byte, error) {
	ruler, err := textmeasure.NewRuler()
	if err != nil {
		return nil, err
	}
	engine := "elk"
	pad := int64(16)
	options := &d2svg.RenderOpts{Pad: &pad, ThemeID: &d2themescatalog.NeutralDefault.ID}
	ctx := log.With(context.Background(), slog.New(slog.DiscardHandler))
	drawing, _, err := d2lib.Compile(ctx, string(text), &d2lib.CompileOptions{
		Ruler:  ruler,
		Layout: &engine,
		LayoutResolver: func(string) (d2graph.LayoutGraph, error) {
			return func(ctx context.Context, g *d2graph.Graph) error {
				return d2elklayout.Layout(ctx, g, &d2elklayout.ConfigurableOpts{
					Algorithm:       "layered",
					NodeSpacing:     44,
					EdgeNodeSpacing: 24,
					SelfLoopSpacing: 50,
					Padding:         "[top=30,left=30,bottom=30,right=30]",
				})
			}, nil
		},
	}, options)
	if err != nil {
		return nil, err
	}
	svg, err := d2svg.Render(drawing, options)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(svg, "\n%s\n", diagram.Mark(text)), nil
}
