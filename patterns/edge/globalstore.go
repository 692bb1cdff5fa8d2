package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/regionname"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge/home"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// Consistency says what a region of a global table knows of the others.
type Consistency int

const (
	// Strong has every write wait until a second region has it (multi-Region
	// strong consistency). Any region may append to any stream, at a latency
	// between regions, and none is lost with a region. There are no
	// transactions: set eventlog.Options.NoTransactions.
	Strong Consistency = iota
	// Eventual has every region write on its own and replicate later,
	// mostly within a second (multi-Region eventual consistency). Each stream
	// then needs a home region.
	Eventual
)

// String returns the constant's name.
func (c Consistency) String() string {
	switch c {
	case Strong:
		return "Strong"
	case Eventual:
		return "Eventual"
	}
	return fmt.Sprintf("Consistency(%d)", int(c))
}

// regionSets are the regions that can form a strongly consistent table.
var regionSets = [][]string{
	{"us-east-1", "us-east-2", "us-west-2"},
	{"eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3"},
	{"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"},
}

// GlobalStoreProps says where events are kept. Give every region's stack the
// same props, but for what belongs to the region: EncryptionKey, StreamARN and
// Alarms.Topic.
type GlobalStoreProps struct {
	// Name is the table's name in all regions, 3 to 255 letters, digits and
	// . - _. Required.
	Name string
	// Regions have a replica each. The first one's stack makes the table, the
	// others refer to it. Required: at least two; for Strong exactly three, or
	// two and a Witness, all of one of AWS's region sets.
	Regions []string
	// Witness is a region that keeps what makes writes durable and no replica.
	// For Strong with two Regions only; it costs less than a third replica.
	//
	// Default: none.
	Witness string
	// Consistency is what a region knows of the others.
	//
	// Default: Strong.
	Consistency Consistency
	// Homes says which region may append to which stream. Required for
	// Eventual, where events would be lost without; not allowed for Strong.
	// At most 50 prefixes of 1 to 100 letters, digits and . - _ / : # = +.
	Homes home.Map

	// EncryptionKey is the customer's key of the stack's region, of a
	// [StoreKey] that was deployed before. The other regions' keys are found by
	// their alias. Required.
	EncryptionKey awskms.IKey
	// TableProps changes the table: its billing, backups and the like. What the
	// pattern rests on (name, keys, index, stream, policy, encryption,
	// replicas) cannot be changed, and TTL would erase events.
	//
	// Default: none. The first region's count.
	TableProps *awsdynamodb.TablePropsV2
	// StreamARN is the ARN of the replica's stream, for a stack of another than
	// the first region that reads it; DynamoDB makes it up, so it is known once
	// the replica exists ("aws dynamodb describe-table").
	//
	// Default: none; Table().TableStreamArn() is nil there.
	StreamARN string

	// Alarms tunes the alarms of the stack's region.
	//
	// Default: all are made and notify nobody.
	Alarms GlobalStoreAlarms
	// DeployerProps are the CDK's props of the function that puts the policies of
	// the other regions' replicas, such as a VPC. The first region's count.
	//
	// Default: none.
	DeployerProps *awslambda.FunctionProps
}

// GlobalStoreAlarms tunes the alarms of a [GlobalStore] in one region.
type GlobalStoreAlarms struct {
	// Topic is told when an alarm goes off and when it is over.
	//
	// Default: nobody is told.
	Topic awssns.ITopic
	// Replication is how long events need on average to get to another region,
	// in milliseconds; there is an alarm for each. Eventual only; a Strong table
	// has no such lag.
	//
	// Default: 10,000 in 5 minutes.
	Replication alarm.Tuning
	// Throttles counts writes that were throttled.
	//
	// Default: one in a minute.
	Throttles alarm.Tuning
}

func (a GlobalStoreAlarms) check(c *props.Check) {
	c.Nested("Replication", a.Replication.Check)
	c.Nested("Throttles", a.Throttles.Check)
}

