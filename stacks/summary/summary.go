package summary

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/patterns/prices"
)

// File is the name of the file beside the templates that has the summary with
// formulas and sources.
const File = "summary.txt"

// Write writes the summary of the assembly in the folder: the short one to w,
// in colour if that is asked for, and the full one to [File].
func Write(w io.Writer, dir string, o Options, colour bool) error {
	if o.Off {
		return nil
	}
	stacks, err := read(dir)
	if err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	findings, checked, err := acceptedFindings(dir)
	if err != nil {
		return fmt.Errorf("summary: %s: %w", leastPrivilegeReport, err)
	}
	var short, full bytes.Buffer
	for _, s := range stacks {
		r := report{stack: s, estimate: newEstimate(s, o), accepted: of(findings, s.name), checked: checked}
		r.short(&short, colour)
		r.full(&full)
	}
	if len(stacks) > 0 {
		load := "The stated load is that of each resource of a kind: " + o.Load.String() + "."
		fmt.Fprintln(&short, strings.Join(wrap(load, columns), "\n"))
		fmt.Fprintf(&short, "Formulas, prices with their dates and sources, and paths: %s\n", filepath.Join(dir, File))
	}
	if err := os.WriteFile(filepath.Join(dir, File), full.Bytes(), 0o644); err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	if o.Full {
		short = full
	}
	_, err = w.Write(short.Bytes())
	return err
}

// report is the summary of a stack.
type report struct {
	stack    stack
	estimate *estimate
	accepted []accepted
	checked  bool // whether there was a least-privilege check
}

const (
	bold   = "\x1b[1m"
	normal = "\x1b[0m"

	columns = 110
	indent  = 12 // of what stands behind a label
)

// hold is a space at which wrap does not break.
const hold = "\u00a0"

func together(text string) string { return strings.ReplaceAll(text, " ", hold) }

// wrap breaks the text into lines of about so many characters, where words
// allow it.
func wrap(text string, width int) []string {
	var lines []string
	for text != "" {
		end := len(text)
		if end > width {
			if end = strings.LastIndexByte(text[:width+1], ' '); end < 0 {
				if end = strings.IndexByte(text, ' '); end < 0 {
					end = len(text)
				}
			}
		}
		lines = append(lines, strings.ReplaceAll(text[:end], hold, " "))
		text = strings.TrimPrefix(text[end:], " ")
	}
	return lines
}

func (r report) short(w io.Writer, colour bool) {
	name := r.stack.name
	if colour {
		name = bold + name + normal
	}
	fmt.Fprintf(w, "%s\n", name)
	line := func(label, format string, args ...any) {
		for _, text := range wrap(fmt.Sprintf(format, args...), columns-indent) {
			fmt.Fprintf(w, "  %-9s %s\n", label, text)
			label = ""
		}
	}
	line("makes", "%s", r.makes())
	line("costs", "about %.2f USD a month at the stated load, %s: %s", r.estimate.total(), r.where(), r.costs())
	if len(r.estimate.unpriced) > 0 {
		line("unpriced", "%s", r.unpriced())
	}
	line("retains", "%s", r.retains())
	if r.checked {
		line("accepts", "%s", r.accepts())
	}
}

// makes counts the resources by kind, the most first.
func (r report) makes() string {
	counts := map[string]int{}
	connecting := 0
	for typ, resources := range r.stack.byType() {
		if kinds[typ].connects {
			connecting += len(resources)
		} else {
			counts[name(typ)] += len(resources)
		}
	}
	all := connecting
	for _, n := range counts {
		all += n
	}
	text := fmt.Sprintf("%s: %s", counted(all, "resource"), most(counts))
	if connecting > 0 {
		text += fmt.Sprintf("; %d more connect them", connecting)
	}
	return text
}

// name returns the name of a type's kind, the type itself if it is unknown.
func name(typ string) string { return cmp.Or(kinds[typ].name, typ) }

// most lists the kinds, those with the most resources first.
func most(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = together(counted(counts[name], name))
	}
	return strings.Join(names, ", ")
}

// where names the region whose prices were taken, and the prices that were
// taken from elsewhere, for the table lacks them.
func (r report) where() string {
	region := r.stack.region
	var own, lent, abroad []string // of the region, lent to it, and lent to the region of a replica
	for _, u := range slices.SortedFunc(maps.Keys(r.estimate.used), use.compare) {
		switch from := r.estimate.used[u].region; {
		case u.region == "":
		case from == u.region && u.region == region:
			own = append(own, string(u.item))
		case from != u.region && u.region == region:
			lent = append(lent, string(u.item))
		case from != u.region:
			abroad = append(abroad, fmt.Sprintf("%s of %s", u.item, u.region))
		}
	}
	list := func(items []string) string { return strings.Join(items, ", ") }
	text := "in " + region
	switch {
	case region == "":
		text = "in " + prices.Home + " (its region is decided when it is deployed)"
	case len(own) == 0 && len(lent) > 0:
		text = fmt.Sprintf("in %s (there are no prices of %s)", prices.Home, region)
	case len(own) < len(lent):
		text = fmt.Sprintf("in %s, but %s in %s", prices.Home, list(own), region)
	case len(lent) > 0:
		abroad = append(lent, abroad...)
	}
	if len(abroad) > 0 {
		text += fmt.Sprintf(", but %s as in %s", list(abroad), prices.Home)
	}
	return text
}

