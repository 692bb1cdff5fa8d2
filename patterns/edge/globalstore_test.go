package edge_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/alarm"
	"github.com/serverless-go/cdk/patterns/edge"
	"github.com/serverless-go/cdk/patterns/edge/home"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/eventsourcing"
	events "github.com/serverless-go/cdk/patterns/eventsourcing/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/test/cdktest"
	"github.com/serverless-go/cdk/test/iam"
)

const storeAccount = "123456789012"

// regionalStack returns the stack "Test" of a region.
func regionalStack(t *testing.T, region string) awscdk.Stack {
	return awscdk.NewStack(cdktest.NewApp(t), jsii.String("Test"), &awscdk.StackProps{
		Env: &awscdk.Environment{Region: &region, Account: jsii.String(storeAccount)},
	})
}

func storeKey(scope constructs.Construct) awskms.IKey {
	return edge.NewStoreKey(scope, "StoreKey", &edge.StoreKeyProps{Name: "readings"}).Key()
}

func strongStore(key awskms.IKey) *edge.GlobalStoreProps {
	return &edge.GlobalStoreProps{
		Name:          "readings",
		Regions:       []string{"eu-west-1", "eu-central-1", "eu-west-3"},
		EncryptionKey: key,
	}
}

var homes = home.Map{
	Prefixes: map[string]string{
		"eu/": "eu-west-1", "eu/guest/": "us-east-1", "eu/guest/staff/": "eu-west-1",
		"us/": "us-east-1", "ap/": home.Closed,
	},
}

func eventualStore(key awskms.IKey) *edge.GlobalStoreProps {
	return &edge.GlobalStoreProps{
		Name:          "readings",
		Regions:       []string{"eu-west-1", "us-east-1"},
		Consistency:   edge.Eventual,
		Homes:         homes,
		EncryptionKey: key,
	}
}

func TestGlobalStoreDefaults(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	edge.NewGlobalStore(stack, "Readings", strongStore(storeKey(stack)))
	cdktest.Golden(t, stack)
}

// The stack of another region refers to its replica.
func TestGlobalStoreAdopted(t *testing.T) {
	stack := regionalStack(t, "us-east-1")
	p := eventualStore(storeKey(stack))
	p.StreamARN = "arn:aws:dynamodb:us-east-1:123456789012:table/readings/stream/2026-05-01T00:00:00.000"
	store := edge.NewGlobalStore(stack, "Readings", p)
	if got := *store.Table().TableStreamArn(); got != p.StreamARN {
		t.Errorf("the stream is %s, want %s", got, p.StreamARN)
	}
	store.GrantAppend(function.NewFunction(stack, "Intake", &function.Props{Entry: "github.com/serverless-go/cdk/functions/api"}))
	cdktest.Golden(t, stack)
}

func TestGlobalStoreEverything(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	p := eventualStore(storeKey(stack))
	p.Alarms = edge.GlobalStoreAlarms{
		Topic:       awssns.NewTopic(stack, jsii.String("Alarms"), nil),
		Replication: alarm.Tuning{Threshold: jsii.Number(5000), Periods: 2},
		Throttles:   alarm.Tuning{Period: 5 * time.Minute},
	}
	p.TableProps = &awsdynamodb.TablePropsV2{
		DeletionProtection: jsii.Bool(false),
		TableName:          jsii.String("another"),               // stays readings
		DynamoStream:       awsdynamodb.StreamViewType_KEYS_ONLY, // stays
		WarmThroughput:     &awsdynamodb.WarmThroughput{WriteUnitsPerSecond: jsii.Number(8000), ReadUnitsPerSecond: jsii.Number(12000)},
	}
	p.DeployerProps = &awslambda.FunctionProps{
		MemorySize: jsii.Number(512),
		Timeout:    awscdk.Duration_Seconds(jsii.Number(1)), // stays ten minutes
	}
	store := edge.NewGlobalStore(stack, "Readings", p)
	if store.ReplicationAlarm("us-east-1") == nil || store.ReplicationAlarm("eu-west-1") != nil || store.ThrottlesAlarm() == nil {
		t.Error("want an alarm for each other region and one of throttles")
	}
	role := awsiam.NewRole(stack, jsii.String("Clerk"), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()})
	store.GrantAppend(role)
	store.GrantRead(role)
	cdktest.Golden(t, stack)
}

