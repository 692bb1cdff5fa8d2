package opaque

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/patterns/security/internal/reference"
	"github.com/serverless-go/cdk/patterns/security/schema"
)

// Errors of a Store for its owner's requests.
var (
	// ErrTooMany says that the owner has as many live references as allowed.
	ErrTooMany = errors.New("opaque: too many live references")
	// ErrTooOften says that the owner had as many references issued in this
	// hour as allowed.
	ErrTooOften = errors.New("opaque: too many references issued in this hour")
	// ErrConflict says that a key was used before for something else, or for a
	// reference that is not live any more.
	ErrConflict = errors.New("opaque: the key was used for another reference")
	// ErrInvalid says that what was asked for cannot be issued.
	ErrInvalid = errors.New("opaque: invalid request")
)

// Store keeps references in a DynamoDB table: their hashes, never themselves.
// Every read is strongly consistent, so that a revocation holds from the moment
// on in which it was answered.
type Store struct {
	DynamoDB *dynamodb.Client
	Table    string
	// Max is the most live references of an owner. Default: 20.
	Max int
	// PerHour is the most references issued to an owner in a clock hour.
	// Default: 30.
	PerHour int
	// MaxLife is the longest that a reference may live. Default: 30 days.
	MaxLife time.Duration
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// keepRevoked is how long the list still shows a reference that was revoked or
// has expired.
const keepRevoked = 24 * time.Hour

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Issue says what a new reference shall stand for.
type Issue struct {
	Owner    string // whose references are bounded and listed together
	Subject  string // of the JWTs
	Provider string // who vouches for the subject, if known
	Tenant   string // of the JWTs, if any
	Client   string // of the JWTs, if any
	Name     string // for the owner's list, if any
	Scope    []string
	Audience []string // at least one
	Life     time.Duration
	// Key makes a repeated request harmless: the reference that the first one
	// made, and whose answer may be lost, is revoked in favour of the new one,
	// in the same transaction. Empty: every request makes one more.
	Key string
}

// Reference is what an owner may know of a reference: everything but itself.
type Reference struct {
	ID       string
	Name     string
	Client   string
	Scope    []string
	Audience []string
	Created  time.Time
	Expires  time.Time
	Revoked  time.Time // zero: it was not
}

// record is an item of a reference, under its hash or its owner.
type record struct {
	Hash     string   `dynamodbav:"hash"`
	ID       string   `dynamodbav:"id"`
	Owner    string   `dynamodbav:"owner"`
	Subject  string   `dynamodbav:"subject"`
	Provider string   `dynamodbav:"idp,omitempty"`
	Tenant   string   `dynamodbav:"tenant,omitempty"`
	Client   string   `dynamodbav:"client,omitempty"`
	Name     string   `dynamodbav:"name,omitempty"`
	Scope    []string `dynamodbav:"scope"`
	Audience []string `dynamodbav:"audience"`
	Created  int64    `dynamodbav:"created"` // these are in seconds since 1970
	Expires  int64    `dynamodbav:"expires"`
	Revoked  int64    `dynamodbav:"revoked,omitempty"`
	TTL      int64    `dynamodbav:"ttl"`
}

func (r *record) live(now time.Time) bool { return r.Revoked == 0 && r.Expires > now.Unix() }

// head counts what an owner did. Its version changes with every issue and every
// revocation of everything, which puts them in one order.
type head struct {
	Version int64 `dynamodbav:"version"`
	Hour    int64 `dynamodbav:"hour"` // hours since 1970
	Issued  int   `dynamodbav:"issued"`
	TTL     int64 `dynamodbav:"ttl"`
}

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func hashKey(hash string) item {
	return item{schema.ReferencePK: text(schema.ReferenceHashPrefix + hash), schema.ReferenceSK: text(schema.ReferenceItem)}
}

func ownerKey(owner, sort string) item {
	return item{schema.ReferencePK: text(schema.ReferenceOwnerPrefix + owner), schema.ReferenceSK: text(sort)}
}

func withKey(key item, v any) (item, error) {
	m, err := attributevalue.MarshalMap(v)
	for k, a := range key {
		if m != nil {
			m[k] = a
		}
	}
	return m, err
}

// dead stands in for the item of a reference that is not there, so that an
// unknown reference is decoded and compared like any other.
var dead = func() item {
	m, err := withKey(hashKey(reference.Hash("")), &record{Hash: reference.Hash(""), ID: newID(), Owner: strings.Repeat("x", 35), Subject: strings.Repeat("x", 36),
		Scope: []string{"read"}, Audience: []string{"audience"}, Created: 1, Expires: 2, Revoked: 1, TTL: 3})
	if err != nil {
		panic(err) // the record is above
	}
	return m
}()

// Accepts reports whether s is spelled like a reference.
func (s *Store) Accepts(ref string) bool { return reference.WellFormed(ref) }

// Lookup returns what a reference stands for. It makes one call to the table,
// and the same one whether the reference is live, unknown, expired or revoked.
func (s *Store) Lookup(ctx context.Context, ref string) (*Grant, error) {
	h := reference.Hash(ref)
	r, err := s.lookup(ctx, h)
	if err != nil {
		return nil, err
	}
	// Each is computed, whatever the others are.
	same := subtle.ConstantTimeCompare([]byte(h), []byte(r.Hash))
	unrevoked := subtle.ConstantTimeEq(int32(min(r.Revoked, 1)), 0)
	unexpired := 0
	if r.Expires > s.now().Unix() {
		unexpired = 1
	}
	if same&unrevoked&unexpired != 1 {
		return nil, ErrRefused
	}
	return &Grant{ID: r.ID, Subject: r.Subject, Provider: r.Provider, Tenant: r.Tenant, Client: r.Client, Scope: r.Scope, Audience: r.Audience,
		Expires: time.Unix(r.Expires, 0)}, nil
}

// lookup returns the record under a hash, or one that is not live.
func (s *Store) lookup(ctx context.Context, hash string) (*record, error) {
	out, err := s.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: hashKey(hash), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, unavailable("read the reference", err)
	}
	found := out.Item
	if len(found) == 0 {
		found = dead
	}
	var r record
	if err := attributevalue.UnmarshalMap(found, &r); err != nil {
		return nil, unavailable("decode the reference", err)
	}
	return &r, nil
}

