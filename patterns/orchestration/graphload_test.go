package orchestration_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/patterns/orchestration"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
	"github.com/serverless-go/cdk/test/cdktest"
)

// insights is a graph of customers and what they bought.
func insights(lake *orchestration.DataLake) *orchestration.GraphLoadProps {
	return &orchestration.GraphLoadProps{
		Lake: lake,
		Nodes: []orchestration.GraphNodes{
			{Label: "Customer", Query: "SELECT id, name, joined FROM customers", ID: "id",
				Properties: map[string]graph.Type{"name": graph.String, "joined": graph.Date}},
			{Label: "Product", Query: "SELECT sku, price FROM products -- all", ID: "sku",
				Properties: map[string]graph.Type{"price": graph.Double}},
		},
		Relationships: []orchestration.GraphRelationships{{
			Type: "BOUGHT", Query: "SELECT customer, sku, pieces FROM insights",
			From:       orchestration.GraphEnd{Label: "Customer", Column: "customer"},
			To:         orchestration.GraphEnd{Label: "Product", Column: "sku"},
			Properties: map[string]graph.Type{"pieces": graph.Long},
		}},
		Checks: []orchestration.GraphCheck{{Query: "MATCH (c:Customer)-[:BOUGHT]->() RETURN count(c)", AtLeast: 1}},
	}
}

func TestGraphLoad(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	orchestration.NewGraphLoad(stack, "Insights", insights(lake))
	cdktest.Golden(t, stack)
}

func TestGraphLoadAnalytics(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	p := insights(lake)
	p.Analytics = orchestration.NewNeptuneAnalytics(stack, "Graph", nil)
	orchestration.NewGraphLoad(stack, "Insights", p)
	cdktest.Golden(t, stack)
	template := cdktest.Synth(t, stack)
	template.Count(t, "AWS::EC2::VPC", 0)
	template.Count(t, "AWS::Neptune::DBCluster", 0)
}

func TestGraphLoadEverything(t *testing.T) {
	app := cdktest.NewApp(t)
	stack := awscdk.NewStack(app, jsii.String("Test"), nil)
	key := awskms.NewKey(stack, jsii.String("Key"), nil)
	lake := orchestration.NewDataLake(stack, "Lake", &orchestration.DataLakeProps{EncryptionKey: key})
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), &awsec2.VpcProps{
		MaxAzs: jsii.Number(2), NatGateways: jsii.Number(0),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			{Name: jsii.String("Public"), SubnetType: awsec2.SubnetType_PUBLIC},
			{Name: jsii.String("Graph"), SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED},
		},
	})
	cluster := orchestration.NewNeptuneCluster(stack, "Graph", &orchestration.NeptuneClusterProps{
		VPC: vpc, Subnets: &awsec2.SubnetSelection{SubnetGroupName: jsii.String("Graph")},
		MinCapacity: 2.5, MaxCapacity: 128, Replicas: 1, EngineVersion: "1.3.4.0", BackupRetention: 35 * 24 * time.Hour,
		EncryptionKey: key,
	})
	none := 0
	p := insights(lake)
	p.Cluster, p.EncryptionKey, p.Retention = cluster, key, 24*time.Hour
	p.MaxConcurrency, p.LoadTimeout, p.PollInterval, p.Resumes = 1, time.Hour, time.Minute, &none
	p.Alarms = orchestration.WorkflowAlarms{Topic: awssns.NewTopic(stack, jsii.String("Alarms"), nil)}
	load := orchestration.NewGraphLoad(stack, "Insights", p)
	analyst := handler(stack, "Analyst")
	cluster.GrantQuery(analyst)
	cluster.GrantChange(handler(stack, "Editor"))
	starter := handler(stack, "Starter")
	load.GrantStart(starter)
	load.GrantRedrive(starter)
	cdktest.Golden(t, stack)
}

func TestGraphLoadAnalyticsEverything(t *testing.T) {
	stack := cdktest.NewStack(t)
	key := awskms.NewKey(stack, jsii.String("Key"), nil)
	n := orchestration.NewNeptuneAnalytics(stack, "Graph", &orchestration.NeptuneAnalyticsProps{Memory: 128, Replicas: 2, EncryptionKey: key})
	n.GrantQuery(handler(stack, "Analyst"))
	template := cdktest.Synth(t, stack)
	template.Has(t, "AWS::NeptuneGraph::Graph", cdktest.Match{
		"ProvisionedMemory": 128, "ReplicaCount": 2, "DeletionProtection": true, "PublicConnectivity": true,
		"KmsKeyIdentifier": cdktest.Any()})
}

