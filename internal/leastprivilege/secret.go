package leastprivilege

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Secret refuses secrets that a template shows.
var Secret = Rule{
	ID:      "secret",
	Refuses: "a secret in a property, an environment variable, a parameter without `NoEcho` or an output",
	Why:     "templates are in version control, in S3 and in the console of everybody who may read the stack",
	Source:  "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/security-best-practices.html",
	judge: func(s *subject) verdict {
		found := known(s)
		switch s.Type {
		case typeParameter:
			found = append(found, parameterProblems(s)...)
		case typeOutput:
			found = append(found, outputProblems(s)...)
		default:
			found = append(found, variables(s)...)
			found = append(found, fields(s)...)
		}
		return about("it shows no secret", found)
	},
}

const keepSecret = "keep it in Secrets Manager and read it at run time, by its ARN"

type credential struct {
	name   string
	has    []string // one of these stands in each, which is quicker to see
	format *regexp.Regexp
}

// find returns the credential in the text, "" if there is none.
func (c credential) find(text string) string {
	if !slices.ContainsFunc(c.has, func(part string) bool { return strings.Contains(text, part) }) {
		return ""
	}
	return c.format.FindString(text)
}

// formats are those of well-known credentials.
var formats = []credential{
	{"an AWS access key", []string{"AKIA", "ASIA"}, regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a private key", []string{"PRIVATE KEY"}, regexp.MustCompile(`-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----`)},
	{"a GitHub token", []string{"gh", "github_pat_"}, regexp.MustCompile(`\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{40,})`)},
	{"a Slack token", []string{"xox"}, regexp.MustCompile(`\bxox[abeprs]-[0-9A-Za-z-]{10,}`)},
	{"a Slack web hook", []string{"hooks.slack.com"}, regexp.MustCompile(`hooks\.slack\.com/services/T[0-9A-Z]+/B[0-9A-Z]+/[0-9A-Za-z]{20,}`)},
	{"a Stripe key", []string{"k_live_"}, regexp.MustCompile(`\b[rs]k_live_[0-9A-Za-z]{20,}`)},
	{"a Google API key", []string{"AIza"}, regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}\b`)},
	{"an npm token", []string{"npm_"}, regexp.MustCompile(`\bnpm_[0-9A-Za-z]{36}\b`)},
	{"a signed token", []string{"eyJ"}, regexp.MustCompile(`\beyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{16,}`)},
	{"a password in a URL", []string{"://"}, regexp.MustCompile(`\b[a-z][a-z0-9+.-]*://[^/\s:@${}]+:[^/\s:@${}]{3,}@`)},
}

func known(s *subject) []problem {
	var found []problem
	visit("", s.resolved, func(place, text string) {
		for _, f := range formats {
			if m := f.find(text); m != "" {
				found = append(found, problem{place, f.name + " " + masked(m), "no secret", keepSecret})
			}
		}
	})
	return found
}

// masked returns the beginning of a secret, enough to find it.
func masked(text string) string {
	if len(text) > 12 {
		return text[:4] + "…"
	}
	return "…"
}

var (
	environments = []string{"Variables", "Environment", "EnvironmentVariables", "StageVariables", "DefaultArguments"}
	secretName   = regexp.MustCompile(`(?i)(?:^|[_-])(?:password|passwd|secret|token|api_?key|private_?key|credentials?)$`)
	// Passed in the clear although its place in the template is not.
	dynamic     = regexp.MustCompile(`\{\{resolve:(?:secretsmanager|ssm-secure):[^}]*\}\}`)
	dense       = regexp.MustCompile(`^[0-9A-Za-z+/_=-]{20,}$`)
	hexadecimal = regexp.MustCompile(`^[0-9a-fA-F]{32,}$`)
)

// variables finds secrets in environment variables and the like.
func variables(s *subject) []problem {
	var found []problem
	judge := func(place, name, text string) {
		switch {
		case dynamic.MatchString(text):
			found = append(found, problem{place, dynamic.FindString(text), "the secret's ARN",
				"a dynamic reference is resolved into the variable, which everybody sees who may read the function's configuration; " + keepSecret})
		case strings.Contains(text, "${"), text == "":
		case secretName.MatchString(name):
			found = append(found, problem{place, masked(text), "a reference", keepSecret})
		case random(text) && !slices.ContainsFunc(formats, func(f credential) bool { return f.find(text) != "" }):
			found = append(found, problem{place, "what looks like a key, " + masked(text), "no secret", keepSecret})
		}
	}
	var walk func(place string, v any, inside bool)
	walk = func(place string, v any, inside bool) {
		switch v := v.(type) {
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s[%d]", place, i), e, inside)
			}
		case map[string]any:
			name, named := v["Name"].(string)
			if text, ok := v["Value"].(string); inside && named && ok {
				judge(join(place, "Value"), name, text)
				return
			}
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if text, ok := v[k].(string); ok && inside {
					judge(join(place, k), k, text)
					continue
				}
				walk(join(place, k), v[k], slices.Contains(environments, k))
			}
		}
	}
	walk("", s.resolved, false)
	return found
}

