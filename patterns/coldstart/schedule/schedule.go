package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Schedule is a list of entries. At any time the largest entry that applies
// wins; where none applies, nothing is kept ready.
type Schedule []Entry

// Entry asks for a number of environments, either every week between two times
// of the day or once between two instants.
type Entry struct {
	// Zone is the IANA name of the place whose clock a weekly entry follows,
	// such as "Europe/Paris". It is empty for a window.
	Zone string
	// Days are the weekdays on which a weekly entry begins. It is empty for a
	// window.
	Days []time.Weekday
	// From and To are times of the day on the wall clock of Zone, counted from
	// midnight in whole minutes: 0 to 24 hours. An entry whose To is not after
	// its From ends on the following day.
	From, To time.Duration

	// Start and End bound a window, in whole minutes. They are zero for a
	// weekly entry.
	Start, End time.Time

	// Concurrency is the number of environments to keep ready, 1 or more. Each
	// costs its memory for as long as it is kept, used or not.
	Concurrency int
}

var (
	workdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	weekend  = []time.Weekday{time.Saturday, time.Sunday}
	allDays  = append(slices.Clone(workdays), weekend...)
)

// Always keeps n environments ready at any time.
func Always(n int) Entry { return Daily("UTC", 0, 24, n) }

// Weekdays keeps n environments ready from Monday to Friday between two hours
// of the zone's clock.
func Weekdays(zone string, from, to, n int) Entry { return weekly(zone, workdays, from, to, n) }

// Weekends keeps n environments ready on Saturday and Sunday between two hours
// of the zone's clock.
func Weekends(zone string, from, to, n int) Entry { return weekly(zone, weekend, from, to, n) }

// Daily keeps n environments ready every day between two hours of the zone's
// clock.
func Daily(zone string, from, to, n int) Entry { return weekly(zone, allDays, from, to, n) }

// Window keeps n environments ready once, from start until end: a flash sale,
// a migration, an election night.
func Window(start, end time.Time, n int) Entry {
	return Entry{Start: start, End: end, Concurrency: n}
}

func weekly(zone string, days []time.Weekday, from, to, n int) Entry {
	return Entry{
		Zone: zone, Days: slices.Clone(days),
		From: time.Duration(from) * time.Hour, To: time.Duration(to) * time.Hour,
		Concurrency: n,
	}
}

// constant reports whether the entry applies at any time, in whatever zone.
func (e Entry) constant() bool {
	return e.From == 0 && e.To == 24*time.Hour && len(e.Days) >= 7 && !slices.ContainsFunc(allDays, func(d time.Weekday) bool {
		return !slices.Contains(e.Days, d)
	})
}

func (e Entry) window() bool { return !e.Start.IsZero() || !e.End.IsZero() }

// String describes the entry in one line, such as
// "MON-FRI 08:00-20:00 Europe/Paris: 40".
func (e Entry) String() string {
	switch {
	case e.window():
		return fmt.Sprintf("%s to %s: %d", e.Start.Format(time.RFC3339), e.End.Format(time.RFC3339), e.Concurrency)
	case e.constant():
		return fmt.Sprintf("always: %d", e.Concurrency)
	}
	return fmt.Sprintf("%s %s-%s %s: %d", dayList(e.Days), clock(e.From), clock(e.To), e.Zone, e.Concurrency)
}

// String describes the schedule, one entry to a line.
func (s Schedule) String() string {
	lines := make([]string, len(s))
	for i, e := range s {
		lines[i] = e.String()
	}
	return strings.Join(lines, "\n")
}

// Zone returns the zone that the weekly entries share, "UTC" when there is
// none that depends on a zone.
func (s Schedule) Zone() string {
	for _, e := range s {
		if !e.window() && !e.constant() {
			return e.Zone
		}
	}
	return "UTC"
}

// Peak returns the largest concurrency that the schedule ever asks for.
func (s Schedule) Peak() int {
	peak := 0
	for _, e := range s {
		peak = max(peak, e.Concurrency)
	}
	return peak
}

// Floor returns the concurrency that the schedule asks for at any time.
func (s Schedule) Floor() int {
	week := s.week()
	return slices.Min(week[:])
}