// GlobalStore is the table of an event store in several regions. Every replica
// has a customer's key of its own region, point-in-time recovery, deletion
// protection, contributor insights, and a policy that denies everybody to
// change or delete an event. Pass [GlobalStore.Table] and the key to
// eventsourcing.EventStoreProps.
//
// A region of an eventually consistent table checks conditional writes against
// its own replica, and of two writes the last one wins: events appended to one
// stream in two regions vanish. GlobalStore refuses such a table unless Homes
// names one region for each stream, and the policy of each replica then denies
// appends to streams that are at home elsewhere, to administrators too. Use
// package home to be told, or sent on, before the policy refuses.
//
// The policies leave out DynamoDB's own role for replication: a replica that
// denies it anything is cut off, for good after 20 hours. CloudFormation cannot
// make a replica and its policy at once but in the stack's own region: a
// function puts those of the other regions, when the table is made and before
// the deployment ends.
//
// No stack refers to another's region. The order of deployment is: the keys of
// all regions; the stack of the first region; the others.
//
// Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html,
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/globaltables-security.html,
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html,
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-dynamodb-globaltable-globaltablewitness.html.
type GlobalStore struct {
	constructs.Construct
	name        string
	region      string
	homes       *home.Map // nil for Strong
	key         awskms.IKey
	table       awsdynamodb.ITableV2 // nil for a replica until it is asked for
	tableARN    *string
	streamARN   string
	deployer    *function.Function    // nil but in the first region
	policies    awscdk.CustomResource // the same
	replication map[string]awscloudwatch.CfnAlarm
	throttle    awscloudwatch.CfnAlarm
}

const (
	// replicaPoliciesEntry is the function that puts the replicas' policies.
	replicaPoliciesEntry = "github.com/serverless-go/cdk/functions/replicapolicies"
	// replicaPoliciesTimeout is how long it waits for the replicas. CloudFormation
	// has waited for them already.
	replicaPoliciesTimeout = 10 * time.Minute
	// policyPerReplica keeps the CDK from giving the policy of the stack's region
	// to all others.
	policyPerReplica = "@aws-cdk/aws-dynamodb:resourcePolicyPerReplica"
)

// NewGlobalStore makes the table, in the first region, or refers to its
// replica, in the others. It panics with a *[props.Error] when the props are
// wrong.
func NewGlobalStore(scope constructs.Construct, id string, p *GlobalStoreProps) *GlobalStore {
	if p == nil {
		p = &GlobalStoreProps{}
	}
	region := construct.Region(scope)
	p.check(scope, id, region)
	s := &GlobalStore{name: p.Name, region: region, key: p.EncryptionKey, streamARN: p.StreamARN}
	if p.Consistency == Eventual {
		s.homes = &p.Homes
	}
	construct.Init(s, scope, id)
	if region == p.Regions[0] {
		s.table = s.newTable(p)
		s.tableARN = construct.TableArn(s.table)
		s.addPolicies(p)
	} else {
		s.tableARN = s.replicaARN(region)
	}
	s.newAlarms(p)
	return s
}

var (
	storeName  = regexp.MustCompile(`^[A-Za-z0-9._-]{3,255}$`)
	homePrefix = regexp.MustCompile(`^[A-Za-z0-9._/:#=+-]{1,100}$`)
)

func checkStoreName(c *props.Check, name string) {
	c.Require(storeName.MatchString(name) && !strings.HasPrefix(name, "aws"), "Name", name,
		"3 to 255 letters, digits and . - _, not beginning with aws", "set it: the regions find the table and its keys by it")
}

