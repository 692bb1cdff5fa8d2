// Package route53 answers what Amazon Route 53 would: which region a client is
// sent to, from the record sets and health checks of synthesized templates.
//
// It follows the Developer Guide, "How Amazon Route 53 chooses records when
// health checking is configured"
// (https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html),
// for address records which are aliases of API Gateway's domain names or of
// records in the same zone, under the policies simple, latency, failover and
// geolocation. What Route 53 would refuse is an error here, and so is a name
// whose IPv4 and IPv6 records lead to different places.
package route53

import (
	"fmt"
	"maps"
	"slices"
)

// Client is who asks.
type Client struct {
	State     string   // of the US: "CA"; empty for none
	Country   string   // "DE"; empty if not known
	Continent string   // "EU"; empty if not known
	Near      []string // regions by latency, the fastest first
}

// Zone is a hosted zone as the stacks of all regions make it.
type Zone struct {
	records map[string][]record // by name
	checks  map[string]string   // health check -> the name that it checks
	serves  map[string]bool     // region and host name
}

type record struct {
	id            string
	region        string // whose stack makes it
	setIdentifier string
	policy        string // "simple", "latency", "failover" or "geolocation"
	value         string // a region, "PRIMARY" or "SECONDARY", or a place
	check         string // key in Zone.checks; empty for none
	evaluate      bool   // the target's health
	toRegion      string // the target is the region's API,
	toName        string // or another name
}

// Load reads the templates of the regions.
func Load(templates map[string]map[string]any) (*Zone, error) {
	four, err := load(templates, "A")
	if err != nil {
		return nil, err
	}
	six, err := load(templates, "AAAA")
	if err != nil {
		return nil, err
	}
	if v4, v6 := four.describe(), six.describe(); !slices.Equal(v4, v6) {
		return nil, fmt.Errorf("A and AAAA records differ: %v and %v", v4, v6)
	}
	return four, nil
}

// describe returns the records without what tells their types apart.
func (z *Zone) describe() (all []string) {
	for _, name := range slices.Sorted(maps.Keys(z.records)) {
		for _, r := range z.records[name] {
			r.id = ""
			all = append(all, fmt.Sprintf("%s %+v", name, r))
		}
	}
	slices.Sort(all)
	return all
}

func load(templates map[string]map[string]any, addresses string) (*Zone, error) {
	z := &Zone{records: map[string][]record{}, checks: map[string]string{}, serves: map[string]bool{}}
	for _, region := range slices.Sorted(maps.Keys(templates)) {
		resources := object(templates[region]["Resources"])
		for _, id := range slices.Sorted(maps.Keys(resources)) {
			resource := object(resources[id])
			properties := object(resource["Properties"])
			switch resource["Type"] {
			case "AWS::Route53::HealthCheck":
				config := object(properties["HealthCheckConfig"])
				if config["Type"] == "CLOUDWATCH_METRIC" {
					continue // of an event endpoint, not of a name
				}
				if config["Type"] != "HTTPS" || config["EnableSNI"] != true || len(list(config["Regions"])) < 3 {
					return nil, fmt.Errorf("%s: %s: not an HTTPS check with SNI from three regions: %v", region, id, config)
				}
				z.checks[region+"/"+id], _ = config["FullyQualifiedDomainName"].(string)
			case "AWS::ApiGatewayV2::DomainName":
				z.serves[region+"/"+fmt.Sprint(properties["DomainName"])] = true
				for _, c := range list(properties["DomainNameConfigurations"]) {
					if addresses == "AAAA" && object(c)["IpAddressType"] != "dualstack" {
						return nil, fmt.Errorf("%s: %s: no IPv6: %v", region, id, c)
					}
				}
			case "AWS::Route53::RecordSet":
				if properties["Type"] != addresses {
					continue
				}
				r, err := read(region, id, properties, resources)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", region, id, err)
				}
				name := properties["Name"].(string)
				z.records[name] = append(z.records[name], r)
			}
		}
	}
	for name, records := range z.records {
		seen := map[string]bool{}
		for _, r := range records {
			if r.policy != records[0].policy {
				return nil, fmt.Errorf("%s: policies %s and %s under one name", name, r.policy, records[0].policy)
			}
			if seen[r.setIdentifier] || seen[r.policy+r.value] {
				return nil, fmt.Errorf("%s: two records for %s %s", name, r.policy, r.value)
			}
			seen[r.setIdentifier], seen[r.policy+r.value] = true, true
			if r.toName != "" && len(z.records[r.toName]) == 0 {
				return nil, fmt.Errorf("%s: alias of %s, which does not exist", name, r.toName)
			}
		}
	}
	return z, nil
}

