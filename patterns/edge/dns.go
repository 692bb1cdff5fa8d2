package edge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/regionname"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// DNS says how Amazon Route 53 sends clients to the regions of an API. All
// regions are given the same DNS, and each makes the records of its own: none
// needs another to be deployed. Exactly one of Latency, Failover and
// Geolocation is set, for Route 53 does not mix routing policies under a name.
//
// Every region also has a name of its own, [DNS.RegionalName], which leads
// there whatever its health. The health checkers of Route 53 use it, and so can
// a content delivery network.
//
// If all regions to choose from are unhealthy, Route 53 takes all for healthy
// and answers: a broken health check does not take the system down
// (https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html).
type DNS struct {
	// Name is the domain name of the API, such as "api.example.com". Required.
	Name string
	// ZoneID is the id of the public hosted zone that the name is in. Required.
	ZoneID string

	// Latency are regions, at least two. A client is sent to the healthy one that
	// answers it the fastest.
	//
	// Default: none; exactly one of Latency, Failover and Geolocation is set.
	Latency []string
	// Failover is two regions. Clients are sent to the first one while it is
	// healthy, and otherwise to the second.
	//
	// Default: none; exactly one of Latency, Failover and Geolocation is set.
	Failover []string
	// Geolocation sends clients by where they are. Exactly one of the routes is
	// the default.
	//
	// Default: none; exactly one of Latency, Failover and Geolocation is set.
	Geolocation []GeoRoute

	// HealthCheck tunes the health check of each region.
	//
	// Default: three checker regions, every 30 seconds, three failures in a row.
	HealthCheck HealthCheckProps
}

// GeoRoute sends the clients of some places to some regions, and to no others:
// while all of its regions are unhealthy, clients are still sent there, and
// not to where their data must not go. The one with the lower latency of its
// healthy regions answers; give it two, so that one can fail.
//
// A place is known by the client's resolver, which can be wrong: what must not
// leave a jurisdiction is checked by who stores it, not by DNS.
type GeoRoute struct {
	// Name is a label, such as that of a jurisdiction: "eu". The records of its
	// regions are those of this label under the API's name. Required.
	Name string
	// Regions are where the clients are sent. The first one's stack holds the
	// records of the places. Required.
	Regions []string
	// Continents are places: AF, AN, AS, EU, NA, OC, SA.
	//
	// Default: none.
	Continents []string
	// Countries are places, by ISO 3166-1: "DE". A country wins over its
	// continent.
	//
	// Default: none.
	Countries []string
	// States are places in the United States: "CA". A state wins over its country.
	//
	// Default: none.
	States []string
	// Default also takes everybody whose place is in no route, or unknown.
	//
	// Default: false.
	Default bool
}

// HealthCheckProps tunes how Route 53 checks a region.
type HealthCheckProps struct {
	// Interval is how often each checker asks, 10s (for an extra charge) or 30s.
	//
	// Default: 30 seconds.
	Interval time.Duration
	// Failures is how often in a row a checker must fail, or succeed, to
	// change its mind, 1 to 10.
	//
	// Default: 3.
	Failures int
	// Checkers are the regions of the checkers, three to eight.
	//
	// Default: "eu-west-1", "us-east-1" and "ap-southeast-1".
	Checkers []string
}

// checkers are the regions that Route 53 has health checkers in
// (https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html).
var checkers = []string{"us-east-1", "us-west-1", "us-west-2", "eu-west-1", "ap-southeast-1", "ap-southeast-2",
	"ap-northeast-1", "sa-east-1"}

