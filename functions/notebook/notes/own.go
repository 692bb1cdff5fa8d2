package notes

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/serverless-go/cdk/functions/notebook"
	"github.com/serverless-go/cdk/patterns/security/identity"
)

// Note is a user's note.
type Note struct {
	Name    string    `json:"name" dynamodbav:"sk"`
	Title   string    `json:"title" dynamodbav:"title"`
	Text    string    `json:"text,omitempty" dynamodbav:"text"`
	Changed time.Time `json:"changed" dynamodbav:"changed"`
	File    string    `json:"file,omitempty" dynamodbav:"file"` // the file's media type, if there is one
}

// upload is the attribute of a note that is another for each file that was put.
const upload = "upload"

// own is what one user's rights reach. It does not outlive the request.
type own struct {
	db            *dynamodb.Client
	objects       *s3.Client
	table, bucket string
	key, prefix   string
}

func newOwn(u *identity.User, table, bucket string) *own {
	cfg := u.Config()
	return &own{dynamodb.NewFromConfig(cfg), s3.NewFromConfig(cfg), table, bucket, u.Key(""), u.ObjectPrefix()}
}

func (o *own) item(name string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		notebook.PK: &types.AttributeValueMemberS{Value: o.key}, notebook.SK: &types.AttributeValueMemberS{Value: name},
	}
}

// list returns a page of notes, without their texts, and the last one's name if
// there are more.
func (o *own) list(ctx context.Context, after string) ([]*Note, string, error) {
	in := &dynamodb.QueryInput{
		TableName: &o.table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(PageSize),
		KeyConditionExpression:    aws.String(notebook.PK + " = :own"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":own": &types.AttributeValueMemberS{Value: o.key}},
		ProjectionExpression:      aws.String(notebook.SK + ", title, changed, #file"),
		ExpressionAttributeNames:  map[string]string{"#file": "file"},
	}
	if after != "" {
		in.ExclusiveStartKey = o.item(after)
	}
	out, err := o.db.Query(ctx, in)
	if err != nil {
		return nil, "", err
	}
	notes := []*Note{}
	if err := attributevalue.UnmarshalListOfMaps(out.Items, &notes); err != nil {
		return nil, "", err
	}
	if len(out.LastEvaluatedKey) == 0 || len(notes) == 0 {
		return notes, "", nil
	}
	return notes, notes[len(notes)-1].Name, nil
}

func (o *own) read(ctx context.Context, name string) (*Note, error) {
	out, err := o.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &o.table, Key: o.item(name), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	if len(out.Item) == 0 {
		return nil, notFound
	}
	n := &Note{}
	return n, attributevalue.UnmarshalMap(out.Item, n)
}

// write makes or changes a note; a file that it has stays.
func (o *own) write(ctx context.Context, n *Note) (*Note, error) {
	values, err := attributevalue.MarshalMap(map[string]any{":title": n.Title, ":text": n.Text, ":changed": n.Changed})
	if err != nil {
		return nil, err
	}
	out, err := o.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &o.table, Key: o.item(n.Name), ExpressionAttributeValues: values, ReturnValues: types.ReturnValueAllNew,
		UpdateExpression: aws.String("SET title = :title, #text = :text, changed = :changed"), ExpressionAttributeNames: map[string]string{"#text": "text"},
	})
	if err != nil {
		return nil, err
	}
	kept := &Note{}
	return kept, attributevalue.UnmarshalMap(out.Attributes, kept)
}

// deletions bounds how often a note is deleted against files that are put
// meanwhile.
const deletions = 4

// delete takes the file first: a note that is left behind can be deleted again,
// a file without a note nobody would miss. The note goes only if no file was put
// since. A file that is put and not told to the note yet is its putter's to take
// away.
func (o *own) delete(ctx context.Context, name string) error {
	for range deletions {
		out, err := o.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &o.table, Key: o.item(name), ConsistentRead: aws.Bool(true),
			ProjectionExpression: aws.String(upload)})
		if err != nil {
			return err
		}
		if err := o.deleteFile(ctx, name, nil); err != nil {
			return err
		}
		in := &dynamodb.DeleteItemInput{TableName: &o.table, Key: o.item(name), ConditionExpression: aws.String("attribute_not_exists(" + upload + ")")}
		if seen, ok := out.Item[upload]; ok {
			in.ConditionExpression = aws.String(upload + " = :seen")
			in.ExpressionAttributeValues = map[string]types.AttributeValue{":seen": seen}
		}
		_, err = o.db.DeleteItem(ctx, in)
		if changed := (*types.ConditionalCheckFailedException)(nil); !errors.As(err, &changed) {
			return err
		}
	}
	return again("The note's file is changed all the time. Send the request again.")
}

// deleteFile deletes the file, with an ETag only if it is still the one.
func (o *own) deleteFile(ctx context.Context, name string, etag *string) error {
	_, err := o.objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &o.bucket, Key: aws.String(o.prefix + name), IfMatch: etag})
	return err
}

func (o *own) file(ctx context.Context, name string) (content []byte, contentType string, err error) {
	n, err := o.read(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if n.File == "" {
		return nil, "", notFound
	}
	out, err := o.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.bucket, Key: aws.String(o.prefix + name)})
	if err != nil {
		return nil, "", err
	}
	defer out.Body.Close()
	content, err = io.ReadAll(io.LimitReader(out.Body, MaxFile))
	return content, n.File, err
}

// putFile keeps the file and then tells the note. If the note was deleted
// meanwhile the file goes, too, but not the one of a note that was made anew.
func (o *own) putFile(ctx context.Context, name, contentType string, content []byte) error {
	kept, err := o.objects.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &o.bucket, Key: aws.String(o.prefix + name), Body: bytes.NewReader(content), ContentType: &contentType,
	})
	if err != nil {
		return err
	}
	_, err = o.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &o.table, Key: o.item(name), UpdateExpression: aws.String("SET #file = :type, " + upload + " = :upload"),
		ConditionExpression:       aws.String("attribute_exists(" + notebook.PK + ")"),
		ExpressionAttributeNames:  map[string]string{"#file": "file"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":type": &types.AttributeValueMemberS{Value: contentType}, ":upload": &types.AttributeValueMemberS{Value: rand.Text()}},
	})
	if gone := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &gone) {
		return errors.Join(notFound, o.deleteFile(ctx, name, kept.ETag))
	}
	return err
}
