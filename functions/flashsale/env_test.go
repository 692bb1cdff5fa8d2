package flashsale_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/functions/flashsale/cartview"
	"github.com/serverless-go/cdk/functions/flashsale/command"
	"github.com/serverless-go/cdk/functions/flashsale/forget"
	"github.com/serverless-go/cdk/functions/flashsale/offer"
	"github.com/serverless-go/cdk/functions/flashsale/query"
	"github.com/serverless-go/cdk/functions/flashsale/totals"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Each function starts with the variables that the stack sets, and names every
// one that it misses.
func TestFromEnv(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fromEnv   func() error
		variables []string
	}{
		{"carts", func() error { _, err := command.FromEnv(aws.Config{}); return err }, []string{schema.EnvStoreTable}},
		{"cartview", func() error { _, err := cartview.FromEnv(aws.Config{}); return err }, []string{schema.EnvStoreTable, schema.EnvReadModel}},
		{"saletotals", func() error { _, err := totals.FromEnv(aws.Config{}); return err }, []string{schema.EnvStoreTable, schema.EnvReadModel}},
		{"cartquery", func() error { _, err := query.FromEnv(aws.Config{}); return err }, []string{flashsale.EnvCartView, flashsale.EnvTotals}},
		{"offer", func() error { _, err := offer.FromEnv(aws.Config{}); return err },
			[]string{schema.EnvStoreTable, schema.EnvCascade, schema.EnvGuardTable}},
		{"forget", func() error { _, err := forget.FromEnv(aws.Config{}); return err }, []string{schema.EnvStoreTable, schema.EnvStoreSubjects}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range tt.variables {
				t.Setenv(name, "a-name")
			}
			if err := tt.fromEnv(); err != nil {
				t.Errorf("with %v: %v", tt.variables, err)
			}
			for _, name := range tt.variables {
				t.Setenv(name, "")
				if err := tt.fromEnv(); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("without %s: error %v, want one that names it", name, err)
				}
				t.Setenv(name, "a-name")
			}
		})
	}
}

func TestTermsFromEnv(t *testing.T) {
	if terms, err := offer.TermsFromEnv(); err != nil || terms != (offer.Terms{Percent: 10, Redemptions: 500, PerDay: 3}) {
		t.Errorf("defaults are %+v, error %v", terms, err)
	}
	t.Setenv(flashsale.EnvPercent, "30")
	t.Setenv(flashsale.EnvRedemptions, "1")
	t.Setenv(flashsale.EnvOffersPerDay, "7")
	if terms, err := offer.TermsFromEnv(); err != nil || terms != (offer.Terms{Percent: 30, Redemptions: 1, PerDay: 7}) {
		t.Errorf("terms are %+v, error %v", terms, err)
	}
	t.Setenv(flashsale.EnvPercent, "31")
	t.Setenv(flashsale.EnvRedemptions, "many")
	t.Setenv(flashsale.EnvOffersPerDay, "")
	const want = `OFFER_PERCENT is "31", want 1 to 30
OFFER_REDEMPTIONS is "many", want 1 to 1000000
OFFERS_PER_DAY is "", want 1 to 100`
	if _, err := offer.TermsFromEnv(); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
