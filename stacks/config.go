package stacks

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/serverless-go/cdk/internal/regionname"
	"github.com/serverless-go/cdk/stacks/summary"
)

// Config says what the app deploys and where. It comes from the "context" of
// cdk.json and from `cdk -c key=value`, where lists are separated by commas
// and objects are JSON.
type Config struct {
	// Systems are the systems to synthesize, by name.
	//
	// Default: all.
	Systems []string
	// Environment is the name of the deployment stage. It is part of every
	// stack's name, so that stages can share an account.
	//
	// Default: "dev".
	Environment string
	// Account is the AWS account's id.
	//
	// Default: that of the credentials with which `cdk deploy` runs.
	Account string
	// Region is where the systems of one region go.
	//
	// Default: that of the credentials with which `cdk deploy` runs.
	Region string
	// AlarmEmail is who is told about alarms.
	//
	// Default: nobody; the topic is there to subscribe to.
	AlarmEmail string
	// Domains maps a system to the domain of its API.
	//
	// Default: the names that API Gateway gives out.
	Domains map[string]Domain
	// TimeZone is where most customers are; what is kept ready for them follows
	// the clock there.
	//
	// Default: "UTC".
	TimeZone string
	// Sale is when the flash sale takes place.
	//
	// Default: none is planned.
	Sale Sale
	// Identity is who signs the tokens that the APIs accept.
	//
	// Default: none; callers sign requests with AWS credentials (IAM).
	Identity Identity
	// ShowTokens has callers of the flash sale and the health watch show the
	// provider's tokens, or sign, at every call; the context has it as "opaque":
	// false.
	//
	// Default: they do so to have a reference issued, and show that.
	ShowTokens bool
	// Jurisdictions are where the health watch takes readings.
	//
	// Default: DefaultJurisdictions.
	Jurisdictions []Jurisdiction
	// Cloudflare is where the health watch also routes.
	//
	// Default: nowhere.
	Cloudflare Cloudflare
}

// Domain is a custom domain of an API.
type Domain struct {
	Name        string `json:"name"`        // "carts.example.com"
	Certificate string `json:"certificate"` // ARN in ACM, of the API's region; none for the health watch
	Zone        string `json:"zone"`        // id of the hosted zone, for the health watch
}

// Sale is a flash sale.
type Sale struct {
	Opens        time.Time `json:"opens"`        // RFC 3339
	Closes       time.Time `json:"closes"`       // RFC 3339
	Environments int       `json:"environments"` // of the commands' function that are ready then
}

// Identity is an OpenID Connect provider.
type Identity struct {
	Issuer   string   `json:"issuer"`   // URL, exactly as in the tokens' iss
	Audience []string `json:"audience"` // at least one of the tokens' aud
}

// ConfigError lists everything that is wrong with the context.
type ConfigError struct{ Problems []string }

// Error returns a line for each problem.
func (e *ConfigError) Error() string {
	return "wrong context in cdk.json or -c:\n  " + strings.Join(e.Problems, "\n  ")
}

// foreign are the prefixes of the context keys that belong to the CDK: feature
// flags and what its look-ups cached.
var foreign = []string{"@aws-cdk", "aws:", "aws-cdk:", "cdk:", "cli-", "acknowledged-", "tree-metadata",
	"availability-zones:", "ami:", "cc-api-provider:", "endpoint-service-availability-zones:", "hosted-zone:",
	"key-provider:", "load-balancer", "security-group:", "ssm:", "vpc-provider:"}

