package stacks

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
)

func TestParseConfig(t *testing.T) {
	certificate := "arn:aws:acm:eu-west-1:123456789012:certificate/1"
	for name, tt := range map[string]struct {
		context map[string]any
		want    Config
	}{
		"defaults": {nil, Config{Systems: Systems(), Environment: "dev"}},
		"cdk.json": {
			map[string]any{
				"systems": []any{"flashsale"}, "environment": "prod", "account": "123456789012", "region": "eu-west-1",
				"alarmEmail":                     "ops@example.com",
				"domains":                        map[string]any{"flashsale": map[string]any{"name": "carts.example.com", "certificate": certificate}},
				"identity":                       map[string]any{"issuer": "https://id.example.com", "audience": []any{"carts"}},
				"timeZone":                       "Europe/Paris",
				"sale":                           map[string]any{"opens": "2027-11-26T07:00:00Z", "closes": "2027-11-26T23:00:00Z", "environments": 100.0},
				"@aws-cdk/core:checkSecretUsage": true, "aws:cdk:bundling-stacks": []any{}, "hosted-zone:account=1": "Z",
			},
			Config{
				Systems: []string{"flashsale"}, Environment: "prod", Account: "123456789012", Region: "eu-west-1",
				AlarmEmail: "ops@example.com",
				Domains:    map[string]Domain{"flashsale": {Name: "carts.example.com", Certificate: certificate}},
				Identity:   Identity{"https://id.example.com", []string{"carts"}},
				TimeZone:   "Europe/Paris",
				Sale:       Sale{time.Date(2027, 11, 26, 7, 0, 0, 0, time.UTC), time.Date(2027, 11, 26, 23, 0, 0, 0, time.UTC), 100},
			},
		},
		"-c": {
			map[string]any{
				"systems": "flashsale, flashsale", "opaque": "false",
				"domains": `{"flashsale":{"name":"carts.example.com","certificate":"` + certificate + `"}}`,
			},
			Config{
				Systems: []string{"flashsale"}, Environment: "dev",
				Domains: map[string]Domain{"flashsale": {Name: "carts.example.com", Certificate: certificate}}, ShowTokens: true,
			},
		},
		"opaque": {map[string]any{"opaque": true}, Config{Systems: Systems(), Environment: "dev"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConfig(tt.context)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseConfigNamesEveryProblem(t *testing.T) {
	_, err := ParseConfig(map[string]any{
		"enviroment":  "prod",
		"environment": "Prod!",
		"systems":     []any{"flashsale", "flushsale", 7.0},
		"account":     1.0,
		"region":      "eu-wst-1",
		"alarmEmail":  "nobody",
		"domains":     `{"shop": {"name": "x", "port": 1}}`,
		"identity":    map[string]any{"issuer": "http://id"},
	})
	var wrong *ConfigError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"enviroment is not a key; allowed are account, alarmEmail, cloudflare, domains, environment, identity, jurisdictions, load, opaque, prices, region, sale, summary, systems, timeZone",
		`environment is "Prod!"; allowed is 1 to 16 lower-case letters`,
		"systems is [flashsale flushsale 7]; allowed is a list of strings",
		"account is 1; allowed is the 12 digits",
		`region is "eu-wst-1"; allowed is an AWS region`,
		`alarmEmail is "nobody"; allowed is an e-mail address`,
		`unknown field "port"`,
		`identity.issuer is "http://id"; allowed is an https URL`,
		`identity.audience is []`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}
}

// What is no object is told once, and not by its zero values besides.
func TestParseConfigTellsOnce(t *testing.T) {
	for _, key := range []string{"sale", "identity", "domains", "jurisdictions", "cloudflare"} {
		_, err := ParseConfig(map[string]any{key: "tomorrow"})
		var wrong *ConfigError
		if !errors.As(err, &wrong) || len(wrong.Problems) != 1 || !strings.HasPrefix(wrong.Problems[0], key+" is tomorrow; allowed is such as ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestParseConfigChecksValues(t *testing.T) {
	for want, context := range map[string]map[string]any{
		`systems is "shop"; allowed is one of flashsale, gateway, healthwatch, training`: {"systems": "shop"},
		`domains is "shop"; allowed is one of flashsale, gateway, healthwatch, training`: {"domains": map[string]any{"shop": map[string]any{}}},
		`domains.flashsale.name is "localhost"`:                                          {"domains": map[string]any{"flashsale": map[string]any{"name": "localhost"}}},
		`domains.flashsale.certificate is "x"`:                                           {"domains": map[string]any{"flashsale": map[string]any{"certificate": "x"}}},
		`identity is {; allowed is such as {"issuer"`:                                    {"identity": "{"},
		`opaque is "no"; allowed is true or false`:                                       {"opaque": "no"},
		`systems is true; allowed is a list of strings, or`:                              {"systems": true},
		`timeZone is "Paris"; allowed is a zone`:                                         {"timeZone": "Paris"},
		`sale.closes is "2027-01-01T00:00:00Z"; allowed is a time after`:                 {"sale": `{"opens": "2027-01-02T00:00:00Z", "closes": "2027-01-01T00:00:00Z", "environments": 1}`},
		`sale.environments is 0; allowed is 1`:                                           {"sale": `{"opens": "2027-01-01T00:00:00Z", "closes": "2027-01-02T00:00:00Z"}`},
		`alarmEmail is 7; allowed is a string`:                                           {"alarmEmail": 7.0},
		`domains.healthwatch.zone is ""; allowed is the id of the public`:                {"domains": map[string]any{"healthwatch": map[string]any{"name": "health.example.com"}}},
		`domains.healthwatch.certificate is "x"; allowed is none`:                        {"domains": map[string]any{"healthwatch": map[string]any{"certificate": "x"}}},
		`domains.flashsale.zone is "Z1"; allowed is none`:                                {"domains": map[string]any{"flashsale": map[string]any{"zone": "Z1"}}},
		`domains.healthwatch is "health.example.com"; allowed is set together`:           {"domains": map[string]any{"healthwatch": map[string]any{"name": "health.example.com", "zone": "Z1"}}},
		`cloudflare is "023e105f4ecef8ad9ca31a8372d0c353"; allowed is set`:               {"cloudflare": map[string]any{"account": "023e105f4ecef8ad9ca31a8372d0c353"}},
		`cloudflare.zone is ""; allowed is the 32 hexadecimal digits`:                    {"cloudflare": map[string]any{"account": "x"}},
		`jurisdictions is {}; allowed is such as [{"name": "eu"`:                         {"jurisdictions": "{}"},
	} {
		_, err := ParseConfig(context)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", context, err, want)
		}
	}
}

func TestParseConfigReadsJurisdictions(t *testing.T) {
	c, err := ParseConfig(map[string]any{"jurisdictions": `[{"name": "ch", "region": "eu-central-2", "countries": ["CH"], "alertEmail": "duty@example.ch",
		"localities": {"CH-ZH": {"name": "Zürich", "zone": "Europe/Zurich", "languages": ["de"], "quiet": {"from": "22:00", "to": "06:00"}, "threshold": 7}}}]`})
	if err != nil {
		t.Fatal(err)
	}
	want := []Jurisdiction{{Name: "ch", Region: "eu-central-2", Countries: []string{"CH"}, AlertEmail: "duty@example.ch", Localities: map[string]Locality{
		"CH-ZH": {rules.Locality{Name: "Zürich", Zone: "Europe/Zurich", Languages: []string{"de"}, Quiet: rules.Quiet{From: "22:00", To: "06:00"}}, 7}}}}
	if diff := cmp.Diff(want, c.Jurisdictions); diff != "" {
		t.Error(diff)
	}
	if problems := jurisdictionProblems(DefaultJurisdictions()); len(problems) > 0 {
		t.Errorf("the defaults are wrong: %v", problems)
	}
}

func jurisdictionProblems(all []Jurisdiction) []string {
	r := &reader{}
	checkJurisdictions(all, r.require)
	return r.problems
}

func TestJurisdictionsNameEveryProblem(t *testing.T) {
	long := Jurisdiction{Name: "long", Region: "eu-north-1", Countries: []string{"SE"}, Localities: map[string]Locality{}}
	for i := range 200 {
		long.Localities[strings.Repeat("x", 20)+strconv.Itoa(i)] = Locality{Locality: rules.Locality{Name: "X", Zone: "UTC"}}
	}
	problems := strings.Join(jurisdictionProblems([]Jurisdiction{
		{Name: "EU", Region: "Europe", Standby: "us-east-1", Countries: []string{"Germany"}, AlertEmail: "nobody",
			Localities: map[string]Locality{"DE BE": {rules.Locality{Zone: "Berlin", Quiet: rules.Quiet{From: "22"}, Languages: []string{"x y"}}, -1}}},
		{Name: "cn", Region: "cn-north-1", Standby: "eusc-de-east-1"},
		{Name: "cn", Region: "eu-west-1", Standby: "eu-west-1", Countries: []string{"DE", "DE"}},
		long,
	}), "\n")
	for _, want := range []string{
		`jurisdictions[0].name is "EU"; allowed is 1 to 16 lower-case letters`,
		`jurisdictions[0].region is "Europe"; allowed is an AWS region`,
		`jurisdictions[0].standby is "us-east-1"; allowed is another region than us-east-1`,
		`jurisdictions[0].countries is "Germany"; allowed is two capital letters`,
		`jurisdictions[0].alertEmail is "nobody"; allowed is an e-mail address`,
		`jurisdictions[0].localities is "DE BE"; allowed is codes`,
		`jurisdictions[0].localities.DE BE.threshold is -1; allowed is 1 or more`,
		`jurisdictions[0].localities["DE BE"].Zone is "Berlin"; allowed is an IANA time zone`,
		`jurisdictions[0].localities["DE BE"].Quiet is {22 }`,
		`jurisdictions[1].region is "cn-north-1"; allowed is an AWS region, such as eu-central-1, not of China`,
		`jurisdictions[1].standby is "eusc-de-east-1"; allowed is an AWS region`,
		`jurisdictions[1].countries is []; allowed is at least one country`,
		`jurisdictions[1].localities is 0; allowed is at least one locality`,
		`jurisdictions[2].name is "cn"; allowed is a name that no other jurisdiction has`,
		`jurisdictions[2].standby is "eu-west-1"; allowed is a region that no other`,
		`jurisdictions[2].countries is "DE"; allowed is a country that no other`,
		`jurisdictions[3].localities is "5`,
	} {
		if !strings.Contains(problems, want) {
			t.Errorf("the problems lack %q:\n%s", want, problems)
		}
	}
}
