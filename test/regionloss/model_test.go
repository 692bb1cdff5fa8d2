package regionloss

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/stacks"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/e2e/eventpattern"
	"github.com/serverless-go/cdk/test/route53"
)

const (
	domain     = "health.example.com"
	edgeRegion = "us-east-1"
)

type object = map[string]any

// synthesized are the templates by region, and what the assets hold.
type synthesized struct {
	templates map[string]object
	entries   map[string]string       // of the key-value store
	rules     map[string]*rules.Rules // of alerts, by jurisdiction
}

var made *synthesized

// synthesize makes the health watch with a domain, once.
func synthesize(t *testing.T) *synthesized {
	t.Helper()
	if made != nil {
		return made
	}
	app := cdktest.NewApp(t)
	h := stacks.NewHealthWatch(app, "HealthWatch", &stacks.HealthWatchProps{
		Account: "111122223333", Domain: stacks.Domain{Name: domain, Zone: "Z1"},
		Identity: stacks.Identity{Issuer: issuer, Audience: []string{"health"}},
	})
	s := &synthesized{templates: map[string]object{}, rules: map[string]*rules.Rules{}}
	for _, r := range h.System().Regions() {
		s.templates[r.Name()] = object(cdktest.Synth(t, r.Stack()))
	}
	folder := *app.Outdir()
	files, _ := filepath.Glob(filepath.Join(folder, "asset.*", schema.RulesFolder, schema.RulesFile))
	for _, f := range files {
		r, err := rules.Load(f)
		if err != nil {
			t.Fatal(err)
		}
		s.rules[r.Jurisdiction] = r
	}
	files, _ = filepath.Glob(filepath.Join(folder, "asset.*"))
	for _, f := range files {
		var entries map[string]string
		if data, err := os.ReadFile(f); err == nil && json.Unmarshal(data, &entries) == nil && entries["countries"] != "" {
			s.entries = entries
		}
	}
	if len(s.rules) == 0 || s.entries == nil {
		t.Fatalf("the assets in %s lack the rules of the alerts or the entries of the edge", folder)
	}
	made = s
	return s
}

// copied returns the templates for a test to break.
func (s *synthesized) copied() *synthesized {
	data, err := json.Marshal(s.templates)
	if err != nil {
		panic(err)
	}
	c := &synthesized{entries: maps.Clone(s.entries), rules: s.rules}
	if err := json.Unmarshal(data, &c.templates); err != nil {
		panic(err)
	}
	return c
}

// system is the model that a simulation runs.
type system struct {
	zone    *route53.Zone
	origins map[string]bool     // of the distribution
	hosts   map[string][]string // of a jurisdiction, in the order that the edge tries them
	country map[string]string   // jurisdictions
	sites   map[string]*blueprint
}

// blueprint is what a region's template has.
type blueprint struct {
	region, bus, source string
	usesEndpoint        bool
	plan                healthwatch.Plan
	archived            bool
	rules               []rule
	mapped              map[string]string // queue to the variable that tells its function apart
	receives            map[string]int    // queue's redrive policy
	endpoint            *endpoint         // nil in a standby
}

type rule struct {
	pattern     *eventpattern.Pattern
	queue       string // logical id,
	region, bus string // or another region's bus
}

// endpoint is a global endpoint as it works, which is not always as it was meant.
type endpoint struct {
	primary, secondary string
	watched            bool // a health check decides
	replicates         map[string]bool
}

// template reads one region's template.
type template struct {
	region    string
	resources map[string]object
}

func (t *template) of(kind string) map[string]object {
	found := map[string]object{}
	for id, r := range t.resources {
		if r["Type"] == kind {
			found[id], _ = r["Properties"].(object)
		}
	}
	return found
}

// text resolves a value to a string; of a resource it is its logical id, and
// of a bus its name or its ARN.
func (t *template) text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case object:
		if id, ok := v["Ref"].(string); ok {
			if strings.HasPrefix(id, "AWS::") {
				return t.text(object{"Fn::Sub": "${" + id + "}"})
			}
			if r := t.resources[id]; r != nil && r["Type"] == "AWS::Events::EventBus" {
				return t.text(r["Properties"].(object)["Name"])
			}
			return id
		}
		if get, ok := v["Fn::GetAtt"].([]any); ok {
			id := get[0].(string)
			if r := t.resources[id]; r != nil && r["Type"] == "AWS::Events::EventBus" && get[1] == "Arn" {
				return busARN(t.region, t.text(r["Properties"].(object)["Name"]))
			}
			return id
		}
		if join, ok := v["Fn::Join"].([]any); ok {
			var parts []string
			for _, part := range join[1].([]any) {
				parts = append(parts, t.text(part))
			}
			return strings.Join(parts, join[0].(string))
		}
		if sub, ok := v["Fn::Sub"].(string); ok {
			return strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::AccountId}", "111122223333", "${AWS::Region}", t.region).Replace(sub)
		}
		if sub, ok := v["Fn::Sub"].([]any); ok {
			out := t.text(object{"Fn::Sub": sub[0]})
			for name, value := range sub[1].(object) {
				out = strings.ReplaceAll(out, "${"+name+"}", t.text(value))
			}
			return out
		}
	}
	return fmt.Sprint(v)
}

