package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultLead is how long before it is needed an increase is asked for.
// Application Auto Scaling may run an action up to two minutes late, and Lambda
// needs a minute or two to start the environments.
//
// Source: Application Auto Scaling User Guide, "Scheduled scaling"; Lambda
// Developer Guide, "Configuring provisioned concurrency".
const DefaultLead = 5 * time.Minute

// MaxActions is the number of scheduled actions that Application Auto Scaling
// allows for one scalable target; it cannot be raised.
//
// Source: Application Auto Scaling User Guide, "Quotas".
const MaxActions = 200

// Action sets the concurrency at one time of the week or once. Between two
// actions nothing changes.
type Action struct {
	// Name is unique in its schedule and does not change while the action
	// does not.
	Name string
	// Expression is a cron or at expression of Application Auto Scaling, read
	// on the clock of Zone.
	Expression string
	// Zone is an IANA time zone.
	Zone string
	// Start and End bound a cron expression; the zero time means no bound.
	Start, End time.Time
	// Concurrency is what the action sets.
	Concurrency int
}

// Actions returns what must be done, and when, to have ready what the schedule
// asks for. Increases are made lead earlier; 0 means DefaultLead and the most
// is an hour.
//
// A window suspends the weekly actions that fall into it and says itself what
// holds meanwhile, so that the end of a working day does not end a sale.
func (s Schedule) Actions(lead time.Duration) ([]Action, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if lead == 0 {
		lead = DefaultLead
	}
	if lead < 0 || lead > time.Hour || lead%time.Minute != 0 {
		return nil, fmt.Errorf("schedule: lead is %v; it must be whole minutes up to an hour", lead)
	}
	loc := s.location()
	ready := s.week().early(int(lead / time.Minute)).avoid(unsafeMinutes(loc))
	spans := s.spans(lead)

	var actions []Action
	for _, c := range ready.changes() {
		actions = append(actions, c.around(spans, loc)...)
	}
	for _, sp := range spans {
		actions = append(actions, sp.actions(ready, loc)...)
	}
	if len(actions) > MaxActions {
		return nil, fmt.Errorf("schedule: %d actions are needed and Application Auto Scaling allows %d; use fewer entries or whole working days", len(actions), MaxActions)
	}
	return actions, nil
}

// early returns the week with every increase made some minutes sooner.
func (w week) early(minutes int) (out week) {
	for m := range w {
		for ahead := range minutes + 1 {
			out[m] = max(out[m], w[(m+ahead)%minutesPerWeek])
		}
	}
	return out
}

// avoid returns the week without any change in an unsafe minute: increases
// move before the unsafe minutes, decreases behind them.
func (w week) avoid(unsafe [minutesPerWeek]bool) week {
	for first := range w {
		if !unsafe[first] || unsafe[before(first)] {
			continue
		}
		most, changes := w[before(first)], false
		end := first
		for ; unsafe[end]; end = (end + 1) % minutesPerWeek {
			most = max(most, w[end])
			changes = changes || w[end] != w[before(end)]
		}
		if !changes {
			continue
		}
		for m := before(first); m != end; m = (m + 1) % minutesPerWeek {
			w[m] = most
		}
	}
	return w
}

// unsafeMinutes marks the minutes of the week that the zone's clock skips or
// repeats at some time in the years that a deployment may live to see.
func unsafeMinutes(loc *time.Location) (unsafe [minutesPerWeek]bool) {
	t := time.Date(2025, 1, 1, 0, 0, 0, 0, loc)
	for {
		_, change := t.ZoneBounds()
		if change.IsZero() || change.Year() > 2037 {
			return unsafe
		}
		_, was := change.Add(-time.Second).Zone()
		_, is := change.Zone()
		// The hour begins at the lower reading: a clock that goes forward skips
		// on from it, one that goes back returns to it.
		first := minuteOfWeek(change.UTC().Add(time.Duration(min(was, is)) * time.Second))
		length := max(was-is, is-was) / 60
		for m := range length {
			unsafe[(first+m)%minutesPerWeek] = true
		}
		t = change
	}
}

// change is one weekly action: at this minute of these days, set n.
type change struct {
	minute int // of the day
	n      int
	days   []time.Weekday
}

// changes returns the weekly actions that keep the week, days with the same
// change together, ordered by time of the day.
func (w week) changes() []change {
	var out []change
	for m, n := range w {
		if w[before(m)] == n {
			continue
		}
		day := time.Weekday(m / minutesPerDay)
		i := slices.IndexFunc(out, func(c change) bool { return c.minute == m%minutesPerDay && c.n == n })
		if i < 0 {
			out = append(out, change{minute: m % minutesPerDay, n: n, days: []time.Weekday{day}})
			continue
		}
		out[i].days = append(out[i].days, day)
	}
	slices.SortStableFunc(out, func(a, b change) int { return a.minute - b.minute })
	return out
}

