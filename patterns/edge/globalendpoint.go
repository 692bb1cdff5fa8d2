package edge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/regionname"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/props"
)

// GlobalEndpointProps says where events are taken in. Give the stacks of both
// regions the same props, but for Alarms.Topic.
type GlobalEndpointProps struct {
	// Name is the name of the endpoint, and of the bus in both regions, as
	// EventBridge wants it: 1 to 64 letters, digits and . - _. Required.
	Name string
	// Primary is the region that takes events in while it is healthy. Required.
	Primary string
	// Secondary is the region that takes them in otherwise. Required.
	Secondary string
	// Steady says that events come at least once a minute, day and night: that
	// none is delivered then means that the primary region is broken.
	//
	// Default: false, silence changes nothing.
	Steady bool
	// ArchiveRetention is how long each region's archive keeps events for
	// replay, in whole days.
	//
	// Default: 90 days.
	ArchiveRetention time.Duration
	// Alarms tunes the alarm of the primary region.
	//
	// Default: it is made and notifies nobody.
	Alarms GlobalEndpointAlarms
}

// GlobalEndpointAlarms tunes the alarm of a [GlobalEndpoint].
type GlobalEndpointAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Latency is how long events wait on average, in milliseconds. It causes
	// the failover, so it cannot be Off.
	//
	// Default: more than 30,000, in five minutes in a row.
	Latency alarm.Tuning
}

func (a GlobalEndpointAlarms) check(c *props.Check) {
	c.Require(!a.Latency.Off, "Latency.Off", true, "false", "the failover hangs on this alarm")
	c.Nested("Latency", a.Latency.Check)
}

// GlobalEndpoint takes events in at one address, in the primary region while
// that delivers them in time and in the secondary one otherwise. Every event is
// replicated to the bus of the same name in the other region, and kept there in
// an archive for replay.
//
// An event therefore comes once in each region, and again after a replay or a
// retry, with another id of EventBridge's each time: put an id of its own into
// the detail and let consumers know it again. What the primary region took in
// and did not replicate is late by as long as the region is down.
//
// No stack refers to the other region's. Deploy the secondary region first:
// the endpoint needs both buses. The buses are encrypted with AWS's own key.
// Bus and archive stay when the stack is destroyed.
//
// Sources: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-global-endpoints.html,
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-ge-best-practices.html,
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-ge-cfn.html.
type GlobalEndpoint struct {
	constructs.Construct
	bus      awsevents.EventBus
	archive  awsevents.CfnArchive
	buses    []*string
	alarm    awscloudwatch.CfnAlarm // the rest: primary region only
	health   awsroute53.CfnHealthCheck
	endpoint awsevents.CfnEndpoint
}

// NewGlobalEndpoint makes the bus and the archive of the stack's region and, in
// the primary one, the endpoint. It panics with a *[props.Error] when the props
// are wrong.
func NewGlobalEndpoint(scope constructs.Construct, id string, p *GlobalEndpointProps) *GlobalEndpoint {
	if p == nil {
		p = &GlobalEndpointProps{}
	}
	region := construct.Region(scope)
	p.check(scope, id, region)
	e := &GlobalEndpoint{}
	construct.Init(e, scope, id)
	for _, r := range []string{p.Primary, p.Secondary} {
		e.buses = append(e.buses, defaults.Text(e, "arn:${AWS::Partition}:events:"+r+":${AWS::AccountId}:event-bus/"+p.Name))
	}
	e.bus = awsevents.NewEventBus(e, jsii.String("Bus"), &awsevents.EventBusProps{EventBusName: &p.Name})
	e.bus.ApplyRemovalPolicy(keptReplays) // the archive has a rule on it, and is replayed to no other bus
	e.archive = awsevents.NewCfnArchive(e, jsii.String("Replays"), &awsevents.CfnArchiveProps{
		SourceArn:     construct.EventBusArn(e.bus),
		Description:   jsii.String("Keeps the events of " + p.Name + " in this region for replay."),
		RetentionDays: jsii.Number(construct.Or(p.ArchiveRetention, 90*24*time.Hour).Hours() / 24),
	})
	e.archive.ApplyRemovalPolicy(keptReplays, nil)
	for _, r := range []string{p.Primary, p.Secondary} {
		if !slices.Contains(endpointRegions, r) {
			awscdk.Annotations_Of(e).AddWarningV2(jsii.String("serverless-go:globalEndpointRegion"), jsii.String(fmt.Sprintf(
				"EventBridge had no global endpoints in %s in November 2026, only in %s; see that it has now, or choose another region",
				r, strings.Join(endpointRegions, ", "))))
		}
	}
	if region == p.Primary {
		e.newEndpoint(p)
	}
	return e
}

// endpointRegions are the regions that EventBridge has global endpoints in, as
// of November 2026
// (https://docs.aws.amazon.com/eventbridge/latest/userguide/feature-availability.html,
// https://docs.aws.amazon.com/config/latest/developerguide/global-endpoint-event-replication-enabled.html).
var endpointRegions = []string{"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
	"ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
	"us-east-1", "us-east-2", "us-west-1", "us-west-2"}

// keptReplays keeps a bus and its archive, but for a first deployment that is
// rolled back: there is nothing in them yet, and the next one needs their names.
const keptReplays = awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE

