package planner

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The plot is three panels over the same week, in pixels.
const (
	plotLeft   = 70.
	plotWidth  = 840.
	plotRight  = 90. // room for the names of the lines
	panelTop   = 46.
	panelPitch = 150.
	panelSize  = 112.
	leastShare = 1e-6 // lower end of the logarithmic axis of cold starts
)

// SVG returns a picture of the week: the traffic, what each strategy keeps
// ready, and the share of cold starts with the bound.
func (p *Plan) SVG() []byte {
	d := new(drawing)
	width, height := plotLeft+plotWidth+plotRight, panelTop+3*panelPitch
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height)
	fmt.Fprintf(d, "<title>Provisioned concurrency through the week, at most %s cold starts</title>\n", percent(p.bound))
	fmt.Fprintf(d, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", width, height)

	most := slices.Max(p.profile.Arrivals[:])
	traffic := d.panel(0, "invocations an hour", func(v float64) float64 { return v / most })
	traffic.mark(most, round(most))
	traffic.area(p.profile.Arrivals, "#9db7d5")

	peak := float64(max(1, slices.Max(p.Planned.Concurrency[:]), slices.Max(p.TargetTracking.Concurrency[:]), slices.Max(p.AlwaysOn.Concurrency[:])))
	ready := d.panel(1, "environments kept ready", func(v float64) float64 { return v / peak })
	ready.mark(peak, round(peak))
	ready.mark(0, "0")
	cold := d.panel(2, "share of cold starts", func(v float64) float64 {
		return 1 - math.Log(max(v, leastShare))/math.Log(leastShare)
	})
	for share := 1.; share > leastShare/2; share /= 100 {
		cold.mark(share, percent(share))
	}
	cold.rule(p.bound, "bound "+percent(p.bound))

	for i, s := range []Strategy{p.Nothing, p.TargetTracking, p.AlwaysOn, p.Planned} {
		color := []string{"#999999", "#d08a2e", "#5b8c5a", "#b03060"}[i]
		stroke := 1.
		if s.Name == p.Planned.Name {
			stroke = 2
		}
		var concurrency Week[float64]
		for h, n := range s.Concurrency {
			concurrency[h] = float64(n)
		}
		ready.steps(concurrency, color, stroke)
		cold.steps(s.ColdStarts, color, stroke)
		fmt.Fprintf(d, `<text x="%g" y="20" fill="%s">%s, %s USD a month</text>`+"\n", plotLeft+float64(i)*225, color, s.Name, round(s.Cost*weeksPerMonth))
	}
	d.WriteString("</svg>\n")
	return d.Bytes()
}

// drawing is an SVG document being written.
type drawing struct{ bytes.Buffer }

// panel is one diagram; share maps a value to its height, 0 to 1.
type panel struct {
	*drawing
	bottom float64
	share  func(float64) float64
}

func (d *drawing) panel(row int, title string, share func(float64) float64) panel {
	top := panelTop + float64(row)*panelPitch
	p := panel{d, top + panelSize, share}
	fmt.Fprintf(d, `<text x="%g" y="%g" fill="#333">%s</text>`+"\n", plotLeft, top-6, title)
	fmt.Fprintf(d, `<rect x="%g" y="%g" width="%g" height="%g" fill="none" stroke="#ccc"/>`+"\n", plotLeft, top, plotWidth, panelSize)
	for day, name := range []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} {
		x := plotLeft + plotWidth*float64(day)/7
		fmt.Fprintf(d, `<path d="M%g %gV%g" stroke="#eee"/><text x="%g" y="%g" fill="#666">%s</text>`+"\n", x, top, p.bottom, x+4, p.bottom+14, name)
	}
	return p
}

func (p panel) y(v float64) float64 {
	return math.Round(10*(p.bottom-panelSize*min(1, max(0, p.share(v))))) / 10
}

// mark labels a value of the axis.
func (p panel) mark(v float64, label string) {
	fmt.Fprintf(p, `<text x="%g" y="%g" fill="#666" text-anchor="end">%s</text>`+"\n", plotLeft-6, p.y(v)+4, label)
}

// rule draws a dashed line at a value, named at its right end.
func (p panel) rule(v float64, label string) {
	fmt.Fprintf(p, `<path d="M%g %gh%g" stroke="#333" stroke-dasharray="4 3"/><text x="%g" y="%g" fill="#333">%s</text>`+"\n",
		plotLeft, p.y(v), plotWidth, plotLeft+plotWidth+4, p.y(v)+4, label)
}

// line returns the path of a value that is constant in each hour.
func (p panel) line(w Week[float64]) string {
	var b strings.Builder
	for h, v := range w {
		command := "V"
		if h == 0 {
			command = fmt.Sprintf("M%g ", plotLeft)
		}
		if h == 0 || v != w[h-1] {
			fmt.Fprintf(&b, "%s%g", command, p.y(v))
		}
		if h == HoursPerWeek-1 || w[h+1] != v {
			fmt.Fprintf(&b, "H%g", plotLeft+plotWidth*float64(h+1)/HoursPerWeek)
		}
	}
	return b.String()
}

func (p panel) steps(w Week[float64], color string, width float64) {
	fmt.Fprintf(p, `<path d="%s" fill="none" stroke="%s" stroke-width="%g"/>`+"\n", p.line(w), color, width)
}

func (p panel) area(w Week[float64], color string) {
	fmt.Fprintf(p, `<path d="%sV%gH%gZ" fill="%s"/>`+"\n", p.line(w), p.bottom, plotLeft, color)
}

// round writes a number for people.
func round(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