func TestGlobalStoreWitness(t *testing.T) {
	stack := regionalStack(t, "us-east-1")
	p := strongStore(storeKey(stack))
	p.Regions, p.Witness = []string{"us-east-1", "us-west-2"}, "us-east-2"
	edge.NewGlobalStore(stack, "Readings", p)
	cdktest.Synth(t, stack).Has(t, "AWS::DynamoDB::GlobalTable", cdktest.Match{
		"MultiRegionConsistency": "STRONG",
		"GlobalTableWitnesses":   []any{cdktest.Match{"Region": "us-east-2"}},
	})
}

// Every replica has what protects it.
func TestGlobalStoreReplicas(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	edge.NewGlobalStore(stack, "Readings", strongStore(storeKey(stack)))
	table := cdktest.Synth(t, stack).One(t, "AWS::DynamoDB::GlobalTable", cdktest.Match{"TableName": "readings"})
	replicas := table.Properties["Replicas"].([]any)
	if len(replicas) != 3 {
		t.Fatalf("%d replicas, want 3", len(replicas))
	}
	for _, r := range replicas {
		replica := r.(map[string]any)
		region := replica["Region"].(string)
		if replica["DeletionProtectionEnabled"] != true {
			t.Errorf("%s: no deletion protection", region)
		}
		if s, _ := replica["PointInTimeRecoverySpecification"].(map[string]any); s["PointInTimeRecoveryEnabled"] != true {
			t.Errorf("%s: no point-in-time recovery", region)
		}
		if s, _ := replica["ContributorInsightsSpecification"].(map[string]any); s["Enabled"] != true {
			t.Errorf("%s: no contributor insights", region)
		}
		key := fmt.Sprint(replica["SSESpecification"])
		if region == "eu-west-1" && !strings.Contains(key, "Fn::GetAtt") ||
			region != "eu-west-1" && !(strings.Contains(key, ":kms:"+region+":") && strings.Contains(key, ":alias/readings]")) {
			t.Errorf("%s: key is %s, want one of the region", region, key)
		}
		if (replica["ResourcePolicy"] != nil) != (region == "eu-west-1") {
			t.Errorf("%s: policy %v; CloudFormation makes it with the replica in the stack's own region only", region, replica["ResourcePolicy"])
		}
	}
}

