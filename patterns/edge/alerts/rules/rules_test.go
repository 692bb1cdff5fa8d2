package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"
)

func clinic() *Rules {
	return &Rules{
		Jurisdiction: "eu",
		Localities: map[string]Locality{
			"DE-BE": {Name: "Berlin", Zone: "Europe/Berlin", Languages: []string{"de-DE"}, Quiet: Quiet{"22:00", "06:30"},
				Values: map[string]string{"phone": "+49 30 1"}},
			"PL-MZ": {Name: "Mazowsze", Zone: "Europe/Warsaw", Languages: []string{"pl", "de"}, Values: map[string]string{"phone": "+48 22 1"}},
		},
		Window:   time.Hour,
		Language: "en",
		Templates: map[string]map[string]Template{"fever": {
			"en": {Subject: "Fever in {locality}", Text: "{count, plural, one {# reading} other {# readings}} since {time}. Call {phone}."},
			"de": {Subject: "Fieber in {locality}", Text: "{count, plural, one {# Messung} other {# Messungen}} seit {time}. Ruf {phone}.", Short: "Fieber: {count}"},
			"pl": {Subject: "Gorączka: {locality}", Text: "{count, plural, one {# pomiar} few {# pomiary} many {# pomiarów} other {# pomiaru}} od {time}."},
		}},
		Waits: []time.Duration{15 * time.Minute, time.Hour},
	}
}

func problems(r *Rules) []string {
	var all []string
	r.Check(func(field string, given any, allowed, fix string) {
		all = append(all, fmt.Sprintf("%s is %v; allowed is %s; %s", field, given, allowed, fix))
	})
	return all
}

