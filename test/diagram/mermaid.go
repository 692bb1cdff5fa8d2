package diagram

import (
	"fmt"
	"strings"
)

// Mermaid writes the graph as a Mermaid flowchart, which GitHub draws in
// Markdown.
func (g *Graph) Mermaid() string {
	var w strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&w, format+"\n", args...) }
	direction := "TB"
	if g.Right {
		direction = "LR"
	}
	p("flowchart %s", direction)
	for _, part := range g.Parts {
		title, _, _ := strings.Cut(part.Title, "\n")
		p("  subgraph frame_%s[\"%s\"]", part.Prefix, escape(title))
		for _, n := range g.Nodes {
			if n.Part == part.Prefix {
				p("    %s", n.mermaid())
			}
		}
		p("  end")
	}
	for _, n := range g.Nodes {
		if g.framed(n) == "" {
			p("  %s", n.mermaid())
		}
	}
	arrows := map[EdgeKind]string{Flow: "-->", Failure: "-.->", Access: "-.->"}
	for _, e := range g.Edges {
		label := ""
		if e.Label != "" {
			label = fmt.Sprintf("|\"%s\"|", escape(e.Label))
		}
		p("  %s %s%s %s", safe(e.From), arrows[e.Kind], label, safe(e.To))
	}
	for _, name := range g.kinds() {
		k := kinds[name]
		p("  classDef %s fill:%s,stroke:%s,color:#111827", name, k.fill, k.stroke)
	}
	for _, kind := range g.edgeKinds() {
		var of []string
		for i, e := range g.Edges {
			if e.Kind == kind {
				of = append(of, fmt.Sprint(i))
			}
		}
		// The arrows stand on the page itself, so that they need a colour that
		// shows on a dark page, too.
		colour := map[EdgeKind]string{Flow: "#6B7280", Failure: "#DC2626", Access: "#3B82F6"}[kind]
		p("  linkStyle %s stroke:%s", strings.Join(of, ","), colour)
	}
	return w.String()
}

func (n Node) mermaid() string {
	k := kinds[n.Kind]
	label := escape(n.Label)
	if n.Caption != "" {
		label += "<br/><small>" + escape(n.Caption) + "</small>"
	}
	return fmt.Sprintf("%s%s\"%s\"%s:::%s", safe(n.ID), k.open, label, k.close, n.Kind)
}

// escape writes what would end a label as the entities that Mermaid knows.
func escape(s string) string {
	return strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", " ").Replace(s)
}
