package regionloss

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/test/route53"
)

var seeds = flag.Int("seeds", 1, "how many outages of each kind are played through")

func model(t *testing.T, s *synthesized) *system {
	t.Helper()
	sys, err := load(s)
	if err != nil {
		t.Fatal(err)
	}
	return sys
}

// pair returns a jurisdiction's primary and standby.
func (sys *system) pair(jurisdiction string) (primary, standby string) {
	for region, b := range sys.sites {
		if b.plan.Jurisdiction == jurisdiction && b.endpoint != nil {
			return region, b.endpoint.secondary
		}
	}
	return "", ""
}

// Whatever regions are down, a request goes to the living region of its
// jurisdiction, and to no other jurisdiction's. The table is in the log.
func TestRoutes(t *testing.T) {
	sys := model(t, synthesize(t))
	var lines []string
	for problem := range sys.misroutes(&lines) {
		t.Error(problem)
	}
	t.Log("\n| down | " + strings.Join(slices.Sorted(maps.Keys(homes)), " | ") + " |\n|---|---|---|---|\n" + strings.Join(lines, "\n"))
	if regions, status, err := sys.route("BR", route53.Client{Country: "BR"}); status != 451 || len(regions) > 0 || err != nil {
		t.Errorf("a request from nowhere: %v, %d, %v", regions, status, err)
	}
}

// misroutes yields what is wrong with the routes while each subset of the
// regions is down, and writes down the table.
func (sys *system) misroutes(lines *[]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		all := slices.Sorted(maps.Keys(sys.sites))
		for subset := range 1 << len(all) {
			var down []string
			for i, r := range all {
				if subset&(1<<i) != 0 {
					down = append(down, r)
				}
			}
			line := "| " + strings.Join(down, ", ") + " |"
			for _, j := range slices.Sorted(maps.Keys(homes)) {
				primary, standby := sys.pair(j)
				want := primary
				if slices.Contains(down, primary) && !slices.Contains(down, standby) {
					want = standby
				}
				regions, status, err := sys.route(homes[j].client.Country, homes[j].client, down...)
				line += fmt.Sprintf(" %s |", strings.Join(regions, ", then "))
				if err != nil || status != 200 || len(regions) != 2 || regions[0] != want || regions[1] != standby {
					if !yield(fmt.Sprintf("%s, while %v are down: %v, %d, %v; want %s, then %s", j, down, regions, status, err, want, standby)) {
						return
					}
				}
			}
			if lines != nil {
				*lines = append(*lines, line)
			}
		}
	}
}

// The outages that are played through, in the order of outages.
const (
	nothing = iota
	lostPrimary
	lostStandby
	lostBoth
	lostBus
	lostStandbyBus
)

// outages are the subsets of a jurisdiction's regions, and outages of
// EventBridge alone.
func (sys *system) outages(j string) []struct {
	busOnly bool
	fails   []string
} {
	primary, standby := sys.pair(j)
	return []struct {
		busOnly bool
		fails   []string
	}{
		{false, nil}, {false, []string{primary}}, {false, []string{standby}}, {false, []string{primary, standby}},
		{true, []string{primary}}, {true, []string{standby}},
	}
}

// No acknowledged reading is lost, none is applied twice, none leaves its
// jurisdiction, and alerts fire, whichever of its regions fail and when.
func TestRegionLoss(t *testing.T) {
	s := synthesize(t)
	sys := model(t, s)
	var rows []string
	for _, j := range slices.Sorted(maps.Keys(homes)) {
		w := newWorld(t, s, sys, j)
		waited := map[string]int{}
		for n := range *seeds {
			for i, x := range sys.outages(j) {
				seed := uint64(n*10 + i + 1)
				o := w.run(seed, 8, x.busOnly, x.fails...)
				for _, problem := range o.problems(x.fails, x.busOnly, len(w.sites)) {
					t.Errorf("%s, seed %d, %v fail (EventBridge only: %t): %s", j, seed, x.fails, x.busOnly, problem)
				}
				waited[fmt.Sprint(x.busOnly, x.fails)] += o.waited
			}
		}
		rows = append(rows, fmt.Sprintf("%s: readings that waited for the recovery: %v", j, waited))
	}
	t.Log("\n" + strings.Join(rows, "\n"))
}

// planted is something that a template needs, taken away.
type planted struct {
	outage int // in which it shows, if not in the routes
	change func(*synthesized)
}