// costs lists the kinds by what they cost, the most first, down to a cent.
func (r report) costs() string {
	byName := map[string]float64{}
	for typ, costs := range r.estimate.costs {
		byName[strings.TrimPrefix(counted(2, name(typ)), "2 ")] += sum(costs)
	}
	names := slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		return cmp.Or(cmp.Compare(byName[b], byName[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		if byName[name] >= 0.005 {
			parts = append(parts, together(fmt.Sprintf("%s %.2f", name, byName[name])))
		}
	}
	if len(parts) == 0 {
		return "nothing that is priced"
	}
	return strings.Join(parts, ", ")
}

func (r report) unpriced() string {
	counts := map[string]int{}
	for typ, left := range r.estimate.unpriced {
		for _, u := range left {
			counts[name(typ)] += u.n
		}
	}
	return most(counts)
}

func (r report) retains() string {
	kept, protected := map[string]int{}, map[string]int{}
	all := 0
	for typ, resources := range r.stack.byType() {
		for _, resource := range resources {
			if resource.retained() {
				kept[name(typ)]++
				all++
			}
			if resource.protected() {
				protected[name(typ)]++
			}
		}
	}
	if all == 0 && len(protected) == 0 {
		return "nothing when it is destroyed"
	}
	text := fmt.Sprintf("%d when it is destroyed: %s", all, most(kept))
	if len(protected) > 0 {
		text += "; protected against deletion: " + most(protected)
	}
	return text
}

func (r report) accepts() string {
	if len(r.accepted) == 0 {
		return "no finding of the least-privilege check"
	}
	rules := map[string]int{}
	for _, f := range r.accepted {
		rules[f.Rule]++
	}
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		parts = append(parts, fmt.Sprintf("%d of %s", rules[rule], rule))
	}
	return counted(len(r.accepted), "finding") + " of the least-privilege check: " + strings.Join(parts, ", ")
}

// full writes everything, with the formulas, where prices were read, and paths.
func (r report) full(w io.Writer) {
	fmt.Fprintf(w, "%s\n", r.stack.name)
	section := func(title string) { fmt.Fprintf(w, "\n  %s\n", title) }
	line := func(format string, args ...any) { fmt.Fprintf(w, "    "+format+"\n", args...) }
	types := r.stack.byType()

	section("Makes")
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		line("%4d %s", len(types[typ]), typ)
	}
	section(fmt.Sprintf("Costs about %.2f USD a month, %s", r.estimate.total(), r.where()))
	line("at the load %s,", strings.ReplaceAll(r.estimate.Load.String(), hold, " "))
	line("that of each resource of a kind; without free tiers, tiers of volume and transfer of data.")
	for _, typ := range slices.Sorted(maps.Keys(r.estimate.costs)) {
		for _, c := range r.estimate.costs[typ] {
			line("%9.2f  %s = %s", c.usd, c.what, c.formula)
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(r.estimate.unpriced)) {
		for _, u := range r.estimate.unpriced[typ] {
			line("        ?  %s: %s", counted(u.n, name(typ)), u.why)
		}
	}
	section("Prices")
	r.prices(line)
	section("Retains when it is destroyed")
	r.paths(line, types, resource.retained)
	section("Protects against deletion")
	r.paths(line, types, resource.protected)
	section("Accepted findings of the least-privilege check")
	switch {
	case !r.checked:
		line("the app has no such check")
	case len(r.accepted) == 0:
		line("none")
	}
	for _, f := range r.accepted {
		line("%s at %s: %s (%s)", f.Rule, cmp.Or(f.Path, f.LogicalID), f.Message, f.Reason)
	}
	fmt.Fprintln(w)
}

// prices writes what was calculated with, by source, the newest first.
func (r report) prices(line func(string, ...any)) {
	type source struct{ text, asOf string }
	by := map[source][]use{}
	for u, p := range r.estimate.used {
		s := source{p.Source, p.AsOf}
		by[s] = append(by[s], u)
	}
	for _, s := range slices.SortedFunc(maps.Keys(by), func(a, b source) int {
		return cmp.Or(cmp.Compare(b.asOf, a.asOf), cmp.Compare(a.text, b.text))
	}) {
		line("as of %s, %s:", s.asOf, s.text)
		for _, u := range slices.SortedFunc(slices.Values(by[s]), use.compare) {
			p := r.estimate.used[u]
			none := ""
			if p.region != cmp.Or(u.region, p.region) {
				none = fmt.Sprintf(" (there is none of %s)", u.region)
			}
			line("  %s, %s%s: %s USD per %s", u.item, p.region, none, number(p.USD), p.Per)
		}
	}
}

func (r report) paths(line func(string, ...any), types map[string][]resource, is func(resource) bool) {
	none := true
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		for _, resource := range types[typ] {
			if is(resource) {
				line("%s %s", name(typ), resource.path())
				none = false
			}
		}
	}
	if none {
		line("nothing")
	}
}
