package stacks

import (
	_ "embed"
	"encoding/json"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
	security "github.com/serverless-go/cdk/patterns/security/schema"
)

// HealthWatchProps says where the health watch runs and who may use it.
type HealthWatchProps struct {
	// Name is what the names of stacks begin with.
	//
	// Default: the id.
	Name string
	// Account is the AWS account of all regions.
	//
	// Default: the one that the stacks are deployed with.
	Account string
	// AlarmEmail is told about alarms, which name resources and no person.
	//
	// Default: nobody.
	AlarmEmail string
	// Jurisdictions are where readings are taken and stay.
	//
	// Default: DefaultJurisdictions.
	Jurisdictions []Jurisdiction
	// Domain is the name of the router at the edge, and the hosted zone that it
	// and the names of the regions are in. Set it with Identity.
	//
	// Default: none; there is no router, and each API has the name that API
	// Gateway gives it.
	Domain Domain
	// Identity signs the callers' tokens.
	//
	// Default: none; requests are signed with AWS credentials (IAM).
	Identity Identity
	// ShowTokens has callers show the provider's tokens at every call.
	//
	// Default: they do so to have a reference issued in the region, and show
	// that. Without Identity they sign.
	ShowTokens bool
	// Cloudflare also routes in Cloudflare's network. Set it with Domain.
	//
	// Default: it does not.
	Cloudflare Cloudflare
}

func healthWatchProps(c *Config) *HealthWatchProps {
	return &HealthWatchProps{
		Name: c.stackName("HealthWatch"), Account: c.Account, AlarmEmail: c.AlarmEmail, Jurisdictions: c.Jurisdictions,
		Domain: c.Domains["healthwatch"], Identity: c.Identity, ShowTokens: c.ShowTokens, Cloudflare: c.Cloudflare,
	}
}

// HealthWatch takes readings of people's health where the people are. A reading
// stays in the regions of its jurisdiction, where it is recorded, counted and,
// when a locality has unusually many, alerted about in the local language. Only
// counts leave: in steps of five, to a table that every region has a replica of.
//
//	client ──▶ edge: router ──▶ API of the jurisdiction's region ──▶ readings ──▶ bus, archive ⇄ standby
//	bus ──▶ apply ──▶ event store: who, where, what
//	             └──▶ counts ──▶ watch ──▶ bus ──▶ local alerts ──▶ people nearby
//	                        └──▶ report ──▶ counts of the world ──▶ every region
//
// Each region has a stack that stands alone, and so has the edge, in us-east-1.
type HealthWatch struct {
	system    *edge.MultiRegion
	residency *edge.Residency
	props     *HealthWatchProps
	templates map[string]map[string]rules.Template
	sites     map[string]*healthSite // by region
}

// healthSite is what one region has.
type healthSite struct {
	*HealthWatch
	Jurisdiction
	region *edge.Region
	stack  awscdk.Stack
	key    awskms.Key
	alarms awssns.Topic
	store  *eventsourcing.EventStore
	bus    awsevents.IEventBus
	intake *edge.GlobalEndpoint // nil without a standby
	claims *edge.Claims
	counts awsdynamodb.TableV2
	world  *edge.GlobalStore
	queue  awssqs.Queue
	alerts *edge.LocalAlerts
	taker  *function.Function
	desk   *function.Function
	api    *edge.RegionalAPI
}

// edgeRegion has the edge's stack: CloudFront's certificates, web ACLs and
// metrics are there.
const edgeRegion = "us-east-1"

// waits are how long each level waits for an acknowledgement: edge.LocalAlerts'
// own.
var waits = []time.Duration{15 * time.Minute, 15 * time.Minute}

// intakeArchive is how long readings can be replayed. It is longer than a
// region will be down, and short enough that a person who was forgotten is gone
// from the archives within the month that the GDPR gives (article 12).
const intakeArchive = 14 * 24 * time.Hour

//go:embed healthwatch/alerts.json
var alertTemplates []byte

//go:embed healthwatch/jurisdictions.json
var defaultJurisdictions []byte

