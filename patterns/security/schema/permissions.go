package schema

import (
	"encoding/json"
	"fmt"
)

// Permission is one thing that a permission set allows, in short: a broker's
// environment has 4 KB for all of them. The construct writes it, and both it and
// the broker know what it means.
type Permission struct {
	// Use says what for: one of the Use constants.
	Use string `json:"use"`
	// On are ARNs: of a table, its indexes, a bucket or a key.
	On []string `json:"on"`
	// Keys says which partition keys, OwnKeys or TenantKeys, for items.
	Keys string `json:"keys,omitempty"`
	// Prefix is what partition keys begin with.
	Prefix string `json:"prefix,omitempty"`
}

// Uses of resources.
const (
	UseReadItems          = "items"
	UseWriteItems         = "items+"
	UseIndex              = "index"
	UseReadObjects        = "objects"
	UseWriteObjects       = "objects+"
	UseListObjects        = "list"
	UseKeyOfTable         = "table-key"
	UseKeyOfTableToWrite  = "table-key+"
	UseKeyOfBucket        = "bucket-key"
	UseKeyOfBucketToWrite = "bucket-key+"
)

// Kinds of partition keys.
const (
	OwnKeys    = "own"
	TenantKeys = "tenant"
)

var actions = map[string][]string{
	UseReadItems: {"dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:Query"},
	UseWriteItems: {"dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem",
		"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"},
	UseIndex:        {"dynamodb:Query"},
	UseReadObjects:  {"s3:GetObject"},
	UseWriteObjects: {"s3:DeleteObject", "s3:GetObject", "s3:PutObject"},
	UseListObjects:  {"s3:ListBucket"},
	UseKeyOfTable:   {"kms:Decrypt", "kms:DescribeKey"},
	UseKeyOfTableToWrite: {"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
		"kms:ReEncryptFrom", "kms:ReEncryptTo"},
	UseKeyOfBucket:        {"kms:Decrypt"},
	UseKeyOfBucketToWrite: {"kms:Decrypt", "kms:GenerateDataKey"},
}

// Actions returns the actions that the permission allows, nil for a use that
// is not known.
func (p Permission) Actions() []string { return actions[p.Use] }

// Resources returns the ARNs that the permission is for, as policies have them.
func (p Permission) Resources() []string {
	if p.Use != UseReadObjects && p.Use != UseWriteObjects {
		return p.On
	}
	objects := make([]string, len(p.On))
	for i, bucket := range p.On {
		objects[i] = bucket + "/" + OwnObjects + "*"
	}
	return objects
}

// tag is the policy variable of a session tag.
func tag(key string) string { return "${aws:PrincipalTag/" + key + "}" }

// OwnObjects is the prefix of the user's objects, as policies have it.
var OwnObjects = ObjectPrefix(tag(TagTenant), tag(TagSubject))

// Conditions returns the conditions on a request for the permission, by
// operator and key. That there are leading keys and tags at all is not among
// them.
func (p Permission) Conditions() map[string]map[string]any {
	switch {
	case p.Use == UseListObjects:
		return map[string]map[string]any{"StringLike": {"s3:prefix": OwnObjects + "*"}}
	case p.Keys == OwnKeys:
		return leading("ForAllValues:StringEquals", UserKey(p.Prefix, tag(TagTenant), tag(TagSubject)))
	case p.Keys == TenantKeys:
		return leading("ForAllValues:StringLike", UserKey(p.Prefix, tag(TagTenant), "*"))
	}
	return nil
}

func leading(operator, pattern string) map[string]map[string]any {
	return map[string]map[string]any{operator: {"dynamodb:LeadingKeys": []string{pattern}}}
}

// check returns an error unless the policy of the permission says what is
// meant: an unknown kind of keys would be no condition at all.
func (p Permission) check() error {
	items := p.Use == UseReadItems || p.Use == UseWriteItems || p.Use == UseIndex
	switch {
	case actions[p.Use] == nil:
		return fmt.Errorf("permission for %q: unknown use", p.Use)
	case len(p.On) == 0:
		return fmt.Errorf("permission for %q: on nothing", p.Use)
	case items && p.Keys != OwnKeys && p.Keys != TenantKeys, !items && p.Keys != "":
		return fmt.Errorf("permission for %q: keys %q", p.Use, p.Keys)
	}
	return nil
}

// SessionPolicy returns the session policy that allows the permissions and
// nothing else. Each has its own conditions: another permission set may open
// more of the same table to the role.
func SessionPolicy(permissions []Permission) (string, error) {
	type statement struct {
		Effect    string
		Action    []string
		Resource  []string
		Condition map[string]map[string]any `json:",omitempty"`
	}
	policy := struct {
		Version   string
		Statement []statement
	}{Version: "2012-10-17"}
	if len(permissions) == 0 {
		return "", fmt.Errorf("a permission set without permissions")
	}
	for _, p := range permissions {
		if err := p.check(); err != nil {
			return "", err
		}
		policy.Statement = append(policy.Statement, statement{"Allow", p.Actions(), p.Resources(), p.Conditions()})
	}
	text, err := json.Marshal(policy)
	if err == nil && len(text) > MaxSessionPolicy {
		err = fmt.Errorf("its session policy has %d characters, STS takes %d: split the permission set", len(text), MaxSessionPolicy)
	}
	return string(text), err
}