// CloudFormation cannot make a replica and its policy at once in another region
// than the stack's: a custom resource puts those, once the table is made, whatever
// the CDK's flags are.
func TestGlobalStorePutsPoliciesElsewhere(t *testing.T) {
	const flag = "@aws-cdk/aws-dynamodb:resourcePolicyPerReplica"
	for _, set := range []bool{true, false} {
		app := cdktest.NewApp(t, cdktest.Context(flag, set))
		stack := awscdk.NewStack(app, jsii.String("Test"), &awscdk.StackProps{
			Env: &awscdk.Environment{Region: jsii.String("eu-west-1"), Account: jsii.String(storeAccount)},
		})
		store := edge.NewGlobalStore(stack, "Readings", strongStore(storeKey(stack)))
		template := cdktest.Synth(t, stack)
		table := template.One(t, "AWS::DynamoDB::GlobalTable", nil)
		for _, r := range table.Properties["Replicas"].([]any) {
			if replica := r.(map[string]any); (replica["ResourcePolicy"] != nil) != (replica["Region"] == "eu-west-1") {
				t.Errorf("%s %t: %s has the policy %v", flag, set, replica["Region"], replica["ResourcePolicy"])
			}
		}
		policies := template.One(t, "Custom::ReplicaPolicies", cdktest.Match{"Table": "readings"})
		for _, name := range []string{"Arns", "Policies"} {
			got := slices.Sorted(maps.Keys(policies.Properties[name].(map[string]any)))
			if want := []string{"eu-central-1", "eu-west-3"}; !slices.Equal(got, want) {
				t.Errorf("%s of %v, want %v", name, got, want)
			}
		}
		after, _ := policies.Attributes["DependsOn"].([]any)
		deployer := template.One(t, "AWS::Lambda::Function", cdktest.Match{"Timeout": 600.0})
		if !slices.Contains(after, any(table.ID)) || !slices.Contains(after, any(deployer.ID)) {
			t.Errorf("the policies wait for %v, want the table and the function", after)
		}
		for _, policy := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
			if policies.Attributes[policy] != table.Attributes[policy] || table.Attributes[policy] != "Retain" {
				t.Errorf("%s of the policies is %v, that of the table %v", policy, policies.Attributes[policy], table.Attributes[policy])
			}
		}
		if store.PolicyDeployer() == nil || store.ReplicaPolicies() == nil {
			t.Error("nobody can change the function, or wait for the policies")
		}
	}
}

