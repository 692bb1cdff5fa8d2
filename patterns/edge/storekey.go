package edge

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/props"
)

// StoreKeyProps names the store that a key is for.
type StoreKeyProps struct {
	// Name is the Name of the [GlobalStore]. Required.
	Name string
}

// StoreKey is the key of a global store in one region. Make one in each of the
// store's regions, in a stack that is deployed before the table: DynamoDB
// encrypts each replica with a key of its own region, which it finds by the
// alias "alias/" and the store's name.
//
// A key costs 1 USD a month and 0.03 USD for 10,000 requests
// (https://aws.amazon.com/kms/pricing/).
type StoreKey struct {
	constructs.Construct
	key awskms.Key
}

// NewStoreKey makes the key of a global store in the stack's region. It panics
// with a *[props.Error] when the props are wrong.
func NewStoreKey(scope constructs.Construct, id string, p *StoreKeyProps) *StoreKey {
	if p == nil {
		p = &StoreKeyProps{}
	}
	var c props.Check
	checkStoreName(&c, p.Name)
	c.Panic(scope, id)
	k := &StoreKey{}
	construct.Init(k, scope, id)
	k.key = defaults.AliasedKey(k, "Key", "Encrypts the replica of "+p.Name+" in this region.", storeAlias(p.Name))
	return k
}

// Key returns the key, for [GlobalStoreProps] of the same region and for the
// event store built on it.
func (k *StoreKey) Key() awskms.IKey { return k.key }

func storeAlias(name string) string { return "alias/" + name }