// Whatever is taken away, the simulation fails.
func TestRegionLossIsSeen(t *testing.T) {
	s := synthesize(t)
	intact := model(t, s)
	primary, standby := intact.pair("eu")
	for name, tt := range map[string]planted{
		"no health check of the record": {nothing, func(c *synthesized) {
			each(c, primary, "AWS::Route53::RecordSet", func(p object) bool { delete(p, "HealthCheckId"); return p["Failover"] == "PRIMARY" })
		}},
		"a health check of another region": {nothing, func(c *synthesized) {
			each(c, primary, "AWS::Route53::HealthCheck", func(p object) bool {
				config := p["HealthCheckConfig"].(object)
				if config["FullyQualifiedDomainName"] != nil {
					config["FullyQualifiedDomainName"] = standby + ".eu." + domain
				}
				return true
			})
		}},
		"the standby's record leads to the wrong name": {nothing, func(c *synthesized) {
			each(c, standby, "AWS::Route53::RecordSet", func(p object) bool {
				if p["Failover"] == "SECONDARY" {
					p["Failover"] = "PRIMARY"
				}
				return true
			})
		}},
		"no archive in the primary region": {lostPrimary, func(c *synthesized) {
			remove(c, primary, "AWS::Events::Archive", func(p object) bool { return p["KmsKeyIdentifier"] == nil })
		}},
		"no archive in the standby": {lostBoth, func(c *synthesized) {
			remove(c, standby, "AWS::Events::Archive", func(p object) bool { return p["KmsKeyIdentifier"] == nil })
		}},
		"a replication role without permission": {nothing, func(c *synthesized) {
			each(c, primary, "AWS::IAM::Role", func(p object) bool {
				if !strings.Contains(fmt.Sprint(p["Policies"]), "event-bus/healthwatch-readings") {
					return false
				}
				delete(p, "Policies")
				return true
			})
		}},
		"replication is off": {nothing, func(c *synthesized) {
			each(c, primary, "AWS::Events::Endpoint", func(p object) bool { p["ReplicationConfig"] = object{"State": "DISABLED"}; return true })
		}},
		"an endpoint without a health check": {lostBus, func(c *synthesized) {
			remove(c, primary, "AWS::Route53::HealthCheck", func(p object) bool {
				return p["HealthCheckConfig"].(object)["Type"] == "CLOUDWATCH_METRIC"
			})
		}},
		"an endpoint that fails over elsewhere": {nothing, func(c *synthesized) {
			each(c, primary, "AWS::Events::Endpoint", func(p object) bool {
				p["RoutingConfig"].(object)["FailoverConfig"].(object)["Secondary"].(object)["Route"] = "us-west-2"
				return true
			})
		}},
		"nothing forwards what the standby took": {lostPrimary, func(c *synthesized) {
			remove(c, standby, "AWS::Events::Rule", func(p object) bool { return strings.Contains(fmt.Sprint(p["Targets"]), "Forward") })
		}},
		"it is forwarded to another jurisdiction": {lostPrimary, func(c *synthesized) {
			elsewhere := object{"Fn::Sub": "arn:${AWS::Partition}:events:us-east-2:${AWS::AccountId}:event-bus/healthwatch-readings"}
			each(c, standby, "AWS::Events::Rule", func(p object) bool {
				target := p["Targets"].([]any)[0].(object)
				if target["Id"] != "Forward" {
					return false
				}
				target["Arn"] = elsewhere
				return true
			})
			each(c, standby, "AWS::IAM::Role", func(p object) bool {
				if !strings.Contains(fmt.Sprint(p["Policies"]), "event-bus/healthwatch-readings") {
					return false
				}
				policy := p["Policies"].([]any)[0].(object)["PolicyDocument"].(object)
				policy["Statement"].([]any)[0].(object)["Resource"] = elsewhere
				return true
			})
		}},
		"a rule that ignores the standby's readings": {lostPrimary, func(c *synthesized) {
			each(c, standby, "AWS::Events::Rule", func(p object) bool {
				if p["Targets"].([]any)[0].(object)["Id"] == "Record" {
					p["EventPattern"].(object)["source"] = []any{"healthwatch.readings"}
				}
				return true
			})
		}},
		"a queue that nobody reads": {nothing, func(c *synthesized) {
			remove(c, primary, "AWS::Lambda::EventSourceMapping", func(p object) bool { return p["BatchSize"] == 10.0 })
		}},
		"spikes that reach no queue": {nothing, func(c *synthesized) {
			for _, region := range []string{primary, standby} {
				remove(c, region, "AWS::Events::Rule", func(p object) bool { return strings.Contains(fmt.Sprint(p["EventPattern"]), "LocalitySpike") })
			}
		}},
		"an edge that sends to another jurisdiction": {nothing, func(c *synthesized) {
			c.entries["jurisdiction/eu"] = c.entries["jurisdiction/us"]
		}},
		"an origin that the distribution lacks": {nothing, func(c *synthesized) {
			each(c, edgeRegion, "AWS::CloudFront::Distribution", func(p object) bool {
				config := p["DistributionConfig"].(object)
				config["Origins"] = config["Origins"].([]any)[:1]
				return true
			})
		}},
		"an API without the route": {nothing, func(c *synthesized) {
			remove(c, standby, "AWS::ApiGatewayV2::Route", func(p object) bool { return p["RouteKey"] == "POST /readings" })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.copied()
			tt.change(c)
			sys, err := load(c)
			if err != nil {
				t.Log("refused:", err)
				return
			}
			for problem := range sys.misroutes(nil) {
				t.Log("seen:", problem)
				return
			}
			w := newWorld(t, c, sys, "eu")
			x := intact.outages("eu")[tt.outage]
			for n := range 3 {
				if problems := w.run(uint64(n+1), 8, x.busOnly, x.fails...).problems(x.fails, x.busOnly, len(w.sites)); len(problems) > 0 {
					t.Log("seen:", x.fails, problems)
					return
				}
			}
			t.Error("the simulation does not see it")
		})
	}
}

// each changes the resources of a type, of which at least one must be wanted.
func each(c *synthesized, region, kind string, change func(object) bool) {
	changed := false
	for _, r := range c.templates[region]["Resources"].(object) {
		if r := r.(object); r["Type"] == kind {
			changed = change(r["Properties"].(object)) || changed
		}
	}
	if !changed {
		panic("there is no " + kind + " to change in " + region)
	}
}

// remove takes the resources of a type away that are wanted.
func remove(c *synthesized, region, kind string, wanted func(object) bool) {
	resources, removed := c.templates[region]["Resources"].(object), false
	for id, r := range resources {
		if r := r.(object); r["Type"] == kind && wanted(r["Properties"].(object)) {
			delete(resources, id)
			removed = true
		}
	}
	if !removed {
		panic("there is no " + kind + " to remove in " + region)
	}
}