func busARN(region, name string) string {
	return "arn:aws:events:" + region + ":111122223333:event-bus/" + name
}

var busTarget = regexp.MustCompile(`^arn:aws:events:([a-z0-9-]+):111122223333:event-bus/(.+)$`)

// may says whether a role of the template may put events on a bus.
func (t *template) may(role any, bus string) bool {
	id := t.text(role)
	var documents []any
	if r := t.resources[id]; r != nil {
		inline, _ := r["Properties"].(object)["Policies"].([]any)
		for _, p := range inline {
			documents = append(documents, p.(object)["PolicyDocument"])
		}
	}
	for _, p := range t.of("AWS::IAM::Policy") {
		roles, _ := p["Roles"].([]any)
		if slices.ContainsFunc(roles, func(r any) bool { return t.text(r) == id }) {
			documents = append(documents, p["PolicyDocument"])
		}
	}
	for _, d := range documents {
		statements, _ := d.(object)["Statement"].([]any)
		for _, s := range statements {
			s := s.(object)
			if s["Effect"] == "Allow" && contains(t, s["Action"], "events:PutEvents") && contains(t, s["Resource"], bus) {
				return true
			}
		}
	}
	return false
}

func contains(t *template, v any, want string) bool {
	if list, ok := v.([]any); ok {
		return slices.ContainsFunc(list, func(e any) bool { return t.text(e) == want })
	}
	return t.text(v) == want
}

// load makes the model of the templates. An error is something that AWS would
// refuse.
func load(s *synthesized) (*system, error) {
	sys := &system{origins: map[string]bool{}, hosts: map[string][]string{}, country: map[string]string{}, sites: map[string]*blueprint{}}
	regional := map[string]map[string]any{}
	for region, whole := range s.templates {
		t := &template{region: region, resources: map[string]object{}}
		for id, r := range whole["Resources"].(object) {
			t.resources[id] = r.(object)
		}
		if region == edgeRegion {
			sys.loadEdge(t)
			continue
		}
		regional[region] = whole
		b, err := blueprintOf(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", region, err)
		}
		sys.sites[region] = b
	}
	var err error
	if sys.zone, err = route53.Load(regional); err != nil {
		return nil, err
	}
	return sys, sys.loadEntries(s.entries)
}

func (sys *system) loadEdge(t *template) {
	for id, d := range t.of("AWS::CloudFront::Distribution") {
		for _, r := range t.of("AWS::Route53::RecordSet") {
			alias, _ := r["AliasTarget"].(object)
			if r["Name"] == domain && t.text(alias["DNSName"]) == id {
				for _, o := range d["DistributionConfig"].(object)["Origins"].([]any) {
					sys.origins[o.(object)["Id"].(string)] = o.(object)["DomainName"] == o.(object)["Id"]
				}
			}
		}
	}
}

func (sys *system) loadEntries(entries map[string]string) error {
	var countries map[string]string
	if err := json.Unmarshal([]byte(entries["countries"]), &countries); err != nil {
		return err
	}
	for j, codes := range countries {
		for pair := range slices.Chunk([]byte(codes), 2) {
			sys.country[string(pair)] = j
		}
		var jurisdiction struct{ Origins []string }
		if err := json.Unmarshal([]byte(entries["jurisdiction/"+j]), &jurisdiction); err != nil {
			return fmt.Errorf("entry jurisdiction/%s: %w", j, err)
		}
		sys.hosts[j] = jurisdiction.Origins
	}
	return nil
}

