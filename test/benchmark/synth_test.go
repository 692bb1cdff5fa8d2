package benchmark

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/test/benchmark/transcript"
)

var (
	table   = flag.Bool("table", false, "print what BenchmarkSynth measured as Markdown")
	lean    = flag.Bool("lean", false, "have BenchmarkSynth's JavaScript leave out to read what nobody uses, or again")
	numbers = flag.String("copies", "1,10,50", "how many copies of the flash sale BenchmarkSynth makes in one app")
)

// BenchmarkSynth synthesizes all systems, and copies of the flash sale in one
// app, in plain JavaScript and in Go in turn, each time in a new process. Its
// metrics are medians: time-s until the process ended, cpu-s of all processes
// together, and MB, the sum of their peaks. A ratio is the median of Go's by
// JavaScript's, run by run.
func BenchmarkSynth(b *testing.B) {
	systems, sale := goSystems(), goApp()
	// jsii indexes the CDK once for each user, beside the first app that runs
	// long enough. Until then everything takes many times as long.
	sale.synth(b, 10)

	r := results{}
	js := systems.trace(b).javaScript(b, transcript.Options{Lean: *lean})
	r.run(b, "systems", "all systems", pair{js: js, golang: systems, checked: true}, 1)

	o := flashSale
	o.Lean = *lean
	js = sale.trace(b).javaScript(b, o)
	var copies []result
	for number := range strings.SplitSeq(*numbers, ",") {
		n, err := strconv.Atoi(number)
		if err != nil {
			b.Fatal(err)
		}
		text := "flash sale"
		if n > 1 {
			text = number + " flash sales"
		}
		if r.run(b, "flashsale/"+number, text, pair{js: js, golang: sale}, n) {
			copies = append(copies, r.rows[len(r.rows)-1])
		}
	}
	if *table {
		fmt.Print(r.markdown() + growth(copies))
	}
}

// pair is an app in plain JavaScript and in Go.
type pair struct {
	js, golang app
	checked    bool // Go's judges its templates by least privilege
}

// cost is what it takes to synthesize.
type cost struct{ time, cpu, peak float64 } // seconds, seconds, MB

func (r run) cost() cost {
	return cost{r.time.Seconds(), r.cpu.Seconds(), float64(r.peak) / 1e6}
}

func (c cost) by(other cost) cost {
	return cost{c.time / other.time, c.cpu / other.cpu, c.peak / other.peak}
}

// result are medians of the runs of a pair.
type result struct {
	name                    string
	copies, resources, runs int
	js, golang, ratio       cost
}

// measure synthesizes in turn, so that both meet the same machine.
func measure(b *testing.B, p pair, copies int) result {
	r := result{copies: copies}
	var js, golang, ratio []cost
	for b.Loop() {
		made := p.js.synth(b, copies)
		if p.checked {
			made.check(b)
		}
		js = append(js, made.cost())
		golang = append(golang, p.golang.synth(b, copies).cost())
		ratio = append(ratio, golang[r.runs].by(js[r.runs]))
		r.runs++
		if r.resources == 0 {
			for _, template := range made.templates(b) {
				r.resources += len(template.Resources(""))
			}
		}
	}
	r.js, r.golang, r.ratio = medians(js), medians(golang), medians(ratio)
	return r
}

func medians(costs []cost) cost {
	of := func(part func(cost) float64) float64 {
		values := make([]float64, len(costs))
		for i, c := range costs {
			values[i] = part(c)
		}
		slices.Sort(values)
		n := len(values)
		return (values[(n-1)/2] + values[n/2]) / 2
	}
	return cost{
		time: of(func(c cost) float64 { return c.time }),
		cpu:  of(func(c cost) float64 { return c.cpu }),
		peak: of(func(c cost) float64 { return c.peak }),
	}
}

// results are what the benchmark measured.
type results struct{ rows []result }

// run measures, unless the pattern of -bench leaves it out, which it reports.
func (r *results) run(b *testing.B, name, text string, p pair, copies int) (measured bool) {
	b.Run(name, func(b *testing.B) {
		row := measure(b, p, copies)
		row.name = text
		for unit, value := range map[string]float64{
			"js-time-s": row.js.time, "js-cpu-s": row.js.cpu, "js-MB": row.js.peak,
			"go-time-s": row.golang.time, "go-cpu-s": row.golang.cpu, "go-MB": row.golang.peak,
			"time-ratio": row.ratio.time, "cpu-ratio": row.ratio.cpu, "MB-ratio": row.ratio.peak,
		} {
			b.ReportMetric(value, unit)
		}
		if measured { // with more runs than the time before
			r.rows = r.rows[:len(r.rows)-1]
		}
		r.rows, measured = append(r.rows, row), true
	})
	return measured
}

// markdown returns the first table of docs/performance.md.
func (r results) markdown() string {
	s := "\n| | resources | runs | time: Go | JavaScript | ratio | CPU: Go | JavaScript | ratio | memory: Go | JavaScript | ratio |\n" +
		"|---" + strings.Repeat("|---:", 11) + "|\n"
	for _, row := range r.rows {
		g, j := row.golang, row.js
		s += fmt.Sprintf("| %s | %d | %d | %.2f s | %.2f s | **%.2f** | %.2f s | %.2f s | **%.2f** | %.0f MB | %.0f MB | **%.1f** |\n",
			row.name, row.resources, row.runs, g.time, j.time, row.ratio.time, g.cpu, j.cpu, row.ratio.cpu, g.peak, j.peak, row.ratio.peak)
	}
	return s
}

// growth returns the second table of docs/performance.md.
func growth(rows []result) string {
	if len(rows) < 2 {
		return ""
	}
	s := "\n| CPU | fixed | a copy | a resource |"
	for i := range rows[1:] {
		s += fmt.Sprintf(" a copy from %d to %d |", rows[i].copies, rows[i+1].copies)
	}
	s += "\n|---" + strings.Repeat("|---:", 2+len(rows)) + "|\n"
	for _, side := range []struct {
		name string
		cpu  func(result) float64
	}{
		{"Go", func(r result) float64 { return r.golang.cpu }},
		{"JavaScript", func(r result) float64 { return r.js.cpu }},
	} {
		cpu, l := side.cpu, fit(rows, side.cpu)
		s += fmt.Sprintf("| %s | %.2f s | %.0f ms | %.2f ms |", side.name, l.fixed, l.slope*1e3, l.slope*1e3*float64(rows[0].copies)/float64(rows[0].resources))
		for i := range rows[1:] {
			more := (cpu(rows[i+1]) - cpu(rows[i])) / float64(rows[i+1].copies-rows[i].copies)
			s += fmt.Sprintf(" %.0f ms |", more*1e3)
		}
		s += "\n"
	}
	return s
}

// line is CPU time, in seconds, as a linear function of the copies.
type line struct{ fixed, slope float64 }

// fit returns the line with the smallest sum of squares.
func fit(rows []result, cpu func(result) float64) line {
	var n, x, y, xx, xy float64
	for _, r := range rows {
		copies := float64(r.copies)
		n, x, y = n+1, x+copies, y+cpu(r)
		xx, xy = xx+copies*copies, xy+copies*cpu(r)
	}
	slope := (n*xy - x*y) / (n*xx - x*x)
	return line{fixed: (y - slope*x) / n, slope: slope}
}
