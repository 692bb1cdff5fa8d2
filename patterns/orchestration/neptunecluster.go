package orchestration

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsneptune"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
)

// NeptuneClusterProps says how large a graph database may grow and where it
// is.
type NeptuneClusterProps struct {
	// VPC is where the cluster is. It needs private subnets in two zones or
	// more, whose route tables have a gateway endpoint to S3: the cluster and
	// the loader read S3 through it.
	//
	// Default: a new one, of isolated subnets in two zones and such an
	// endpoint, without NAT and so without any other way out. It costs
	// nothing.
	VPC awsec2.IVpc
	// Subnets of VPC.
	//
	// Default: the private ones.
	Subnets *awsec2.SubnetSelection
	// MinCapacity is how far the instances scale down, in Neptune capacity
	// units (NCU) of 2 GB of memory, 1 to 128, in halves. They never pause,
	// so it is what the cluster costs when nobody uses it.
	//
	// Default: 1.
	MinCapacity float64
	// MaxCapacity is how far they scale up, 2.5 to 128, in halves. A load
	// that has too little takes longer.
	//
	// Default: 32.
	MaxCapacity float64
	// Replicas are instances that answer queries beside the one that writes,
	// up to 15. One of them takes over when that one fails.
	//
	// Default: none; a failed instance is replaced within minutes.
	Replicas int
	// EngineVersion is Neptune's, 1.2.0.1 or later. Its first two numbers are
	// those of the parameter group; raising them is a major upgrade.
	//
	// Default: "1.4.6.3".
	EngineVersion string
	// BackupRetention is how far back the graph can be restored to any
	// second, 1 to 35 days.
	//
	// Default: 14 days.
	BackupRetention time.Duration
	// EncryptionKey encrypts the graph, its backups and the audit log, whose
	// service the key's policy must allow to use it. It cannot be changed
	// later.
	//
	// Default: the key aws/rds, which AWS manages.
	EncryptionKey awskms.IKey
	// AuditRetention is how long the audit log, which names every query and
	// who asked it, is kept.
	//
	// Default: three months.
	AuditRetention awslogs.RetentionDays
}

// NeptuneCluster is a graph database of Neptune Serverless in private subnets.
// Callers sign their requests by IAM; storage is encrypted and backed up;
// queries are logged. The cluster, and all that it needs to live, is retained
// when the stack is destroyed, and protected against deletion.
//
// An NCU costs about 0.16 USD an hour in us-east-1, 1 at least; storage,
// requests to it and the audit log are extra
// (https://aws.amazon.com/neptune/pricing/).
type NeptuneCluster struct {
	constructs.Construct
	vpc           awsec2.IVpc
	subnets       *awsec2.SubnetSelection
	subnetIDs     []*string
	endpoint      awsec2.GatewayVpcEndpoint // nil in a VPC of the user's
	securityGroup awsec2.SecurityGroup
	loaderRole    awsiam.Role
	cluster       awsneptune.CfnDBCluster
	instances     []awsneptune.CfnDBInstance
	auditLog      awslogs.LogGroup
}

// neptunePort is Neptune's.
const neptunePort = 8182

// NewNeptuneCluster makes a cluster. It panics with a *[props.Error] when the
// props are wrong; nil props are right.
func NewNeptuneCluster(scope constructs.Construct, id string, p *NeptuneClusterProps) *NeptuneCluster {
	if p == nil {
		p = &NeptuneClusterProps{}
	}
	family := p.check(scope, id)
	n := &NeptuneCluster{vpc: p.VPC, subnets: p.Subnets}
	construct.Init(n, scope, id)
	if n.vpc == nil {
		n.addVPC()
	} else {
		n.subnetIDs = *n.vpc.SelectSubnets(n.subnets).SubnetIds
	}
	n.securityGroup = awsec2.NewSecurityGroup(n, jsii.String("SecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc:              n.vpc,
		Description:      jsii.String("The graph database " + construct.Path(n)),
		AllowAllOutbound: jsii.Bool(false),
	})
	// The endpoint's addresses are a prefix list without a name that is known
	// at synth. Isolated subnets route HTTPS nowhere else.
	allowHTTPS(n, n.securityGroup, "S3, for bulk loads")
	// Neptune assumes roles as RDS
	// (https://docs.aws.amazon.com/neptune/latest/userguide/bulk-load-tutorial-IAM-CreateRole.html).
	// What this one may read is added by each load.
	n.loaderRole = defaults.ServiceRole(n, "LoaderRole", "rds.amazonaws.com")
	n.addCluster(p, family)
	// What the cluster uses must live as long as it does. A rule that names
	// another group would keep that one from being deleted.
	awscdk.RemovalPolicies_Of(n).Retain(&awscdk.RemovalPolicyProps{ExcludeResourceTypes: jsii.Strings("AWS::EC2::SecurityGroupIngress")})
	return n
}