func TestCheck(t *testing.T) {
	if found := problems(clinic()); found != nil {
		t.Fatalf("right rules have problems: %q", found)
	}
	template := func(kind, tag string, tpl Template) func(*Rules) {
		return func(r *Rules) { r.Templates[kind][tag] = tpl }
	}
	locality := func(change func(*Locality)) func(*Rules) {
		return func(r *Rules) { l := r.Localities["DE-BE"]; change(&l); r.Localities["DE-BE"] = l }
	}
	for name, tt := range map[string]struct {
		change func(*Rules)
		want   string
	}{
		"jurisdiction":      {func(r *Rules) { r.Jurisdiction = "" }, "Jurisdiction"},
		"no localities":     {func(r *Rules) { r.Localities = nil }, "Localities is 0"},
		"no templates":      {func(r *Rules) { r.Templates = nil }, "Templates is 0"},
		"window":            {func(r *Rules) { r.Window = time.Second }, "Window is 1s; allowed is 1m0s to 24h0m0s"},
		"no levels":         {func(r *Rules) { r.Waits = nil }, "Levels is 0; allowed is 1 to 5"},
		"too many levels":   {func(r *Rules) { r.Waits = slices.Repeat(r.Waits, 3) }, "Levels is 6"},
		"wait":              {func(r *Rules) { r.Waits[1] = 25 * time.Hour }, "Levels[1].Wait is 25h0m0s"},
		"language":          {func(r *Rules) { r.Language = "no language" }, "Language is no language"},
		"fallback is there": {func(r *Rules) { r.Language = "fr" }, `a template in the fallback "fr"`},
		"zone":              {locality(func(l *Locality) { l.Zone = "Europe/Bonn" }), "Localities[\"DE-BE\"].Zone is Europe/Bonn"},
		"no zone":           {locality(func(l *Locality) { l.Zone = "" }), ".Zone is "},
		"machine's zone":    {locality(func(l *Locality) { l.Zone = "Local" }), ".Zone is Local"},
		"half a night":      {locality(func(l *Locality) { l.Quiet.To = "" }), ".Quiet is {22:00 }"},
		"clock":             {locality(func(l *Locality) { l.Quiet.To = "6:30" }), ".Quiet is {22:00 6:30}"},
		"whole day":         {locality(func(l *Locality) { l.Quiet.To = "22:00" }), "two times that differ"},
		"no name":           {locality(func(l *Locality) { l.Name = "" }), ".Name is "},
		"locality's tag":    {locality(func(l *Locality) { l.Languages = []string{"d"} }), ".Languages is d"},
		"builtin":           {locality(func(l *Locality) { l.Values["count"] = "1" }), ".Values is count"},
		"missing value":     {locality(func(l *Locality) { l.Values = nil }), `Templates["fever"]["de"].Text is {phone}`},
		"unknown variable":  {template("fever", "de", Template{Subject: "{patient}", Text: "x"}), `["de"].Subject is {patient}`},
		"empty":             {template("fever", "de", Template{Subject: "x"}), "a Subject and a Text"},
		"unclosed":          {template("fever", "en", Template{Subject: "{locality", Text: "x"}), "a '{' is not closed"},
		"opens nothing":     {template("fever", "en", Template{Subject: "locality}", Text: "x"}), "opens nothing"},
		"plural of a word":  {template("fever", "en", Template{Subject: "{kind, plural, other {#}}", Text: "x"}), "{kind} is no number"},
		"other argument":    {template("fever", "en", Template{Subject: "{count, number}", Text: "x"}), "is no plural"},
		"unknown form":      {template("fever", "en", Template{Subject: "{count, plural, some {#}}", Text: "x"}), `"some" is no plural form`},
		"form twice":        {template("fever", "en", Template{Subject: "{count, plural, one {1} one {2}}", Text: "x"}), "is there twice"},
		"no other":          {template("fever", "en", Template{Subject: "{count, plural, one {1}}", Text: "x"}), `lacks the form "other"`},
		"no few in Polish":  {template("fever", "pl", Template{Subject: "{count, plural, one {1} other {#}}", Text: "x"}), `lacks the form "few"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := clinic()
			tt.change(r)
			if found := strings.Join(problems(r), "\n"); !strings.Contains(found, tt.want) {
				t.Errorf("problems are %q, want %q", found, tt.want)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	r := clinic()
	start := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		locality string
		count    int
		want     Message
	}{
		{"DE-BE", 1, Message{"Fieber in Berlin", "1 Messung seit 2026-07-01 12:00 CEST. Ruf +49 30 1.", "Fieber: 1"}},
		{"DE-BE", 0, Message{"Fieber in Berlin", "0 Messungen seit 2026-07-01 12:00 CEST. Ruf +49 30 1.", "Fieber: 0"}},
		{"PL-MZ", 3, Message{"Gorączka: Mazowsze",
			"3 pomiary od 2026-07-01 12:00 CEST.\n\n3 Messungen seit 2026-07-01 12:00 CEST. Ruf +48 22 1.", "Gorączka: Mazowsze / Fieber: 3"}},
		{"PL-MZ", 12, Message{"Gorączka: Mazowsze",
			"12 pomiarów od 2026-07-01 12:00 CEST.\n\n12 Messungen seit 2026-07-01 12:00 CEST. Ruf +48 22 1.", "Gorączka: Mazowsze / Fieber: 12"}},
	} {
		got, err := r.Message(Alert{ID: "x", Locality: tt.locality, Kind: "fever", Start: start, Count: tt.count, Level: 1})
		if err != nil || got != tt.want {
			t.Errorf("%s, %d: %+v, error %v; want %+v", tt.locality, tt.count, got, err, tt.want)
		}
	}
	for _, a := range []Alert{{Locality: "Atlantis", Kind: "fever"}, {Locality: "DE-BE", Kind: "flu"}} {
		if m, err := r.Message(a); err == nil {
			t.Errorf("%+v has the message %+v", a, m)
		}
	}
}

// What a value says cannot become a line, a header, a template or a turn of the
// text's direction.
func TestMessageEscapes(t *testing.T) {
	r := clinic()
	l := r.Localities["DE-BE"]
	l.Name = "Ber\r\nBcc: all@example.com {phone}\u202e\x00" + strings.Repeat("x", 300)
	r.Localities["DE-BE"] = l
	m, err := r.Message(Alert{Locality: "DE-BE", Kind: "fever"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(m.Subject, "\r\n\x00\u202e") || !strings.Contains(m.Subject, "{phone}") || len([]rune(m.Subject)) != 99 {
		t.Errorf("the subject is %q", m.Subject)
	}
	quoted, err := parse("'{count'} it''s #1 isn't")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := quoted.render(language.English, nil); err != nil || got != "{count} it's #1 isn't" {
		t.Errorf("quoted braces are %q, error %v", got, err)
	}
}

func TestLookup(t *testing.T) {
	available := map[string]bool{"zh-Hant": true, "zh": true, "de-CH": true, "EN": true}
	for tag, want := range map[string]string{
		"zh-Hant-TW": "zh-Hant", "zh-Hans-CN": "zh", "ZH-hant": "zh-Hant", "de-CH-1996": "de-CH", "de": "", "en-GB": "EN",
		"zh-Hant-CN-x-private1-private2": "zh-Hant", "": "",
	} {
		if got, ok := Lookup(tag, available); got != want || ok != (want != "") {
			t.Errorf("%q is %q, want %q", tag, got, want)
		}
	}
}

// The clocks of two zones that change on different days, in both directions.
func TestQuietHours(t *testing.T) {
	night, early, gap := Quiet{"22:00", "06:30"}, Quiet{"00:30", "02:30"}, Quiet{"13:00", "15:00"}
	for _, tt := range []struct {
		name     string
		quiet    Quiet
		zone     string
		at, want string // RFC 3339
	}{
		{"by day", night, "Europe/Berlin", "2026-07-01T12:00:00+02:00", "2026-07-01T12:00:00+02:00"},
		{"before midnight", night, "Europe/Berlin", "2026-07-01T22:00:00+02:00", "2026-07-02T06:30:00+02:00"},
		{"after midnight", night, "Europe/Berlin", "2026-07-02T06:29:59+02:00", "2026-07-02T06:30:00+02:00"},
		{"the end is not quiet", night, "Europe/Berlin", "2026-07-02T06:30:00+02:00", "2026-07-02T06:30:00+02:00"},
		{"the start is", night, "Europe/Berlin", "2026-07-01T21:59:59+02:00", "2026-07-01T21:59:59+02:00"},
		{"over new year", night, "Europe/Berlin", "2026-12-31T23:00:00+01:00", "2027-01-01T06:30:00+01:00"},
		{"no midnight in it", gap, "Europe/Berlin", "2026-07-01T14:00:00+02:00", "2026-07-01T15:00:00+02:00"},
		{"another's time", night, "America/New_York", "2026-07-02T03:00:00Z", "2026-07-02T10:30:00Z"},

		{"Berlin, spring: the night is an hour shorter", night, "Europe/Berlin", "2026-03-28T22:00:00+01:00", "2026-03-29T06:30:00+02:00"},
		{"Berlin, autumn: it is an hour longer", night, "Europe/Berlin", "2026-10-24T22:00:00+02:00", "2026-10-25T06:30:00+01:00"},
		{"New York, spring", night, "America/New_York", "2026-03-07T23:00:00-05:00", "2026-03-08T06:30:00-04:00"},
		{"New York, autumn", night, "America/New_York", "2026-10-31T23:00:00-04:00", "2026-11-01T06:30:00-05:00"},

		{"Berlin, spring: 02:30 is skipped", early, "Europe/Berlin", "2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"Berlin, autumn: the first 02:15", early, "Europe/Berlin", "2026-10-25T02:15:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"Berlin, autumn: the second 02:15", early, "Europe/Berlin", "2026-10-25T02:15:00+01:00", "2026-10-25T02:30:00+01:00"},
		{"New York, spring: 02:30 is skipped", early, "America/New_York", "2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00"},
		{"New York, autumn: 01:15 is quiet twice", early, "America/New_York", "2026-11-01T01:15:00-04:00", "2026-11-01T02:30:00-05:00"},
		{"Lord Howe moves by half an hour", early, "Australia/Lord_Howe", "2026-10-04T01:45:00+10:30", "2026-10-04T02:30:00+11:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Rules{Localities: map[string]Locality{"x": {Zone: tt.zone, Quiet: tt.quiet}}}
			at, err := time.Parse(time.RFC3339, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			want, err := time.Parse(time.RFC3339, tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.Hold("x", at); err != nil || !got.Equal(want) {
				t.Errorf("it is held until %s, error %v; want %s", got.Format(time.RFC3339), err, tt.want)
			}
		})
	}
}

func TestWindowStart(t *testing.T) {
	r := &Rules{Window: 15 * time.Minute}
	at := time.Date(2026, 3, 29, 3, 14, 59, 0, time.FixedZone("CEST", 7200))
	if got := r.WindowStart(at); !got.Equal(time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)) || got.Location() != time.UTC {
		t.Errorf("the window starts at %s", got)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.json")
	write := func(v any) {
		data, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(file, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(clinic())
	if r, err := Load(file); err != nil || r.Localities["DE-BE"].Quiet != clinic().Localities["DE-BE"].Quiet || r.Window != time.Hour {
		t.Errorf("loaded %+v, error %v", r, err)
	}
	write(&Rules{})
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "Jurisdiction") {
		t.Errorf("wrong rules load with error %v", err)
	}
	write("text")
	if _, err := Load(file); err == nil {
		t.Error("text loads")
	}
	if _, err := Load(file + "x"); err == nil {
		t.Error("nothing loads")
	}
}
