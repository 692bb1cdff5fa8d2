package rules

import "time"

// Quiet are the hours in which only urgent alerts disturb, by the clock on the
// locality's wall: "22:00" to "06:30". They may go over midnight. The zero value
// means none.
type Quiet struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

func (q Quiet) problem() string {
	if q == (Quiet{}) {
		return ""
	}
	from, okFrom := minutes(q.From)
	to, okTo := minutes(q.To)
	switch {
	case !okFrom || !okTo:
		return `times of day such as "22:00", both or none`
	case from == to:
		return "two times that differ"
	}
	return ""
}

// minutes returns the minutes since midnight of "15:04".
func minutes(clock string) (int, bool) {
	t, err := time.Parse("15:04", clock)
	return t.Hour()*60 + t.Minute(), err == nil && len(clock) == len("15:04")
}

// Contains reports whether the wall clock that t shows is within the quiet
// hours.
func (q Quiet) Contains(t time.Time) bool {
	from, ok := minutes(q.From)
	to, okTo := minutes(q.To)
	if !ok || !okTo {
		return false
	}
	now := t.Hour()*60 + t.Minute()
	if from < to {
		return from <= now && now < to
	}
	return from <= now || now < to
}

// End returns t if it is not quiet, and else the first instant at which the
// wall clock is past the quiet hours.
//
// It walks from minute to minute, at most a day, instead of computing the end
// from the date. That is right without a special case where daylight saving
// skips the end of the quiet hours, shows it twice, or makes the night an hour
// longer or shorter.
func (q Quiet) End(t time.Time) time.Time {
	for end := t; ; end = end.Truncate(time.Minute).Add(time.Minute) {
		if !q.Contains(end) {
			return end
		}
	}
}
