package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/edge/routing"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/function"
	"github.com/serverless-go/cdk/patterns/props"
)

// KeyValuesProps says what a KeyValueStore holds. Nil is an empty store.
type KeyValuesProps struct {
	// Entries are the values by key, such as those of [routing.Table.Entries].
	// Keys take up to 512 bytes, values 1 KB, all together 5 MB. Everybody who
	// may read the app's assets reads them: no secrets.
	//
	// Default: none.
	Entries map[string]string
	// Store is a store that is there already. Keys of others in it are kept.
	//
	// Default: a new one, deleted with the stack: its entries are in the app.
	Store awscloudfront.IKeyValueStore
	// Exclusive removes every key of Store that is not in Entries.
	//
	// Default: only keys of the deployment before are removed. A new store is
	// always exclusive.
	Exclusive bool
	// Comment describes a new store.
	//
	// Default: none.
	Comment string
	// DeployerProps are the CDK's props of the function that writes.
	//
	// Default: none.
	DeployerProps *awslambda.FunctionProps
}

// KeyValues is a CloudFront KeyValueStore whose entries change with the app,
// while the functions that read it stay as they are. CloudFormation alone fills
// a store once, when it is made
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudfront-keyvaluestore.html).
type KeyValues struct {
	constructs.Construct
	store    awscloudfront.IKeyValueStore
	deployer *function.Function
	resource awscdk.CustomResource
}

const (
	keyValuesEntry   = "github.com/serverless-go/cdk/functions/keyvalues"
	keyValuesTimeout = 10 * time.Minute
)

// NewKeyValues makes a store, unless one is given, and keeps its entries. It
// panics with a *[props.Error] when the props are wrong; nil props are right.
func NewKeyValues(scope constructs.Construct, id string, p *KeyValuesProps) *KeyValues {
	if p == nil {
		p = &KeyValuesProps{}
	}
	var c props.Check
	p.check(&c)
	c.Panic(scope, id)
	k := &KeyValues{store: p.Store}
	construct.Init(k, scope, id)
	if k.store == nil {
		k.store = awscloudfront.NewKeyValueStore(k, jsii.String("Store"), &awscloudfront.KeyValueStoreProps{Comment: construct.Text(p.Comment)})
	}
	arn, asset := k.store.KeyValueStoreArn(), k.asset(p.Entries)
	k.deployer = function.NewFunction(k, "Deployer", &function.Props{
		Entry:                  keyValuesEntry,
		Description:            "Keeps the entries of a CloudFront KeyValueStore.",
		Timeout:                keyValuesTimeout,
		WithoutTracing:         true,
		WithoutDeadLetterQueue: true, // CloudFormation waits for its answer
		Alarms:                 function.Alarms{Off: true},
		FunctionProps:          defaults.Deployer(k, keyValuesTimeout, p.DeployerProps),
	})
	// The entries of before are read too, which are another object.
	k.deployer.AddToPolicy([]string{"s3:GetObject"}, *asset.Bucket().ArnForObjects(jsii.String("*.json")))
	k.deployer.AddToPolicy([]string{
		"cloudfront-keyvaluestore:DescribeKeyValueStore",
		"cloudfront-keyvaluestore:ListKeys",
		"cloudfront-keyvaluestore:UpdateKeys",
	}, *arn)
	k.resource = awscdk.NewCustomResource(k, jsii.String("Entries"), &awscdk.CustomResourceProps{
		ServiceToken:   construct.FunctionArn(k.deployer.Lambda()),
		ResourceType:   jsii.String("Custom::KeyValues"),
		ServiceTimeout: construct.SharedDuration(k, defaults.DeployerWait(keyValuesTimeout)),
		Properties: &map[string]any{
			"Store":     arn,
			"Bucket":    asset.S3BucketName(),
			"Key":       asset.S3ObjectKey(),
			"Exclusive": strconv.FormatBool(p.Store == nil || p.Exclusive),
		},
	})
	k.resource.Node().AddDependency(k.deployer) // its policy too
	return k
}

func (p *KeyValuesProps) check(c *props.Check) {
	total := 0
	for _, key := range slices.Sorted(maps.Keys(p.Entries)) {
		value := p.Entries[key]
		total += len(key) + len(value)
		c.Require(key != "" && len(key) <= routing.MaxKey, "Entries", key, fmt.Sprintf("keys of 1 to %d bytes", routing.MaxKey), "")
		c.Require(len(value) <= routing.MaxValue, fmt.Sprintf("Entries[%q]", key), fmt.Sprintf("%d bytes", len(value)),
			fmt.Sprintf("at most %d bytes", routing.MaxValue), "split the value")
		c.Require(!construct.DeployTime(key+value), fmt.Sprintf("Entries[%q]", key), props.Words("a token"), "text that is known when the app is synthesized", "")
	}
	c.Require(total <= schema.KeyValuesStoreBytes, "Entries", fmt.Sprintf("%d bytes", total), fmt.Sprintf("at most %d bytes in all", schema.KeyValuesStoreBytes), "use another store for a part")
	c.Require(p.Store == nil || p.Comment == "", "Comment", p.Comment, "empty where Store is set", "its owner describes it")
	c.Require(p.Store != nil || !p.Exclusive, "Exclusive", p.Exclusive, "false where Store is not set", "a new store is exclusive")
}

// asset writes the entries to a file, which the CDK copies at once.
func (k *KeyValues) asset(entries map[string]string) awss3assets.Asset {
	if entries == nil {
		entries = map[string]string{}
	}
	data, err := json.Marshal(entries) // in the order of the keys
	dir := ""
	if err == nil {
		dir, err = os.MkdirTemp("", "keyvalues")
	}
	file := filepath.Join(dir, "entries.json")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		panic(fmt.Errorf("edge: write the entries: %w", err))
	}
	sum := sha256.Sum256(data)
	return awss3assets.NewAsset(k, jsii.String("Asset"), &awss3assets.AssetProps{
		Path:          &file,
		AssetHash:     jsii.String(hex.EncodeToString(sum[:])),
		AssetHashType: awscdk.AssetHashType_CUSTOM,
	})
}

// Store returns the store, for the functions that read it.
func (k *KeyValues) Store() awscloudfront.IKeyValueStore { return k.store }

// Resource returns the custom resource that writes the entries. Let it depend on
// what the entries name, such as a distribution with its origins.
func (k *KeyValues) Resource() awscdk.CustomResource { return k.resource }

// Deployer returns the function that writes the entries.
func (k *KeyValues) Deployer() *function.Function { return k.deployer }
