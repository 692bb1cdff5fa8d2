package edge

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/internal/regionname"
	"github.com/serverless-go/cdk/patterns/props"
)

// ResidencyProps says where data may lie.
type ResidencyProps struct {
	// Jurisdictions maps the name of a jurisdiction, such as "eu", 1 to 64 letters,
	// digits and + = , . @ _ -, to the regions its data may lie in, all of one
	// partition. Required.
	Jurisdictions map[string][]string
}

// Residency keeps a jurisdiction's data in its regions: it denies the roles of
// marked constructs every other region, and fails the synth of an app in which
// a marked resource lies in, names, or copies to another region. Its report,
// residency-report.json and .txt beside the templates, says what was checked. That
// of a further one in the app has its id in the name.
type Residency struct {
	constructs.Construct
	regions map[string][]string
	kept    map[string]string // jurisdictions by construct path
	plugin  *inspection.Plugin
}

const residencyPlugin = "residency"

// NewResidency makes the check. The scope is the app or a stage. It panics with
// a *[props.Error] when the props are wrong.
func NewResidency(scope constructs.Construct, id string, p *ResidencyProps) *Residency {
	var c props.Check
	if p == nil {
		p = &ResidencyProps{}
	}
	p.check(&c)
	c.Panic(scope, id)
	r := &Residency{regions: map[string][]string{}, kept: map[string]string{}}
	construct.Init(r, scope, id)
	for name, regions := range p.Jurisdictions {
		r.regions[name] = slices.Sorted(slices.Values(regions))
	}
	name := residencyPlugin
	if first := construct.Constant(scope, "residency", func() *Residency { return r }); first != r {
		name += "-" + id // its report is another
	}
	r.plugin = inspection.NewPlugin(name, residencyCheck{r})
	r.plugin.Register(scope)
	return r
}

var jurisdictionName = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)

func (p *ResidencyProps) check(c *props.Check) {
	if len(p.Jurisdictions) == 0 {
		c.Wrong("Jurisdictions", props.Empty, "at least one", "name where data may lie")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Jurisdictions)) {
		field := fmt.Sprintf("Jurisdictions[%q]", name)
		c.Require(jurisdictionName.MatchString(name), field, name, "a name of 1 to 64 letters, digits and + = , . @ _ -", "policies have it in theirs")
		regions := p.Jurisdictions[name]
		if len(regions) == 0 {
			c.Wrong(field, props.Empty, "at least one region", "")
		}
		for _, region := range regions {
			c.Require(regionname.Valid(region), field, region, `a region such as "eu-west-1"`, "")
			c.Require(regionname.Partition(region) == regionname.Partition(regions[0]), field, region, "regions of one partition", "make a jurisdiction for each partition")
		}
	}
}

// Keep marks that the constructs, and all below them, carry the jurisdiction's
// data. The roles that are there get a statement that denies them other
// regions, and those that this module makes there afterwards have it from the
// start. Roles that you or the CDK make afterwards lack it, and the check refuses
// them: call Keep again. It panics with a *[props.Error] when an argument is
// wrong.
func (r *Residency) Keep(jurisdiction string, marked ...constructs.Construct) {
	var c props.Check
	regions, ok := r.regions[jurisdiction]
	c.Require(ok, "jurisdiction", jurisdiction, strings.Join(slices.Sorted(maps.Keys(r.regions)), ", "), "add it to Jurisdictions")
	c.Panic(r, "Keep")
	for _, m := range marked {
		policy := r.keepRoles(jurisdiction, m)
		for _, child := range *construct.Node(m).FindAll(constructs.ConstructOrder_PREORDER) {
			if role, ok := child.(awsiam.Role); ok && !defaults.CarriesRolePolicy(role, policy) {
				role.AddToPolicy(construct.Once(r, "deny outside of "+jurisdiction, func() awsiam.PolicyStatement {
					return awsiam.PolicyStatement_FromJson(denyOtherRegions(regions))
				}))
			}
		}
	}
}

// keepRoles has the roles that are to come deny other regions, by the policy
// with the name that it returns.
func (r *Residency) keepRoles(jurisdiction string, marked constructs.Construct) (policy string) {
	policy = "Residency-" + jurisdiction
	path := construct.Path(marked)
	if r.kept[path] != jurisdiction {
		r.kept[path] = jurisdiction
		defaults.AddRolePolicy(marked, policy, construct.Once(r, "roles of "+jurisdiction, func() awsiam.PolicyDocument {
			return defaults.Document(denyOtherRegions(r.regions[jurisdiction]))
		}))
	}
	return policy
}