// random reports whether a text has the density of a key.
func random(text string) bool {
	if hexadecimal.MatchString(text) {
		return entropy(text) >= 3
	}
	return dense.MatchString(text) && entropy(text) >= 4 && mixed(text) >= 0.45
}

// mixed returns how often, of all chances, a letter or digit is followed by one of
// another kind: about 0.6 in random text, less in names made of words.
func mixed(text string) float64 {
	kind := func(c byte) int {
		switch {
		case c >= 'a' && c <= 'z':
			return 0
		case c >= 'A' && c <= 'Z':
			return 1
		case c >= '0' && c <= '9':
			return 2
		default:
			return -1 // between the words of names
		}
	}
	text = strings.Map(func(c rune) rune {
		if kind(byte(c)) < 0 {
			return -1
		}
		return c
	}, text)
	changes := 0.0
	for i := 1; i < len(text); i++ {
		if kind(text[i]) != kind(text[i-1]) {
			changes++
		}
	}
	return changes / float64(max(1, len(text)-1))
}

// entropy returns the bits that a character of the text carries (Shannon).
func entropy(text string) float64 {
	count := map[rune]float64{}
	for _, c := range text {
		count[c]++
	}
	bits := 0.0
	for _, n := range count {
		bits -= n / float64(len(text)) * math.Log2(n/float64(len(text)))
	}
	return bits
}

var secretField = regexp.MustCompile(`(?i)(?:password|secretstring|authtoken|clientsecret|secretaccesskey|sharedsecret)$`)

// fields finds literals in properties that hold a secret by their name.
func fields(s *subject) []problem {
	var found []problem
	visit("", s.resolved, func(place, text string) {
		key := place[strings.LastIndexByte(place, '.')+1:]
		switch {
		case strings.Contains(text, ".SecretAccessKey}") && !strings.HasSuffix(key, "SecretString"):
			found = append(found, problem{place, text, "no secret", keepSecret})
		case text == "", strings.Contains(text, "${"), !secretField.MatchString(key), inEnvironment(place), dynamic.MatchString(text):
		default:
			found = append(found, problem{place, masked(text), "a dynamic reference to Secrets Manager",
				"write {{resolve:secretsmanager:…}}, or let the service manage the password"})
		}
	})
	return found
}

// inEnvironment reports whether the place is one of those that [variables] judges.
func inEnvironment(place string) bool {
	return slices.ContainsFunc(strings.Split(place, "."), func(part string) bool { return slices.Contains(environments, part) })
}

// The CDK ends the logical ids of parameters below a construct with a hash.
var secretParameter = regexp.MustCompile(`(?i:password|passwd|secret|token|apikey|privatekey|credentials?)(?:[0-9A-F]{8})?$`)

func parameterProblems(s *subject) []problem {
	secret := secretParameter.MatchString(s.ID)
	var found []problem
	if secret && !s.set("NoEcho") {
		found = append(found, problem{"NoEcho", s.text("NoEcho"), "true", "set it; better, read the secret from Secrets Manager"})
	}
	if s.set("NoEcho") && s.text("Default") != "" {
		found = append(found, problem{"Default", masked(s.text("Default")), "no default for a parameter with NoEcho", "remove it"})
	}
	return found
}

func outputProblems(s *subject) []problem {
	var found []problem
	visit("", s.resolved, func(place, text string) {
		hidden := dynamic.MatchString(text) || strings.Contains(text, ".SecretAccessKey}")
		for _, other := range s.siblings {
			hidden = hidden || other.Type == typeParameter && other.set("NoEcho") && strings.Contains(text, "${"+other.ID+"}")
		}
		if hidden {
			found = append(found, problem{place, text, "no secret", "give out the secret's ARN instead"})
		}
	})
	return found
}