// At returns the concurrency that the schedule asks for at an instant. It
// panics for a schedule that [Schedule.Validate] refuses.
func (s Schedule) At(t time.Time) int {
	minute := minuteOfWeek(t.In(s.location()))
	n := 0
	for _, e := range s {
		if e.window() && e.during(t) || !e.window() && e.covers(minute) {
			n = max(n, e.Concurrency)
		}
	}
	return n
}

// Validate returns every problem of the schedule, joined into one error, and
// nil when it can be deployed.
func (s Schedule) Validate() error {
	var problems []error
	zones := []string{}
	for i, e := range s {
		report := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("schedule entry %d (%v): %w", i+1, e, fmt.Errorf(format, args...)))
		}
		if e.Concurrency < 1 {
			report("concurrency is %d; it must be 1 or more, leave the entry out to keep nothing ready", e.Concurrency)
		}
		if e.window() {
			switch {
			case e.Zone != "" || len(e.Days) > 0 || e.From != 0 || e.To != 0:
				report("it has both a window and weekly times; make two entries of it")
			case e.Start.IsZero() || e.End.IsZero():
				report("a window needs both Start and End")
			case !e.Start.Before(e.End):
				report("it ends before it starts")
			case e.Start.Truncate(time.Minute) != e.Start || e.End.Truncate(time.Minute) != e.End:
				report("Start and End must be whole minutes")
			case e.End.Sub(e.Start) > maxWindow:
				report("a window lasts at most %d days; use weekly entries", maxWindow/(24*time.Hour))
			}
			continue
		}
		if _, err := time.LoadLocation(e.Zone); err != nil || e.Zone == "" || e.Zone == "Local" {
			report("zone %q is not an IANA time zone; write a name such as \"Europe/Paris\" or \"UTC\"", e.Zone)
		} else if !e.constant() && !slices.Contains(zones, e.Zone) {
			zones = append(zones, e.Zone)
		}
		if len(e.Days) == 0 {
			report("it has no days")
		}
		if e.From < 0 || e.From >= 24*time.Hour || e.To <= 0 || e.To > 24*time.Hour {
			report("times must be between 0 and 24 hours")
		} else if e.From == e.To {
			report("it starts and ends at the same time; write 0 and 24 for a whole day")
		}
		if e.From%time.Minute != 0 || e.To%time.Minute != 0 {
			report("times must be whole minutes")
		}
	}
	if len(zones) > 1 {
		problems = append(problems, fmt.Errorf("schedule has weekly entries in %s; all must share one zone, for their clocks change on different dates: convert them or use windows", strings.Join(zones, " and ")))
	}
	return errors.Join(problems...)
}

// maxWindow bounds the minutes that Actions walks through.
const maxWindow = 90 * 24 * time.Hour

func (s Schedule) location() *time.Location {
	loc, err := time.LoadLocation(s.Zone())
	if err != nil {
		panic(fmt.Sprintf("schedule: %v; Validate would have refused it", err))
	}
	return loc
}

const (
	minutesPerDay  = 24 * 60
	minutesPerWeek = 7 * minutesPerDay
)

// week holds a concurrency for each minute of the week on the wall clock,
// Sunday 00:00 first.
type week [minutesPerWeek]int

func (s Schedule) week() (w week) {
	for _, e := range s {
		for m := range w {
			if !e.window() && e.covers(m) {
				w[m] = max(w[m], e.Concurrency)
			}
		}
	}
	return w
}

// covers reports whether a weekly entry applies in a minute of the week.
func (e Entry) covers(minute int) bool {
	length := e.To - e.From
	if length <= 0 {
		length += 24 * time.Hour
	}
	for _, d := range e.Days {
		since := minute - int(d)*minutesPerDay - int(e.From/time.Minute)
		if (since+minutesPerWeek)%minutesPerWeek < int(length/time.Minute) {
			return true
		}
	}
	return false
}

// during reports whether a window is open.
func (e Entry) during(t time.Time) bool { return !t.Before(e.Start) && t.Before(e.End) }

// before returns the minute before m, of the same week.
func before(m int) int { return (m + minutesPerWeek - 1) % minutesPerWeek }

func minuteOfWeek(t time.Time) int {
	return int(t.Weekday())*minutesPerDay + t.Hour()*60 + t.Minute()
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}
