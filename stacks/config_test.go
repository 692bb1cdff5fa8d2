package stacks

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
				Domains:    map[string]Domain{"flashsale": {"carts.example.com", certificate}},
				Identity:   Identity{"https://id.example.com", []string{"carts"}},
				TimeZone:   "Europe/Paris",
				Sale:       Sale{time.Date(2027, 11, 26, 7, 0, 0, 0, time.UTC), time.Date(2027, 11, 26, 23, 0, 0, 0, time.UTC), 100},
			},
		},
		"-c": {
			map[string]any{
				"systems": "flashsale, flashsale",
				"domains": `{"flashsale":{"name":"carts.example.com","certificate":"` + certificate + `"}}`,
			},
			Config{
				Systems: []string{"flashsale"}, Environment: "dev",
				Domains: map[string]Domain{"flashsale": {"carts.example.com", certificate}},
			},
		},
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
		"region":      "Europe",
		"alarmEmail":  "nobody",
		"domains":     `{"shop": {"name": "x", "port": 1}}`,
		"identity":    map[string]any{"issuer": "http://id"},
	})
	var wrong *ConfigError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"enviroment is not a key; allowed are account, alarmEmail, domains",
		`environment is "Prod!"; allowed is 1 to 16 lower-case letters`,
		"systems is [flashsale flushsale 7]; allowed is a list of strings",
		"account is 1; allowed is the 12 digits",
		`region is "Europe"; allowed is an AWS region`,
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

func TestParseConfigChecksValues(t *testing.T) {
	for want, context := range map[string]map[string]any{
		`systems is "shop"; allowed is one of flashsale, training`:       {"systems": "shop"},
		`domains is "shop"; allowed is one of flashsale, training`:       {"domains": map[string]any{"shop": map[string]any{}}},
		`domains.flashsale.name is "localhost"`:                          {"domains": map[string]any{"flashsale": map[string]any{"name": "localhost"}}},
		`domains.flashsale.certificate is "x"`:                           {"domains": map[string]any{"flashsale": map[string]any{"certificate": "x"}}},
		`identity is "{"; allowed is such as {"issuer"`:                  {"identity": "{"},
		`systems is true; allowed is a list of strings, or`:              {"systems": true},
		`timeZone is "Paris"; allowed is a zone`:                         {"timeZone": "Paris"},
		`sale.closes is "2027-01-01T00:00:00Z"; allowed is a time after`: {"sale": `{"opens": "2027-01-02T00:00:00Z", "closes": "2027-01-01T00:00:00Z", "environments": 1}`},
		`sale.environments is 0; allowed is 1`:                           {"sale": `{"opens": "2027-01-01T00:00:00Z", "closes": "2027-01-02T00:00:00Z"}`},
		`alarmEmail is 7; allowed is a string`:                           {"alarmEmail": 7.0},
	} {
		_, err := ParseConfig(context)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", context, err, want)
		}
	}
}