var endpointName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (p *GlobalEndpointProps) check(scope constructs.Construct, id, region string) {
	var c props.Check
	c.Require(endpointName.MatchString(p.Name) && p.Name != "default", "Name", p.Name, "1 to 64 letters, digits and . - _, not default", "")
	c.Require(regionname.Valid(p.Primary), "Primary", p.Primary, "the name of a region, such as eu-west-1", "")
	c.Require(regionname.Valid(p.Secondary), "Secondary", p.Secondary, "the name of a region, such as eu-central-1", "")
	c.Require(p.Primary != p.Secondary || p.Primary == "", "Secondary", p.Secondary, "another region than Primary", "")
	if region == "" {
		c.Wrong("Primary", props.Words("in a stack whose region is not known"), "a stack with a region", "set StackProps.Env.Region")
	} else {
		c.Require(region == p.Primary || region == p.Secondary, "Primary", p.Primary, "the stack's region, "+region+", as Primary or Secondary", "")
	}
	c.Require(p.ArchiveRetention >= 0 && p.ArchiveRetention%(24*time.Hour) == 0, "ArchiveRetention", p.ArchiveRetention, "whole days", "")
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

func (e *GlobalEndpoint) newEndpoint(p *GlobalEndpointProps) {
	missing, unknown := "missing", "LastKnownStatus"
	if p.Steady {
		missing, unknown = "breaching", "Unhealthy"
	}
	e.alarm = alarm.New(e, "Latency", alarm.Alarm{
		Namespace:  "AWS/Events",
		Metric:     "IngestionToInvocationStartLatency",
		Statistic:  "Average",
		Threshold:  30_000,
		Comparison: "GreaterThanThreshold",
		Periods:    5,
		Description: "EventBridge is slow to deliver in " + p.Primary + ": " + p.Name + " sends its events to " + p.Secondary +
			" until it recovers; then replay what is missing from the archive.",
		Missing: missing,
	}, p.Alarms.Latency, p.Alarms.Topic)
	e.health = awsroute53.NewCfnHealthCheck(e, jsii.String("Health"), &awsroute53.CfnHealthCheckProps{
		HealthCheckConfig: &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
			Type:                         jsii.String("CLOUDWATCH_METRIC"),
			AlarmIdentifier:              &awsroute53.CfnHealthCheck_AlarmIdentifierProperty{Name: e.alarm.Ref(), Region: &p.Primary},
			InsufficientDataHealthStatus: &unknown,
		},
	})
	role := defaults.ServiceRole(e, "Replication", "events.amazonaws.com", defaults.Actions{"events:PutEvents"}.To(e.buses...))
	e.endpoint = awsevents.NewCfnEndpoint(e, jsii.String("Endpoint"), &awsevents.CfnEndpointProps{
		Name: &p.Name,
		EventBuses: []any{
			&awsevents.CfnEndpoint_EndpointEventBusProperty{EventBusArn: construct.EventBusArn(e.bus)},
			&awsevents.CfnEndpoint_EndpointEventBusProperty{EventBusArn: e.buses[1]},
		},
		ReplicationConfig: &awsevents.CfnEndpoint_ReplicationConfigProperty{State: jsii.String("ENABLED")},
		RoleArn:           role.RoleArn(),
		RoutingConfig: &awsevents.CfnEndpoint_RoutingConfigProperty{
			FailoverConfig: &awsevents.CfnEndpoint_FailoverConfigProperty{
				Primary: &awsevents.CfnEndpoint_PrimaryProperty{HealthCheck: defaults.Text(e,
					"arn:${AWS::Partition}:route53:::healthcheck/${Id}", defaults.Values{"Id": e.health.AttrHealthCheckId()})},
				Secondary: &awsevents.CfnEndpoint_SecondaryProperty{Route: &p.Secondary},
			},
		},
	})
}

// GrantPut lets the grantee put events, through the endpoint or on the bus of
// either region. Its client names the endpoint's id in PutEvents and signs with
// SigV4A, which the SDK for Go does by itself.
func (e *GlobalEndpoint) GrantPut(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, defaults.Actions{"events:PutEvents"}.To(e.buses...))
}

// Bus returns the bus of the stack's region.
func (e *GlobalEndpoint) Bus() awsevents.IEventBus { return e.bus }

// BusArchive returns the archive of the bus.
func (e *GlobalEndpoint) BusArchive() awsevents.CfnArchive { return e.archive }

// Endpoint returns the endpoint, nil in the secondary region.
func (e *GlobalEndpoint) Endpoint() awsevents.CfnEndpoint { return e.endpoint }

// HealthCheck returns the health check of the primary region, nil in the
// secondary one.
func (e *GlobalEndpoint) HealthCheck() awsroute53.CfnHealthCheck { return e.health }

// LatencyAlarm returns the alarm that causes a failover, nil in the secondary
// region.
func (e *GlobalEndpoint) LatencyAlarm() awscloudwatch.CfnAlarm { return e.alarm }

// Alarms returns the alarms that were made: [GlobalEndpoint.LatencyAlarm], or
// none in the secondary region.
func (e *GlobalEndpoint) Alarms() []awscloudwatch.CfnAlarm { return defaults.Alarms(e.alarm) }
