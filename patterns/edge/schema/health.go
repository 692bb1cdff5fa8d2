package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// EnvHealth is the environment variable with a region's health checks, as
// [HealthConfig.String] writes them.
const EnvHealth = "EDGE_HEALTH_CHECKS"

// The paths of the health endpoint.
const (
	// HealthPath answers everybody, with the status alone.
	HealthPath = "/health"
	// HealthDetailPath answers callers who are known, with every check.
	HealthDetailPath = "/health/detail"
)

// The metrics that the health endpoint writes when the region is not well,
// with the dimension FunctionName.
const (
	HealthNamespace      = "ServerlessGo/Health"
	HealthDimension      = "FunctionName"
	HealthMetricDown     = "Down"     // a required dependency failed
	HealthMetricDegraded = "Degraded" // an optional one failed
)

// HealthProbe is the partition key of the item that a table check reads. No
// such item exists, and none need exist.
const HealthProbe = "serverless-go:health"

// HealthTimeout is how long a check may take unless it says otherwise. A health
// checker of Route 53 waits two seconds for the answer
// (https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html).
const HealthTimeout = time.Second

// HealthTimeoutMax is the longest a check may take.
const HealthTimeoutMax = 1500 * time.Millisecond

// HealthKind is what a health check looks at.
type HealthKind string

// The kinds of health checks.
const (
	HealthTable HealthKind = "table" // reads an item of a table
	HealthQueue HealthKind = "queue" // reads a queue's attributes
	HealthBus   HealthKind = "bus"   // reads an event bus's description
)

// HealthCheck is one dependency that the health endpoint checks.
type HealthCheck struct {
	Name         string     `json:"name"`
	Kind         HealthKind `json:"kind"`
	Target       string     `json:"target"`                 // a table's name, a queue's URL, a bus's name
	Optional     bool       `json:"optional,omitempty"`     // its failure degrades the region and does not take it down
	Timeout      int        `json:"timeout,omitempty"`      // in milliseconds; 0 is HealthTimeout
	PartitionKey string     `json:"partitionKey,omitempty"` // of a table
	SortKey      string     `json:"sortKey,omitempty"`      // of a table; empty for none
}

// HealthConfig is all that the health endpoint checks.
type HealthConfig []HealthCheck

// String returns the checks for the environment.
func (c HealthConfig) String() string {
	b, err := json.Marshal([]HealthCheck(c))
	if err != nil {
		panic(err) // strings, numbers and booleans always marshal
	}
	return string(b)
}

// ParseHealth reads the checks from the environment's value. It refuses what it
// does not know: a check that cannot be made must not count as passed.
func ParseHealth(value string) (HealthConfig, error) {
	var c HealthConfig
	if value == "" {
		return nil, errors.New("health checks: none are configured")
	}
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return nil, fmt.Errorf("health checks: %w", err)
	}
	if len(c) == 0 {
		return nil, errors.New("health checks: none are configured")
	}
	for _, check := range c {
		switch {
		case check.Name == "" || check.Target == "":
			return nil, fmt.Errorf("health check %q: no name or no target", check.Name)
		case check.Kind != HealthTable && check.Kind != HealthQueue && check.Kind != HealthBus:
			return nil, fmt.Errorf("health check %q: unknown kind %q", check.Name, check.Kind)
		case check.Kind == HealthTable && check.PartitionKey == "":
			return nil, fmt.Errorf("health check %q: no partition key", check.Name)
		}
	}
	return c, nil
}