// TestNeptuneClusterIsRetained looks at everything that the cluster needs.
func TestNeptuneClusterIsRetained(t *testing.T) {
	stack := cdktest.NewStack(t)
	orchestration.NewNeptuneCluster(stack, "Graph", nil)
	template := cdktest.Synth(t, stack)
	for _, kind := range []string{"AWS::Neptune::DBCluster", "AWS::Neptune::DBInstance", "AWS::Neptune::DBSubnetGroup",
		"AWS::Neptune::DBClusterParameterGroup", "AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::VPCEndpoint",
		"AWS::EC2::SecurityGroup", "AWS::IAM::Role", "AWS::Logs::LogGroup"} {
		resources := template.Resources(kind)
		if len(resources) == 0 {
			t.Errorf("there is no %s", kind)
		}
		for _, r := range resources {
			if policy := r.Attributes["DeletionPolicy"]; policy != "Retain" {
				t.Errorf("%s %s has the deletion policy %v", kind, r.ID, policy)
			}
		}
	}
	for _, kind := range []string{"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP"} {
		template.Count(t, kind, 0)
	}
}

// TestGraphLoadPermissions looks for statements on all resources. Each is one
// of those for which AWS knows no resources.
func TestGraphLoadPermissions(t *testing.T) {
	known := regexp.MustCompile(`^(logs:(Create|Delete|Get|List|Update)LogDelivery|logs:ListLogDeliveries|logs:Describe\w+|logs:PutResourcePolicy` +
		`|xray:(Get|Put)\w+|ec2:Describe(NetworkInterfaces|Subnets))$`)
	for _, analytics := range []bool{false, true} {
		stack := cdktest.NewStack(t)
		p := insights(orchestration.NewDataLake(stack, "Lake", nil))
		if analytics {
			p.Analytics = orchestration.NewNeptuneAnalytics(stack, "Graph", nil)
		}
		orchestration.NewGraphLoad(stack, "Insights", p)
		template, statements := cdktest.Synth(t, stack), 0
		for _, r := range append(template.Resources("AWS::IAM::Policy"), template.Resources("AWS::IAM::Role")...) {
			documents := []any{r.Properties["PolicyDocument"]}
			policies, _ := r.Properties["Policies"].([]any)
			for _, inline := range policies {
				documents = append(documents, inline.(map[string]any)["PolicyDocument"])
			}
			for _, document := range documents {
				d, _ := document.(map[string]any)
				all, _ := d["Statement"].([]any)
				for _, statement := range all {
					statements++
					s := statement.(map[string]any)
					actions, ok := s["Action"].([]any)
					if !ok {
						actions = []any{s["Action"]}
					}
					for _, action := range actions {
						if strings.Contains(action.(string), "*") || s["Resource"] == "*" && !known.MatchString(action.(string)) {
							t.Errorf("%s may %s on %v", r.ID, action, s["Resource"])
						}
					}
				}
			}
		}
		if statements < 15 {
			t.Errorf("only %d statements were looked at", statements)
		}
	}
}

func TestGraphLoadIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	load := orchestration.NewGraphLoad(stack, "Insights", insights(orchestration.NewDataLake(stack, "Lake", nil)))
	cdktest.IsConstruct(t, load)
	if load.Analytics() != nil || load.Bucket() == nil || load.Function() == nil || load.Workflow() == nil || load.Cluster() == nil {
		t.Error("an accessor returns something else")
	}
}

func TestNeptuneClusterIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	cluster := orchestration.NewNeptuneCluster(stack, "Graph", nil)
	cdktest.IsConstruct(t, cluster)
	if cluster.VPC() == nil || cluster.AuditLog() == nil || cluster.Cluster() == nil || len(cluster.Instances()) != 1 {
		t.Error("an accessor returns nothing")
	}
}

func TestNeptuneAnalyticsIsConstruct(t *testing.T) {
	stack := cdktest.NewStack(t)
	analytics := orchestration.NewNeptuneAnalytics(stack, "Graph", nil)
	cdktest.IsConstruct(t, analytics)
	if analytics.Graph() == nil {
		t.Error("an accessor returns nothing")
	}
}