// A table that goes with its stack takes the policies along.
func TestGlobalStorePoliciesGoWithTheTable(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	p := strongStore(storeKey(stack))
	p.TableProps = &awsdynamodb.TablePropsV2{RemovalPolicy: awscdk.RemovalPolicy_DESTROY, DeletionProtection: jsii.Bool(false)}
	edge.NewGlobalStore(stack, "Readings", p)
	for _, kind := range []string{"Custom::ReplicaPolicies", "AWS::DynamoDB::GlobalTable"} {
		if got := cdktest.Synth(t, stack).One(t, kind, nil).Attributes["DeletionPolicy"]; got != "Delete" {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

// The other regions' stacks put no policies.
func TestGlobalStorePutsPoliciesOnce(t *testing.T) {
	stack := regionalStack(t, "eu-central-1")
	store := edge.NewGlobalStore(stack, "Readings", strongStore(storeKey(stack)))
	if n := len(cdktest.Synth(t, stack).Resources("Custom::ReplicaPolicies")); n != 0 || store.PolicyDeployer() != nil || store.ReplicaPolicies() != nil {
		t.Errorf("%d resources put policies", n)
	}
}

// The deployer may change the policies of the other regions' replicas, in the
// regions of a jurisdiction, too, where the policies themselves do not lock it
// out, and nothing else of DynamoDB anywhere.
func TestGlobalStoreDeployer(t *testing.T) {
	regions := []string{"eu-west-1", "eu-central-1", "eu-west-3"}
	policies := replicaPolicies(t, strongStore(nil), "eu-west-1")
	stack := regionalStack(t, "eu-west-1")
	residency := edge.NewResidency(awscdk.App_Of(stack), "Residency", &edge.ResidencyProps{Jurisdictions: map[string][]string{"eu": regions}})
	residency.Keep("eu", stack)
	edge.NewGlobalStore(stack, "Readings", strongStore(storeKey(stack)))
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), storeAccount, "eu-west-1")
	role := template.Role("ReadingsPolicyDeployer")
	for _, action := range []string{"PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy", "UpdateTable", "DeleteTable", "PutItem", "PartiQLInsert", "Query"} {
		for _, region := range append(regions, "us-east-1") {
			for _, table := range []string{"readings", "readings2"} {
				want := strings.HasSuffix(action, "ResourcePolicy") && slices.Contains(regions[1:], region) && table == "readings"
				got := iam.Evaluate(iam.Request{
					Principal: iam.Principal{ARN: role.ARN}, Action: "dynamodb:" + action,
					Resource: "arn:aws:dynamodb:" + region + ":" + storeAccount + ":table/" + table,
					Context:  iam.Context{"aws:RequestedRegion": {region}, "aws:PrincipalArn": {role.ARN}},
				}, iam.Policies{Identity: role.Policies, Resource: []*iam.Policy{policies[regions[1]]}})
				if got.Allowed != want {
					t.Errorf("%s of %s in %s: %t, want %t; %s", action, table, region, got.Allowed, want, got.Reason)
				}
			}
		}
	}
}

// replicaPolicies returns the policy of each replica.
func replicaPolicies(t *testing.T, p *edge.GlobalStoreProps, region string) map[string]*iam.Policy {
	t.Helper()
	stack := regionalStack(t, region)
	p.EncryptionKey = storeKey(stack)
	edge.NewGlobalStore(stack, "Readings", p)
	template := iam.NewSynthesized(t, cdktest.Synth(t, stack), storeAccount, region)
	policies := map[string]*iam.Policy{}
	for _, r := range template.Property(template.ID("AWS::DynamoDB::GlobalTable", ""), "Replicas").([]any) {
		if replica := r.(map[string]any); replica["ResourcePolicy"] != nil {
			policies[replica["Region"].(string)] = template.Policy(replica["ResourcePolicy"].(map[string]any)["PolicyDocument"])
		}
	}
	for region, document := range template.Property(template.ID("Custom::ReplicaPolicies", ""), "Policies").(map[string]any) {
		policies[region] = template.Policy(document)
	}
	if len(policies) != len(p.Regions) {
		t.Errorf("%d policies for %v", len(policies), p.Regions)
	}
	return policies
}

var everything = func() *iam.Policy {
	p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	if err != nil {
		panic(err)
	}
	return p
}()

// allowed says what the replica's policy leaves of an administrator's rights.
func allowed(policy *iam.Policy, principal, action, stream string) bool {
	request := iam.Request{
		Principal: iam.Principal{ARN: "arn:aws:iam::" + storeAccount + ":role/" + principal},
		Action:    "dynamodb:" + action,
		Resource:  "arn:aws:dynamodb:eu-west-1:" + storeAccount + ":table/readings",
		Context:   iam.Context{"aws:PrincipalArn": {"arn:aws:iam::" + storeAccount + ":role/" + principal}},
	}
	if stream != "" {
		request.Context["dynamodb:LeadingKeys"] = []string{stream}
	}
	return iam.Evaluate(request, iam.Policies{Identity: []*iam.Policy{everything}, Resource: []*iam.Policy{policy}}).Allowed
}

const replicationRole = "aws-service-role/replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication"

// Each replica takes appends of the streams that are at home there and no
// others, and agrees with package home.
func TestGlobalStorePoliciesKeepHomes(t *testing.T) {
	withDefault := homes
	withDefault.Default = "us-east-1"
	for name, m := range map[string]home.Map{"no default": homes, "default": withDefault} {
		p := eventualStore(nil)
		p.Homes = m
		for region, policy := range replicaPolicies(t, p, "eu-west-1") {
			for _, stream := range []string{"eu/1", "eu/guest/1", "eu/guest/staff/1", "us/1", "ap/1", "other", "eu", "eu/guest"} {
				want := m.Of(stream) == region
				if got := allowed(policy, "admin", "PartiQLInsert", stream); got != want {
					t.Errorf("%s: an administrator may append to %s in %s: %t, want %t", name, stream, region, got, want)
				}
			}
		}
	}
}

// Nobody changes an event, and DynamoDB itself may replicate everything.
func TestGlobalStorePoliciesKeepEvents(t *testing.T) {
	changes := []string{"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLUpdate", "PartiQLDelete"}
	for name, p := range map[string]*edge.GlobalStoreProps{"strong": strongStore(nil), "eventual": eventualStore(nil)} {
		for region, policy := range replicaPolicies(t, p, "eu-west-1") {
			for _, action := range changes {
				if allowed(policy, "admin", action, "eu/1") {
					t.Errorf("%s: an administrator may %s in %s", name, action, region)
				}
				if !allowed(policy, replicationRole, action, "eu/1") {
					t.Errorf("%s: DynamoDB may not %s to replicate to %s", name, action, region)
				}
			}
			if !allowed(policy, "admin", "Query", "eu/1") {
				t.Errorf("%s: reading is denied in %s", name, region)
			}
			if name == "strong" && !allowed(policy, "admin", "PartiQLInsert", "us/1") {
				t.Errorf("strong: %s does not take an append", region)
			}
		}
	}
}

// The grants allow what they say and nothing else of the table.
func TestGlobalStoreGrants(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	store := edge.NewGlobalStore(stack, "Readings", strongStore(storeKey(stack)))
	for name, grant := range map[string]func(awsiam.IGrantable) awsiam.Grant{"Appender": store.GrantAppend, "Reader": store.GrantRead} {
		grant(awsiam.NewRole(stack, jsii.String(name), &awsiam.RoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()}))
	}
	got := map[string][]string{}
	for _, policy := range cdktest.Synth(t, stack).Resources("AWS::IAM::Policy") {
		name, _, _ := strings.Cut(policy.ID, "DefaultPolicy")
		if strings.HasPrefix(name, "ReadingsPolicyDeployer") {
			continue // TestGlobalStoreDeployer
		}
		for _, s := range policy.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			statement := s.(map[string]any)
			actions, ok := statement["Action"].([]any)
			if !ok {
				actions = []any{statement["Action"]}
			}
			for _, action := range actions {
				if strings.HasPrefix(action.(string), "dynamodb:") {
					got[name] = append(got[name], action.(string))
				} else if statement["Condition"] == nil {
					t.Errorf("%s may %s without a condition", name, action)
				}
			}
		}
	}
	if want := []string{"dynamodb:PartiQLInsert"}; !slices.Equal(got["Appender"], want) {
		t.Errorf("the appender may %v, want %v", got["Appender"], want)
	}
	if want := []string{"dynamodb:GetItem", "dynamodb:Query"}; !slices.Equal(got["Reader"], want) {
		t.Errorf("the reader may %v, want %v", got["Reader"], want)
	}
}

