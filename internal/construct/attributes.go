package construct

import "github.com/aws/constructs-go/constructs/v10"

// Attributes that are often asked for, each read once: see [Once].

func AttrArn(x interface{ AttrArn() *string }) *string     { return Once(x, "AttrArn", x.AttrArn) }
func AttrName(x interface{ AttrName() *string }) *string   { return Once(x, "AttrName", x.AttrName) }
func BucketArn(x interface{ BucketArn() *string }) *string { return Once(x, "BucketArn", x.BucketArn) }
func BucketName(x interface{ BucketName() *string }) *string {
	return Once(x, "BucketName", x.BucketName)
}

// Objects returns the ARN of the bucket's objects of the pattern.
func Objects(x interface{ BucketArn() *string }, pattern string) *string {
	arn := *BucketArn(x) + "/" + pattern
	return &arn
}

func EventBusArn(x interface{ EventBusArn() *string }) *string {
	return Once(x, "EventBusArn", x.EventBusArn)
}
func EventBusName(x interface{ EventBusName() *string }) *string {
	return Once(x, "EventBusName", x.EventBusName)
}
func FunctionArn(x interface{ FunctionArn() *string }) *string {
	return Once(x, "FunctionArn", x.FunctionArn)
}
func FunctionName(x interface{ FunctionName() *string }) *string {
	return Once(x, "FunctionName", x.FunctionName)
}
func KeyArn(x interface{ KeyArn() *string }) *string { return Once(x, "KeyArn", x.KeyArn) }
func LogGroupArn(x interface{ LogGroupArn() *string }) *string {
	return Once(x, "LogGroupArn", x.LogGroupArn)
}
func LogGroupName(x interface{ LogGroupName() *string }) *string {
	return Once(x, "LogGroupName", x.LogGroupName)
}

// Node returns the construct's node, of which metadata, dependencies and the
// path are asked.
func Node(x constructs.IConstruct) constructs.Node { return Once(x, "Node", x.Node) }

func QueueArn(x interface{ QueueArn() *string }) *string   { return Once(x, "QueueArn", x.QueueArn) }
func QueueName(x interface{ QueueName() *string }) *string { return Once(x, "QueueName", x.QueueName) }
func QueueUrl(x interface{ QueueUrl() *string }) *string   { return Once(x, "QueueUrl", x.QueueUrl) }
func Ref(x interface{ Ref() *string }) *string             { return Once(x, "Ref", x.Ref) }
func RepositoryArn(x interface{ RepositoryArn() *string }) *string {
	return Once(x, "RepositoryArn", x.RepositoryArn)
}
func RoleArn(x interface{ RoleArn() *string }) *string     { return Once(x, "RoleArn", x.RoleArn) }
func TableArn(x interface{ TableArn() *string }) *string   { return Once(x, "TableArn", x.TableArn) }
func TableName(x interface{ TableName() *string }) *string { return Once(x, "TableName", x.TableName) }
func TableStreamArn(x interface{ TableStreamArn() *string }) *string {
	return Once(x, "TableStreamArn", x.TableStreamArn)
}
func TopicArn(x interface{ TopicArn() *string }) *string { return Once(x, "TopicArn", x.TopicArn) }

// EncryptionKey returns the key of a bucket or a table, nil if AWS owns it.
func EncryptionKey[K any](x interface{ EncryptionKey() K }) K {
	return Once(x, "EncryptionKey", x.EncryptionKey)
}

// KnowEncryptionKey remembers the key that x was made with, for [EncryptionKey].
func KnowEncryptionKey[K any](x interface{ EncryptionKey() K }, key K) {
	Once(x, "EncryptionKey", func() K { return key })
}

// GrantPrincipal returns the principal that a grantee acts as.
func GrantPrincipal[P any](x interface{ GrantPrincipal() P }) P {
	return Once(x, "GrantPrincipal", x.GrantPrincipal)
}