func unavailable(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, err)
}

// tries bounds how often a change is tried against others of the same owner.
const tries = 4

// Issue makes a reference and returns it. Nobody can ask for it again: the table
// has its hash only.
func (s *Store) Issue(ctx context.Context, in *Issue) (ref string, _ *Reference, err error) {
	if err := s.check(in); err != nil {
		return "", nil, err
	}
	for range tries {
		ref, r, err := s.issue(ctx, in)
		if err == nil {
			return ref, r.public(), nil
		}
		if !changed(err) {
			return "", nil, err
		}
	}
	return "", nil, unavailable("issue", errors.New("others change the same owner's references all the time"))
}

func (s *Store) issue(ctx context.Context, in *Issue) (string, *record, error) {
	now := s.now()
	last, records, err := s.partition(ctx, in.Owner)
	if err != nil {
		return "", nil, err
	}
	id := newID()
	if in.Key != "" {
		id = keyID(in.Owner, in.Key)
	}
	var before *record
	live := 0
	for _, r := range records {
		switch {
		case r.ID == id:
			before = r
		case r.live(now):
			live++
		}
	}
	if live >= cmp.Or(s.Max, 20) {
		return "", nil, ErrTooMany
	}
	next := head{Version: last.Version + 1, Hour: now.Unix() / 3600, Issued: 1, TTL: now.Add(s.maxLife() + keepRevoked).Unix()}
	if last.Hour == next.Hour {
		if last.Issued >= cmp.Or(s.PerHour, 30) {
			return "", nil, ErrTooOften
		}
		next.Issued = last.Issued + 1
	}

	ref := reference.New()
	expires := now.Add(in.Life)
	r := &record{
		Hash: reference.Hash(ref), ID: id, Owner: in.Owner, Subject: in.Subject, Provider: in.Provider, Tenant: in.Tenant, Client: in.Client, Name: in.Name,
		Scope: in.Scope, Audience: in.Audience, Created: now.Unix(), Expires: expires.Unix(), TTL: expires.Add(keepRevoked).Unix(),
	}
	if before != nil && (!before.live(now) || !before.sameAs(r)) {
		return "", nil, ErrConflict
	}
	return ref, r, s.write(ctx, r, before, last.Version, &next)
}