// The table has what an event store needs: an EventStore is built on it, and
// its keys, index and policy are the store's own.
func TestGlobalStoreIsEventStore(t *testing.T) {
	for ours, theirs := range map[string]string{
		schema.StoreStream: events.Stream, schema.StoreVersion: events.Version, schema.StoreIndex: events.StreamIndex,
		schema.StoreShard: events.Shard, schema.StoreOpened: events.Opened,
	} {
		if ours != theirs {
			t.Errorf("the schema says %q where the event store says %q", ours, theirs)
		}
	}
	stack := regionalStack(t, "eu-west-1")
	eventsourcing.NewEventStore(stack, "Reference", nil)
	global := edge.NewGlobalStore(stack, "Global", strongStore(storeKey(stack)))
	store := eventsourcing.NewEventStore(stack, "Store", &eventsourcing.EventStoreProps{
		Table: global.Table(), EncryptionKey: global.EncryptionKey(),
	})
	appender := function.NewFunction(stack, "Intake", &function.Props{Entry: "github.com/serverless-go/cdk/functions/api"})
	store.GrantAppend(appender)
	template := cdktest.Synth(t, stack)

	table := template.One(t, "AWS::DynamoDB::GlobalTable", cdktest.Match{"TableName": "readings"})
	var reference cdktest.Resource
	for _, r := range template.Resources("AWS::DynamoDB::GlobalTable") {
		if strings.HasPrefix(r.ID, "ReferenceEvents") {
			reference = r
		}
	}
	for _, property := range []string{"KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes"} {
		got, _ := json.Marshal(table.Properties[property])
		want, _ := json.Marshal(reference.Properties[property])
		if string(got) != string(want) || string(got) == "null" {
			t.Errorf("%s is %s, want the event store's %s", property, got, want)
		}
	}
	actions := func(r cdktest.Resource) string {
		for _, replica := range r.Properties["Replicas"].([]any) {
			if policy, ok := replica.(map[string]any)["ResourcePolicy"].(map[string]any); ok {
				statement := policy["PolicyDocument"].(map[string]any)["Statement"].([]any)[0].(map[string]any)
				return fmt.Sprint(statement["Effect"], statement["Action"])
			}
		}
		return "nothing"
	}
	if actions(table) != actions(reference) {
		t.Errorf("the policy says %s, want the event store's %s", actions(table), actions(reference))
	}
	pipe := false
	for _, p := range template.Resources("AWS::Pipes::Pipe") {
		pipe = pipe || strings.Contains(fmt.Sprint(p.Properties["Source"]), table.ID)
	}
	if !pipe {
		t.Error("no outbox reads the table's stream")
	}
}

