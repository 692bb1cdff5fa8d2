package diagram

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Graph is what a diagram shows.
type Graph struct {
	Title string
	Nodes []Node
	Edges []Edge
	Parts []Part // those that are frames
	Right bool   // from left to right instead of from top to bottom
}

// Node is a box: a resource with what belongs to it.
type Node struct {
	ID      string // letters, digits and underscores
	Label   string
	Caption string // what it is
	Kind    string // a key of the table of kinds
	Part    string // the part's prefix, or empty
}

// EdgeKind says what an arrow means.
type EdgeKind int

// The kinds of arrows.
const (
	Flow    EdgeKind = iota // events, messages, requests and calls take this way
	Failure                 // what could not be delivered takes this way
	Access                  // an IAM policy allows this, no more
)

// Edge is an arrow.
type Edge struct {
	From, To string // ids of nodes
	Kind     EdgeKind
	Label    string
}

// Part is a frame around the resources whose logical ids begin with a prefix.
// The longest prefix counts.
type Part struct {
	Prefix string
	Title  string
	Fold   bool     // one box instead of a frame
	Also   []string // more prefixes
	Kind   string   // how the box looks; default: as another pattern
}

// Options says how a template is shown.
type Options struct {
	Title  string
	Parts  []Part
	Labels map[string]string // by logical id without its hash, instead of the words in it
	Hide   []string          // logical ids without their hash
	Keys   bool              // show the keys, which else nobody asks about
	Right  bool              // from left to right instead of from top to bottom
}

// builder collects the nodes and arrows of one template.
type builder struct {
	*Template
	Options
	nodes   map[string]*Node // by logical id, or by a name of our own
	edges   []Edge
	alarms  map[string]int
	roles   map[string][]string // role -> nodes that act with it
	matched map[string]bool     // entries of Labels and Hide that name something
}

// Graph finds what the template's diagram shows. It fails when an option
// names nothing: a renamed resource must not silently change a picture.
func (t *Template) Graph(o Options) (*Graph, error) {
	b := &builder{Template: t, Options: o, nodes: map[string]*Node{}, alarms: map[string]int{}, roles: map[string][]string{}, matched: map[string]bool{}}
	b.addNodes()
	b.addFlows()
	b.addAlarms()
	b.addAccess()
	b.mergeDeadLetters()
	b.hide()
	b.describe()
	g := b.fold()
	for _, name := range o.Hide {
		if !b.matched[name] {
			return nil, fmt.Errorf("%s: nothing to hide is called %q", o.Title, name)
		}
	}
	for name := range o.Labels {
		if !b.matched[name] {
			return nil, fmt.Errorf("%s: nothing to label is called %q", o.Title, name)
		}
	}
	for _, p := range o.Parts {
		if !slices.ContainsFunc(t.ids, func(id string) bool { return b.part(id) == p.Prefix }) {
			return nil, fmt.Errorf("%s: no resource belongs to the part %q", o.Title, p.Prefix)
		}
	}
	if len(g.Nodes) == 0 {
		return nil, fmt.Errorf("%s: the template has nothing that a diagram shows", o.Title)
	}
	return g, nil
}

// Parts returns a part for each construct of the app that makes more than one
// resource that is drawn. It needs the paths that the CDK writes into the
// templates in cdk.out, and returns nothing without.
func (t *Template) Parts() []Part {
	members := map[string]int{}
	for _, id := range t.ids {
		path, _ := t.resources[id].Metadata["aws:cdk:path"].(string)
		names := strings.Split(path, "/")
		if drawn[t.resources[id].Type] != "" && len(names) > 2 {
			members[names[1]]++
		}
	}
	var parts []Part
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name] > 1 && letters(name) != "" {
			parts = append(parts, Part{Prefix: letters(name), Title: name})
		}
	}
	return parts
}

// part returns the prefix of the part that a resource belongs to.
func (b *builder) part(id string) string {
	part, _ := b.within(id)
	return part
}

// within returns the part that a resource belongs to and what its logical id
// says beyond that.
func (b *builder) within(id string) (part, rest string) {
	name, longest := human(id), -1
	rest = name
	for _, p := range b.Options.Parts {
		for _, prefix := range append([]string{p.Prefix}, p.Also...) {
			r, ok := strings.CutPrefix(name, prefix)
			if ok && (r == "" || r[0] < 'a' || r[0] > 'z') && len(prefix) > longest {
				part, rest, longest = p.Prefix, r, len(prefix)
			}
		}
	}
	return part, rest
}