// around returns the action of the change, suspended during the spans into
// which it falls.
func (c change) around(spans []span, loc *time.Location) []Action {
	a := Action{
		Name:        fmt.Sprintf("%s %02d%02d to %d", dayList(c.days), c.minute/60, c.minute%60, c.n),
		Expression:  cron(fmt.Sprint(c.minute%60), fmt.Sprint(c.minute/60), c.days),
		Zone:        loc.String(),
		Concurrency: c.n,
	}
	name := a.Name
	var out []Action
	for _, sp := range spans {
		if !c.firesIn(sp, loc) {
			continue
		}
		// The bounds hug the neighbouring occurrences because an action with a
		// start time may also run at that time.
		a.End = c.nearest(sp.start, -time.Minute, loc).Add(time.Second)
		if a.End.After(a.Start) {
			out = append(out, a)
		}
		a.Name = fmt.Sprintf("%s from %s", name, sp.end.UTC().Format("20060102T1504Z"))
		a.Start, a.End = c.nearest(sp.end, time.Minute, loc).Add(-time.Second), time.Time{}
	}
	return append(out, a)
}

// fires reports whether the change happens at the instant.
func (c change) fires(t time.Time) bool {
	return t.Hour()*60+t.Minute() == c.minute && slices.Contains(c.days, t.Weekday())
}

func (c change) firesIn(sp span, loc *time.Location) bool {
	for t := sp.start; !t.After(sp.end); t = t.Add(time.Minute) {
		if c.fires(t.In(loc)) {
			return true
		}
	}
	return false
}

// nearest returns the occurrence of the change next to t, going by step.
func (c change) nearest(t time.Time, step time.Duration, loc *time.Location) time.Time {
	for t = t.Add(step); !c.fires(t.In(loc)); t = t.Add(step) {
	}
	return t.UTC()
}

// span is the time from the first to the last action of windows that touch.
type span struct {
	start, end time.Time
	windows    []Entry // their starts moved forward by the lead
}

func (s Schedule) spans(lead time.Duration) []span {
	var windows []Entry
	for _, e := range s {
		if e.window() {
			e.Start = e.Start.Add(-lead)
			windows = append(windows, e)
		}
	}
	slices.SortStableFunc(windows, func(a, b Entry) int { return a.Start.Compare(b.Start) })
	var out []span
	for _, e := range windows {
		if n := len(out); n > 0 && !e.Start.After(out[n-1].end) {
			last := &out[n-1]
			last.windows = append(last.windows, e)
			if e.End.After(last.end) {
				last.end = e.End
			}
			continue
		}
		out = append(out, span{start: e.Start, end: e.End, windows: []Entry{e}})
	}
	return out
}

// actions returns the one-off actions of the span, the last of which restores
// what the week asks for.
func (sp span) actions(ready week, loc *time.Location) []Action {
	var out []Action
	last := -1
	for t := sp.start; !t.After(sp.end); t = t.Add(time.Minute) {
		n := ready[minuteOfWeek(t.In(loc))]
		for _, e := range sp.windows {
			if e.during(t) {
				n = max(n, e.Concurrency)
			}
		}
		if n == last {
			continue
		}
		last = n
		at := t.UTC()
		out = append(out, Action{
			Name:        fmt.Sprintf("once %s to %d", at.Format("20060102T1504Z"), n),
			Expression:  "at(" + at.Format("2006-01-02T15:04:05") + ")",
			Zone:        "UTC",
			Concurrency: n,
		})
	}
	return out
}

// cron returns the expression for minutes and hours of some weekdays.
func cron(minutes, hours string, days []time.Weekday) string {
	if len(days) == 7 {
		return fmt.Sprintf("cron(%s %s * * ? *)", minutes, hours)
	}
	// To cron, the week begins on Sunday, and ranges do not run over its end.
	return fmt.Sprintf("cron(%s %s ? * %s *)", minutes, hours, list(days, time.Sunday))
}

// dayList writes weekdays for people, Monday first: "MON-FRI", "WED,SUN".
func dayList(days []time.Weekday) string { return list(days, time.Monday) }

// list writes the weekdays of a week that begins on a day, three or more in a
// row as a range.
func list(days []time.Weekday, begin time.Weekday) string {
	on := func(i int) bool { return i < 7 && slices.Contains(days, (begin+time.Weekday(i))%7) }
	name := func(i int) string { return short((begin + time.Weekday(i)) % 7) }
	var parts []string
	for i := 0; i < 7; i++ {
		if !on(i) {
			continue
		}
		first := i
		for on(i + 1) {
			i++
		}
		switch i - first {
		case 0:
			parts = append(parts, name(first))
		case 1:
			parts = append(parts, name(first), name(i))
		default:
			parts = append(parts, name(first)+"-"+name(i))
		}
	}
	return strings.Join(parts, ",")
}

func short(d time.Weekday) string { return strings.ToUpper(d.String()[:3]) }
