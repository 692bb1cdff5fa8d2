package schedule

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestValidate(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		entry Entry
		want  string // empty: accepted
	}{
		{"weekday", Weekdays("Europe/Paris", 8, 20, 1), ""},
		{"whole day", Daily("Asia/Tokyo", 0, 24, 1), ""},
		{"through midnight", Daily("Asia/Tokyo", 22, 6, 1), ""},
		{"half hours", Entry{Zone: "Asia/Kolkata", Days: workdays, From: 9*time.Hour + 30*time.Minute, To: 18 * time.Hour, Concurrency: 3}, ""},
		{"window", Window(noon, noon.Add(time.Hour), 1), ""},

		{"nothing to keep", Always(0), "concurrency is 0"},
		{"negative", Weekends("UTC", 0, 24, -1), "concurrency is -1"},
		{"no zone", Weekdays("", 8, 20, 1), `zone "" is not`},
		{"machine's zone", Weekdays("Local", 8, 20, 1), `zone "Local" is not`},
		{"misspelt zone", Weekdays("Paris", 8, 20, 1), `zone "Paris" is not`},
		{"no days", Entry{Zone: "UTC", To: time.Hour, Concurrency: 1}, "it has no days"},
		{"late hour", Weekdays("UTC", 8, 25, 1), "between 0 and 24"},
		{"from 24", Weekdays("UTC", 24, 8, 1), "between 0 and 24"},
		{"empty", Weekdays("UTC", 8, 8, 1), "starts and ends at the same time"},
		{"seconds", Entry{Zone: "UTC", Days: allDays, To: time.Second, Concurrency: 1}, "whole minutes"},
		{"window and weekly", Entry{Zone: "UTC", Start: noon, End: noon.Add(time.Hour), Concurrency: 1}, "make two entries"},
		{"no end", Entry{Start: noon, Concurrency: 1}, "both Start and End"},
		{"backwards", Window(noon, noon, 1), "ends before it starts"},
		{"window's seconds", Window(noon, noon.Add(time.Second), 1), "whole minutes"},
		{"endless window", Window(noon, noon.AddDate(1, 0, 0), 1), "at most 90 days"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Schedule{tt.entry}.Validate()
			if tt.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want it to say %q", err, tt.want)
			}
			if _, err := (Schedule{tt.entry}).Actions(0); err == nil {
				t.Error("Actions accepts what Validate refuses")
			}
		})
	}
	t.Run("two zones", func(t *testing.T) {
		err := Schedule{Always(1), Weekdays("Europe/Paris", 8, 20, 1), Weekdays("Asia/Tokyo", 8, 20, 1)}.Validate()
		if err == nil || !strings.Contains(err.Error(), "Europe/Paris and Asia/Tokyo") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestOverlapTakesTheLargest(t *testing.T) {
	s := Schedule{
		Weekdays("UTC", 8, 20, 10),
		Daily("UTC", 12, 14, 30),
		Daily("UTC", 22, 2, 4),
	}
	slices.Reverse(s) // the order means nothing
	monday := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	got := map[int]int{}
	for _, hour := range []int{0, 2, 7, 8, 11, 12, 13, 14, 19, 20, 22, 23} {
		got[hour] = s.At(monday.Add(time.Duration(hour) * time.Hour))
	}
	want := map[int]int{0: 4, 2: 0, 7: 0, 8: 10, 11: 10, 12: 30, 13: 30, 14: 10, 19: 10, 20: 0, 22: 4, 23: 4}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s.Peak() != 30 || s.Floor() != 0 || (Schedule{Always(3)}).Floor() != 3 || (Schedule{}).Peak() != 0 {
		t.Error("wrong peak or floor")
	}
}

func TestActions(t *testing.T) {
	friday := time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		s    Schedule
		want []string
	}{
		{"nothing", nil, nil},
		{"constant", Schedule{Always(3)}, nil},
		{"weekdays and weekends", Schedule{Weekdays("Europe/Paris", 8, 20, 40), Weekends("Europe/Paris", 10, 18, 5)}, []string{
			"MON-FRI 0755 to 40|cron(55 7 ? * MON-FRI *)|40",
			"SAT,SUN 0955 to 5|cron(55 9 ? * SUN,SAT *)|5",
			"SAT,SUN 1800 to 0|cron(0 18 ? * SUN,SAT *)|0",
			"MON-FRI 2000 to 0|cron(0 20 ? * MON-FRI *)|0",
		}},
		{"over the weekend", Schedule{Entry{Zone: "UTC", Days: []time.Weekday{time.Friday, time.Saturday, time.Sunday}, From: 9 * time.Hour, To: 17 * time.Hour, Concurrency: 1}}, []string{
			"FRI-SUN 0855 to 1|cron(55 8 ? * SUN,FRI,SAT *)|1",
			"FRI-SUN 1700 to 0|cron(0 17 ? * SUN,FRI,SAT *)|0",
		}},
		{"a step within the day", Schedule{Daily("UTC", 6, 22, 5), Daily("UTC", 12, 14, 9)}, []string{
			"MON-SUN 0555 to 5|cron(55 5 * * ? *)|5",
			"MON-SUN 1155 to 9|cron(55 11 * * ? *)|9",
			"MON-SUN 1400 to 5|cron(0 14 * * ? *)|5",
			"MON-SUN 2200 to 0|cron(0 22 * * ? *)|0",
		}},
		{"the lead reaches into the day before", Schedule{Entry{Zone: "UTC", Days: []time.Weekday{time.Sunday}, From: 0, To: time.Hour, Concurrency: 2}}, []string{
			"SUN 0100 to 0|cron(0 1 ? * SUN *)|0",
			"SAT 2355 to 2|cron(55 23 ? * SAT *)|2",
		}},
		{"a window alone", Schedule{Window(friday, friday.Add(time.Hour), 100)}, []string{
			"once 20261127T1755Z to 100|at(2026-11-27T17:55:00)|100",
			"once 20261127T1900Z to 0|at(2026-11-27T19:00:00)|0",
		}},
		// Friday's end of work falls into the window: that one day is left out
		// and the window ends at the night's level.
		{"a window over the end of work", Schedule{Weekdays("UTC", 8, 20, 10), Window(friday, friday.Add(6*time.Hour), 100)}, []string{
			"MON-FRI 0755 to 10|cron(55 7 ? * MON-FRI *)|10",
			"MON-FRI 2000 to 0|cron(0 20 ? * MON-FRI *)|0 until 2026-11-26T20:00:01Z",
			"MON-FRI 2000 to 0 from 20261128T0000Z|cron(0 20 ? * MON-FRI *)|0 from 2026-11-30T19:59:59Z",
			"once 20261127T1755Z to 100|at(2026-11-27T17:55:00)|100",
			"once 20261128T0000Z to 0|at(2026-11-28T00:00:00)|0",
		}},
		// The window asks for less than the day does, so the day's level holds.
		{"a small window", Schedule{Weekdays("UTC", 8, 20, 10), Window(friday, friday.Add(3*time.Hour), 4)}, []string{
			"MON-FRI 0755 to 10|cron(55 7 ? * MON-FRI *)|10",
			"MON-FRI 2000 to 0|cron(0 20 ? * MON-FRI *)|0 until 2026-11-26T20:00:01Z",
			"MON-FRI 2000 to 0 from 20261127T2100Z|cron(0 20 ? * MON-FRI *)|0 from 2026-11-30T19:59:59Z",
			"once 20261127T1755Z to 10|at(2026-11-27T17:55:00)|10",
			"once 20261127T2000Z to 4|at(2026-11-27T20:00:00)|4",
			"once 20261127T2100Z to 0|at(2026-11-27T21:00:00)|0",
		}},
		// 02:00 and 03:00 on the way to Sunday's clock change: the increase
		// comes before the hour, the decrease after it.
		{"the skipped hour", Schedule{Entry{Zone: "Europe/Paris", Days: []time.Weekday{time.Sunday}, From: 150 * time.Minute, To: 4 * time.Hour, Concurrency: 7}, Entry{Zone: "Europe/Paris", Days: []time.Weekday{time.Saturday}, From: 22 * time.Hour, To: 140 * time.Minute, Concurrency: 3}}, []string{
			"SUN 0159 to 7|cron(59 1 ? * SUN *)|7",
			"SUN 0400 to 0|cron(0 4 ? * SUN *)|0",
			"SAT 2155 to 3|cron(55 21 ? * SAT *)|3",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			actions, err := tt.s.Actions(0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range actions {
				line := fmt.Sprintf("%s|%s|%d", a.Name, a.Expression, a.Concurrency)
				if !a.Start.IsZero() {
					line += " from " + a.Start.Format(time.RFC3339)
				}
				if !a.End.IsZero() {
					line += " until " + a.End.Format(time.RFC3339)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestActionsRefuses(t *testing.T) {
	var busy Schedule
	for day := range 7 {
		for hour := range 24 {
			for half := range 2 {
				from := time.Duration(2*hour+half) * 30 * time.Minute
				busy = append(busy, Entry{Zone: "UTC", Days: []time.Weekday{time.Weekday(day)}, From: from, To: from + 30*time.Minute, Concurrency: 1 + 100*day + 2*hour + half})
			}
		}
	}
	if _, err := busy.Actions(0); err == nil || !strings.Contains(err.Error(), "Application Auto Scaling allows 200") {
		t.Errorf("too many actions: %v", err)
	}
	for _, lead := range []time.Duration{-time.Minute, time.Second, 2 * time.Hour} {
		if _, err := (Schedule{Always(1)}).Actions(lead); err == nil {
			t.Errorf("lead %v was accepted", lead)
		}
	}
}

// autoscaler carries out actions as Application Auto Scaling would. What that
// service does in an hour that the clock skips or repeats is not documented, so
// that every way can be tried.
type autoscaler struct {
	skipped bool // run an action of a skipped minute at the next one that exists
	first   bool // run in the first of two equal minutes
	second  bool // run in the second
}

// replay returns the capacity in each minute from start to end.
func (a autoscaler) replay(t *testing.T, actions []Action, start, end time.Time, loc *time.Location, capacity int) []int {
	t.Helper()
	type rule struct {
		Action
		minute int
		days   []string
	}
	weekly, once := []rule{}, map[string]int{}
	for _, action := range actions {
		if at, ok := strings.CutPrefix(action.Expression, "at("); ok {
			once[at] = action.Concurrency
			continue
		}
		part := cronExpression.FindStringSubmatch(action.Expression)
		if part == nil || action.Zone != loc.String() {
			t.Fatalf("not a cron expression of %v: %+v", loc, action)
		}
		minute, _ := strconv.Atoi(part[1])
		hour, _ := strconv.Atoi(part[2])
		weekly = append(weekly, rule{action, hour*60 + minute, expand(part[3])})
	}
	var out []int
	for now := start.In(loc); now.Before(end); now = now.Add(time.Minute) {
		clock := now.Hour()*60 + now.Minute()
		today := short(now.Weekday())
		_, was := now.Add(-time.Minute).Zone()
		_, is := now.Zone()
		skipped := max(0, is-was) / 60
		for _, r := range weekly {
			if !slices.Contains(r.days, today) || !r.Start.IsZero() && now.Before(r.Start) || !r.End.IsZero() && now.After(r.End) {
				continue
			}
			if r.minute == clock && a.runs(now) || a.skipped && r.minute >= clock-skipped && r.minute < clock {
				capacity = r.Concurrency
			}
		}
		if n, ok := once[now.UTC().Format("2006-01-02T15:04:05)")]; ok {
			capacity = n
		}
		out = append(out, capacity)
	}
	return out
}

// runs reports whether an action of this minute is run in it, the minute being
// perhaps one of two with the same reading.
func (a autoscaler) runs(now time.Time) bool {
	for _, apart := range []time.Duration{30 * time.Minute, time.Hour} {
		if sameReading(now, now.Add(apart)) {
			return a.first
		}
		if sameReading(now, now.Add(-apart)) {
			return a.second
		}
	}
	return true
}

func sameReading(a, b time.Time) bool { return a.Hour() == b.Hour() && a.Minute() == b.Minute() }

var cronExpression = regexp.MustCompile(`^cron\((\d+) (\d+) (?:\? \* ([A-Z,-]+)|\* \* \?) \*\)$`)

// expand lists the weekdays of a cron field, "" for all. Cron's week begins on
// Sunday; a range over its end has no days, and so fails the test.
func expand(field string) []string {
	names := []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	if field == "" {
		return names
	}
	var out []string
	for part := range strings.SplitSeq(field, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		for i := slices.Index(names, from); i >= 0 && i <= slices.Index(names, to); i++ {
			out = append(out, names[i])
		}
	}
	return out
}

var policies = []autoscaler{
	{first: true},
	{second: true},
	{first: true, second: true},
	{skipped: true, first: true},
	{skipped: true, second: true},
}

// The days on which clocks change, both ways, north and south of the equator,
// and one zone that changes by half an hour.
var clockChanges = []struct {
	zone  string
	day   string
	hours float64
}{
	{"Europe/Paris", "2027-03-28", 23},
	{"Europe/Paris", "2027-10-31", 25},
	{"America/New_York", "2027-03-14", 23},
	{"America/New_York", "2027-11-07", 25},
	{"Australia/Sydney", "2027-10-03", 23},
	{"Australia/Sydney", "2027-04-04", 25},
	{"Australia/Lord_Howe", "2027-10-03", 23.5},
	{"Australia/Lord_Howe", "2027-04-04", 24.5},
}

func TestClockChanges(t *testing.T) {
	for _, tt := range clockChanges {
		t.Run(tt.zone+" "+tt.day, func(t *testing.T) {
			midnight, err := time.ParseInLocation(time.DateOnly, tt.day, mustZone(t, tt.zone))
			if err != nil {
				t.Fatal(err)
			}
			next := midnight.AddDate(0, 0, 1)
			if got := next.Sub(midnight).Hours(); got != tt.hours {
				t.Fatalf("the day has %v hours, want %v: wrong test data", got, tt.hours)
			}
			schedules := []struct {
				name      string
				s         Schedule
				exact     bool
				wantHours float64 // ready on that day, with the lead
			}{
				// Office hours are twelve hours of the wall clock on every day.
				{"office hours", Schedule{Daily(tt.zone, 8, 20, 5)}, true, 12 + 5./60},
				{"night", Schedule{Daily(tt.zone, 20, 8, 5)}, true, tt.hours - 12 + 5./60},
				{"until the hour", Schedule{Daily(tt.zone, 0, 2, 5)}, false, 0},
				{"through the hour", Schedule{Daily(tt.zone, 1, 4, 5)}, false, 0},
				{"within the hour", Schedule{Entry{Zone: tt.zone, Days: allDays, From: 125 * time.Minute, To: 140 * time.Minute, Concurrency: 5}}, false, 0},
				{"from the hour", Schedule{Daily(tt.zone, 3, 5, 5)}, false, 0},
			}
			loc := mustZone(t, tt.zone)
			start := midnight.Add(-6 * time.Hour)
			for _, sc := range schedules {
				actions, err := sc.s.Actions(0)
				if err != nil {
					t.Fatal(err)
				}
				var asked []int
				for now := start; now.Before(next); now = now.Add(time.Minute) {
					asked = append(asked, sc.s.At(now))
				}
				var minutes []int
				for _, policy := range policies {
					capacity := policy.replay(t, actions, start, next, loc, 5)
					ready := 0
					for i, n := range capacity {
						if n < asked[i] {
							t.Fatalf("%s, %+v: at %v %d are ready and %d asked for", sc.name, policy, start.Add(time.Duration(i)*time.Minute), n, asked[i])
						}
						if i >= len(capacity)-int(tt.hours*60) && n > 0 {
							ready++
						}
					}
					minutes = append(minutes, ready)
				}
				if slices.Min(minutes) != slices.Max(minutes) {
					t.Errorf("%s: %v minutes are ready, depending on how a service treats the hour", sc.name, minutes)
				}
				if want := int(sc.wantHours*60 + 0.5); sc.exact && minutes[0] != want {
					t.Errorf("%s: %d minutes are ready, want %d", sc.name, minutes[0], want)
				}
			}
		})
	}
}

// Whatever the schedule, its actions keep ready what it asks for, and not much
// longer than it asks for it.
func TestActionsKeepTheSchedule(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	zones := []string{"Europe/Paris", "America/New_York", "Australia/Sydney", "America/Santiago", "Africa/Cairo", "Asia/Kolkata"}
	for round := range 18 {
		zone := zones[round%len(zones)]
		loc := mustZone(t, zone)
		_, change := time.Date(2027, 1+time.Month(r.IntN(12)), 1, 0, 0, 0, 0, loc).ZoneBounds()
		if change.IsZero() {
			change = time.Date(2027, 6, 1, 0, 0, 0, 0, loc)
		}
		change = change.Truncate(time.Hour)
		var s Schedule
		for range 1 + r.IntN(4) {
			var days []time.Weekday
			for _, i := range r.Perm(7)[:1+r.IntN(7)] {
				days = append(days, time.Weekday(i))
			}
			from, to := r.IntN(48), 1+r.IntN(48)
			if from == to {
				to = 1 + to%48
			}
			s = append(s, Entry{Zone: zone, Days: days, From: time.Duration(from) * 30 * time.Minute, To: time.Duration(to) * 30 * time.Minute, Concurrency: 1 + r.IntN(9)})
		}
		for range r.IntN(3) {
			start := change.Add(time.Duration(r.IntN(72)-36) * time.Hour)
			s = append(s, Window(start, start.Add(time.Duration(1+r.IntN(30))*time.Hour), 1+r.IntN(12)))
		}
		actions, err := s.Actions(0)
		if err != nil {
			t.Fatalf("%v\n%v", err, s)
		}
		begin, end := change.AddDate(0, 0, -10), change.AddDate(0, 0, 4)
		ready := policies[round%len(policies)].replay(t, actions, begin, end, loc, s.Peak())
		asked := make([]int, len(ready))
		for i := range asked {
			asked[i] = s.At(begin.Add(time.Duration(i) * time.Minute))
		}
		for i := 8 * minutesPerDay; i < len(asked)-180; i++ {
			if ready[i] < asked[i] {
				t.Fatalf("%v\nat %v %d are ready and %d asked for", s, begin.Add(time.Duration(i)*time.Minute).In(loc), ready[i], asked[i])
			}
			if most := slices.Max(asked[i-180 : i+180]); ready[i] > most {
				t.Fatalf("%v\nat %v %d are ready and only %d asked for within three hours", s, begin.Add(time.Duration(i)*time.Minute).In(loc), ready[i], most)
			}
		}
	}
}

func TestEvery(t *testing.T) {
	tests := []struct {
		name string
		s    Schedule
		rate time.Duration
		want []string
		err  string
	}{
		{"always", Schedule{Always(2)}, 4 * time.Minute, []string{"MON-SUN 0-23 to 2|cron(0/4 0-23 * * ? *)|UTC|2"}, ""},
		{"a working day", Schedule{Weekdays("Europe/Paris", 8, 20, 3), Daily("Europe/Paris", 12, 14, 5)}, 5 * time.Minute, []string{
			"MON-FRI 8-11,14-19 to 3|cron(0/5 8-11,14-19 ? * MON-FRI *)|Europe/Paris|3",
			"MON-SUN 12-13 to 5|cron(0/5 12-13 * * ? *)|Europe/Paris|5",
		}, ""},
		{"through midnight", Schedule{Entry{Zone: "UTC", Days: []time.Weekday{time.Sunday}, From: 23 * time.Hour, To: time.Hour, Concurrency: 1}}, time.Minute, []string{
			"MON 0 to 1|cron(0/1 0 ? * MON *)|UTC|1",
			"SUN 23 to 1|cron(0/1 23 ? * SUN *)|UTC|1",
		}, ""},
		{"nothing", nil, time.Minute, nil, ""},
		{"odd rate", Schedule{Always(1)}, 7 * time.Minute, nil, "7m0s does not divide"},
		{"seconds", Schedule{Always(1)}, 90 * time.Second, nil, "1m30s does not divide"},
		{"half hours", Schedule{Entry{Zone: "UTC", Days: allDays, From: 30 * time.Minute, To: time.Hour, Concurrency: 1}}, time.Minute, nil, "on whole hours"},
		{"a window", Schedule{Window(time.Unix(0, 0), time.Unix(3600, 0), 1)}, time.Minute, nil, "provision concurrency for it"},
		{"invalid", Schedule{Always(0)}, time.Minute, nil, "concurrency is 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			actions, err := tt.s.Every(tt.rate)
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.err == "" && err != nil {
				t.Fatalf("error is %v, want %q", err, tt.err)
			}
			var got []string
			for _, a := range actions {
				got = append(got, fmt.Sprintf("%s|%s|%s|%d", a.Name, a.Expression, a.Zone, a.Concurrency))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
