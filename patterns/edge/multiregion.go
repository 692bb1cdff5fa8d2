package edge

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/regionname"
	"github.com/serverless-go/cdk/patterns/props"
)

// MultiRegionProps says where a system runs and what each region holds.
type MultiRegionProps struct {
	// Regions are where the system runs, at least two, such as "eu-west-1".
	// The first one leads: it is deployed alone, and the others, side by side,
	// once it has succeeded. Set Regions or Waves, not both.
	Regions []string
	// Waves are the regions in the order of their deployment: those of one wave
	// side by side, and a wave once the one before it has succeeded. A change that
	// fails stops before the next wave. Set Regions or Waves, not both.
	Waves [][]string
	// Resources makes the resources of one region. It is called once for each, in
	// the order of deployment, and must use nothing that it made for another.
	// Required.
	Resources func(*Region)
	// Name is what the names of stacks and of shared resources begin with:
	// letters, digits and hyphens, at most 32, a letter first.
	//
	// Default: the construct's id, after the name of the stage that it is in.
	Name string
	// Account is the AWS account of all regions.
	//
	// Default: the one that the stacks are deployed with.
	Account string
	// StackProps are the CDK's own props of every stack. Env, StackName and
	// CrossRegionReferences are not theirs to set.
	//
	// Default: none.
	StackProps *awscdk.StackProps
}

// MultiRegion is a system that runs in several regions, a stack in each. The
// stacks know of each other by names alone, which they agree on without asking:
// no template refers to another region's stack, so that any region can be
// deployed, changed or lost while the others cannot be reached.
//
// CloudFormation is a regional service, and a reference to a stack elsewhere
// is read when a stack is deployed: it would make the recovery of a region wait
// for the one that failed. The CDK makes such references in silence
// (Fn::GetStackOutput) where the context @aws-cdk/core:defaultCrossStackReferences
// is "weak", as new projects have it; here one fails the synthesis, as any
// dependency on a stack of another region does. See
// https://docs.aws.amazon.com/wellarchitected/latest/reliability-pillar/rel_withstand_component_failures_static_stability.html.
//
// The order of deployment is one of the CDK's deployments alone. `cdk deploy
// --exclusively` deploys a region without the ones before it.
type MultiRegion struct {
	constructs.Construct
	name    string
	regions []*Region
	waves   [][]*Region
	ordered bool
}

// Region is one region of a [MultiRegion].
type Region struct {
	name  string
	wave  int
	stack awscdk.Stack
	of    *MultiRegion
}