func (p *GlobalStoreProps) check(scope constructs.Construct, id, region string) {
	var c props.Check
	checkStoreName(&c, p.Name)
	known := region != ""
	c.Require(known, "Regions", props.Words("in a stack whose region is not known"), "a stack with a region", "set StackProps.Env.Region")
	c.Require(!known || slices.Contains(p.Regions, region), "Regions", p.Regions, "a list with the stack's region, "+region, "")
	seen := map[string]bool{}
	for i, r := range p.Regions {
		field := fmt.Sprintf("Regions[%d]", i)
		c.Require(regionname.Valid(r), field, r, "the name of a region, such as eu-west-1", "")
		c.Require(!seen[r], field, r, "each region once", "")
		seen[r] = true
	}
	switch p.Consistency {
	case Strong:
		p.checkStrong(&c)
	case Eventual:
		p.checkEventual(&c)
	default:
		c.Wrong("Consistency", p.Consistency, "Strong or Eventual", "")
	}
	c.Require(p.EncryptionKey != nil, "EncryptionKey", props.Unset, "the key of this region", "make it with NewStoreKey")
	if t := p.TableProps; t != nil {
		c.Require(t.TimeToLiveAttribute == nil, "TableProps.TimeToLiveAttribute", props.Words("set"), "no TTL",
			"it would erase events, and AWS refuses it for strong consistency")
		c.Require(t.LocalSecondaryIndexes == nil, "TableProps.LocalSecondaryIndexes", props.Words("set"), "no local indexes",
			"AWS refuses them for strong consistency, and they limit a stream to 10 GB")
		c.Require(t.Replicas == nil, "TableProps.Replicas", props.Words("set"), "no replicas", "name them in Regions")
	}
	c.Nested("Alarms", p.Alarms.check)
	c.Panic(scope, id)
}

func (p *GlobalStoreProps) checkStrong(c *props.Check) {
	all := p.Regions
	if p.Witness != "" {
		all = append(slices.Clone(all), p.Witness)
		c.Require(len(p.Regions) == 2, "Witness", p.Witness, "a witness beside exactly two Regions", "leave it out, or the third region")
		c.Require(!slices.Contains(p.Regions, p.Witness), "Witness", p.Witness, "a region that has no replica", "")
	} else {
		c.Require(len(p.Regions) == 3, "Regions", p.Regions, "exactly three for Strong, or two and a Witness", "")
	}
	within := slices.ContainsFunc(regionSets, func(set []string) bool {
		return !slices.ContainsFunc(all, func(r string) bool { return !slices.Contains(set, r) })
	})
	c.Require(within, "Regions", all, fmt.Sprintf("regions of one of the sets %v for Strong", regionSets),
		"choose others, or Eventual with Homes")
	c.Require(len(p.Homes.Prefixes) == 0 && p.Homes.Default == "", "Homes", props.Words("set with Strong"), "none for Strong",
		"every region may append to every stream")
}

func (p *GlobalStoreProps) checkEventual(c *props.Check) {
	c.Require(len(p.Regions) >= 2, "Regions", p.Regions, "at least two", "")
	c.Require(p.Witness == "", "Witness", p.Witness, "no witness for Eventual", "leave it out")
	if len(p.Homes.Prefixes) == 0 && p.Homes.Default == "" {
		c.Wrong("Homes", props.Empty, "a home region for each stream of an Eventual table",
			"two regions that append to one stream lose events: the last writer wins")
	}
	allowed := fmt.Sprintf("one of %v, or home.Closed", p.Regions)
	ours := func(region string) bool { return region == home.Closed || slices.Contains(p.Regions, region) }
	c.Require(p.Homes.Default == "" || ours(p.Homes.Default), "Homes.Default", p.Homes.Default, allowed, "")
	c.Require(len(p.Homes.Prefixes) <= 50, "Homes.Prefixes", len(p.Homes.Prefixes), "at most 50", "a policy has at most 20 KB")
	for _, prefix := range slices.Sorted(maps.Keys(p.Homes.Prefixes)) {
		field := fmt.Sprintf("Homes.Prefixes[%q]", prefix)
		c.Require(homePrefix.MatchString(prefix), field, prefix, "1 to 100 letters, digits and . - _ / : # = +", "use Default for all others")
		c.Require(ours(p.Homes.Prefixes[prefix]), field, p.Homes.Prefixes[prefix], allowed, "")
	}
}

// replicaARN returns the ARN of the replica in the region.
func (s *GlobalStore) replicaARN(region string) *string {
	return defaults.Text(s, "arn:${AWS::Partition}:dynamodb:"+region+":${AWS::AccountId}:table/"+s.name)
}