// Acknowledge accepts what the check finds at the resource with the construct
// path, for a reason that goes into the report. It panics with a *[props.Error]
// when an argument is wrong.
func (r *Residency) Acknowledge(path, reason string) {
	var c props.Check
	c.Require(path != "", "path", path, "the construct path of a resource", "")
	c.Require(reason != "", "reason", reason, "why it may stay", "")
	c.Panic(r, "Acknowledge")
	r.plugin.Acknowledge(residencyPlugin, path, reason)
}

// denyOtherRegions spares the services whose one endpoint lies in us-east-1:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_aws_deny-requested-region.html
func denyOtherRegions(regions []string) defaults.Statement {
	return defaults.Statement{
		"Effect":    "Deny",
		"NotAction": []string{"cloudfront:*", "iam:*", "organizations:*", "route53:*", "support:*"},
		"Resource":  "*",
		"Condition": map[string]any{"StringNotEquals": map[string]any{"aws:RequestedRegion": regions}},
	}
}

type residencyCheck struct{ *Residency }

func (residencyCheck) Name() string { return residencyPlugin }

// jurisdiction returns the innermost mark above a construct path.
func (c residencyCheck) jurisdiction(path string) string {
	best, name := "", ""
	for kept, j := range c.kept {
		if construct.Below(path, kept) && len(kept) >= len(best) {
			best, name = kept, j
		}
	}
	return name
}

// Check judges each marked resource, and each other one that reaches marked
// ones from elsewhere.
func (c residencyCheck) Check(app *inspection.App) []inspection.Finding {
	whole := newResidencyApp(app)
	names := c.names(app)
	var findings []inspection.Finding
	for _, s := range app.Stacks {
		for _, r := range s.Resources {
			q := &residencyInquiry{check: whole, resource: r, properties: s.Resolve(r.Properties), named: map[string]bool{}}
			if q.jurisdiction = c.jurisdiction(residencyPath(r)); q.jurisdiction == "" {
				q.reach(names, c.regions)
			} else {
				q.allowed = c.regions[q.jurisdiction]
				q.judge()
			}
			findings = append(findings, q.found...)
		}
	}
	return findings
}

// deniesOther is where a policy names the regions that it spares. Those of a
// jurisdiction around this one are not those that data of this one may lie in.
var deniesOther = regexp.MustCompile(`\.Condition\.StringNotEquals\.aws:RequestedRegion(\[\d+\])?$`)

func residencyPath(r *inspection.Resource) string {
	return construct.Or(r.Path, r.Stack.Path+"/"+r.ID)
}

// residencyName is a marked resource that has a name of its own.
type residencyName struct {
	path, jurisdiction string
	mention            *regexp.Regexp
}

// physicalNames are the properties with names of resources that hold data.
var physicalNames = map[string]string{
	"AWS::DynamoDB::Table": "TableName", "AWS::DynamoDB::GlobalTable": "TableName", "AWS::S3::Bucket": "BucketName", "AWS::SQS::Queue": "QueueName",
	"AWS::SNS::Topic": "TopicName", "AWS::Kinesis::Stream": "Name", "AWS::KinesisFirehose::DeliveryStream": "DeliveryStreamName",
	"AWS::Logs::LogGroup": "LogGroupName", "AWS::Lambda::Function": "FunctionName", "AWS::Events::EventBus": "Name", "AWS::Backup::BackupVault": "BackupVaultName",
}

func (c residencyCheck) names(app *inspection.App) (names []residencyName) {
	for _, s := range app.Stacks {
		for _, r := range s.Resources {
			j, name := c.jurisdiction(residencyPath(r)), s.Text(r.Properties[physicalNames[r.Type]])
			if j == "" || name == "" || strings.Contains(name, "${") {
				continue
			}
			arn := `arn:[^:]*:[^:]*:` + regexp.QuoteMeta(s.Region) + `:[^:]*:(?:[a-z-]+[:/])?`
			if r.Type == "AWS::S3::Bucket" {
				arn = `(?:arn:[^:]*:s3:::|s3a?://)`
			}
			names = append(names, residencyName{residencyPath(r), j, regexp.MustCompile(arn + regexp.QuoteMeta(name) + `(?:$|[^\w.-])`)})
		}
	}
	return names
}

// reach judges a resource that is not marked: outside of the jurisdiction
// nothing may name what carries its data.
func (q *residencyInquiry) reach(names []residencyName, regions map[string][]string) {
	visit("", q.properties, func(place, text string) {
		for _, n := range names {
			if slices.Contains(regions[n.jurisdiction], q.resource.Stack.Region) || !n.mention.MatchString(text) {
				continue
			}
			q.rule, q.jurisdiction, q.allowed = "readers elsewhere", n.jurisdiction, regions[n.jurisdiction]
			q.wrong(place+" names "+n.path, "move it to an allowed region")
		}
	})
}

