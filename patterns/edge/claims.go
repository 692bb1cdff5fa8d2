package edge

import (
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/edge/schema"
	"github.com/serverless-go/cdk/patterns/props"
)

// ClaimsProps says how applied events are remembered.
type ClaimsProps struct {
	// ArchiveRetention is how long the archives keep events for replay, in whole
	// days; give the longest of all that can bring an event back. Marks are kept
	// 30 days longer.
	//
	// Default: 90 days, as a GlobalEndpoint's.
	ArchiveRetention time.Duration
	// Table keeps the marks, if it exists already. It needs the key and the TTL
	// attribute that package schema names.
	//
	// Default: a new one.
	Table awsdynamodb.ITableV2
	// EncryptionKey encrypts a new table.
	//
	// Default: a new one, retained when the stack is destroyed.
	EncryptionKey awskms.IKey
	// TableProps changes a new table.
	//
	// Default: on demand, point-in-time recovery, deletion protection,
	// retained when the stack is destroyed.
	TableProps *awsdynamodb.TablePropsV2
}

// Claims are a table that remembers which events were applied, so that each is
// applied once however often it is delivered: see ingest.DynamoDBClaims, which
// uses it. All consumers of a stream of events share one, in one region.
type Claims struct {
	constructs.Construct
	archive time.Duration
	key     awskms.IKey // nil if AWS owns it
	table   awsdynamodb.ITableV2
}

// NewClaims makes the table. It panics with a *[props.Error] when the props are
// wrong; nil props are right.
func NewClaims(scope constructs.Construct, id string, p *ClaimsProps) *Claims {
	if p == nil {
		p = &ClaimsProps{}
	}
	var check props.Check
	check.Require(p.ArchiveRetention >= 0 && p.ArchiveRetention%(24*time.Hour) == 0, "ArchiveRetention", p.ArchiveRetention, "whole days", "")
	made := props.Words("set together with Table")
	check.Require(p.Table == nil || p.TableProps == nil, "TableProps", made, "one of the two", "leave it out, and change the table itself")
	check.Require(p.Table == nil || p.EncryptionKey == nil, "EncryptionKey", made, "one of the two", "leave it out: the table knows its key")
	check.Panic(scope, id)
	c := &Claims{archive: construct.Or(p.ArchiveRetention, 90*24*time.Hour), key: p.EncryptionKey, table: p.Table}
	construct.Init(c, scope, id)
	if c.table != nil {
		c.key = construct.EncryptionKey(c.table)
		return c
	}
	if c.key == nil {
		c.key = defaults.Key(c, "Key", "Encrypts the marks of applied events")
	}
	c.table = defaults.Table(c, "Table", c.key, p.TableProps, &awsdynamodb.TablePropsV2{
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String(schema.ClaimPK), Type: awsdynamodb.AttributeType_STRING},
		TimeToLiveAttribute: jsii.String(schema.ClaimTTL),
	})
	return c
}

// Environment returns the variables by which ingest.ClaimsFromEnv finds the
// table. GrantClaim sets them for a function of ours; what else claims is given them.
func (c *Claims) Environment() map[string]string {
	return map[string]string{
		schema.EnvClaimsTable:   *construct.TableName(c.table),
		schema.EnvClaimsArchive: strconv.Itoa(int(c.archive / (24 * time.Hour))),
	}
}

// GrantClaim lets the grantee claim and finish events. It may not delete marks.
// What an event does needs permissions of its own. A function of ours is told of
// the table by its environment, for ingest.ClaimsFromEnv.
func (c *Claims) GrantClaim(grantee awsiam.IGrantable) awsiam.Grant {
	construct.SetEnvironment(grantee, c.Environment())
	statements := []defaults.Statement{defaults.Actions{"dynamodb:UpdateItem"}.To(construct.TableArn(c.table))}
	if c.key != nil {
		statements = append(statements, defaults.UseKey.To(construct.KeyArn(c.key)).If(defaults.Through("dynamodb")))
	}
	return defaults.Grant(grantee, statements...)
}

// Table returns the table.
func (c *Claims) Table() awsdynamodb.ITableV2 { return c.table }

// EncryptionKey returns the key that encrypts the table, nil if AWS owns it.
func (c *Claims) EncryptionKey() awskms.IKey { return c.key }