func TestGlobalStoreIsConstruct(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	cdktest.IsConstruct(t, edge.NewGlobalStore(stack, "Readings", strongStore(storeKey(stack))))
}

func TestStoreKeyIsConstruct(t *testing.T) {
	stack := regionalStack(t, "eu-west-1")
	cdktest.IsConstruct(t, edge.NewStoreKey(stack, "Key", &edge.StoreKeyProps{Name: "readings"}))
}

func TestGlobalStoreRejects(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *edge.GlobalStoreProps)
		want   []string
	}{
		"name":      {func(p *edge.GlobalStoreProps) { p.Name = "" }, []string{"Test/Readings: wrong props", `Name is ""`, "set it"}},
		"region":    {func(p *edge.GlobalStoreProps) { p.Regions[0] = "eu-west-2" }, []string{"a list with the stack's region, eu-west-1"}},
		"twice":     {func(p *edge.GlobalStoreProps) { p.Regions[2] = "eu-west-1" }, []string{"Regions[2]", "each region once"}},
		"malformed": {func(p *edge.GlobalStoreProps) { p.Regions[2] = "Paris" }, []string{`Regions[2] is "Paris"`}},
		"two":       {func(p *edge.GlobalStoreProps) { p.Regions = p.Regions[:2] }, []string{"exactly three for Strong, or two and a Witness"}},
		"set":       {func(p *edge.GlobalStoreProps) { p.Regions[2] = "us-east-1" }, []string{"regions of one of the sets", "choose others, or Eventual"}},
		"outside":   {func(p *edge.GlobalStoreProps) { p.Regions[2] = "eu-north-1" }, []string{"regions of one of the sets"}},
		"witness":   {func(p *edge.GlobalStoreProps) { p.Witness = "eu-west-2" }, []string{"a witness beside exactly two Regions"}},
		"witness here": {func(p *edge.GlobalStoreProps) { p.Regions, p.Witness = p.Regions[:2], "eu-west-1" },
			[]string{"a region that has no replica"}},
		"strong homes": {func(p *edge.GlobalStoreProps) { p.Homes.Default = "eu-west-1" }, []string{"Homes is set with Strong"}},
		"no homes":     {func(p *edge.GlobalStoreProps) { p.Consistency = edge.Eventual }, []string{"Homes is empty", "lose events: the last writer wins"}},
		"home elsewhere": {func(p *edge.GlobalStoreProps) {
			p.Consistency, p.Homes = edge.Eventual, home.Map{Prefixes: map[string]string{"us/": "us-east-1"}, Default: "ap-south-1"}
		}, []string{`Homes.Default is "ap-south-1"`, `Homes.Prefixes["us/"] is "us-east-1"`}},
		"wild prefix": {func(p *edge.GlobalStoreProps) {
			p.Consistency, p.Homes = edge.Eventual, home.Map{Prefixes: map[string]string{"us*": "eu-west-1"}}
		}, []string{`Homes.Prefixes["us*"]`}},
		"eventual witness": {func(p *edge.GlobalStoreProps) {
			p.Consistency, p.Homes.Default, p.Witness = edge.Eventual, "eu-west-1", "eu-west-2"
		}, []string{"no witness for Eventual"}},
		"consistency": {func(p *edge.GlobalStoreProps) { p.Consistency = 7 }, []string{"Consistency is Consistency(7)"}},
		"key":         {func(p *edge.GlobalStoreProps) { p.EncryptionKey = nil }, []string{"EncryptionKey is not set", "NewStoreKey"}},
		"ttl": {func(p *edge.GlobalStoreProps) {
			p.TableProps = &awsdynamodb.TablePropsV2{TimeToLiveAttribute: jsii.String("ttl"),
				LocalSecondaryIndexes: &[]*awsdynamodb.LocalSecondaryIndexProps{}, Replicas: &[]*awsdynamodb.ReplicaTableProps{}}
		}, []string{"no TTL", "no local indexes", "name them in Regions"}},
		"alarms": {func(p *edge.GlobalStoreProps) {
			p.Alarms.Replication.Periods, p.Alarms.Throttles.Periods = -1, -1
		}, []string{"Alarms.Replication.Periods", "Alarms.Throttles.Periods"}},
	} {
		t.Run(name, func(t *testing.T) {
			stack := regionalStack(t, "eu-west-1")
			p := strongStore(awskms.Key_FromKeyArn(stack, jsii.String("Key"), jsii.String("arn:aws:kms:eu-west-1:123456789012:key/k")))
			tt.change(p)
			cdktest.Rejects(t, func() { edge.NewGlobalStore(stack, "Readings", p) }, tt.want...)
			cdktest.Synth(t, stack).Count(t, "", 0)
		})
	}
	t.Run("nil", func(t *testing.T) {
		stack := cdktest.NewStack(t)
		cdktest.Rejects(t, func() { edge.NewGlobalStore(stack, "Readings", nil) }, "set StackProps.Env.Region", "Name")
		cdktest.Rejects(t, func() { edge.NewStoreKey(stack, "Key", nil) }, "Test/Key: wrong props", "Name")
	})
}