func (s *GlobalStore) newTable(p *GlobalStoreProps) awsdynamodb.TableV2 {
	s.Node().SetContext(jsii.String(policyPerReplica), true)
	text := func(name string) *awsdynamodb.Attribute {
		return &awsdynamodb.Attribute{Name: &name, Type: awsdynamodb.AttributeType_STRING}
	}
	keys := make(map[string]*string, len(p.Regions)-1)
	replicas := make([]*awsdynamodb.ReplicaTableProps, 0, len(p.Regions)-1)
	for _, region := range p.Regions[1:] {
		keys[region] = defaults.Text(s, "arn:${AWS::Partition}:kms:"+region+":${AWS::AccountId}:"+storeAlias(p.Name))
		replicas = append(replicas, &awsdynamodb.ReplicaTableProps{Region: &region})
	}
	consistency := awsdynamodb.MultiRegionConsistency_STRONG
	if p.Consistency == Eventual {
		consistency = awsdynamodb.MultiRegionConsistency_EVENTUAL
	}
	user := construct.Layer(&awsdynamodb.TablePropsV2{
		ContributorInsightsSpecification: &awsdynamodb.ContributorInsightsSpecification{
			Enabled: jsii.Bool(true),
			Mode:    awsdynamodb.ContributorInsightsMode_THROTTLED_KEYS, // the other mode is charged for every request
		},
	}, p.TableProps, nil)
	return defaults.Table(s, "Events", p.EncryptionKey, user, &awsdynamodb.TablePropsV2{
		TableName:              &p.Name,
		PartitionKey:           text(schema.StoreStream),
		SortKey:                &awsdynamodb.Attribute{Name: jsii.String(schema.StoreVersion), Type: awsdynamodb.AttributeType_NUMBER},
		DynamoStream:           awsdynamodb.StreamViewType_NEW_AND_OLD_IMAGES, // as replication wants it
		MultiRegionConsistency: consistency,
		WitnessRegion:          construct.Text(p.Witness),
		Replicas:               &replicas,
		Encryption:             awsdynamodb.TableEncryptionV2_CustomerManagedKey(p.EncryptionKey, &keys),
		ResourcePolicy:         defaults.Document(s.policy(s.region)...),
		GlobalSecondaryIndexes: &[]*awsdynamodb.GlobalSecondaryIndexPropsV2{{
			IndexName:      jsii.String(schema.StoreIndex),
			PartitionKey:   text(schema.StoreShard),
			SortKey:        text(schema.StoreOpened),
			ProjectionType: awsdynamodb.ProjectionType_KEYS_ONLY,
		}},
	})
}

// addPolicies puts the policies of the other regions' replicas. The resource
// goes as the table does: a table that is retained keeps its policies.
func (s *GlobalStore) addPolicies(p *GlobalStoreProps) {
	others := p.Regions[1:]
	arns, policies := make(map[string]*string, len(others)), make(map[string]any, len(others))
	targets := make([]string, 0, len(others))
	for _, region := range others {
		arns[region] = s.replicaARN(region)
		targets = append(targets, *arns[region])
		policies[region] = map[string]any{"Version": "2012-10-17", "Statement": s.policy(region)}
	}
	s.deployer = function.NewFunction(s, "PolicyDeployer", &function.Props{
		Entry:                  replicaPoliciesEntry,
		Description:            "Puts the policies of " + p.Name + " in other regions.",
		Timeout:                replicaPoliciesTimeout,
		WithoutTracing:         true,
		WithoutDeadLetterQueue: true, // CloudFormation waits for its answer
		Alarms:                 function.Alarms{Off: true},
		FunctionProps:          defaults.Deployer(s, replicaPoliciesTimeout, p.DeployerProps),
	})
	s.deployer.AddToPolicy([]string{"dynamodb:DeleteResourcePolicy", "dynamodb:GetResourcePolicy", "dynamodb:PutResourcePolicy"}, targets...)
	removal := awscdk.RemovalPolicy_RETAIN
	if p.TableProps != nil {
		removal = construct.Or(p.TableProps.RemovalPolicy, removal)
	}
	s.policies = awscdk.NewCustomResource(s, jsii.String("Policies"), &awscdk.CustomResourceProps{
		ServiceToken:   construct.FunctionArn(s.deployer.Lambda()),
		ResourceType:   jsii.String("Custom::ReplicaPolicies"),
		ServiceTimeout: construct.SharedDuration(s, defaults.DeployerWait(replicaPoliciesTimeout)),
		RemovalPolicy:  removal,
		Properties:     &map[string]any{"Table": p.Name, "Arns": arns, "Policies": policies},
	})
	s.policies.Node().AddDependency(s.table, s.deployer) // the policy of its role too
	s.table.Node().AddDependency(s.deployer)             // a failed deployment leaves the table behind: what may fail comes first
}