func (b *builder) addNodes() {
	for _, id := range b.ids {
		kind, ok := drawn[b.resources[id].Type]
		if b.resources[id].Type == "AWS::KMS::Key" && b.Keys {
			kind, ok = "key", true
		}
		if b.resources[id].Type == "AWS::IAM::Role" && b.forOthers(id) {
			kind, ok = "role", true
		}
		if ok {
			b.nodes[id] = &Node{ID: id, Kind: kind, Part: b.part(id)}
		}
	}
}

// forOthers reports whether somebody takes a role on: a signed-in user, or
// another role of the template. Such a role is a thing of its own; the others
// are how a service acts for one resource.
func (b *builder) forOthers(role string) bool {
	for _, s := range list(at(b.resources[role].Properties, "AssumeRolePolicyDocument.Statement")) {
		if at(s, "Principal.Federated") != nil || len(b.refs(at(s, "Principal.AWS"))) > 0 {
			return true
		}
	}
	return false
}

// node returns the node that a resource is drawn as, or "".
func (b *builder) node(id string) string {
	for range 4 { // alias, version, function
		if b.nodes[id] != nil {
			return id
		}
		property, ok := folded[b.resources[id].Type]
		if !ok {
			return ""
		}
		next := b.refs(b.resources[id].Properties[property])
		if len(next) == 0 {
			return ""
		}
		id = next[0]
	}
	return ""
}

// nodesOf returns the nodes that a value refers to.
func (b *builder) nodesOf(v any) []string {
	var found []string
	for _, id := range b.refs(v) {
		if n := b.node(id); n != "" && !slices.Contains(found, n) {
			found = append(found, n)
		}
	}
	return found
}

// outside returns a node for what is not in the template.
func (b *builder) outside(id, kind, label, part string) string {
	if b.nodes[id] == nil {
		b.nodes[id] = &Node{ID: id, Kind: kind, Label: label, Part: part}
	}
	return id
}

func (b *builder) connect(from, to string, kind EdgeKind, label string) {
	if from == "" || to == "" || from == to {
		return
	}
	b.edges = append(b.edges, Edge{from, to, kind, label})
}

func (b *builder) connectAll(from, to []string, kind EdgeKind, label string) {
	for _, f := range from {
		for _, t := range to {
			b.connect(f, t, kind, label)
		}
	}
}

// hide removes what the options hide, and buckets that only take access logs.
func (b *builder) hide() {
	for id := range b.nodes {
		if name := human(id); slices.Contains(b.Hide, name) {
			b.matched[name] = true
			delete(b.nodes, id)
		}
	}
	for _, id := range b.of("AWS::S3::Bucket") {
		used := slices.ContainsFunc(b.edges, func(e Edge) bool {
			return (e.From == id || e.To == id) && b.nodes[e.From] != nil && b.nodes[e.To] != nil
		})
		logs := false
		for _, other := range b.of("AWS::S3::Bucket") {
			logs = logs || slices.Contains(b.refs(at(b.resources[other].Properties, "LoggingConfiguration")), id)
		}
		if logs && !used {
			delete(b.nodes, id)
		}
	}
	b.edges = slices.DeleteFunc(b.edges, func(e Edge) bool { return b.nodes[e.From] == nil || b.nodes[e.To] == nil })
	if len(b.Options.Parts) == 0 {
		return
	}
	// What is beside the parts is there because of them.
	for id, n := range b.nodes {
		if n.Part == "" && !slices.ContainsFunc(b.edges, func(e Edge) bool { return e.From == id || e.To == id }) {
			delete(b.nodes, id)
		}
	}
}

// describe writes what stands in each node.
func (b *builder) describe() {
	// A function that only custom resources call runs at deployment alone.
	for _, id := range b.ids {
		for _, f := range b.refs(b.resources[id].Properties["ServiceToken"]) {
			called := slices.ContainsFunc(b.edges, func(e Edge) bool { return e.To == f && e.Kind == Flow })
			if n := b.nodes[f]; n != nil && !called {
				n.Kind = "deployer"
			}
		}
	}
	for id, n := range b.nodes {
		k := kinds[n.Kind]
		if n.Caption == "" {
			n.Caption = k.caption
		}
		if label, ok := b.Labels[human(id)]; ok {
			b.matched[human(id)] = true
			n.Label = label
		}
		if n.Label == "" {
			n.Label = b.label(id, k)
		}
		p := b.resources[id].Properties
		switch b.resources[id].Type {
		case "AWS::DynamoDB::GlobalTable":
			if r := len(list(p["Replicas"])); r > 1 {
				n.Caption += " in " + plural(r, "region")
			}
		case "AWS::Glue::Database":
			tables := 0
			for _, t := range b.of("AWS::Glue::Table") {
				if b.node(t) == id {
					tables++
				}
			}
			if tables > 0 {
				n.Caption += ", " + plural(tables, "table")
			}
		case "Custom::CloudflareWorker":
			n.Caption = "Cloudflare Worker"
		case "Custom::OpenWhisk":
			n.Caption = "Apache OpenWhisk"
		}
		if id == "alarms" {
			n.Label, n.Caption = plural(b.alarms[id], "alarm"), "CloudWatch"
		} else if a := b.alarms[id]; a > 0 {
			n.Caption += " · " + plural(a, "alarm")
		}
	}
}