// check returns the family of the parameter groups.
func (p *NeptuneClusterProps) check(scope constructs.Construct, id string) (family string) {
	var c props.Check
	least, most := construct.Or(p.MinCapacity, 1), construct.Or(p.MaxCapacity, 32)
	halves := func(n float64) bool { return n*2 == float64(int(n*2)) }
	c.Require(least >= 1 && least <= 128 && halves(least), "MinCapacity", p.MinCapacity, "1 to 128 NCU, in halves, or 0 for the default", "")
	c.Require(most >= 2.5 && most <= 128 && halves(most), "MaxCapacity", p.MaxCapacity, "2.5 to 128 NCU, in halves, or 0 for the default", "")
	c.Require(least <= most, "MinCapacity", p.MinCapacity, fmt.Sprintf("at most MaxCapacity, which is %g", most), "")
	props.Between(&c, "Replicas", p.Replicas, 1, 15)
	props.Between(&c, "BackupRetention", p.BackupRetention, 24*time.Hour, 35*24*time.Hour)
	c.Require(p.BackupRetention%(24*time.Hour) == 0, "BackupRetention", p.BackupRetention, "whole days", "")
	c.Require(p.Subnets == nil || p.VPC != nil, "Subnets", props.Words("set without VPC"), "none", "set VPC, too")
	var major, minor, rest, patch int
	_, err := fmt.Sscanf(p.engine(), "%d.%d.%d.%d", &major, &minor, &rest, &patch)
	c.Require(err == nil && major == 1 && minor >= 2, "EngineVersion", p.EngineVersion, "a version from 1.2.0.1, such as 1.4.6.3", "")
	c.Panic(scope, id)
	return fmt.Sprintf("neptune%d.%d", major, minor)
}

func (p *NeptuneClusterProps) engine() string { return construct.Or(p.EngineVersion, "1.4.6.3") }

// allowHTTPS lets the group's members connect to whatever they have a route to.
func allowHTTPS(scope constructs.Construct, group awsec2.SecurityGroup, description string) {
	group.AddEgressRule(construct.Constant(scope, "any IPv4", awsec2.Peer_AnyIpv4),
		construct.Constant(scope, "HTTPS", awsec2.Port_HTTPS), &description, nil)
}

// addVPC makes a VPC from which only S3 can be reached.
func (n *NeptuneCluster) addVPC() {
	vpc := awsec2.NewVpc(n, jsii.String("Vpc"), &awsec2.VpcProps{
		MaxAzs:                       jsii.Number(2),
		NatGateways:                  jsii.Number(0),
		RestrictDefaultSecurityGroup: jsii.Bool(false), // it takes a custom resource, and nothing uses that group
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{{
			Name:       jsii.String("Graph"),
			SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED,
			CidrMask:   jsii.Number(24),
		}},
	})
	n.vpc = vpc
	n.subnets = &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED}
	for _, subnet := range *vpc.IsolatedSubnets() {
		n.subnetIDs = append(n.subnetIDs, subnet.SubnetId())
	}
	n.endpoint = vpc.AddGatewayEndpoint(jsii.String("S3"), &awsec2.GatewayVpcEndpointOptions{
		Service: awsec2.GatewayVpcEndpointAwsService_S3(),
	})
}