// policy returns the statements of the policy of the replica in the region. It
// wins over whatever an identity is allowed, and leaves open who may change it.
func (s *GlobalStore) policy(region string) []defaults.Statement {
	replication := map[string]any{"aws:PrincipalArn": defaults.Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/" +
		"aws-service-role/replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication")}
	deny := func(sid string, conditions map[string]any, actions ...string) defaults.Statement {
		conditions["ArnNotEquals"] = replication
		return defaults.Statement{
			"Sid":       sid,
			"Effect":    "Deny",
			"Principal": map[string]any{"AWS": "*"},
			"Action":    actions,
			"Resource":  "*", // the replica itself: its ARN would be a circular reference
			"Condition": conditions,
		}
	}
	statements := []defaults.Statement{deny("EventsAreImmutable", map[string]any{}, "dynamodb:BatchWriteItem", "dynamodb:DeleteItem",
		"dynamodb:PartiQLDelete", "dynamodb:PartiQLUpdate", "dynamodb:PutItem", "dynamodb:UpdateItem")}
	if s.homes != nil {
		for i, keys := range foreignKeys(*s.homes, region) {
			statements = append(statements, deny(fmt.Sprintf("NotAtHome%d", i), keys, "dynamodb:PartiQLInsert"))
		}
	}
	return statements
}

// foreignKeys returns the conditions under which a stream is not at home in the
// region; a stream is not if any of them holds. The longest prefix that fits a
// stream decides, so each condition leaves out the longer prefixes that are at
// home here; those that are not have a condition of their own.
func foreignKeys(homes home.Map, region string) []map[string]any {
	const key = "dynamodb:LeadingKeys"
	var conditions []map[string]any
	add := func(prefix string) {
		var except []string
		for longer, at := range homes.Prefixes {
			if strings.HasPrefix(longer, prefix) && at == region {
				except = append(except, longer+"*")
			}
		}
		slices.Sort(except)
		condition := map[string]any{}
		if prefix != "" {
			condition["ForAnyValue:StringLike"] = map[string]any{key: prefix + "*"}
		}
		if len(except) > 0 {
			condition["ForAllValues:StringNotLike"] = map[string]any{key: except}
		}
		conditions = append(conditions, condition)
	}
	if homes.Default != region {
		// Here prefixes at home elsewhere are denied, too, once more. A request
		// that names no key is denied: ForAllValues holds.
		add("")
	}
	for _, prefix := range slices.Sorted(maps.Keys(homes.Prefixes)) {
		if homes.Prefixes[prefix] != region {
			add(prefix)
		}
	}
	return conditions
}

func (s *GlobalStore) newAlarms(p *GlobalStoreProps) {
	s.throttle = alarm.New(s, "Throttles", alarm.Alarm{
		Namespace:  "AWS/DynamoDB",
		Metric:     "WriteThrottleEvents",
		Dimensions: map[string]*string{"TableName": &p.Name},
		Statistic:  "Sum",
		Threshold:  1,
		Description: "Writes to " + p.Name + " are throttled in " + s.region +
			": contributor insights names the streams; spread them, or raise the table's limits.",
	}, p.Alarms.Throttles, p.Alarms.Topic)
	if p.Consistency == Strong || p.Alarms.Replication.Off {
		return
	}
	s.replication = make(map[string]awscloudwatch.CfnAlarm, len(p.Regions)-1)
	for _, region := range p.Regions {
		if region == s.region {
			continue
		}
		s.replication[region] = alarm.New(s, "ReplicationTo"+region, alarm.Alarm{
			Namespace:  "AWS/DynamoDB",
			Metric:     "ReplicationLatency",
			Dimensions: map[string]*string{"TableName": &p.Name, "ReceivingRegion": &region},
			Statistic:  "Average",
			Threshold:  10_000,
			Period:     5 * time.Minute,
			Description: "Events of " + p.Name + " are slow to get from " + s.region + " to " + region +
				": a loss of the region now would lose them; check the AWS Health Dashboard and whether the replica's policy denies replication.",
		}, p.Alarms.Replication, p.Alarms.Topic)
	}
}