// label is what the logical id says beyond the part and the kind.
func (b *builder) label(id string, k kind) string {
	part, rest := b.within(id)
	own := words(rest)
	if len(own) == 0 {
		return sentence(words(part))
	}
	all := slices.Clone(own)
	for _, suffix := range k.generic {
		if rest, ok := cutSuffix(all, words(suffix)); ok && len(rest) > 0 {
			all = rest
		}
	}
	if last := len(all) - 1; last > 0 && all[last] == "Handler" {
		all = all[:last]
	}
	return sentence(all)
}

func cutSuffix(all, suffix []string) ([]string, bool) {
	n := len(all) - len(suffix)
	if n < 0 || !slices.Equal(all[n:], suffix) {
		return all, false
	}
	return all[:n], true
}

// fold turns each folded part into one node and puts everything in order.
func (b *builder) fold() *Graph {
	g := &Graph{Title: b.Title, Right: b.Right}
	moved := map[string]string{}
	for _, part := range b.Options.Parts {
		if part.Fold { // its dead letters are its own affair
			b.edges = slices.DeleteFunc(b.edges, func(e Edge) bool { return e.Kind == Failure && e.To == "dead_"+part.Prefix })
		}
		members := 0
		for _, id := range slices.Sorted(maps.Keys(b.nodes)) {
			if b.nodes[id].Part != part.Prefix {
				continue
			}
			members++
			if part.Fold {
				moved[id] = "part_" + part.Prefix
				delete(b.nodes, id)
			}
		}
		if members == 0 {
			continue
		}
		if part.Fold {
			title, caption, _ := strings.Cut(part.Title, "\n")
			frame := "" // a box that is part of a frame is drawn inside it
			for _, p := range b.Options.Parts {
				if !p.Fold && strings.HasPrefix(part.Prefix, p.Prefix) && len(p.Prefix) > len(frame) {
					frame = p.Prefix
				}
			}
			b.nodes["part_"+part.Prefix] = &Node{ID: "part_" + part.Prefix, Label: title, Caption: caption, Kind: cmp.Or(part.Kind, "pattern"), Part: frame}
		} else {
			g.Parts = append(g.Parts, part)
		}
	}
	b.redirect(moved)
	g.Edges = merge(b.edges)
	for _, id := range slices.Sorted(maps.Keys(b.nodes)) {
		g.Nodes = append(g.Nodes, *b.nodes[id])
	}
	return g
}

// merge joins the arrows of one kind between two nodes.
func merge(edges []Edge) []Edge {
	var merged []Edge
	for _, e := range edges {
		if e.From == e.To {
			continue
		}
		i := slices.IndexFunc(merged, func(m Edge) bool { return m.From == e.From && m.To == e.To && m.Kind == e.Kind })
		if i < 0 {
			merged = append(merged, e)
		} else if e.Label != "" && !slices.Contains(strings.Split(merged[i].Label, ", "), e.Label) {
			merged[i].Label = strings.TrimPrefix(merged[i].Label+", "+e.Label, ", ")
		}
	}
	for i, m := range merged {
		if m.Kind != Access {
			if len(m.Label) > 28 { // several things between folded parts: the parts' own diagrams say which
				merged[i].Label = ""
			}
			continue
		}
		all := strings.Split(m.Label, ", ")
		slices.Sort(all)
		merged[i].Label = strings.Join(all, ", ")
		if len(all) > 2 {
			merged[i].Label = strings.Join(all[:2], ", ") + ",\n" + strings.Join(all[2:], ", ")
		}
	}
	slices.SortStableFunc(merged, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return merged
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// letters keeps what may stand in a node's id.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
