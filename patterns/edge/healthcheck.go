package edge

import (
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// DependencyProps says what the failure of a dependency means.
type DependencyProps struct {
	// Optional says that the region serves without it: its failure degrades
	// the region, and clients are not sent elsewhere.
	//
	// Default: it is required, and the region is down without it.
	Optional bool
	// Timeout is how long a check of it may take, 50ms to 1.5s. Route 53 waits
	// two seconds for the whole answer.
	//
	// Default: 1 second.
	Timeout time.Duration
}

// TableDependencyProps says how a table is read.
type TableDependencyProps struct {
	DependencyProps
	// PartitionKey is the name of the partition key, a string. Required.
	PartitionKey string
	// SortKey is the name of the sort key, a string.
	//
	// Default: the table has none.
	SortKey string
	// EncryptionKey is the customer-managed key of the table, which reading
	// needs.
	//
	// Default: the table's own, as far as the CDK knows it.
	EncryptionKey awskms.IKey
}

// AddTableDependency makes the health of the region depend on a table: an item
// that does not exist is read. The health function may read that one key and
// nothing else. It panics with a *[props.Error] when the props are wrong.
func (a *RegionalAPI) AddTableDependency(name string, table awsdynamodb.ITableV2, p *TableDependencyProps) {
	if p == nil {
		p = &TableDependencyProps{}
	}
	var c props.Check
	c.Require(table != nil, "table", table, "a table", "")
	c.Require(p.PartitionKey != "", "PartitionKey", p.PartitionKey, "the name of the table's partition key", "set it")
	a.checkDependency(&c, name, &p.DependencyProps)
	keys := []*string{jsii.String(schema.HealthProbe)}
	defaults.Grant(a.health, defaults.Actions{"dynamodb:GetItem"}.To(construct.TableArn(table)).If(map[string]any{
		"ForAllValues:StringEquals": map[string]any{"dynamodb:LeadingKeys": keys},
		// All of no keys are equal to anything.
		"Null": map[string]any{"dynamodb:LeadingKeys": "false"},
	}))
	key := p.EncryptionKey
	if key == nil {
		key = construct.EncryptionKey(table)
	}
	if key != nil {
		defaults.Grant(a.health, defaults.ReadKey.To(construct.KeyArn(key)).If(defaults.Through("dynamodb")))
	}
	a.addDependency(p.DependencyProps, schema.HealthCheck{Name: name, Kind: schema.HealthTable, Target: *construct.TableName(table),
		PartitionKey: p.PartitionKey, SortKey: p.SortKey})
}

// AddQueueDependency makes the health of the region depend on a queue: its
// length is asked for. The health function can neither send nor take messages.
// It panics with a *[props.Error] when the props are wrong; nil props are
// right.
func (a *RegionalAPI) AddQueueDependency(name string, queue awssqs.IQueue, p *DependencyProps) {
	if p == nil {
		p = &DependencyProps{}
	}
	var c props.Check
	c.Require(queue != nil, "queue", queue, "a queue", "")
	a.checkDependency(&c, name, p)
	defaults.Grant(a.health, defaults.Actions{"sqs:GetQueueAttributes"}.To(construct.QueueArn(queue)))
	a.addDependency(*p, schema.HealthCheck{Name: name, Kind: schema.HealthQueue, Target: *construct.QueueUrl(queue)})
}

// AddBusDependency makes the health of the region depend on an event bus: its
// description is read. The health function cannot publish. It panics with a
// *[props.Error] when the props are wrong; nil props are right.
func (a *RegionalAPI) AddBusDependency(name string, bus awsevents.IEventBus, p *DependencyProps) {
	if p == nil {
		p = &DependencyProps{}
	}
	var c props.Check
	c.Require(bus != nil, "bus", bus, "an event bus", "")
	a.checkDependency(&c, name, p)
	defaults.Grant(a.health, defaults.Actions{"events:DescribeEventBus"}.To(construct.EventBusArn(bus)))
	a.addDependency(*p, schema.HealthCheck{Name: name, Kind: schema.HealthBus, Target: *construct.EventBusName(bus)})
}

var dependencyName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (a *RegionalAPI) checkDependency(c *props.Check, name string, p *DependencyProps) {
	c.Require(dependencyName.MatchString(name), "name", name, "1 to 32 lower-case letters, digits and hyphens, a letter first", "")
	c.Require(!slices.ContainsFunc(a.checks, func(h schema.HealthCheck) bool { return h.Name == name }), "name", name,
		"a name that no other dependency has", "")
	props.Between(c, "Timeout", p.Timeout, 50*time.Millisecond, schema.HealthTimeoutMax)
	c.Panic(a, name)
}

func (a *RegionalAPI) addDependency(p DependencyProps, check schema.HealthCheck) {
	check.Optional, check.Timeout = p.Optional, int(p.Timeout.Milliseconds())
	a.checks = append(a.checks, check)
	a.health.AddEnvironment(schema.EnvHealth, a.checks.String())
}

// requires reports whether there is a required dependency.
func (a *RegionalAPI) requires() bool {
	return slices.ContainsFunc(a.checks, func(c schema.HealthCheck) bool { return !c.Optional })
}

// checksAdded is the validation that the health endpoint checks something.
type checksAdded struct{ api *RegionalAPI }

// Validate returns what is wrong.
func (v *checksAdded) Validate() *[]*string {
	if v.api.requires() {
		return &[]*string{}
	}
	return &[]*string{jsii.String("the health endpoint checks no required dependency: " +
		"call AddTableDependency, AddQueueDependency or AddBusDependency for what requests need, or give your own HealthFunction")}
}
