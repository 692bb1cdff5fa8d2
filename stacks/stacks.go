// Package stacks composes the patterns into systems that deploy as they are,
// one file a system.
package stacks

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/security"
)

// systems maps a system's name to what makes its stacks.
var systems = map[string]func(awscdk.App, *Config){
	"flashsale":   func(app awscdk.App, c *Config) { NewFlashSale(app, c.stackName("FlashSale"), flashSaleProps(c)) },
	"gateway":     func(app awscdk.App, c *Config) { NewGateway(app, c.stackName("Gateway"), gatewayProps(c)) },
	"healthwatch": func(app awscdk.App, c *Config) { NewHealthWatch(app, "HealthWatch", healthWatchProps(c)) },
	"training":    func(app awscdk.App, c *Config) { NewTraining(app, c.stackName("Training"), trainingProps(c)) },
}

// Systems returns the names of all systems, sorted.
func Systems() []string { return slices.Sorted(maps.Keys(systems)) }

// New makes the stacks of the systems that the config names, and the check
// that they allow no more than they need.
func New(app awscdk.App, c *Config) {
	security.NewLeastPrivilege(app, "LeastPrivilege", nil)
	for _, name := range c.Systems {
		systems[name](app, c)
	}
}

// stackName returns the name of a system's stack: "FlashSale-dev".
func (c *Config) stackName(system string) string { return system + "-" + c.Environment }

// env returns where stacks of one region go; without an account or a region
// it is decided when the stack is deployed.
func (c *Config) env() *awscdk.Environment {
	env := &awscdk.Environment{}
	if c.Account != "" {
		env.Account = jsii.String(c.Account)
	}
	if c.Region != "" {
		env.Region = jsii.String(c.Region)
	}
	return env
}