// NewHealthWatch makes the stacks of the health watch, in an app or a stage. It
// panics with a *[props.Error] when the props are wrong.
func NewHealthWatch(scope constructs.Construct, id string, p *HealthWatchProps) *HealthWatch {
	given := HealthWatchProps{}
	if p != nil {
		given = *p
	}
	if given.Name == "" {
		given.Name = id
	}
	if len(given.Jurisdictions) == 0 {
		given.Jurisdictions = DefaultJurisdictions()
	}
	h := &HealthWatch{props: &given, templates: templates(), sites: map[string]*healthSite{}}
	var c props.Check
	checkHealthWatch(&given, func(ok bool, field string, value any, allowed string) { c.Require(ok, field, value, allowed, "") })
	c.Panic(scope, id)

	residences := map[string][]string{}
	var standbys, primaries []string
	for _, j := range given.Jurisdictions {
		residences[j.Name] = j.regions()
		primaries = append(primaries, j.Region)
		if j.Standby != "" {
			standbys = append(standbys, j.Standby)
		}
		for _, region := range j.regions() {
			h.sites[region] = &healthSite{HealthWatch: h, Jurisdiction: j}
		}
	}
	h.residency = edge.NewResidency(scope, id+"Residency", &edge.ResidencyProps{Jurisdictions: residences})
	// A global endpoint needs the standby's bus; the table of the world's counts
	// needs every region's key.
	waves := [][]string{standbys, primaries, {edgeRegion}}
	if len(standbys) == 0 {
		waves = waves[1:]
	}
	h.system = edge.NewMultiRegion(scope, id, &edge.MultiRegionProps{
		Waves: waves, Name: given.Name, Account: given.Account,
		Resources: func(r *edge.Region) {
			if site, ok := h.sites[r.Name()]; ok {
				site.fill(r)
			} else {
				h.addEdge(r)
			}
		},
		StackProps: &awscdk.StackProps{Description: jsii.String("Health watch: readings that stay in their jurisdiction, local alerts, and counts for all.")},
	})
	return h
}

// System returns the regions and their stacks.
func (h *HealthWatch) System() *edge.MultiRegion { return h.system }

// Residency returns the check that data stays in its jurisdiction.
func (h *HealthWatch) Residency() *edge.Residency { return h.residency }

// regions returns where the jurisdiction's data may lie, the primary first.
func (j Jurisdiction) regions() []string {
	if j.Standby == "" {
		return []string{j.Region}
	}
	return []string{j.Region, j.Standby}
}

// localities returns the places that the jurisdiction alerts about.
func (j Jurisdiction) localities() map[string]rules.Locality {
	all := make(map[string]rules.Locality, len(j.Localities))
	for code, l := range j.Localities {
		all[code] = l.Locality
	}
	return all
}

// plan returns what the functions of the jurisdiction look at.
func (j Jurisdiction) plan() healthwatch.Plan {
	p := healthwatch.Plan{Jurisdiction: j.Name, Kinds: kinds(), Thresholds: map[string]int{}}
	for code, l := range j.Localities {
		p.Thresholds[code] = l.Threshold
		if l.Threshold == 0 {
			p.Thresholds[code] = defaultThreshold
		}
	}
	return p
}

// addEdge makes what all jurisdictions share: the table of counts and, with a
// domain, the router.
func (h *HealthWatch) addEdge(r *edge.Region) {
	stack := r.Stack()
	_, alarms := newAlarmTopic(stack, "Encrypts the alarms of the edge.", h.props.AlarmEmail)
	world := h.world(r, stack, alarms)
	awscdk.NewCfnOutput(stack, jsii.String("CountsTable"), &awscdk.CfnOutputProps{Value: jsii.String(world.TableName())})
	if h.props.Domain.Name == "" {
		return
	}
	// The table comes last: it has a name and is retained, so that one that a
	// failed deployment left behind would be in the way of the next.
	world.Table().Node().AddDependency(h.addRouter(stack, alarms, r.SharedName("router"))...)
}

// table says which countries' requests go to which jurisdiction.
func (h *HealthWatch) table() routing.Table {
	t := routing.Table{
		Jurisdictions: map[string]routing.Jurisdiction{}, Countries: map[string]string{},
		Token: routing.Token{Form: routing.FormJWT},
		Paths: map[string]routing.Access{"/health": routing.Public},
	}
	if h.props.opaque() {
		// The provider's tokens come here only to have references issued, which the
		// regions judge. What else there is asks for a reference.
		t.Token = routing.Token{Form: routing.FormReference, Header: security.ReferenceHeader}
		t.Paths["/references"] = routing.Public
	}
	for _, j := range h.props.Jurisdictions {
		// The first name follows the regions' health. The second is tried at once
		// for requests that only read.
		origins := []string{j.host(h.props.Domain)}
		if j.Standby != "" {
			origins = append(origins, (&edge.DNS{Name: origins[0]}).RegionalName(j.Standby))
		}
		t.Jurisdictions[j.Name] = routing.Jurisdiction{Origins: origins}
		for _, country := range j.Countries {
			t.Countries[country] = j.Name
		}
	}
	return t
}

// templates returns the words of the alerts, by kind and language.
func templates() map[string]map[string]rules.Template {
	var t map[string]map[string]rules.Template
	if err := json.Unmarshal(alertTemplates, &t); err != nil {
		panic(err) // compiled in
	}
	return t
}

// DefaultJurisdictions returns the European Union, the United States and Japan,
// each with a standby.
func DefaultJurisdictions() []Jurisdiction {
	var j []Jurisdiction
	if err := json.Unmarshal(defaultJurisdictions, &j); err != nil {
		panic(err) // compiled in
	}
	return j
}
