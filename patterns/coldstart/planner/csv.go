package planner

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// CSVError says which line of a CSV file cannot be used, and why.
type CSVError struct {
	Line int // 1 for the first
	Err  error
}

// Error returns the line and what is wrong with it.
func (e *CSVError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *CSVError) Unwrap() error { return e.Err }

// maxSpan is how long CloudWatch keeps datapoints of an hour.
const maxSpan = 455 * 24 * time.Hour

// layouts are the forms in which CloudWatch and its tools write a time.
var layouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006/01/02 15:04:05",
	"2006-01-02 15:04",
	"2006/01/02 15:04",
}

// ReadCSV reads the invocations that CloudWatch counted, and returns their mean
// in each hour of the week on the clock of a zone.
//
// The file has a time in its first column, in UTC unless it says otherwise, and
// in the second the Sum of the metric Invocations over an hour or less, as the
// CloudWatch console downloads it. Lines before the first time are headings.
// An hour without a datapoint had no invocations, for Lambda sends none then.
// The file must cover a week; of several weeks it takes the mean.
func ReadCSV(r io.Reader, zone string) (Week[float64], error) {
	week, err := readCSV(r, zone)
	if err != nil {
		return Week[float64]{}, fmt.Errorf("reading invocations from CSV: %w", err)
	}
	return week, nil
}

func readCSV(r io.Reader, zone string) (week Week[float64], err error) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return week, err
	}
	points, err := readPoints(r)
	if err != nil {
		return week, err
	}
	if len(points) == 0 {
		return week, errors.New("there is no line that begins with a time, such as 2026-11-23 08:00:00")
	}
	var first, last time.Time
	for t := range points {
		if first.IsZero() || t.Before(first) {
			first = t
		}
		if t.After(last) {
			last = t
		}
	}
	if last.Sub(first) > maxSpan {
		return week, fmt.Errorf("it covers %v to %v; CloudWatch keeps %v days", first.Format(time.DateOnly), last.Format(time.DateOnly), maxSpan.Hours()/24)
	}
	var seen Week[float64]
	for t := first.Truncate(time.Hour); !t.After(last); t = t.Add(time.Hour) {
		seen[hourOfWeek(t.In(loc))]++
	}
	for t, n := range points {
		week[hourOfWeek(t.In(loc))] += n
	}
	for h := range week {
		if seen[h] == 0 {
			return week, fmt.Errorf("it covers only %v to %v; export at least a whole week", first.Format(time.DateTime), last.Format(time.DateTime))
		}
		week[h] /= seen[h]
	}
	return week, nil
}

// readPoints returns the datapoints of a file, none of which is longer than an
// hour.
func readPoints(r io.Reader) (map[time.Time]float64, error) {
	lines := csv.NewReader(r)
	lines.FieldsPerRecord = -1
	lines.TrimLeadingSpace = true
	points := map[time.Time]float64{}
	shortest, previous := time.Duration(math.MaxInt64), time.Time{}
	for {
		fields, err := lines.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := lines.FieldPos(0)
		t, ok := parseTime(fields[0])
		if !ok && len(points) == 0 {
			continue
		}
		if !ok {
			return nil, &CSVError{line, fmt.Errorf("%q is not a time", fields[0])}
		}
		if len(fields) < 2 {
			return nil, &CSVError{line, errors.New("there is no second column with the number of invocations")}
		}
		if _, twice := points[t]; twice {
			return nil, &CSVError{line, fmt.Errorf("the time %s comes twice", fields[0])}
		}
		n, err := parseCount(fields[1])
		if err != nil {
			return nil, &CSVError{line, err}
		}
		if !previous.IsZero() {
			shortest = min(shortest, t.Sub(previous).Abs())
		}
		points[t], previous = n, t
	}
	if len(points) > 1 && shortest > time.Hour {
		return nil, fmt.Errorf("its datapoints are %v apart; export with a period of an hour or less", shortest)
	}
	return points, nil
}

func parseTime(s string) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// parseCount reads a sum; CloudWatch leaves it empty where it has no datapoint.
func parseCount(s string) (float64, error) {
	if s = strings.TrimSpace(s); s == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n < 1e12) {
		return 0, fmt.Errorf("%q is not a number of invocations", s)
	}
	return n, nil
}

func hourOfWeek(t time.Time) int { return index(t.Weekday())*24 + t.Hour() }
