package orchestration

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsneptunegraph"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/internal/leastprivilege"
	"github.com/serverless-go/cdk/patterns/props"
)

// NeptuneAnalyticsProps says how large a graph is.
type NeptuneAnalyticsProps struct {
	// Memory holds the graph, in m-NCU of 1 GB, from 16 on. It is what the
	// graph costs, used or not.
	//
	// Default: 16.
	Memory int
	// Replicas take over when the graph's zone fails, 1 or 2. Each costs as
	// much again.
	//
	// Default: none.
	Replicas int
	// EncryptionKey encrypts the graph. It cannot be changed later.
	//
	// Default: a key that AWS owns.
	EncryptionKey awskms.IKey
}

// NeptuneAnalytics is a graph in memory, for queries that look at all of it. It
// is reached without a VPC; every request must be signed by IAM. It is retained
// when the stack is destroyed, and protected against deletion.
//
// Prices are by m-NCU and hour (https://aws.amazon.com/neptune/pricing/).
type NeptuneAnalytics struct {
	constructs.Construct
	graph      awsneptunegraph.CfnGraph
	importRole awsiam.Role
}

// NewNeptuneAnalytics makes a graph. It panics with a *[props.Error] when the
// props are wrong; nil props are right.
func NewNeptuneAnalytics(scope constructs.Construct, id string, p *NeptuneAnalyticsProps) *NeptuneAnalytics {
	if p == nil {
		p = &NeptuneAnalyticsProps{}
	}
	var c props.Check
	props.Between(&c, "Memory", p.Memory, 16, 24576)
	props.Between(&c, "Replicas", p.Replicas, 1, 2)
	c.Panic(scope, id)
	n := &NeptuneAnalytics{}
	construct.Init(n, scope, id)
	n.importRole = defaults.ServiceRole(n, "ImportRole", "neptune-graph.amazonaws.com") // each load adds what it may read
	graph := &awsneptunegraph.CfnGraphProps{
		ProvisionedMemory:  jsii.Number(construct.Or(p.Memory, 16)),
		DeletionProtection: jsii.Bool(true),
		PublicConnectivity: jsii.Bool(true),
		ReplicaCount:       jsii.Number(p.Replicas),
	}
	if p.EncryptionKey != nil {
		graph.KmsKeyIdentifier = construct.KeyArn(p.EncryptionKey)
	}
	n.graph = awsneptunegraph.NewCfnGraph(n, jsii.String("Graph"), graph)
	n.graph.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	leastprivilege.Acknowledge(n.graph, leastprivilege.PublicAccess, "a graph without a network of its own is reached at a public endpoint, which answers only what IAM allows")
	return n
}

// Graph returns the graph.
func (n *NeptuneAnalytics) Graph() awsneptunegraph.CfnGraph { return n.graph }

// Endpoint returns "https://" and the graph's name, for a
// [github.com/serverless-go/cdk/patterns/orchestration/neptune.Graph].
func (n *NeptuneAnalytics) Endpoint() string { return "https://" + *n.graph.AttrEndpoint() }

// GrantQuery lets the grantee read the graph by queries.
func (n *NeptuneAnalytics) GrantQuery(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, n.toQuery())
}

func (n *NeptuneAnalytics) toQuery() defaults.Statement {
	return defaults.Actions{"neptune-graph:ReadDataViaQuery"}.To(n.arn())
}

func (n *NeptuneAnalytics) arn() *string {
	return construct.Once(n.graph, "AttrGraphArn", n.graph.AttrGraphArn)
}
