package iam

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// operator is a condition operator taken apart.
type operator struct {
	set      string // "ForAllValues", "ForAnyValue" or ""
	ifExists bool
	negated  bool
	null     bool
	// compare reports whether one value of the request agrees with one value
	// of the policy; a value of the wrong form agrees with nothing.
	compare func(want, have string) bool
}

var comparisons = map[string]struct {
	negated bool
	compare func(want, have string) bool
}{
	"StringEquals":              {false, equals},
	"StringNotEquals":           {true, equals},
	"StringEqualsIgnoreCase":    {false, equalsFold},
	"StringNotEqualsIgnoreCase": {true, equalsFold},
	"StringLike":                {false, Match},
	"StringNotLike":             {true, Match},
	"ArnEquals":                 {false, matchARN},
	"ArnLike":                   {false, matchARN},
	"ArnNotEquals":              {true, matchARN},
	"ArnNotLike":                {true, matchARN},
	"Bool":                      {false, strings.EqualFold},
	"BinaryEquals":              {false, binary},
	"NumericEquals":             {false, numeric(func(w, h float64) bool { return h == w })},
	"NumericNotEquals":          {true, numeric(func(w, h float64) bool { return h == w })},
	"NumericLessThan":           {false, numeric(func(w, h float64) bool { return h < w })},
	"NumericLessThanEquals":     {false, numeric(func(w, h float64) bool { return h <= w })},
	"NumericGreaterThan":        {false, numeric(func(w, h float64) bool { return h > w })},
	"NumericGreaterThanEquals":  {false, numeric(func(w, h float64) bool { return h >= w })},
	"DateEquals":                {false, date(func(w, h time.Time) bool { return h.Equal(w) })},
	"DateNotEquals":             {true, date(func(w, h time.Time) bool { return h.Equal(w) })},
	"DateLessThan":              {false, date(func(w, h time.Time) bool { return h.Before(w) })},
	"DateLessThanEquals":        {false, date(func(w, h time.Time) bool { return !h.After(w) })},
	"DateGreaterThan":           {false, date(func(w, h time.Time) bool { return h.After(w) })},
	"DateGreaterThanEquals":     {false, date(func(w, h time.Time) bool { return !h.Before(w) })},
	"IpAddress":                 {false, inRange},
	"NotIpAddress":              {true, inRange},
}

func parseOperator(name string) (operator, error) {
	var op operator
	rest := name
	if set, after, ok := strings.Cut(name, ":"); ok {
		if set != "ForAllValues" && set != "ForAnyValue" {
			return op, fmt.Errorf("condition operator %q: unknown qualifier %q", name, set)
		}
		op.set, rest = set, after
	}
	if rest == "Null" {
		op.null = true
		return op, nil
	}
	rest, op.ifExists = strings.CutSuffix(rest, "IfExists")
	c, ok := comparisons[rest]
	if !ok {
		return op, fmt.Errorf("unknown condition operator %q", name)
	}
	op.negated, op.compare = c.negated, c.compare
	return op, nil
}

// holds reports whether the context satisfies one key's condition.
func (op operator) holds(want, have []string, present bool) bool {
	if op.null {
		return anyOf(want, func(w string) bool { return strings.EqualFold(w, strconv.FormatBool(!present)) })
	}
	if !present {
		// A missing key satisfies ...IfExists, a negated operator and
		// ForAllValues: there is no value that could disagree.
		return op.set != "ForAnyValue" && (op.ifExists || op.negated || op.set == "ForAllValues") ||
			op.set == "ForAnyValue" && op.ifExists
	}
	agrees := func(h string) bool {
		return anyOf(want, func(w string) bool { return op.compare(w, h) }) != op.negated
	}
	if op.set == "ForAllValues" {
		return !anyOf(have, func(h string) bool { return !agrees(h) })
	}
	return anyOf(have, agrees)
}

func anyOf(list []string, f func(string) bool) bool {
	for _, v := range list {
		if f(v) {
			return true
		}
	}
	return false
}

func equals(want, have string) bool { return literal.Replace(want) == have }

func equalsFold(want, have string) bool { return strings.EqualFold(literal.Replace(want), have) }

// matchARN compares ARNs part by part: a wildcard does not reach across the
// first five colons.
func matchARN(want, have string) bool {
	w, h := strings.SplitN(want, ":", 6), strings.SplitN(have, ":", 6)
	if len(w) != 6 || len(h) != 6 {
		return want == "*"
	}
	for i := range w {
		if !Match(w[i], h[i]) {
			return false
		}
	}
	return true
}

func binary(want, have string) bool {
	w, err1 := base64.StdEncoding.DecodeString(want)
	h, err2 := base64.StdEncoding.DecodeString(have)
	return err1 == nil && err2 == nil && string(w) == string(h)
}

func numeric(f func(want, have float64) bool) func(string, string) bool {
	return func(want, have string) bool {
		w, err1 := strconv.ParseFloat(want, 64)
		h, err2 := strconv.ParseFloat(have, 64)
		return err1 == nil && err2 == nil && f(w, h)
	}
}

func date(f func(want, have time.Time) bool) func(string, string) bool {
	return func(want, have string) bool {
		w, err1 := parseTime(want)
		h, err2 := parseTime(have)
		return err1 == nil && err2 == nil && f(w, h)
	}
}

func parseTime(s string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Parse(time.DateOnly, s)
}

func inRange(want, have string) bool {
	address, err := netip.ParseAddr(have)
	if err != nil {
		return false
	}
	if prefix, err := netip.ParsePrefix(want); err == nil {
		return prefix.Contains(address)
	}
	w, err := netip.ParseAddr(want)
	return err == nil && w == address
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand replaces the policy variables in s by the request's values. It
// reports false when a variable has neither a single value nor a default: IAM
// then treats the whole statement as one that does not match.
//
// Characters that came from a variable never act as wildcards, see pattern.
func expand(s string, context Context) (pattern, bool) {
	var p pattern
	if !strings.Contains(s, "${") {
		p.add(s, false) // most have none, and this runs for each statement and call
		return p, true
	}
	last, ok := 0, true
	for _, m := range variable.FindAllStringSubmatchIndex(s, -1) {
		p.add(s[last:m[0]], false)
		last = m[1]
		name, fallback, hasDefault := strings.Cut(s[m[2]:m[3]], ",")
		name = strings.TrimSpace(name)
		switch name {
		case "*", "?", "$":
			p.add(name, true)
			continue
		}
		if have, present := context.get(name); present && len(have) == 1 {
			p.add(have[0], true)
		} else if hasDefault {
			p.add(strings.Trim(strings.TrimSpace(fallback), "'"), true)
		} else {
			ok = false
		}
	}
	p.add(s[last:], false)
	return p, ok
}

// pattern is text in which some wildcards are literal: * and ? that came from a
// variable are written as characters that no ARN contains, and so is every * and
// ? of the request that the pattern is compared with.
type pattern struct{ text strings.Builder }

var literal = strings.NewReplacer("*", "\x00", "?", "\x01")

func (p *pattern) add(s string, asLiteral bool) {
	if asLiteral {
		s = literal.Replace(s)
	}
	p.text.WriteString(s)
}

func (p *pattern) String() string { return p.text.String() }
