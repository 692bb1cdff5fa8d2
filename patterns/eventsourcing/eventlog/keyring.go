package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// keyring finds, makes and destroys the data keys of the subjects.
type keyring struct {
	db         *dynamodb.Client
	kms        *kms.Client
	table, key string
	ttl        time.Duration

	mu     sync.Mutex
	cached map[string]dataKey
}

// dataKey is a subject's key in memory; a nil key belongs to a forgotten
// subject.
type dataKey struct {
	key   []byte
	until time.Time
}

// errNoKey is find's for a subject that never had a key.
var errNoKey = errors.New("the subject has no key; Options.Subjects may name the wrong table")

// find returns the subject's key, nil if the subject was forgotten.
func (k *keyring) find(ctx context.Context, subject string) ([]byte, error) {
	k.mu.Lock()
	cached, found := k.cached[subject]
	k.mu.Unlock()
	// The real clock, as Options.Now may stand still: what it bounds is real too.
	if found && time.Now().Before(cached.until) {
		return cached.key, nil
	}

	var item map[string]types.AttributeValue
	err := do(ctx, "GetItem of a subject", func() error {
		out, err := k.db.GetItem(ctx, &dynamodb.GetItemInput{
			TableName:      &k.table,
			Key:            subjectKey(subject),
			ConsistentRead: aws.Bool(true),
		})
		if err == nil {
			item = out.Item
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case item == nil:
		return nil, errNoKey
	}
	wrapped, found := item[schema.WrappedKey].(*types.AttributeValueMemberB)
	if !found {
		k.keep(subject, nil)
		return nil, nil
	}
	var key []byte
	err = do(ctx, "Decrypt of a subject's key", func() error {
		out, err := k.kms.Decrypt(ctx, &kms.DecryptInput{
			CiphertextBlob: wrapped.Value, EncryptionContext: encryptionContext(subject),
		})
		if err == nil {
			key = out.Plaintext
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	k.keep(subject, key)
	return key, nil
}

// ensure returns the subject's key and makes it if there is none. Of several
// callers that make one at the same time, one wins and all use its key.
func (k *keyring) ensure(ctx context.Context, subject string) ([]byte, error) {
	if k.table == "" {
		return nil, errors.New("eventlog: Options.Subjects is empty; personal fields need the table of the subjects' keys")
	}
	key, err := k.find(ctx, subject)
	if errors.Is(err, errNoKey) {
		if key, err = k.make(ctx, subject); isDuplicate(err) {
			key, err = k.find(ctx, subject)
		}
	}
	if err == nil && key == nil {
		err = &ForgottenError{Subject: subject}
	}
	return key, err
}

func (k *keyring) make(ctx context.Context, subject string) ([]byte, error) {
	if k.key == "" {
		return nil, fmt.Errorf("eventlog: Options.Key is empty; the first personal data of subject %q needs the KMS key that wraps its key", subject)
	}
	var made *kms.GenerateDataKeyOutput
	err := do(ctx, "GenerateDataKey", func() (err error) {
		made, err = k.kms.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
			KeyId: &k.key, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: encryptionContext(subject),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	// INSERT fails where an item is, also that of a forgotten subject.
	statement := fmt.Sprintf(`INSERT INTO "%s" VALUE {'%s': ?, '%s': ?}`, k.table, schema.SubjectKey, schema.WrappedKey)
	err = do(ctx, "INSERT of a subject's key", func() error {
		_, err := k.db.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{
			Statement: &statement,
			Parameters: []types.AttributeValue{
				&types.AttributeValueMemberS{Value: subject},
				&types.AttributeValueMemberB{Value: made.CiphertextBlob},
			},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	k.keep(subject, made.Plaintext)
	return made.Plaintext, nil
}

// destroy removes the subject's key for good, also if it never had one.
func (k *keyring) destroy(ctx context.Context, subject string, at time.Time) error {
	if k.table == "" {
		return errors.New("eventlog: Options.Subjects is empty; forgetting needs the table of the subjects' keys")
	}
	err := do(ctx, "UpdateItem of a subject", func() error {
		_, err := k.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:                &k.table,
			Key:                      subjectKey(subject),
			UpdateExpression:         aws.String("SET #at = if_not_exists(#at, :at) REMOVE #key"),
			ExpressionAttributeNames: map[string]string{"#at": schema.ForgottenAt, "#key": schema.WrappedKey},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":at": &types.AttributeValueMemberS{Value: at.Format(timeLayout)},
			},
		})
		return err
	})
	if err == nil {
		k.keep(subject, nil)
	}
	return err
}

func (k *keyring) keep(subject string, key []byte) {
	const most = 10_000
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cached == nil || len(k.cached) == most {
		k.cached = make(map[string]dataKey)
	}
	// A read that began before the subject was forgotten must not undo it.
	if old, found := k.cached[subject]; found && old.key == nil {
		return
	}
	k.cached[subject] = dataKey{key, time.Now().Add(k.ttl)}
}

func subjectKey(subject string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{schema.SubjectKey: &types.AttributeValueMemberS{Value: subject}}
}

// encryptionContext binds a wrapped key to its subject: KMS does not unwrap it
// for another one, and names the subject in CloudTrail.
func encryptionContext(subject string) map[string]string {
	return map[string]string{schema.SubjectKey: subject}
}
