package planner

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// weekOf writes a datapoint of 1 for each hour from a time on.
func weekOf(start string, hours int) string {
	t, err := time.Parse(time.DateTime, start)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	for h := range hours {
		fmt.Fprintf(&b, "%s,1\n", t.Add(time.Duration(h)*time.Hour).Format(time.DateTime))
	}
	return b.String()
}

func TestReadCSV(t *testing.T) {
	full := weekOf("2026-11-16 00:00:00", 168)
	tests := []struct {
		name   string
		csv    string
		zone   string
		monday float64 // expected in the hour from Monday midnight
		want   string  // or this error
	}{
		{name: "a week", csv: full, monday: 1},
		{name: "headings", csv: "Label,Invocations\n\"Unit\",Count\n\n" + full, monday: 1},
		{name: "Windows", csv: strings.ReplaceAll(full, "\n", "\r\n"), monday: 1},
		{name: "five minutes", csv: full + "2026-11-16 00:05:00,2\n2026-11-16T00:55:00Z,3\n", monday: 6},
		{name: "the mean of two weeks", csv: full + weekOf("2026-11-23 01:00:00", 167) + "2026-11-23 00:30,4", monday: 2.5},
		{name: "nothing is no invocations", csv: full + "2026-11-23 00:00:00,\n", monday: 0.5},
		{name: "another clock", csv: full + "2026-11-15T23:30:00Z,8\n", zone: "Europe/Paris", monday: 4.5},
		{name: "a time with a zone", csv: full + "2026-11-16T01:30:00+01:00,8\n", monday: 9},

		{name: "empty", csv: "", want: "no line that begins with a time"},
		{name: "headings only", csv: "a,b\nc,d\n", want: "no line that begins with a time"},
		{name: "six days", csv: weekOf("2026-11-16 00:00:00", 144), want: "export at least a whole week"},
		{name: "two years", csv: full + "2024-11-16 00:00:00,1\n", want: "CloudWatch keeps 455 days"},
		{name: "days", csv: "2026-11-16 00:00:00,1\n2026-11-17 00:00:00,1\n2026-11-30 00:00:00,1\n", want: "24h0m0s apart"},
		{name: "not a time", csv: full + "tomorrow,1\n", want: `line 169: "tomorrow" is not a time`},
		{name: "not a number", csv: full + "2026-11-23 00:00:00,many\n", want: `line 169: "many" is not a number`},
		{name: "negative", csv: full + "2026-11-23 00:00:00,-1\n", want: `"-1" is not a number`},
		{name: "infinite", csv: full + "2026-11-23 00:00:00,Inf\n", want: `"Inf" is not a number`},
		{name: "one column", csv: full + "2026-11-23 00:00:00\n", want: "no second column"},
		{name: "twice", csv: full + "2026-11-16T00:00:00Z,1\n", want: "comes twice"},
		{name: "quotes", csv: full + "\"2026-11-23 00:00:00,1\n", want: "extraneous or missing"},
		{name: "zone", csv: full, zone: "Paris", want: "unknown time zone Paris"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			week, err := ReadCSV(strings.NewReader(tt.csv), tt.zone)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error is %v, want it to say %q", err, tt.want)
				}
				if week != (Week[float64]{}) {
					t.Error("there is a week beside the error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := week.At(time.Monday, 0); got != tt.monday {
				t.Errorf("Monday at 0: %v, want %v", got, tt.monday)
			}
			if got := week.At(time.Thursday, 12); got != 1 {
				t.Errorf("Thursday at 12: %v, want 1", got)
			}
		})
	}
	_, err := ReadCSV(strings.NewReader(full+"2026-11-23 00:00:00,-1\n"), "")
	if line := new(CSVError); !errors.As(err, &line) || line.Line != 169 {
		t.Errorf("errors.As finds no line in %v", err)
	}
	failing := errors.New("disk on fire")
	if _, err := ReadCSV(readFunc(func([]byte) (int, error) { return 0, failing }), ""); !errors.Is(err, failing) {
		t.Errorf("the reader's error is lost: %v", err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// Whatever a file holds, it is refused or gives a week that can be planned for.
func FuzzReadCSV(f *testing.F) {
	f.Add([]byte(weekOf("2026-11-16 00:00:00", 168)))
	f.Add([]byte(weekOf("2026-03-23 00:00:00", 200)))
	f.Add([]byte("a,b\n2026-11-16T00:00:00+14:00,1e11\n\n2027-11-16 00:00,\n2027-11-16 00:30,0x1p3\n"))
	f.Add([]byte("\"2026/11/16 00:00\" ,\"1\n2\"\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		week, err := ReadCSV(bytes.NewReader(file), "Europe/Paris")
		if err != nil {
			return
		}
		for h, n := range week {
			if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
				t.Errorf("hour %d has %v invocations", h, n)
			}
		}
	})
}