// Connect tells a function of ours which streams are at home where, for
// home.FromEnv. It does nothing for Strong, where every region is home.
func (s *GlobalStore) Connect(grantee awsiam.IGrantable) {
	if s.homes == nil {
		return
	}
	text, err := json.Marshal(s.homes)
	if err != nil {
		panic(err) // a map of strings
	}
	construct.SetEnvironment(grantee, map[string]string{schema.EnvStoreHomes: string(text)})
}

// GrantAppend lets the grantee append events to the replica of the stack's
// region and nothing else: it cannot read, overwrite, change or delete one. A
// function of ours is told the streams' homes. An event store that is built on
// the table has grants of its own, which do more; then call
// [GlobalStore.Connect] beside.
func (s *GlobalStore) GrantAppend(grantee awsiam.IGrantable) awsiam.Grant {
	s.Connect(grantee)
	return defaults.Grant(grantee,
		defaults.Actions{"dynamodb:PartiQLInsert"}.To(s.tableARN),
		defaults.UseKey.To(construct.KeyArn(s.key)).If(defaults.Through("dynamodb")))
}

// GrantRead lets the grantee load streams whose names it knows from the replica
// of the stack's region.
func (s *GlobalStore) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee,
		defaults.Actions{"dynamodb:GetItem", "dynamodb:Query"}.To(s.tableARN),
		defaults.ReadKey.To(construct.KeyArn(s.key)).If(defaults.Through("dynamodb")))
}

// Table returns the table, or its replica, in the stack's region.
func (s *GlobalStore) Table() awsdynamodb.ITableV2 {
	if s.table == nil {
		s.table = awsdynamodb.TableV2_FromTableAttributes(s, jsii.String("Events"), &awsdynamodb.TableAttributesV2{
			TableArn:              s.tableARN,
			TableStreamArn:        construct.Text(s.streamARN),
			GrantIndexPermissions: jsii.Bool(true),
		})
	}
	return s.table
}

// PolicyDeployer returns the function that puts the policies of the other
// regions' replicas, nil but in the first region.
func (s *GlobalStore) PolicyDeployer() *function.Function { return s.deployer }

// ReplicaPolicies returns the custom resource of the other regions' policies,
// nil but in the first region. What appends to those replicas and is deployed
// with the table depends on it.
func (s *GlobalStore) ReplicaPolicies() awscdk.CustomResource { return s.policies }

// TableName returns the table's name, the same in all regions.
func (s *GlobalStore) TableName() string { return s.name }

// EncryptionKey returns the key of the stack's region.
func (s *GlobalStore) EncryptionKey() awskms.IKey { return s.key }

// ThrottlesAlarm returns the alarm of throttled requests, nil if it is off.
func (s *GlobalStore) ThrottlesAlarm() awscloudwatch.CfnAlarm { return s.throttle }

// ReplicationAlarm returns the alarm of the way to the region, nil if there is
// none.
func (s *GlobalStore) ReplicationAlarm(region string) awscloudwatch.CfnAlarm {
	return s.replication[region]
}

// Alarms returns the alarms that were made, those of replication in the order
// of the regions' names.
func (s *GlobalStore) Alarms() []awscloudwatch.CfnAlarm {
	alarms := defaults.Alarms(s.throttle)
	for _, region := range slices.Sorted(maps.Keys(s.replication)) {
		alarms = append(alarms, s.replication[region])
	}
	return alarms
}
