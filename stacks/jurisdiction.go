package stacks

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/internal/regionname"
	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
)

// Jurisdiction is where readings are taken and stay.
type Jurisdiction struct {
	// Name is that of an area of one law, such as "eu".
	Name string `json:"name"`
	// Region takes readings in and keeps them.
	Region string `json:"region"`
	// Standby is a second region that the law allows. It has all that Region
	// has, and takes readings in while Region is down.
	//
	// Default: none; while Region is down, clients keep their readings.
	Standby string `json:"standby"`
	// Countries are those whose clients are sent here, by ISO 3166-1: "DE".
	Countries []string `json:"countries"`
	// Localities are the places that readings are about, by code.
	Localities map[string]Locality `json:"localities"`
	// AlertEmail is told about each locality with unusually many readings.
	//
	// Default: nobody; the topics are there to subscribe to.
	AlertEmail string `json:"alertEmail"`
}

// Locality is a place with a clock and languages of its own.
type Locality struct {
	rules.Locality
	// Threshold is how many readings of a kind in an hour are normal at any
	// time.
	//
	// Default: 20.
	Threshold int `json:"threshold"`
}

const defaultThreshold = 20

// Cloudflare is where the Worker that routes is deployed.
type Cloudflare struct {
	Account  string `json:"account"`  // id of the account
	Zone     string `json:"zone"`     // id of the zone that Hostname is in
	Hostname string `json:"hostname"` // what clients use
	Secret   string `json:"secret"`   // name of the secret, in Secrets Manager in us-east-1, that holds the API token
}

var (
	jurisdictionName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,15}$`)
	localityCode     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,31}$`)
	countryCode      = regexp.MustCompile(`^[A-Z]{2}$`)
	zoneID           = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	cloudflareID     = regexp.MustCompile(`^[0-9a-f]{32}$`)
	secretName       = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)
)

// kinds returns the kinds of readings: those that there are words for.
func kinds() []string { return slices.Sorted(maps.Keys(templates())) }

// requirement records a problem unless ok.
type requirement func(ok bool, field string, given any, allowed string)

// checkJurisdictions finds what is wrong with the jurisdictions.
func checkJurisdictions(all []Jurisdiction, require requirement) {
	names, regions, countries := map[string]bool{}, map[string]bool{}, map[string]bool{}
	once := func(seen map[string]bool, field, value, allowed string) {
		require(!seen[value], field, value, allowed)
		seen[value] = true
	}
	for i, j := range all {
		field := fmt.Sprintf("jurisdictions[%d].", i)
		require(jurisdictionName.MatchString(j.Name), field+"name", j.Name, "1 to 16 lower-case letters, digits and hyphens, such as eu")
		once(names, field+"name", j.Name, "a name that no other jurisdiction has")
		for n, region := range j.regions() {
			key := []string{"region", "standby"}[n]
			require(regionname.Valid(region) && regionname.Partition(region) == regionname.Partition(edgeRegion), field+key, region,
				"an AWS region, such as eu-central-1, not of China, GovCloud or another partition, where CloudFront does not reach")
			require(region != edgeRegion, field+key, region, "another region than "+edgeRegion+", which has the edge's stack")
			once(regions, field+key, region, "a region that no other jurisdiction has")
		}
		require(len(j.Countries) > 0, field+"countries", j.Countries, "at least one country, such as DE")
		for _, country := range j.Countries {
			require(countryCode.MatchString(country), field+"countries", country, "two capital letters of ISO 3166-1, such as DE")
			once(countries, field+"countries", country, "a country that no other jurisdiction has")
		}
		require(emailOrNone(j.AlertEmail), field+"alertEmail", j.AlertEmail, "an e-mail address")
		checkLocalities(field+"localities", j, require)
	}
}

func checkLocalities(field string, j Jurisdiction, require requirement) {
	require(len(j.Localities) > 0, field, len(j.Localities), "at least one locality")
	for _, code := range slices.Sorted(maps.Keys(j.Localities)) {
		require(localityCode.MatchString(code), field, code, "codes of 1 to 32 letters, digits and hyphens, such as DE-BE")
		threshold := j.Localities[code].Threshold
		require(threshold >= 0, field+"."+code+".threshold", threshold, "1 or more, 0 for the default")
	}
	if size := len(j.plan().String()); size > healthwatch.MaxPlan {
		require(false, field, fmt.Sprintf("%d bytes of codes", size), fmt.Sprintf("%d bytes: shorter codes, or more jurisdictions", healthwatch.MaxPlan))
	}
	if len(j.Localities) == 0 {
		return
	}
	r := &rules.Rules{Jurisdiction: cmp.Or(j.Name, "unnamed"), Localities: j.localities(), Templates: templates(), Language: "en",
		Window: healthwatch.Window, Waits: waits}
	r.Check(func(place string, given any, allowed, _ string) {
		require(false, strings.Replace(place, "Localities", field, 1), given, allowed)
	})
}

// checkHealthWatch finds what is wrong with the props of the health watch.
func checkHealthWatch(p *HealthWatchProps, require requirement) {
	checkJurisdictions(p.Jurisdictions, require)
	checkHealthDomain(p.Domain, require)
	checkCloudflare(p.Cloudflare, require)
	checkTogether(p.Domain, p.Identity, p.Cloudflare, require)
}

// checkTogether finds what is wrong with settings as they go together.
func checkTogether(d Domain, identity Identity, c Cloudflare, require requirement) {
	require(d.Name == "" || identity.Issuer != "", "domains.healthwatch", d.Name, "set together with identity, "+
		"for a request that is signed with AWS credentials names the host it is for, and the edge sends it to another one")
	require(c.Account == "" || d.Name != "", "cloudflare", c.Account, "set together with domains.healthwatch, which names where the Worker sends requests")
}

func checkHealthDomain(d Domain, require requirement) {
	if d == (Domain{}) {
		return
	}
	require(domainName.MatchString(d.Name), "domains.healthwatch.name", d.Name, "a domain, such as health.example.com")
	require(zoneID.MatchString(d.Zone), "domains.healthwatch.zone", d.Zone, "the id of the public hosted zone of the name, such as Z0123456789ABCDEFGHIJ")
	require(d.Certificate == "", "domains.healthwatch.certificate", d.Certificate, "none: each region makes its own in the zone")
}

func checkCloudflare(c Cloudflare, require requirement) {
	if c == (Cloudflare{}) {
		return
	}
	require(cloudflareID.MatchString(c.Account), "cloudflare.account", c.Account, "the 32 hexadecimal digits of an account")
	require(cloudflareID.MatchString(c.Zone), "cloudflare.zone", c.Zone, "the 32 hexadecimal digits of a zone")
	require(domainName.MatchString(c.Hostname), "cloudflare.hostname", c.Hostname, "a host name of the zone, such as readings.example.com")
	require(secretName.MatchString(c.Secret), "cloudflare.secret", c.Secret, "the name of a secret in Secrets Manager in us-east-1")
}
