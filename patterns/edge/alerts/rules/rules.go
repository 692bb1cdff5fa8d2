// Package rules says which alerts a jurisdiction sends: to which localities, in
// which languages and words, and when not to disturb. It needs neither the CDK nor
// AWS's SDK, so that rules can be checked when an app is synthesized and are
// read by the function that sends alerts.
package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"time"
	_ "time/tzdata" // Lambda's operating system need not know time zones

	"golang.org/x/text/language"
)

// Rules are the alerting rules of one jurisdiction.
type Rules struct {
	// Jurisdiction is where the data must stay, such as "eu".
	Jurisdiction string `json:"jurisdiction"`
	// Localities are the places that alerts are about, by code.
	Localities map[string]Locality `json:"localities"`
	// Window is how long readings of one locality and kind share one alert.
	Window time.Duration `json:"window"`
	// Language is the one that a locality's alerts fall back to.
	Language string `json:"language"`
	// Templates are the words, by kind of alert and BCP 47 language tag.
	Templates map[string]map[string]Template `json:"templates"`
	// Waits tells for each level how long an acknowledgement is waited for.
	Waits []time.Duration `json:"waits"`
}

// Locality is a place with a clock and languages of its own.
type Locality struct {
	// Name is what messages call it.
	Name string `json:"name"`
	// Zone is its time zone, as the IANA names it: "Europe/Berlin".
	Zone string `json:"zone"`
	// Languages are BCP 47 tags; a message is written in each of them.
	//
	// Default: the fallback of the rules.
	Languages []string `json:"languages,omitempty"`
	// Quiet are the hours in which only urgent alerts disturb.
	//
	// Default: none.
	Quiet Quiet `json:"quiet"`
	// Values are further variables for the templates, such as a phone number.
	//
	// Default: none.
	Values map[string]string `json:"values,omitempty"`
}

// Limits that Check enforces.
const (
	MinWindow = time.Minute
	MaxWindow = 24 * time.Hour
	MinWait   = time.Minute
	MaxWait   = 24 * time.Hour
	MaxLevels = 5
)

var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Check reports everything that is wrong: the field, what was given, what is
// allowed and how to mend it.
func (r *Rules) Check(wrong func(field string, given any, allowed, fix string)) {
	require := func(ok bool, field string, given any, allowed, fix string) {
		if !ok {
			wrong(field, given, allowed, fix)
		}
	}
	require(name.MatchString(r.Jurisdiction), "Jurisdiction", r.Jurisdiction, "letters, digits, '.', '_' and '-'", `set it, such as "eu"`)
	require(len(r.Localities) > 0, "Localities", len(r.Localities), "at least one", "add the places that alerts are about")
	require(len(r.Templates) > 0, "Templates", len(r.Templates), "at least one kind", "add the words of an alert")
	require(r.Window >= MinWindow && r.Window <= MaxWindow && r.Window%time.Second == 0, "Window", r.Window,
		fmt.Sprintf("%s to %s in whole seconds", MinWindow, MaxWindow), "")
	require(len(r.Waits) >= 1 && len(r.Waits) <= MaxLevels, "Levels", len(r.Waits), fmt.Sprintf("1 to %d", MaxLevels), "")
	for i, wait := range r.Waits {
		require(wait >= MinWait && wait <= MaxWait, fmt.Sprintf("Levels[%d].Wait", i), wait, fmt.Sprintf("%s to %s", MinWait, MaxWait), "")
	}
	_, err := language.Parse(r.Language)
	require(err == nil, "Language", r.Language, "a BCP 47 tag", "name the language that others fall back to")
	for _, kind := range slices.Sorted(maps.Keys(r.Templates)) {
		r.checkKind(kind, require)
	}
	for _, code := range slices.Sorted(maps.Keys(r.Localities)) {
		r.checkLocality(code, require)
	}
}

func (r *Rules) checkKind(kind string, require func(bool, string, any, string, string)) {
	field := fmt.Sprintf("Templates[%q]", kind)
	require(name.MatchString(kind), field, kind, "a kind of letters, digits, '.', '_' and '-'", "")
	_, ok := Lookup(r.Language, r.Templates[kind])
	require(ok, field, slices.Sorted(maps.Keys(r.Templates[kind])), fmt.Sprintf("a template in the fallback %q", r.Language), "add it")
	for _, tag := range slices.Sorted(maps.Keys(r.Templates[kind])) {
		field := fmt.Sprintf("%s[%q]", field, tag)
		if _, err := language.Parse(tag); err != nil {
			require(false, field, tag, "a BCP 47 tag", err.Error())
			continue
		}
		for part, text := range r.Templates[kind][tag].parts() {
			m, err := parse(text)
			if err == nil {
				err = m.complete(language.Make(tag))
			}
			if err != nil {
				require(false, field+"."+part, text, `text with {variable} and {count, plural, one {...} other {...}}`, err.Error())
			}
		}
		t := r.Templates[kind][tag]
		require(t.Subject != "" && t.Text != "", field, t, "a Subject and a Text", "write both")
	}
}

func (r *Rules) checkLocality(code string, require func(bool, string, any, string, string)) {
	l, field := r.Localities[code], fmt.Sprintf("Localities[%q]", code)
	require(name.MatchString(code), field, code, "a code of letters, digits, '.', '_' and '-'", "")
	require(l.Name != "", field+".Name", l.Name, "what people call it", "set it")
	// LoadLocation takes "" for UTC and "Local" for the machine's zone.
	_, err := time.LoadLocation(l.Zone)
	require(err == nil && l.Zone != "" && l.Zone != "Local", field+".Zone", l.Zone, `an IANA time zone, such as "Europe/Berlin"`, "set it")
	if problem := l.Quiet.problem(); problem != "" {
		require(false, field+".Quiet", l.Quiet, problem, "")
	}
	for _, tag := range l.Languages {
		_, err := language.Parse(tag)
		require(err == nil, field+".Languages", tag, "BCP 47 tags", "")
	}
	for _, v := range slices.Sorted(maps.Keys(l.Values)) {
		require(variable.MatchString(v) && !slices.Contains(builtin, v), field+".Values", v,
			fmt.Sprintf("names of letters and digits other than %q", builtin), "")
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Templates)) {
		for _, t := range r.templates(kind, l) {
			for part, text := range t.Template.parts() {
				m, err := parse(text)
				if err != nil {
					continue // said where the template is
				}
				for _, v := range m.variables() {
					_, ok := l.Values[v]
					require(ok || slices.Contains(builtin, v), fmt.Sprintf("Templates[%q][%q].%s", kind, t.tag, part), "{"+v+"}",
						fmt.Sprintf("the variables %q and the Values of locality %q", builtin, code), "add the value to the locality")
				}
			}
		}
	}
}

// Load reads rules from a file and checks them.
func Load(file string) (*Rules, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r Rules
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r.Check(func(field string, given any, allowed, fix string) {
		if err == nil {
			err = fmt.Errorf("%s: %s is %v; allowed is %s", file, field, given, allowed)
		}
	})
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// WindowStart returns when the window that has t in it starts.
func (r *Rules) WindowStart(t time.Time) time.Time { return t.UTC().Truncate(r.Window) }

// Hold returns t, or the end of the locality's quiet hours if t lies within.
func (r *Rules) Hold(locality string, t time.Time) (time.Time, error) {
	l := r.Localities[locality]
	zone, err := time.LoadLocation(l.Zone)
	if err != nil {
		return t, err
	}
	return l.Quiet.End(t.In(zone)), nil
}