func ExampleNewGlobalStore() {
	app := awscdk.NewApp(nil)
	regions := []string{"eu-west-1", "us-east-1"}
	for _, region := range regions {
		env := &awscdk.StackProps{Env: &awscdk.Environment{Region: &region}}
		// Deploy the keys of all regions first: the table needs them.
		key := edge.NewStoreKey(awscdk.NewStack(app, jsii.String("Keys-"+region), env), "Key", &edge.StoreKeyProps{Name: "readings"})
		stack := awscdk.NewStack(app, jsii.String("Readings-"+region), env)
		store := edge.NewGlobalStore(stack, "Readings", &edge.GlobalStoreProps{
			Name:          "readings",
			Regions:       regions,
			Consistency:   edge.Eventual,
			Homes:         home.Map{Prefixes: map[string]string{"eu/": "eu-west-1"}, Default: "us-east-1"},
			EncryptionKey: key.Key(),
		})
		store.GrantAppend(function.NewFunction(stack, "Intake", &function.Props{Entry: "example.com/health/functions/intake"}))
	}
}

func ExampleNewStoreKey() {
	app := awscdk.NewApp(nil)
	for _, region := range []string{"eu-west-1", "us-east-1"} {
		stack := awscdk.NewStack(app, jsii.String("Keys-"+region), &awscdk.StackProps{Env: &awscdk.Environment{Region: &region}})
		edge.NewStoreKey(stack, "Key", &edge.StoreKeyProps{Name: "readings"})
	}
}