func TestGraphLoadRejects(t *testing.T) {
	stack := cdktest.NewStack(t)
	lake := orchestration.NewDataLake(stack, "Lake", nil)
	other := orchestration.NewDataLake(stack, "Other", nil)
	minus := -1
	for name, tt := range map[string]struct {
		change func(*orchestration.GraphLoadProps)
		want   []string
	}{
		"nothing": {func(p *orchestration.GraphLoadProps) { *p = orchestration.GraphLoadProps{} }, []string{"Lake", "Nodes"}},
		"both graphs": {func(p *orchestration.GraphLoadProps) {
			p.Cluster = orchestration.NewNeptuneCluster(stack, "C", nil)
			p.Analytics = orchestration.NewNeptuneAnalytics(stack, "A", nil)
			p.Resumes = &minus
		}, []string{"set together with Analytics", "Resumes is -1; allowed is 0 to 100", "none with Analytics"}},
		"times": {func(p *orchestration.GraphLoadProps) {
			p.LoadTimeout, p.PollInterval, p.Retention, p.MaxConcurrency = time.Minute, 5500*time.Millisecond, 36*time.Hour, 21
		}, []string{"LoadTimeout is 1m0s", "PollInterval is 5.5s", "Retention is 36h0m0s", "MaxConcurrency is 21"}},
		"bucket": {func(p *orchestration.GraphLoadProps) {
			p.Bucket, p.Retention = awss3.NewBucket(stack, jsii.String("B"), nil), 24*time.Hour
		}, []string{"Retention", "none with Bucket"}},
		"table of another lake": {func(p *orchestration.GraphLoadProps) { p.Lake, p.Tables = other, []*orchestration.Table{nil} },
			[]string{"Tables[0] is not a table of Lake"}},
		"nodes": {func(p *orchestration.GraphLoadProps) {
			p.Nodes = append(p.Nodes, orchestration.GraphNodes{Label: "Customer", Query: "SELECT 1;", ID: "Id",
				Properties: map[string]graph.Type{"load": graph.String, "born": "date"}})
		}, []string{`Nodes[2].Label is "Customer"`, "UNION ALL", `Nodes[2].Query is "SELECT 1;"`, `Nodes[2].ID is "Id"`,
			`Nodes[2].Properties is "load"`, `Nodes[2].Properties["born"] is "date"`}},
		"relationships": {func(p *orchestration.GraphLoadProps) {
			p.Relationships = []orchestration.GraphRelationships{{Type: "a b", Query: " ", ID: "1",
				From: orchestration.GraphEnd{Label: "Nobody", Column: "c"}, To: orchestration.GraphEnd{Label: "Product", Column: ""}}}
		}, []string{`Relationships[0].Type is "a b"`, "Relationships[0].Query", `Relationships[0].From.Label is "Nobody"`,
			"Relationships[0].To.Column", `Relationships[0].ID is "1"`}},
		"checks": {func(p *orchestration.GraphLoadProps) { p.Checks = []orchestration.GraphCheck{{}} }, []string{"Checks[0].Query"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := insights(lake)
			tt.change(p)
			cdktest.Rejects(t, func() { orchestration.NewGraphLoad(stack, "Load"+strings.ReplaceAll(name, " ", ""), p) }, tt.want...)
		})
	}
	cdktest.Rejects(t, func() { orchestration.NewGraphLoad(stack, "Nil", nil) }, "Test/Nil: wrong props", "Lake")
	cdktest.Rejects(t, func() {
		orchestration.NewNeptuneCluster(stack, "Cluster", &orchestration.NeptuneClusterProps{MinCapacity: 0.7, MaxCapacity: 129, Replicas: 16,
			EngineVersion: "1.1.0.0", BackupRetention: 25 * time.Hour, Subnets: &awsec2.SubnetSelection{}})
	}, "MinCapacity is 0.7", "MaxCapacity is 129", "Replicas is 16", `EngineVersion is "1.1.0.0"`, "BackupRetention is 25h0m0s", "Subnets")
	cdktest.Rejects(t, func() {
		orchestration.NewNeptuneCluster(stack, "Small", &orchestration.NeptuneClusterProps{MinCapacity: 40})
	}, "MinCapacity is 40; allowed is at most MaxCapacity, which is 32")
	cdktest.Rejects(t, func() {
		orchestration.NewNeptuneAnalytics(stack, "Graph", &orchestration.NeptuneAnalyticsProps{Memory: 8, Replicas: 3})
	}, "Memory is 8", "Replicas is 3")
}
