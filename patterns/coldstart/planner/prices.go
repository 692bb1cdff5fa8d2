package planner

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

// ARM64 returns the prices of arm64 in us-east-1, which are those of most
// regions. Provisioned concurrency pays for itself on an environment that is
// busy 60 % of the time: the same environment is cheaper then than on demand.
func ARM64() Prices {
	return Prices{
		Source:              "AWS Price List, AWSLambda, us-east-1, arm64, published 2026-08-31; https://aws.amazon.com/lambda/pricing/",
		Request:             0.20e-6,
		Duration:            0.0000133334,
		Provisioned:         0.0000033334,
		ProvisionedDuration: 0.0000077778,
	}
}

// X86 returns the prices of x86_64 in us-east-1.
func X86() Prices {
	return Prices{
		Source:              "AWS Price List, AWSLambda, us-east-1, x86_64, published 2026-08-31; https://aws.amazon.com/lambda/pricing/",
		Request:             0.20e-6,
		Duration:            0.0000166667,
		Provisioned:         0.0000041667,
		ProvisionedDuration: 0.0000097222,
	}
}