// sameAs reports whether two requests with one key asked for the same.
func (r *record) sameAs(o *record) bool {
	return r.Subject == o.Subject && r.Provider == o.Provider && r.Tenant == o.Tenant && r.Client == o.Client && r.Name == o.Name &&
		slices.Equal(r.Scope, o.Scope) && slices.Equal(r.Audience, o.Audience) && r.Expires-r.Created == o.Expires-o.Created
}

// write puts the reference in both places and revokes the one it replaces, or
// does nothing.
func (s *Store) write(ctx context.Context, r, before *record, version int64, next *head) error {
	byHash, err := withKey(hashKey(r.Hash), r)
	if err != nil {
		return err
	}
	byOwner, err := withKey(ownerKey(r.Owner, schema.ReferenceIDPrefix+r.ID), r)
	if err != nil {
		return err
	}
	counted, err := withKey(ownerKey(r.Owner, schema.ReferenceHead), next)
	if err != nil {
		return err
	}
	const absent = "attribute_not_exists(" + schema.ReferencePK + ")"
	owned := &types.Put{TableName: &s.Table, Item: byOwner, ConditionExpression: aws.String(absent)}
	counts := &types.Put{TableName: &s.Table, Item: counted, ConditionExpression: aws.String(absent)}
	if version > 0 {
		counts.ConditionExpression = aws.String("version = :version")
		counts.ExpressionAttributeValues = item{":version": number(version)}
	}
	writes := []types.TransactWriteItem{
		{Put: &types.Put{TableName: &s.Table, Item: byHash, ConditionExpression: aws.String(absent)}}, {Put: owned}, {Put: counts},
	}
	if before != nil {
		owned.ConditionExpression = aws.String("#hash = :hash AND attribute_not_exists(revoked)")
		owned.ExpressionAttributeNames = map[string]string{"#hash": "hash"}
		owned.ExpressionAttributeValues = item{":hash": text(before.Hash)}
		writes = append(writes, types.TransactWriteItem{Update: &types.Update{TableName: &s.Table, Key: hashKey(before.Hash),
			UpdateExpression:          aws.String("SET revoked = :now"),
			ConditionExpression:       aws.String("attribute_exists(" + schema.ReferencePK + ")"),
			ExpressionAttributeValues: item{":now": number(r.Created)}}})
	}
	if _, err = s.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes}); err != nil {
		return unavailable("write the reference", err)
	}
	return nil
}

// changed reports whether a write failed because somebody else changed the
// owner's references since they were read.
func changed(err error) bool {
	if condition := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &condition) {
		return true
	}
	canceled := (*types.TransactionCanceledException)(nil)
	if !errors.As(err, &canceled) {
		return false
	}
	for _, reason := range canceled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "None", "ConditionalCheckFailed", "TransactionConflict":
		default:
			return false
		}
	}
	return true
}

// partition returns the owner's head and references.
func (s *Store) partition(ctx context.Context, owner string) (head, []*record, error) {
	var h head
	var records []*record
	pages := dynamodb.NewQueryPaginator(s.DynamoDB, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String(schema.ReferencePK + " = :pk"),
		ExpressionAttributeValues: item{":pk": text(schema.ReferenceOwnerPrefix + owner)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return h, nil, unavailable("read the owner's references", err)
		}
		for _, i := range page.Items {
			var err error
			if sort, ok := i[schema.ReferenceSK].(*types.AttributeValueMemberS); ok && sort.Value == schema.ReferenceHead {
				err = attributevalue.UnmarshalMap(i, &h)
			} else {
				r := &record{}
				err = attributevalue.UnmarshalMap(i, r)
				records = append(records, r)
			}
			if err != nil {
				return h, nil, unavailable("decode the owner's references", err)
			}
		}
	}
	return h, records, nil
}

// List returns the owner's references, the latest first.
func (s *Store) List(ctx context.Context, owner string) ([]*Reference, error) {
	if err := checkOwner(owner); err != nil {
		return nil, err
	}
	_, records, err := s.partition(ctx, owner)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b *record) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID))
	})
	list := make([]*Reference, len(records))
	for i, r := range records {
		list[i] = r.public()
	}
	return list, nil
}

func (r *record) public() *Reference {
	p := &Reference{ID: r.ID, Name: r.Name, Client: r.Client, Scope: r.Scope, Audience: r.Audience,
		Created: time.Unix(r.Created, 0), Expires: time.Unix(r.Expires, 0)}
	if r.Revoked != 0 {
		p.Revoked = time.Unix(r.Revoked, 0)
	}
	return p
}