// judge asks what is asked of every resource, and what its type's rule asks.
func (q *residencyInquiry) judge() {
	r := q.resource
	rule := residencyByType[r.Type]
	q.rule = "stacks"
	switch {
	case r.Stack.Region == "":
		q.wrong("its stack has no region", "set the stack's Env.Region")
	case !slices.Contains(q.allowed, r.Stack.Region):
		q.wrong("it lies in "+r.Stack.Region, "move it to a stack in an allowed region")
	}
	if rule != nil {
		q.rule = rule.name
		rule.apply(q)
	}
	if r.Type == "AWS::IAM::Role" {
		if q.rule = "roles"; !denied(r, q.allowed) {
			q.wrong("no statement denies it other regions", "call Keep after the role is made, with a construct above it")
		}
	}
	q.rule = "all texts"
	visit("", q.properties, func(place, text string) {
		if q.named[place] || deniesOther.MatchString(place) && strings.HasPrefix(r.Type, "AWS::IAM::") {
			return
		}
		for _, region := range regionname.Mentioned(text) {
			if !slices.Contains(q.allowed, region) {
				q.wrong(place+" names "+region, "remove it, or name an allowed region")
			}
		}
		for _, m := range residencyReference.FindAllStringSubmatch(text, -1) {
			if id, attribute, _ := strings.Cut(m[1], "."); r.Stack.Resource(id) != nil {
				q.reader(place, r.Stack.Resource(id), attribute)
			}
		}
	})
	if len(q.found) > 0 {
		return
	}
	service := strings.Join(strings.Split(r.Type, "::")[:min(2, len(strings.Split(r.Type, "::")))], "::")
	switch {
	case rule != nil:
		q.rule = rule.name
	case r.Type == "AWS::IAM::Role":
		q.rule = "roles"
	case slices.Contains(regionalServices, service):
		q.rule = "regional services"
	default:
		q.rule = "unknown types"
		q.unclear("the check does not know where this type keeps data")
		return
	}
	q.about(inspection.Passed, "it lies here and names no other region", "")
}

// regionalServices keep what they hold in the region of their stack, unless a
// property names another one. IAM is global and holds no data of the app's.
var regionalServices = []string{
	"AWS::ApiGateway", "AWS::ApiGatewayV2", "AWS::ApplicationAutoScaling", "AWS::Athena", "AWS::Backup", "AWS::CloudWatch", "AWS::DynamoDB",
	"AWS::Events", "AWS::Glue", "AWS::IAM", "AWS::KMS", "AWS::Kinesis", "AWS::KinesisFirehose", "AWS::Lambda", "AWS::Logs",
	"AWS::OpenSearchService", "AWS::Pipes", "AWS::RDS", "AWS::S3", "AWS::SNS", "AWS::SQS", "AWS::SSM", "AWS::Scheduler", "AWS::SecretsManager", "AWS::StepFunctions",
}

// denied reports whether the role, or a policy of its stack, denies it other
// regions than the allowed.
func denied(role *inspection.Resource, allowed []string) bool {
	own, _ := role.Properties["Policies"].([]any)
	for _, p := range own {
		if policy, _ := p.(map[string]any); denies(policy, allowed) {
			return true
		}
	}
	for _, r := range role.Stack.Resources {
		if r.Type != "AWS::IAM::Policy" || !denies(r.Properties, allowed) {
			continue
		}
		if roles, _ := role.Stack.Resolve(r.Properties["Roles"]).([]any); slices.Contains(roles, any("${"+role.ID+"}")) {
			return true
		}
	}
	return false
}

// denies reports whether a policy's document denies other regions than the
// allowed.
func denies(policy map[string]any, allowed []string) bool {
	document, _ := policy["PolicyDocument"].(map[string]any)
	statements, _ := document["Statement"].([]any)
	return slices.ContainsFunc(statements, func(s any) bool {
		statement, _ := s.(map[string]any)
		conditions, _ := statement["Condition"].(map[string]any)
		not, _ := conditions["StringNotEquals"].(map[string]any)
		spared, several := not["aws:RequestedRegion"].([]any)
		if !several {
			spared = []any{not["aws:RequestedRegion"]}
		}
		whole := statement["Resource"] == "*" && (statement["NotAction"] != nil || statement["Action"] == "*")
		return statement["Effect"] == "Deny" && whole && !slices.ContainsFunc(spared, func(region any) bool {
			name, _ := region.(string)
			return !slices.Contains(allowed, name)
		})
	})
}

// visit calls f with each text in the value and its place.
func visit(place string, value any, f func(place, text string)) {
	switch v := value.(type) {
	case string:
		f(strings.TrimPrefix(place, "."), v)
	case []any:
		for i, e := range v {
			visit(fmt.Sprintf("%s[%d]", place, i), e, f)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			visit(place+"."+k, v[k], f)
		}
	}
}
