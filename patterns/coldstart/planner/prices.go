package planner

import (
	"fmt"

	"github.com/serverless-go/cdk/patterns/prices"
)

// Prices are what Lambda charges in one region and for one architecture, in US
// dollars, without free tier, tiers of volume and savings plans.
type Prices struct {
	// Source says where and when the prices were read.
	Source string

	Request             float64 // per invocation
	Duration            float64 // per GB-second of invocations on demand
	Provisioned         float64 // per GB-second of provisioned concurrency, used or not
	ProvisionedDuration float64 // per GB-second of invocations on provisioned concurrency
}

// ARM64 returns the prices of arm64 in us-east-1. Provisioned concurrency pays
// for itself there on an environment that is busy 60 % of the time: the same
// environment is cheaper then than on demand. In most regions it takes more,
// in some it never does: see [In].
func ARM64() Prices { return mustIn(prices.Home, "arm64") }

// X86 returns the prices of x86_64 in us-east-1.
func X86() Prices { return mustIn(prices.Home, "x86_64") }

// In returns the prices of an architecture, "arm64" or "x86_64", in a region.
func In(region, architecture string) (Prices, error) {
	items := prices.Lambda(architecture)
	of := prices.Default()[region]
	for _, item := range []prices.Item{items.Request, items.Duration, items.Provisioned, items.ProvisionedDuration} {
		if _, ok := of[item]; !ok {
			return Prices{}, fmt.Errorf("there is no price of %s in %q: set the fields of Prices", item, region)
		}
	}
	return Prices{
		Source:              of[items.Provisioned].Source + ", as of " + of[items.Provisioned].AsOf,
		Request:             of[items.Request].USD,
		Duration:            of[items.Duration].USD,
		Provisioned:         of[items.Provisioned].USD,
		ProvisionedDuration: of[items.ProvisionedDuration].USD,
	}, nil
}

func mustIn(region, architecture string) Prices {
	p, err := In(region, architecture)
	if err != nil {
		panic(err) // a test reads the table
	}
	return p
}