// Revoke revokes the owner's reference with the id. Revoking one that is revoked
// already, or that the owner does not have, changes nothing and is no error.
func (s *Store) Revoke(ctx context.Context, owner, id string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if !validID(id) {
		return nil
	}
	for range tries {
		out, err := s.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, ConsistentRead: aws.Bool(true),
			Key: ownerKey(owner, schema.ReferenceIDPrefix+id)})
		if err != nil {
			return unavailable("read the owner's reference", err)
		}
		if len(out.Item) == 0 {
			return nil
		}
		var r record
		if err := attributevalue.UnmarshalMap(out.Item, &r); err != nil {
			return unavailable("decode the owner's reference", err)
		}
		if err = s.revoke(ctx, &r); !changed(err) {
			return err
		}
	}
	return unavailable("revoke", errors.New("others change the same reference all the time"))
}

// revoke revokes a reference, first where it is looked up.
func (s *Store) revoke(ctx context.Context, r *record) error {
	now := s.now()
	values := item{":now": number(now.Unix()), ":ttl": number(min(r.TTL, now.Add(keepRevoked).Unix())), ":hash": text(r.Hash)}
	for i, key := range []item{hashKey(r.Hash), ownerKey(r.Owner, schema.ReferenceIDPrefix+r.ID)} {
		_, err := s.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &s.Table, Key: key,
			UpdateExpression: aws.String("SET revoked = if_not_exists(revoked, :now), #ttl = :ttl"),
			// An update would bring back an item that has expired, and a key may
			// have given the id to a new reference since.
			ConditionExpression:       aws.String("#hash = :hash"),
			ExpressionAttributeNames:  map[string]string{"#ttl": schema.ReferenceTTL, "#hash": "hash"},
			ExpressionAttributeValues: values,
		})
		if i == 0 && changed(err) {
			continue // it has expired and is gone, which is as good
		}
		if err != nil {
			return unavailable("revoke", err)
		}
	}
	return nil
}

// RevokeAll revokes every reference of the owner that was issued before, and
// returns how many were live.
func (s *Store) RevokeAll(ctx context.Context, owner string) (int, error) {
	if err := checkOwner(owner); err != nil {
		return 0, err
	}
	now := s.now()
	// An issue that has read its owner's references and not yet written fails at
	// this, and is then one that came after.
	_, err := s.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &s.Table, Key: ownerKey(owner, schema.ReferenceHead),
		UpdateExpression:          aws.String("SET #ttl = :ttl ADD version :one"),
		ExpressionAttributeNames:  map[string]string{"#ttl": schema.ReferenceTTL},
		ExpressionAttributeValues: item{":one": number(1), ":ttl": number(now.Add(s.maxLife() + keepRevoked).Unix())}})
	if err != nil {
		return 0, unavailable("revoke all", err)
	}
	_, records, err := s.partition(ctx, owner)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, r := range records {
		if !r.live(now) {
			continue
		}
		n++
		if err := s.revoke(ctx, r); changed(err) {
			err = s.Revoke(ctx, owner, r.ID)
			if err != nil {
				return 0, err
			}
		} else if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// RevokeReference revokes a reference that the owner shows, as RFC 7009 has it.
// One that is unknown or another's is left as it is, without an error.
func (s *Store) RevokeReference(ctx context.Context, owner, ref string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if !reference.WellFormed(ref) {
		return nil
	}
	r, err := s.lookup(ctx, reference.Hash(ref))
	if err != nil {
		return err
	}
	if r.Owner != owner {
		return nil
	}
	err = s.revoke(ctx, r)
	if changed(err) {
		return nil // a key has given the id to a new reference; this one is revoked
	}
	return err
}

func (s *Store) maxLife() time.Duration { return cmp.Or(s.MaxLife, 30*24*time.Hour) }

var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

const idSize = 26

// newID returns a name for a reference that says nothing about it.
func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return strings.ToLower(idEncoding.EncodeToString(b))
}

// keyID returns the name of the reference that the owner's key stands for.
func keyID(owner, key string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(owner)) + ":" + owner + key))
	return strings.ToLower(idEncoding.EncodeToString(sum[:]))[:idSize]
}

func validID(id string) bool {
	return len(id) == idSize && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
