package benchmark

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var table = flag.Bool("table", false, "print what BenchmarkSynth measured as Markdown")

// BenchmarkSynth synthesizes 1, 10 and 50 copies of the flash sale in one app,
// in plain JavaScript and in Go, each time in a new process. Its metrics are
// medians: time-s until the process ended, cpu-s of all processes together, and
// MB, the sum of their peaks. The ratios are Go's by JavaScript's.
func BenchmarkSynth(b *testing.B) {
	js, golang := jsApp(b), goApp()
	// jsii indexes the CDK once for each user, beside the first app that runs
	// long enough. Until then everything takes many times as long.
	golang.synth(b, 10)
	r := results{resources: len(js.synth(b, 1).template(b).Resources(""))}
	for _, copies := range []int{1, 10, 50} {
		var both [2]cost
		b.Run(fmt.Sprintf("js/%d", copies), func(b *testing.B) {
			both[0] = measure(b, js, copies)
		})
		b.Run(fmt.Sprintf("go/%d", copies), func(b *testing.B) {
			both[1] = measure(b, golang, copies)
			if both[0].runs > 0 {
				ratio := both[1].by(both[0])
				b.ReportMetric(ratio.time, "time-ratio")
				b.ReportMetric(ratio.cpu, "cpu-ratio")
				b.ReportMetric(ratio.peak, "MB-ratio")
			}
		})
		if both[0].runs > 0 && both[1].runs > 0 {
			r.copies = append(r.copies, copies)
			r.js = append(r.js, both[0])
			r.golang = append(r.golang, both[1])
		}
	}
	if *table && len(r.copies) > 1 {
		fmt.Print(r.markdown())
	}
}

// cost is what it takes to synthesize, the medians of several runs.
type cost struct {
	runs            int
	time, cpu, peak float64 // seconds, seconds, MB
}

func (c cost) by(other cost) cost {
	return cost{time: c.time / other.time, cpu: c.cpu / other.cpu, peak: c.peak / other.peak}
}

func measure(b *testing.B, a app, copies int) cost {
	var time, cpu, peak []float64
	for b.Loop() {
		r := a.synth(b, copies)
		time = append(time, r.time.Seconds())
		cpu = append(cpu, r.cpu.Seconds())
		peak = append(peak, float64(r.peak)/1e6)
	}
	c := cost{runs: len(time), time: median(time), cpu: median(cpu), peak: median(peak)}
	b.ReportMetric(c.time, "time-s")
	b.ReportMetric(c.cpu, "cpu-s")
	b.ReportMetric(c.peak, "MB")
	return c
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// results are what the benchmark measured, by the number of copies.
type results struct {
	resources  int // of one copy
	copies     []int
	js, golang []cost
}

// markdown returns the tables of docs/performance.md.
func (r results) markdown() string {
	s := fmt.Sprintf("Medians of %d runs.\n\n"+
		"| copies | resources | time: Go | JavaScript | ratio | CPU: Go | JavaScript | ratio | memory: Go | JavaScript | ratio |\n"+
		"|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", r.golang[0].runs)
	for i, n := range r.copies {
		g, j := r.golang[i], r.js[i]
		ratio := g.by(j)
		s += fmt.Sprintf("| %d | %d | %.2f s | %.2f s | **%.1f** | %.2f s | %.2f s | **%.1f** | %.0f MB | %.0f MB | **%.1f** |\n",
			n, n*r.resources, g.time, j.time, ratio.time, g.cpu, j.cpu, ratio.cpu, g.peak, j.peak, ratio.peak)
	}
	s += "\n| CPU | fixed | a copy | a resource |"
	for i := range r.copies[1:] {
		s += fmt.Sprintf(" a copy from %d to %d |", r.copies[i], r.copies[i+1])
	}
	s += "\n|---" + strings.Repeat("|---:", 3+len(r.copies)-1) + "|\n"
	g, j := r.fit(r.golang), r.fit(r.js)
	for _, l := range []struct {
		name string
		line
		costs []cost
	}{{"Go", g, r.golang}, {"JavaScript", j, r.js}} {
		s += fmt.Sprintf("| %s | %.2f s | %.0f ms | %.2f ms |", l.name, l.fixed, l.slope*1e3, l.slope*1e3/float64(r.resources))
		for i := range r.copies[1:] {
			more := (l.costs[i+1].cpu - l.costs[i].cpu) / float64(r.copies[i+1]-r.copies[i])
			s += fmt.Sprintf(" %.0f ms |", more*1e3)
		}
		s += "\n"
	}
	return s
}

// line is CPU time, in seconds, as a linear function of the copies.
type line struct{ fixed, slope float64 }

// fit returns the line with the smallest sum of squares.
func (r results) fit(costs []cost) line {
	var n, x, y, xx, xy float64
	for i, c := range costs {
		copies := float64(r.copies[i])
		n, x, y = n+1, x+copies, y+c.cpu
		xx, xy = xx+copies*copies, xy+copies*c.cpu
	}
	slope := (n*xy - x*y) / (n*xx - x*x)
	return line{fixed: (y - slope*x) / n, slope: slope}
}