func blueprintOf(t *template) (*blueprint, error) {
	b := &blueprint{region: t.region, mapped: map[string]string{}, receives: map[string]int{}}
	functions := map[string]object{} // environments
	for id, f := range t.of("AWS::Lambda::Function") {
		env, _ := f["Environment"].(object)
		functions[id], _ = env["Variables"].(object)
	}
	routed := ""
	for _, r := range t.of("AWS::ApiGatewayV2::Route") {
		if r["RouteKey"] == healthwatch.RouteTake {
			routed = t.routed(r)
		}
	}
	intake := functions[routed]
	if intake == nil || intake[healthwatch.EnvSource] == nil {
		return nil, fmt.Errorf("the route %s leads to %q", healthwatch.RouteTake, routed)
	}
	var err error
	if b.plan, err = healthwatch.ParsePlan(t.text(intake[healthwatch.EnvPlan])); err != nil {
		return nil, err
	}
	b.bus, b.source, b.usesEndpoint = t.text(intake[healthwatch.EnvBus]), t.text(intake[healthwatch.EnvSource]), intake[healthwatch.EnvEndpoint] != nil
	for _, a := range t.of("AWS::Events::Archive") {
		b.archived = b.archived || t.text(a["SourceArn"]) == busARN(t.region, b.bus)
	}
	for id, r := range t.of("AWS::Events::Rule") {
		if r["EventPattern"] == nil || t.text(r["EventBusName"]) != b.bus {
			continue
		}
		pattern, err := json.Marshal(r["EventPattern"])
		if err != nil {
			return nil, err
		}
		made := rule{}
		if made.pattern, err = eventpattern.Compile(pattern); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		target := r["Targets"].([]any)[0].(object)
		made.queue = t.text(target["Arn"])
		if bus := busTarget.FindStringSubmatch(made.queue); bus != nil {
			if !t.may(target["RoleArn"], made.queue) {
				continue // it delivers nothing
			}
			made.queue, made.region, made.bus = "", bus[1], bus[2]
		} else if r := t.resources[made.queue]; r == nil || r["Type"] != "AWS::SQS::Queue" {
			return nil, fmt.Errorf("%s: its target is %v", id, target["Arn"])
		}
		b.rules = append(b.rules, made)
	}
	for _, m := range t.of("AWS::Lambda::EventSourceMapping") {
		env := functions[t.text(m["FunctionName"])]
		for _, key := range []string{schema.EnvClaimsTable, schema.EnvAlertsTable} {
			if env[key] != nil {
				b.mapped[t.text(m["EventSourceArn"])] = key
			}
		}
	}
	for id, q := range t.of("AWS::SQS::Queue") {
		if redrive, ok := q["RedrivePolicy"].(object); ok {
			n, _ := redrive["maxReceiveCount"].(float64)
			b.receives[id] = int(n)
		}
	}
	for _, e := range t.of("AWS::Events::Endpoint") {
		if b.endpoint, err = endpointOf(t, e); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// routed returns the function that a route leads to.
func (t *template) routed(route object) string {
	target, err := json.Marshal(route["Target"])
	if err != nil {
		return ""
	}
	for id, i := range t.of("AWS::ApiGatewayV2::Integration") {
		if !strings.Contains(string(target), `"`+id+`"`) {
			continue
		}
		uri, _ := json.Marshal(i["IntegrationUri"])
		for f := range t.of("AWS::Lambda::Function") {
			if strings.Contains(string(uri), `"`+f+`"`) {
				return f
			}
		}
	}
	return ""
}

func endpointOf(t *template, p object) (*endpoint, error) {
	e := &endpoint{replicates: map[string]bool{}}
	var regions []string
	for _, b := range p["EventBuses"].([]any) {
		arn := t.text(b.(object)["EventBusArn"])
		bus := busTarget.FindStringSubmatch(arn)
		if bus == nil {
			return nil, fmt.Errorf("the endpoint's bus is %q", arn)
		}
		regions = append(regions, bus[1])
		replication, _ := p["ReplicationConfig"].(object)
		e.replicates[bus[1]] = replication["State"] == "ENABLED" && t.may(p["RoleArn"], arn)
	}
	if len(regions) != 2 || regions[0] != t.region {
		return nil, errors.New("the endpoint has not this region's bus and another one")
	}
	e.primary = regions[0]
	config := p["RoutingConfig"].(object)["FailoverConfig"].(object)
	if e.secondary = t.text(config["Secondary"].(object)["Route"]); e.secondary != regions[1] {
		return nil, fmt.Errorf("the endpoint fails over to %s, where it has no bus", e.secondary)
	}
	check := t.text(config["Primary"].(object)["HealthCheck"])
	for id, c := range t.of("AWS::Route53::HealthCheck") {
		config := c["HealthCheckConfig"].(object)
		alarm, _ := config["AlarmIdentifier"].(object)
		if strings.HasSuffix(check, "/"+id) && config["Type"] == "CLOUDWATCH_METRIC" && t.text(alarm["Region"]) == e.primary {
			made := t.resources[t.text(alarm["Name"])]
			if made != nil {
				e.watched = made["Properties"].(object)["MetricName"] == "IngestionToInvocationStartLatency"
			}
		}
	}
	return e, nil
}

// route returns the regions that a client's request goes to, as the edge and
// DNS have it when they know which regions are down: the first, and the one
// that is tried for a request that only reads. The status is the edge's own.
func (sys *system) route(country string, client route53.Client, down ...string) (regions []string, status int, err error) {
	j, ok := sys.country[country]
	if !ok {
		return nil, 451, nil
	}
	for _, host := range sys.hosts[j] {
		if !sys.origins[host] {
			return nil, 0, fmt.Errorf("%s is no origin of the distribution that %s leads to", host, domain)
		}
		region, err := sys.zone.Answer(host, client, down...)
		if err != nil {
			return nil, 0, err
		}
		regions = append(regions, region)
	}
	return regions, 200, nil
}