var (
	continents = []string{"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
	domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	geoLabel   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	twoLetters = regexp.MustCompile(`^[A-Z]{2}$`)
)

// RegionalName returns the name that leads to the region whatever its health,
// such as "eu-west-1.api.example.com".
func (d *DNS) RegionalName(region string) string { return region + "." + d.Name }

// Regions returns all regions that clients are sent to.
func (d *DNS) Regions() []string {
	regions := slices.Concat(d.Latency, d.Failover)
	for _, route := range d.Geolocation {
		regions = append(regions, route.Regions...)
	}
	return regions
}

// check records what is wrong with the DNS as the stack of a region sees it.
func (d *DNS) check(c *props.Check, region string) {
	c.Require(domainName.MatchString(d.Name), "Name", d.Name, "a domain name in lower case, such as \"api.example.com\"", "")
	c.Require(d.ZoneID != "", "ZoneID", d.ZoneID, "the id of the public hosted zone of the name", "set it")
	policies := map[string]bool{"Latency": len(d.Latency) > 0, "Failover": len(d.Failover) > 0, "Geolocation": len(d.Geolocation) > 0}
	set := 0
	for _, is := range policies {
		if is {
			set++
		}
	}
	c.Require(set == 1, "Latency, Failover, Geolocation", set, "exactly one of them",
		"Route 53 does not mix routing policies under one name")
	if policies["Latency"] {
		c.Require(len(d.Latency) >= 2, "Latency", d.Latency, "at least two regions", "add one, for when that one fails")
	}
	if policies["Failover"] {
		c.Require(len(d.Failover) == 2, "Failover", d.Failover, "two regions, the primary and the secondary",
			"Route 53 has no third; use Latency for more regions")
	}
	regions := d.Regions()
	for _, r := range slices.Compact(slices.Sorted(slices.Values(regions))) {
		c.Require(regionname.Valid(r), "Regions", r, "the names of regions, such as \"eu-west-1\"", "")
		c.Require(count(regions, r) == 1, "Regions", r, "each region once", "a region has one record under a name")
	}
	if set == 1 {
		c.Require(slices.Contains(regions, region), "Regions", regions, "the stack's region "+region+" among them",
			"add it, or leave DNS out here")
	}
	if policies["Geolocation"] {
		d.checkPlaces(c)
	}
	c.Nested("HealthCheck", d.HealthCheck.check)
}

func (d *DNS) checkPlaces(c *props.Check) {
	var labels, defaults, places []string
	for i, route := range d.Geolocation {
		c.Nested(fmt.Sprintf("Geolocation[%d]", i), func(c *props.Check) {
			c.Require(geoLabel.MatchString(route.Name) && !regionname.Valid(route.Name), "Name", route.Name,
				"a label of lower-case letters, digits and hyphens that is no region's name", "")
			c.Require(!slices.Contains(labels, route.Name), "Name", route.Name, "a label of its own", "")
			c.Require(len(route.Regions) > 0, "Regions", props.Empty, "at least one region, better two", "")
			for _, continent := range route.Continents {
				c.Require(slices.Contains(continents, continent), "Continents", continent, strings.Join(continents, ", "),
					"a country goes to Countries")
			}
			for _, code := range route.Countries {
				c.Require(twoLetters.MatchString(code), "Countries", code, "codes of ISO 3166-1, such as \"DE\"", "")
			}
			for _, code := range route.States {
				c.Require(twoLetters.MatchString(code), "States", code, "codes of states of the US, such as \"CA\"", "")
			}
			for _, p := range route.places() {
				c.Require(!slices.Contains(places, p.name), "Places", p.name, "each place once", "Route 53 has one record for a place")
				places = append(places, p.name)
			}
			c.Require(len(route.places()) > 0, "Continents, Countries, States, Default", props.Empty, "at least one place",
				"nobody would be sent there")
		})
		labels = append(labels, route.Name)
		if route.Default {
			defaults = append(defaults, route.Name)
		}
	}
	given := any(defaults)
	if len(defaults) == 0 {
		given = props.Words("of no route")
	}
	c.Require(len(defaults) == 1, "Geolocation.Default", given, "one route",
		"without it Route 53 has no answer for a client whose place it does not know")
}

func (h HealthCheckProps) check(c *props.Check) {
	c.Require(h.Interval == 0 || h.Interval == 10*time.Second || h.Interval == 30*time.Second, "Interval", h.Interval, "10s or 30s", "")
	props.Between(c, "Failures", h.Failures, 1, 10)
	if len(h.Checkers) > 0 {
		c.Require(len(h.Checkers) >= 3, "Checkers", h.Checkers, "at least three regions", "add some, or leave it out")
	}
	for _, region := range h.Checkers {
		c.Require(slices.Contains(checkers, region), "Checkers", region, strings.Join(checkers, ", "), "")
		c.Require(count(h.Checkers, region) == 1, "Checkers", region, "each region once", "")
	}
}

// place is where clients of a geolocation record are.
type place struct {
	name string // such as "continent-EU", "country-DE", "state-CA", "default"
	at   awsroute53.CfnRecordSet_GeoLocationProperty
}

func (r *GeoRoute) places() []place {
	var all []place
	for _, code := range r.Continents {
		all = append(all, place{"continent-" + code, awsroute53.CfnRecordSet_GeoLocationProperty{ContinentCode: &code}})
	}
	for _, code := range r.Countries {
		all = append(all, place{"country-" + code, awsroute53.CfnRecordSet_GeoLocationProperty{CountryCode: &code}})
	}
	for _, code := range r.States {
		all = append(all, place{"state-" + code, awsroute53.CfnRecordSet_GeoLocationProperty{
			CountryCode: jsii.String("US"), SubdivisionCode: &code}})
	}
	if r.Default {
		all = append(all, place{"default", awsroute53.CfnRecordSet_GeoLocationProperty{CountryCode: jsii.String("*")}})
	}
	return all
}

// regionalRecords are the records of one region.
type regionalRecords struct {
	check  awsroute53.CfnHealthCheck
	record awsroute53.CfnRecordSet // that the region's health decides on
}

// addRecords makes the health check of the region and its records, which lead
// to the two custom domains.
func (d *DNS) addRecords(scope constructs.Construct, region string, shared, regional awsapigatewayv2.CfnDomainName) *regionalRecords {
	alias := func(domain awsapigatewayv2.CfnDomainName) *awsroute53.CfnRecordSet_AliasTargetProperty {
		return &awsroute53.CfnRecordSet_AliasTargetProperty{
			DnsName:              domain.AttrRegionalDomainName(),
			HostedZoneId:         domain.AttrRegionalHostedZoneId(),
			EvaluateTargetHealth: jsii.Bool(true),
		}
	}
	own := alias(regional)
	own.EvaluateTargetHealth = jsii.Bool(false) // the checkers must get there
	addresses(scope, "RegionalRecord", awsroute53.CfnRecordSetProps{
		Name:         jsii.String(d.RegionalName(region)),
		HostedZoneId: &d.ZoneID,
		AliasTarget:  own,
	})
	r := &regionalRecords{check: d.addHealthCheck(scope, region)}
	record := awsroute53.CfnRecordSetProps{
		Name:          &d.Name,
		HostedZoneId:  &d.ZoneID,
		SetIdentifier: &region,
		HealthCheckId: r.check.Ref(),
		AliasTarget:   alias(shared),
	}
	route := d.geoRoute(region)
	switch {
	case len(d.Failover) > 0 && region == d.Failover[0]:
		record.Failover = jsii.String("PRIMARY")
	case len(d.Failover) > 0:
		record.Failover = jsii.String("SECONDARY")
	default:
		record.Region = &region
		if route != nil {
			record.Name = jsii.String(route.Name + "." + d.Name)
		}
	}
	both := addresses(scope, "Record", record)
	r.record = both[0]
	if route != nil && route.Regions[0] == region {
		d.addPlaces(scope, route, both)
	}
	return r
}

// addresses makes a record for IPv4 and the same one for IPv6, which API
// Gateway's dual-stack names answer, too.
func addresses(scope constructs.Construct, id string, p awsroute53.CfnRecordSetProps) [2]awsroute53.CfnRecordSet {
	four, six := p, p
	four.Type, six.Type = jsii.String("A"), jsii.String("AAAA")
	return [2]awsroute53.CfnRecordSet{
		awsroute53.NewCfnRecordSet(scope, &id, &four), awsroute53.NewCfnRecordSet(scope, jsii.String(id+"-IPv6"), &six)}
}

func (d *DNS) geoRoute(region string) *GeoRoute {
	for i := range d.Geolocation {
		if slices.Contains(d.Geolocation[i].Regions, region) {
			return &d.Geolocation[i]
		}
	}
	return nil
}

// addPlaces makes the records that lead from the route's places to the records
// of its regions. They are never unhealthy: Route 53 would go on to the larger
// place, and so to the regions of another route.
func (d *DNS) addPlaces(scope constructs.Construct, route *GeoRoute, group [2]awsroute53.CfnRecordSet) {
	for _, p := range route.places() {
		for _, made := range addresses(scope, "Place-"+p.name, awsroute53.CfnRecordSetProps{
			Name:          &d.Name,
			HostedZoneId:  &d.ZoneID,
			SetIdentifier: jsii.String(route.Name + "-" + p.name),
			GeoLocation:   &p.at,
			AliasTarget: &awsroute53.CfnRecordSet_AliasTargetProperty{
				DnsName:              group[0].Ref(), // the record's name, once the record is there
				HostedZoneId:         &d.ZoneID,
				EvaluateTargetHealth: jsii.Bool(false),
			},
		}) {
			made.AddResourceDependency(group[1], nil)
		}
	}
}

func (d *DNS) addHealthCheck(scope constructs.Construct, region string) awsroute53.CfnHealthCheck {
	from := d.HealthCheck.Checkers
	if len(from) == 0 {
		from = []string{"eu-west-1", "us-east-1", "ap-southeast-1"}
	}
	name := d.RegionalName(region)
	return awsroute53.NewCfnHealthCheck(scope, jsii.String("HealthCheck"), &awsroute53.CfnHealthCheckProps{
		HealthCheckConfig: &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
			Type:                     jsii.String("HTTPS"),
			FullyQualifiedDomainName: &name,
			Port:                     jsii.Number(443),
			ResourcePath:             jsii.String(schema.HealthPath),
			EnableSni:                jsii.Bool(true),
			RequestInterval:          jsii.Number(construct.Or(d.HealthCheck.Interval, 30*time.Second).Seconds()),
			FailureThreshold:         jsii.Number(construct.Or(d.HealthCheck.Failures, 3)),
			Regions:                  jsii.Strings(from...),
		},
		HealthCheckTags: &[]*awsroute53.CfnHealthCheck_HealthCheckTagProperty{
			{Key: jsii.String("Name"), Value: &name}, // what the console shows
		},
	})
}