var (
	environmentName = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	accountID       = regexp.MustCompile(`^\d{12}$`)
	domainName      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	certificateARN  = regexp.MustCompile(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/\S+$`)
)

// ParseConfig reads the config from the app's context. The error, if any, is a
// *ConfigError. Problems that others have found with the context are told with
// its own.
func ParseConfig(context map[string]any, problems ...string) (*Config, error) {
	c := &Config{Environment: "dev"}
	r := &reader{problems: problems}
	keys := map[string]func(any){
		"systems": func(v any) {
			c.Systems = r.list("systems", v)
			for _, s := range c.Systems {
				r.require(slices.Contains(Systems(), s), "systems", s, "one of "+strings.Join(Systems(), ", "))
			}
		},
		"environment": func(v any) {
			c.Environment = r.match("environment", v, environmentName.MatchString, "1 to 16 lower-case letters and digits, such as dev")
		},
		"account": func(v any) {
			c.Account = r.match("account", v, accountID.MatchString, "the 12 digits of an AWS account, as a string")
		},
		"region": func(v any) {
			c.Region = r.match("region", v, regionname.Valid, "an AWS region, such as eu-west-1")
		},
		"alarmEmail": func(v any) {
			c.AlarmEmail = r.text("alarmEmail", v)
			r.require(emailOrNone(c.AlarmEmail), "alarmEmail", c.AlarmEmail, "an e-mail address")
		},
		"domains": func(v any) {
			if !r.object("domains", v, &c.Domains, `{"flashsale": {"name": "carts.example.com", "certificate": "arn:aws:acm:..."}}`) {
				return
			}
			for _, system := range slices.Sorted(maps.Keys(c.Domains)) {
				d := c.Domains[system]
				r.require(slices.Contains(Systems(), system), "domains", system, "one of "+strings.Join(Systems(), ", "))
				if system == "healthwatch" {
					checkHealthDomain(d, r.require)
					continue
				}
				r.require(domainName.MatchString(d.Name), "domains."+system+".name", d.Name, "a domain, such as carts.example.com")
				r.require(certificateARN.MatchString(d.Certificate), "domains."+system+".certificate", d.Certificate,
					"the ARN of a certificate in ACM, in the API's region")
				r.require(d.Zone == "", "domains."+system+".zone", d.Zone, "none: point the name at the API yourself")
			}
		},
		"timeZone": func(v any) {
			c.TimeZone = r.text("timeZone", v)
			if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "Local" {
				r.wrong("timeZone", v, "a zone of the IANA database, such as Europe/Paris")
			}
		},
		"sale": func(v any) {
			if !r.object("sale", v, &c.Sale, `{"opens": "2027-11-26T07:00:00Z", "closes": "2027-11-26T23:00:00Z", "environments": 100}`) {
				return
			}
			r.require(c.Sale.Closes.After(c.Sale.Opens), "sale.closes", c.Sale.Closes.Format(time.RFC3339), "a time after sale.opens")
			r.require(c.Sale.Environments > 0, "sale.environments", c.Sale.Environments, "1 or more")
		},
		"identity": func(v any) {
			if !r.object("identity", v, &c.Identity, `{"issuer": "https://id.example.com", "audience": ["carts"]}`) {
				return
			}
			r.require(strings.HasPrefix(c.Identity.Issuer, "https://"), "identity.issuer", c.Identity.Issuer, "an https URL")
			r.require(len(c.Identity.Audience) > 0, "identity.audience", c.Identity.Audience, "at least one audience")
		},
		"opaque": func(v any) { c.ShowTokens = !r.flag("opaque", v) },
		"jurisdictions": func(v any) {
			if r.object("jurisdictions", v, &c.Jurisdictions, `[{"name": "eu", "region": "eu-central-1", "standby": "eu-west-1", "countries": ["DE"], `+
				`"localities": {"DE-BE": {"name": "Berlin", "zone": "Europe/Berlin", "languages": ["de"]}}}]`) {
				checkJurisdictions(c.Jurisdictions, r.require)
			}
		},
		"cloudflare": func(v any) {
			if r.object("cloudflare", v, &c.Cloudflare, `{"account": "023e105f...", "zone": "9a780606...", "hostname": "readings.example.com", "secret": "cloudflare"}`) {
				checkCloudflare(c.Cloudflare, r.require)
			}
		},
	}
	for _, key := range slices.Sorted(maps.Keys(context)) {
		switch read, known := keys[key]; {
		case known:
			read(context[key])
		case !slices.ContainsFunc(foreign, func(prefix string) bool { return strings.HasPrefix(key, prefix) }):
			r.problems = append(r.problems, fmt.Sprintf("%s is not a key; allowed are %s", key,
				strings.Join(slices.Sorted(slices.Values(slices.AppendSeq(summary.Keys(), maps.Keys(keys)))), ", ")))
		}
	}
	slices.Sort(c.Systems)
	if c.Systems = slices.Compact(c.Systems); len(c.Systems) == 0 {
		c.Systems = Systems()
	}
	if slices.Contains(c.Systems, "healthwatch") {
		checkTogether(c.Domains["healthwatch"], c.Identity, c.Cloudflare, r.require)
	}
	if len(r.problems) > 0 {
		return nil, &ConfigError{Problems: r.problems}
	}
	return c, nil
}

func emailOrNone(address string) bool {
	_, err := mail.ParseAddress(address)
	return address == "" || err == nil
}

// reader turns context values into Go values and collects what is wrong.
type reader struct{ problems []string }

func (r *reader) wrong(key string, given any, allowed string) {
	if s, ok := given.(string); ok {
		given = fmt.Sprintf("%q", s)
	}
	r.problems = append(r.problems, fmt.Sprintf("%s is %v; allowed is %s", key, given, allowed))
}

func (r *reader) require(ok bool, key string, given any, allowed string) {
	if !ok {
		r.wrong(key, given, allowed)
	}
}

func (r *reader) text(key string, v any) string {
	s, ok := v.(string)
	if !ok {
		r.wrong(key, v, "a string")
	}
	return s
}

func (r *reader) flag(key string, v any) bool {
	switch v {
	case true, "true":
		return true
	case false, "false":
		return false
	}
	r.wrong(key, v, "true or false")
	return true
}

func (r *reader) match(key string, v any, valid func(string) bool, allowed string) string {
	s, ok := v.(string)
	if !ok || !valid(s) {
		r.wrong(key, v, allowed)
	}
	return s
}

func (r *reader) list(key string, v any) []string {
	if s, ok := v.(string); ok {
		return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' })
	}
	elements, ok := v.([]any)
	var list []string
	for _, e := range elements {
		s, isText := e.(string)
		ok = ok && isText
		list = append(list, s)
	}
	if !ok {
		r.wrong(key, v, "a list of strings, or one string with commas")
		return nil
	}
	return list
}

// object decodes v, which -c gives as text, into the value that into points to,
// and reports whether it could.
func (r *reader) object(key string, v, into any, example string) bool {
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			r.wrong(key, v, "such as "+example)
			return false
		}
		text = string(b)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		r.problems = append(r.problems, fmt.Sprintf("%s is %s; allowed is such as %s (%v)", key, text, example, err))
		return false
	}
	return true
}