func read(region, id string, p, resources map[string]any) (record, error) {
	r := record{id: id, region: region, policy: "simple"}
	r.setIdentifier, _ = p["SetIdentifier"].(string)
	policies := 0
	set := func(policy, value string) { r.policy, r.value, policies = policy, value, policies+1 }
	if v, ok := p["Region"].(string); ok {
		set("latency", v)
	}
	if v, ok := p["Failover"].(string); ok {
		set("failover", v)
	}
	if geo := object(p["GeoLocation"]); geo != nil {
		set("geolocation", where(geo))
	}
	if policies > 1 || (policies == 1) != (r.setIdentifier != "") {
		return r, fmt.Errorf("%d policies with the set identifier %q", policies, r.setIdentifier)
	}
	if check := object(p["HealthCheckId"]); check != nil {
		r.check = region + "/" + fmt.Sprint(check["Ref"])
		if resources[fmt.Sprint(check["Ref"])] == nil {
			return r, fmt.Errorf("its health check is not in the stack: %v", check)
		}
	}
	alias := object(p["AliasTarget"])
	r.evaluate, _ = alias["EvaluateTargetHealth"].(bool)
	target := object(alias["DNSName"])
	if name, ok := target["Ref"].(string); ok {
		other := object(object(resources[name])["Properties"])
		r.toName, _ = other["Name"].(string)
		if r.toName == "" || fmt.Sprint(alias["HostedZoneId"]) != fmt.Sprint(other["HostedZoneId"]) {
			return r, fmt.Errorf("alias of no record in its zone: %v", alias)
		}
		return r, nil
	}
	if get := list(target["Fn::GetAtt"]); len(get) == 2 && get[1] == "RegionalDomainName" && resources[get[0].(string)] != nil {
		r.toRegion = region
		return r, nil
	}
	return r, fmt.Errorf("alias of neither a domain name nor a record of the stack: %v", alias)
}

func where(geo map[string]any) string {
	if state, ok := geo["SubdivisionCode"]; ok {
		return fmt.Sprintf("state %s", state)
	}
	if country, ok := geo["CountryCode"]; ok {
		return fmt.Sprintf("country %s", country)
	}
	return fmt.Sprintf("continent %s", geo["ContinentCode"])
}

// Regions returns the regions that a name's health checks are about.
func (z *Zone) Regions() []string {
	regions := map[string]bool{}
	for _, name := range z.checks {
		for _, r := range z.records[name] {
			regions[r.toRegion] = true
		}
	}
	return slices.Sorted(maps.Keys(regions))
}

// Answer returns the region that the client is sent to for the name while the
// regions in down do not answer. The region need not be one that answers:
// Route 53 takes all regions for healthy when none is.
func (z *Zone) Answer(name string, client Client, down ...string) (string, error) {
	region, err := z.resolve(name, client, down)
	if err != nil {
		return "", err
	}
	if !z.serves[region+"/"+name] {
		return "", fmt.Errorf("%s is sent to %s, where no API has that name", name, region)
	}
	return region, nil
}

func (z *Zone) resolve(name string, client Client, down []string) (string, error) {
	r, err := z.choose(name, client, down)
	if err != nil {
		return "", err
	}
	if r.toName != "" {
		return z.resolve(r.toName, client, down)
	}
	return r.toRegion, nil
}

// choose returns the first healthy record in the order of the policy, and the
// first one if none is healthy.
func (z *Zone) choose(name string, client Client, down []string) (record, error) {
	candidates := z.candidates(name, client)
	if len(candidates) == 0 {
		return record{}, fmt.Errorf("%s: no answer for %+v", name, client)
	}
	for _, r := range candidates {
		healthy, err := z.healthy(r, down)
		if err != nil {
			return record{}, err
		}
		if healthy {
			return r, nil
		}
	}
	return candidates[0], nil
}

func (z *Zone) candidates(name string, client Client) []record {
	var order []string
	records := z.records[name]
	if len(records) == 0 {
		return nil
	}
	switch records[0].policy {
	case "simple":
		return records
	case "latency":
		order = client.Near
	case "failover":
		order = []string{"PRIMARY", "SECONDARY"}
	case "geolocation":
		if client.State != "" {
			order = append(order, "state "+client.State)
		}
		order = append(order, "country "+client.Country, "continent "+client.Continent, "country *")
	}
	var candidates []record
	for _, value := range order {
		for _, r := range records {
			if r.value == value {
				candidates = append(candidates, r)
			}
		}
	}
	return candidates
}

// healthy tells whether a record may be given. One without a health check whose
// target's health does not count always is.
func (z *Zone) healthy(r record, down []string) (bool, error) {
	if r.check != "" {
		checked := z.records[z.checks[r.check]]
		if len(checked) != 1 || checked[0].policy != "simple" || !z.serves[checked[0].toRegion+"/"+z.checks[r.check]] {
			return false, fmt.Errorf("%s: its health check asks %q, which does not lead to one region", r.id, z.checks[r.check])
		}
		if slices.Contains(down, checked[0].toRegion) {
			return false, nil
		}
	}
	if !r.evaluate || r.toName == "" { // API Gateway tells Route 53 nothing about its health
		return true, nil
	}
	for _, target := range z.records[r.toName] {
		if healthy, err := z.healthy(target, down); healthy || err != nil {
			return healthy, err
		}
	}
	return false, nil
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func list(v any) []any { l, _ := v.([]any); return l }