func (n *NeptuneCluster) addCluster(p *NeptuneClusterProps, family string) {
	parameters := awsneptune.NewCfnDBClusterParameterGroup(n, jsii.String("Parameters"), &awsneptune.CfnDBClusterParameterGroupProps{
		Description: jsii.String("The graph database " + construct.Path(n)),
		Family:      &family,
		Parameters:  map[string]any{"neptune_enable_audit_log": "1"},
	})
	subnets := awsneptune.NewCfnDBSubnetGroup(n, jsii.String("Subnets"), &awsneptune.CfnDBSubnetGroupProps{
		DbSubnetGroupDescription: jsii.String("The graph database " + construct.Path(n)),
		SubnetIds:                &n.subnetIDs,
	})
	cluster := &awsneptune.CfnDBClusterProps{
		AssociatedRoles:             []any{&awsneptune.CfnDBCluster_DBClusterRoleProperty{RoleArn: construct.RoleArn(n.loaderRole)}},
		BackupRetentionPeriod:       jsii.Number(construct.Or(p.BackupRetention, 14*24*time.Hour).Hours() / 24),
		CopyTagsToSnapshot:          jsii.Bool(true),
		DbClusterParameterGroupName: parameters.Ref(),
		DbPort:                      jsii.Number(neptunePort),
		DbSubnetGroupName:           subnets.Ref(),
		DeletionProtection:          jsii.Bool(true),
		EnableCloudwatchLogsExports: jsii.Strings("audit"),
		EngineVersion:               jsii.String(p.engine()),
		IamAuthEnabled:              jsii.Bool(true),
		ServerlessScalingConfiguration: &awsneptune.CfnDBCluster_ServerlessScalingConfigurationProperty{
			MinCapacity: jsii.Number(construct.Or(p.MinCapacity, 1)),
			MaxCapacity: jsii.Number(construct.Or(p.MaxCapacity, 32)),
		},
		StorageEncrypted:    jsii.Bool(true),
		VpcSecurityGroupIds: &[]any{n.securityGroup.SecurityGroupId()},
	}
	if p.EncryptionKey != nil {
		cluster.KmsKeyId = construct.KeyArn(p.EncryptionKey)
	}
	n.cluster = awsneptune.NewCfnDBCluster(n, jsii.String("Cluster"), cluster)
	logs := &awslogs.LogGroupProps{
		LogGroupName: jsii.String("/aws/neptune/" + *construct.Ref(n.cluster) + "/audit"),
		Retention:    construct.Or(p.AuditRetention, awslogs.RetentionDays_THREE_MONTHS),
	}
	if p.EncryptionKey != nil {
		logs.EncryptionKey = p.EncryptionKey
	}
	n.auditLog = awslogs.NewLogGroup(n, jsii.String("AuditLog"), logs)
	for i := range 1 + p.Replicas {
		instance := awsneptune.NewCfnDBInstance(n, jsii.String(fmt.Sprintf("Instance%d", i+1)), &awsneptune.CfnDBInstanceProps{
			DbInstanceClass:         jsii.String("db.serverless"),
			DbClusterIdentifier:     construct.Ref(n.cluster),
			AutoMinorVersionUpgrade: jsii.Bool(true),
		})
		// The first instance would make the log group, to be kept for ever.
		instance.Node().AddDependency(n.auditLog)
		n.instances = append(n.instances, instance)
	}
}

// VPC returns the VPC.
func (n *NeptuneCluster) VPC() awsec2.IVpc { return n.vpc }

// Connections returns who may connect to the cluster: allow more by
// Connections().AllowDefaultPortFrom. It makes a NeptuneCluster an
// awsec2.IConnectable.
func (n *NeptuneCluster) Connections() awsec2.Connections {
	return awsec2.NewConnections(&awsec2.ConnectionsProps{
		SecurityGroups: &[]awsec2.ISecurityGroup{n.securityGroup},
		DefaultPort:    awsec2.Port_Tcp(jsii.Number(neptunePort)),
	})
}

// Cluster returns the cluster.
func (n *NeptuneCluster) Cluster() awsneptune.CfnDBCluster { return n.cluster }

// Instances returns the instances, the one that wrote first at first.
func (n *NeptuneCluster) Instances() []awsneptune.CfnDBInstance { return n.instances }

// AuditLog returns the log group of the queries.
func (n *NeptuneCluster) AuditLog() awslogs.ILogGroup { return n.auditLog }

// Endpoint returns "https://", the name and the port of the instance that
// writes, for a [github.com/serverless-go/cdk/patterns/orchestration/neptune.Cluster].
func (n *NeptuneCluster) Endpoint() string {
	return "https://" + *construct.Once(n.cluster, "AttrEndpoint", n.cluster.AttrEndpoint) + ":" +
		*construct.Once(n.cluster, "AttrPort", n.cluster.AttrPort)
}

// data returns the ARN of what is in the graph
// (https://docs.aws.amazon.com/neptune/latest/userguide/iam-data-resources.html).
func (n *NeptuneCluster) data() *string {
	id := construct.Once(n.cluster, "AttrClusterResourceId", n.cluster.AttrClusterResourceId)
	return localARN(n, "neptune-db", *id+"/*")
}

// GrantQuery lets the grantee read the graph by openCypher queries. It must be
// allowed to connect, too: see [NeptuneCluster.Connections].
func (n *NeptuneCluster) GrantQuery(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, n.toQuery())
}

// GrantChange lets the grantee read and change the graph by openCypher
// queries.
func (n *NeptuneCluster) GrantChange(grantee awsiam.IGrantable) awsiam.Grant {
	return defaults.Grant(grantee, n.toAsk("neptune-db:ReadDataViaQuery", "neptune-db:WriteDataViaQuery", "neptune-db:DeleteDataViaQuery"))
}

func (n *NeptuneCluster) toQuery() defaults.Statement { return n.toAsk("neptune-db:ReadDataViaQuery") }

func (n *NeptuneCluster) toAsk(actions ...string) defaults.Statement {
	return defaults.Actions(actions).To(n.data()).If(map[string]any{
		"StringEquals": map[string]any{"neptune-db:QueryLanguage": "OpenCypher"},
	})
}