var (
	systemName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,31}$`)
	namePart   = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
)

// NewMultiRegion makes a stack in each region, in an app or a stage. It panics
// with a *[props.Error] when the props are wrong.
func NewMultiRegion(scope constructs.Construct, id string, p *MultiRegionProps) *MultiRegion {
	if p == nil {
		p = &MultiRegionProps{}
	}
	m := &MultiRegion{name: p.Name}
	if m.name == "" {
		m.name = id
		stage, is := scope.(awscdk.Stage)
		if !is {
			stage = awscdk.Stage_Of(scope)
		}
		if stage != nil && *stage.StageName() != "" {
			m.name = *stage.StageName() + "-" + id
		}
	}
	waves := p.waves()
	p.check(scope, id, m.name, waves)
	construct.Init(m, scope, id)
	m.waves = make([][]*Region, len(waves))
	for i, wave := range waves {
		for _, name := range wave {
			r := &Region{name: name, wave: i, of: m}
			r.stack = construct.NewStack(m, name, construct.Layer(nil, p.StackProps, &awscdk.StackProps{
				Env:       &awscdk.Environment{Region: &name, Account: construct.Text(p.Account)},
				StackName: jsii.String(m.name + "-" + name),
			}))
			m.regions = append(m.regions, r)
			m.waves[i] = append(m.waves[i], r)
		}
	}
	for _, r := range m.regions {
		p.Resources(r)
	}
	m.Node().AddValidation(&independence{m})
	return m
}

func (p *MultiRegionProps) waves() [][]string {
	if len(p.Waves) > 0 {
		return p.Waves
	}
	if len(p.Regions) < 2 {
		return [][]string{p.Regions}
	}
	return [][]string{p.Regions[:1], p.Regions[1:]}
}

func (p *MultiRegionProps) check(scope constructs.Construct, id, name string, waves [][]string) {
	var c props.Check
	c.OneOf(map[string]bool{"Regions": len(p.Regions) > 0, "Waves": len(p.Waves) > 0}, "Regions", "Waves")
	field := "Regions"
	if len(p.Waves) > 0 {
		field = "Waves"
	}
	regions := slices.Concat(waves...)
	given := any(regions)
	if len(regions) == 0 {
		given = props.Empty
	}
	c.Require(len(regions) >= 2, field, given, "at least two regions, so that one can fail", "add a region")
	for _, region := range slices.Compact(slices.Sorted(slices.Values(regions))) {
		c.Require(regionname.Valid(region), field, region, "the names of regions, such as \"eu-west-1\"", "")
		c.Require(count(regions, region) == 1, field, region, "each region once", "remove the other one")
	}
	if len(regions) > 0 {
		for _, region := range regions[1:] {
			c.Require(regionname.Partition(region) == regionname.Partition(regions[0]), field, region, "regions of the same partition as "+regions[0],
				"names, identities and domains are not shared between partitions: make a MultiRegion for each")
		}
	}
	c.Require(!slices.ContainsFunc(p.Waves, func(wave []string) bool { return len(wave) == 0 }), "Waves", props.Words("with an empty wave"),
		"at least one region in each wave", "remove it")
	c.Require(systemName.MatchString(name), "Name", name, "1 to 32 letters, digits and hyphens, a letter first", "")
	c.Require(p.Resources != nil, "Resources", props.Unset, "a function that makes a region's resources", "set it")
	if s := p.StackProps; s != nil {
		c.Require(s.Env == nil, "StackProps.Env", props.Words("set"), "none", "set Regions and Account")
		c.Require(s.StackName == nil, "StackProps.StackName", props.Words("set"), "none", "set Name")
		c.Require(s.CrossRegionReferences == nil || !*s.CrossRegionReferences, "StackProps.CrossRegionReferences", true, "false",
			"pass names made with Region.SharedName instead")
	}
	c.Panic(scope, id)
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// Regions returns the regions in the order of deployment.
func (m *MultiRegion) Regions() []*Region { return slices.Clone(m.regions) }

// Region returns the region of that name, nil if the system is not there.
func (m *MultiRegion) Region(name string) *Region {
	for _, r := range m.regions {
		if r.name == name {
			return r
		}
	}
	return nil
}

// Stack returns the region's stack.
func (r *Region) Stack() awscdk.Stack { return r.stack }

// Name returns the region's name, such as "eu-west-1".
func (r *Region) Name() string { return r.name }

// Leads reports whether the region is of the first wave.
func (r *Region) Leads() bool { return r.wave == 0 }

// Wave returns the region's place in the order of deployment, the first being 0.
func (r *Region) Wave() int { return r.wave }

// Peers returns the names of the other regions in the order of deployment.
func (r *Region) Peers() []string {
	var peers []string
	for _, other := range r.of.regions {
		if other != r {
			peers = append(peers, other.name)
		}
	}
	return peers
}

// SharedName returns a name that is the same in every region, and so known to
// all of them: the system's name and the parts, in lower case, joined with
// hyphens. It has at most 63 characters and suits tables, queues, buses,
// functions and rules. It panics with a *[props.Error] when an argument is
// wrong.
//
// A resource with a name of its own cannot be replaced by an update, only
// changed: give names to what other regions must find, and to nothing else.
func (r *Region) SharedName(parts ...string) string { return r.join(parts) }

// NameIn returns a name that only the named region has, [Region.SharedName] and
// the region, for what is global: buckets and roles. It takes any of the
// system's regions, so that a peer's bucket is known without a reference. It
// panics with a *[props.Error] when an argument is wrong.
func (r *Region) NameIn(region string, parts ...string) string {
	if r.of.Region(region) == nil {
		var c props.Check
		c.Wrong("region", region, "one of "+strings.Join(r.of.names(), ", "), "")
		c.Panic(r.stack, "NameIn")
	}
	return r.join(append(slices.Clone(parts), region))
}

func (m *MultiRegion) names() []string {
	names := make([]string, len(m.regions))
	for i, r := range m.regions {
		names[i] = r.name
	}
	return names
}

// longest is what buckets and DNS labels allow, the shortest of all limits.
const longest = 63

func (r *Region) join(parts []string) string {
	var c props.Check
	if len(parts) == 0 {
		c.Wrong("parts", props.Empty, "at least one", "say what the name is for")
	}
	for _, part := range parts {
		c.Require(namePart.MatchString(part), "parts", part, "letters and digits, with single hyphens between them", "")
	}
	name := strings.ToLower(r.of.name + "-" + strings.Join(parts, "-"))
	c.Require(len(name) <= longest, "parts", name, fmt.Sprintf("a name of at most %d characters", longest), "shorten it")
	c.Panic(r.stack, "SharedName")
	return name
}

// independence is the validation that no region depends on another.
//
// It runs after the CDK has resolved the references between stacks, each of
// which makes its consumer depend on its producer. The order of deployment is
// made of such dependencies, too, and would hide them: it is therefore laid down
// here, once the references have been looked for.
type independence struct{ system *MultiRegion }

// Validate returns what is wrong.
func (v *independence) Validate() *[]*string {
	m := v.system
	if m.ordered {
		return &[]*string{}
	}
	problems := []*string{}
	for _, r := range m.regions {
		problems = append(problems, r.foreign()...)
	}
	if len(problems) > 0 {
		return &problems
	}
	m.ordered = true
	for i := range m.waves[:len(m.waves)-1] {
		for _, later := range m.waves[i+1] {
			for _, earlier := range m.waves[i] {
				later.stack.AddStackDependency(earlier.stack, jsii.String("order of deployment"))
			}
		}
	}
	return &problems
}

// foreign returns a message for each stack of another region that the region's
// stack depends on, be it through others.
func (r *Region) foreign() []*string {
	var problems []*string
	seen := map[string]bool{}
	for queue := []awscdk.Stack{r.stack}; len(queue) > 0; queue = queue[1:] {
		stacks := *queue[0].Dependencies()
		slices.SortFunc(stacks, func(a, b awscdk.Stack) int { return cmp.Compare(*a.Node().Path(), *b.Node().Path()) })
		for _, needed := range stacks {
			path := *needed.Node().Path()
			if seen[path] {
				continue
			}
			seen[path] = true
			if region := *needed.Region(); region != r.name {
				if *awscdk.Token_IsUnresolved(needed.Region()) {
					region = "an unknown region"
				}
				problems = append(problems, jsii.String(fmt.Sprintf(
					"stack %s refers to stack %s, which is in %s: a region must stand alone. Pass a name made with Region.SharedName "+
						"or Region.NameIn, not an attribute of the other region's resource, and add no dependency between the stacks",
					*r.stack.StackName(), *needed.StackName(), region)))
				continue
			}
			queue = append(queue, needed)
		}
	}
	return problems
}
