package schedule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Every returns actions that come back every rate while the schedule asks for
// something, such as pings that keep that many environments warm. The rate is a
// part of an hour, in whole minutes.
//
// Only weekly entries on whole hours can be repeated so; others are refused.
func (s Schedule) Every(rate time.Duration) ([]Action, error) {
	problems := []error{s.Validate()}
	if rate < time.Minute || rate > 30*time.Minute || time.Hour%rate != 0 || rate%time.Minute != 0 {
		problems = append(problems, fmt.Errorf("schedule: %v does not divide an hour into whole minutes; choose 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes", rate))
	}
	for i, e := range s {
		switch {
		case e.window():
			problems = append(problems, fmt.Errorf("schedule entry %d (%v): a window cannot be repeated; provision concurrency for it", i+1, e))
		case e.From%time.Hour != 0 || e.To%time.Hour != 0:
			problems = append(problems, fmt.Errorf("schedule entry %d (%v): it must begin and end on whole hours", i+1, e))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	zone := s.location().String()
	var actions []Action
	for _, t := range s.week().hours() {
		actions = append(actions, Action{
			Name:        fmt.Sprintf("%s %s to %d", dayList(t.days), t.hours, t.n),
			Expression:  cron(fmt.Sprintf("0/%d", int(rate.Minutes())), t.hours, t.days),
			Zone:        zone,
			Concurrency: t.n,
		})
	}
	return actions, nil
}

// times are hours of some days in which the same is asked for.
type times struct {
	n     int
	hours string // as in cron: "8-19"
	days  []time.Weekday
}

// hours returns the hours in which the week asks for something, days with the
// same hours together.
func (w week) hours() []times {
	var out []times
	for _, day := range allDays {
		byLevel := map[int][]int{}
		for hour := range 24 {
			if n := w[int(day)*minutesPerDay+hour*60]; n > 0 {
				byLevel[n] = append(byLevel[n], hour)
			}
		}
		for _, n := range slices.Sorted(maps.Keys(byLevel)) {
			hours := hourList(byLevel[n])
			i := slices.IndexFunc(out, func(t times) bool { return t.n == n && t.hours == hours })
			if i < 0 {
				out = append(out, times{n: n, hours: hours})
				i = len(out) - 1
			}
			out[i].days = append(out[i].days, day)
		}
	}
	return out
}

// hourList writes hours as cron does: "8-19", "0-5,22".
func hourList(hours []int) string {
	var parts []string
	for i := 0; i < len(hours); i++ {
		first := hours[i]
		for i+1 < len(hours) && hours[i+1] == hours[i]+1 {
			i++
		}
		if hours[i] == first {
			parts = append(parts, fmt.Sprint(first))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", first, hours[i]))
		}
	}
	return strings.Join(parts, ",")
}
