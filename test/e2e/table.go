package e2e

import (
	"context"
	"fmt"
	"strings"
)

// table is a DynamoDB table.
type table struct {
	d         *Deployment
	arn, name string
	stream    string // the engine's name of the stream, "" without one
	// partitionKeys are the attributes by index, "" being the table itself.
	partitionKeys map[string]string
}

type keySchema []struct{ AttributeName, KeyType string }

func (s keySchema) partitionKey() string {
	for _, key := range s {
		if key.KeyType == "HASH" {
			return key.AttributeName
		}
	}
	return ""
}

type indexProps struct {
	IndexName  string
	KeySchema  keySchema
	Projection struct {
		ProjectionType   string   `json:",omitempty"`
		NonKeyAttributes []string `json:",omitempty"`
	}
}

// tableProps are those of AWS::DynamoDB::Table and ::GlobalTable.
type tableProps struct {
	AttributeDefinitions   []struct{ AttributeName, AttributeType string }
	KeySchema              keySchema
	GlobalSecondaryIndexes []indexProps
	LocalSecondaryIndexes  []indexProps
	StreamSpecification    *struct{ StreamViewType string }
	SSESpecification       struct {
		KMSMasterKeyID string `json:"KMSMasterKeyId"`
	}
	Replicas []struct {
		Region           string
		SSESpecification struct {
			KMSMasterKeyID string `json:"KMSMasterKeyId"`
		}
	}
}

func (d *Deployment) makeTables(ctx context.Context) error {
	for _, kind := range []string{"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"} {
		for id := range d.All(kind) {
			if err := d.makeTable(ctx, id); err != nil {
				return fmt.Errorf("table %s: %w", id, err)
			}
		}
	}
	return nil
}

func (d *Deployment) makeTable(ctx context.Context, id string) error {
	var props tableProps
	if err := d.properties(id, &props); err != nil {
		return err
	}
	name, err := d.name(id)
	if err != nil {
		return err
	}
	in := map[string]any{
		"TableName": name, "AttributeDefinitions": props.AttributeDefinitions, "KeySchema": props.KeySchema, "BillingMode": "PAY_PER_REQUEST",
	}
	if len(props.GlobalSecondaryIndexes) > 0 {
		in["GlobalSecondaryIndexes"] = props.GlobalSecondaryIndexes
	}
	if len(props.LocalSecondaryIndexes) > 0 {
		in["LocalSecondaryIndexes"] = props.LocalSecondaryIndexes
	}
	if s := props.StreamSpecification; s != nil {
		in["StreamSpecification"] = map[string]any{"StreamEnabled": true, "StreamViewType": s.StreamViewType}
	}
	var out struct {
		TableDescription struct{ LatestStreamArn string }
	}
	if err := d.callJSON(ctx, d.options.DynamoDB, "DynamoDB_20120810.CreateTable", in, &out); err != nil {
		return err
	}
	t := &table{
		d: d, name: name, arn: d.arn("dynamodb", "table/"+name), stream: out.TableDescription.LatestStreamArn,
		partitionKeys: map[string]string{"": props.KeySchema.partitionKey()},
	}
	for _, index := range append(props.GlobalSecondaryIndexes, props.LocalSecondaryIndexes...) {
		t.partitionKeys[index.IndexName] = index.KeySchema.partitionKey()
	}
	d.tables[t.arn] = t
	key := props.SSESpecification.KMSMasterKeyID
	for _, replica := range props.Replicas {
		if replica.Region == d.region && replica.SSESpecification.KMSMasterKeyID != "" {
			key = replica.SSESpecification.KMSMasterKeyID
		}
	}
	d.encrypt(t.arn, key)
	return nil
}

// encrypt notes that a resource is encrypted with a customer's key, given by
// its ARN or id, if it is one of the template's.
func (d *Deployment) encrypt(resource, key string) {
	if key == "" || strings.HasPrefix(key, "alias/") {
		return
	}
	if !strings.HasPrefix(key, "arn:") {
		key = d.arn("kms", "key/"+key)
	}
	if _, ok := d.iam.resources[key]; ok {
		d.iam.keys[resource] = key
	}
}

// Table returns the physical name of a table, for a test's own clients.
func (d *Deployment) Table(prefix string) (string, error) {
	if name, err := d.PhysicalName("AWS::DynamoDB::GlobalTable", prefix); err == nil {
		return name, nil
	}
	return d.PhysicalName("AWS::DynamoDB::Table", prefix)
}
