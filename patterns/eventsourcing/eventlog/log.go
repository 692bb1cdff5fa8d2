package eventlog

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/serverless-go/cdk/patterns/eventsourcing/schema"
)

// Options configure a Log. Table and Registry are required.
type Options struct {
	// Table is the name of the table of events.
	Table string
	// Payloads is the name of the bucket of large payloads and snapshots.
	// Default: none; a payload over InlineLimit is refused, and no snapshots are
	// kept.
	Payloads string
	// Subjects is the name of the table of the subjects' keys. Default: none;
	// personal fields cannot be appended, and are read as zero values with
	// Event.Sealed set. A handler that needs no personal data should have no
	// access to it.
	Subjects string
	// Key is the id or ARN of the KMS key that wraps new keys of subjects.
	// Needed to append personal fields of a subject for the first time.
	Key string

	// Registry holds the types of the events.
	Registry *Registry

	// AppendOnly leaves out every read of the table of events, for a principal
	// that may only append. Such a Log cannot load or append to Any, does not
	// notice a gap before its events, and recognizes its own events only for the
	// ten minutes of DynamoDB's request token.
	AppendOnly bool
	// NoTransactions has Append record one event at a time, by a plain insert:
	// global tables with multi-Region strong consistency know no transactions.
	// Such a Log recognizes its own events by reading them, so it cannot be
	// AppendOnly.
	NoTransactions bool
	// InlineLimit is the size of a payload, in bytes of JSON, over which it goes
	// to S3. Default: 160 KiB, which the base64 of the way to the consumers
	// keeps below 256 KB, the size of an EventBridge event. At most 350 KiB, as
	// a DynamoDB item has at most 400 KB.
	InlineLimit int
	// KeyTTL is how long a subject's data key is kept in memory, and so how long
	// after Forget another process may read the subject's data. Each key costs a
	// read and a call of KMS once in this time. Default: 1 minute.
	KeyTTL time.Duration

	// Now returns the time of an event. Default: time.Now.
	Now func() time.Time
	// NewID returns the id of an event whose context names no command or cause.
	// Default: a UUID of version 7, which sorts by time.
	NewID func() string

	// DynamoDB, S3 and KMS are the clients to use; their retries are switched
	// off. Default: made from the configuration.
	DynamoDB *dynamodb.Client
	S3       *s3.Client
	KMS      *kms.Client
}

// Log appends to and reads from one event store. It is safe for concurrent
// use; a function makes one when it starts.
type Log struct {
	options Options
	db      *dynamodb.Client
	s3      *s3.Client
	keys    *keyring

	mu   sync.Mutex
	ends map[string]int64 // a version that each stream is known to have
}

const (
	defaultInlineLimit = 160 << 10
	maxInlineLimit     = 350 << 10
	defaultKeyTTL      = time.Minute
)

// New returns a Log. Its error lists every option that is wrong.
func New(cfg aws.Config, options Options) (*Log, error) {
	var problems []error
	if options.Table == "" {
		problems = append(problems, errors.New("Table is empty, want the name of the table of events"))
	}
	if options.Registry == nil {
		problems = append(problems, errors.New("Registry is nil, want the types of the events"))
	}
	if options.InlineLimit < 0 || options.InlineLimit > maxInlineLimit {
		problems = append(problems, wrong("InlineLimit", options.InlineLimit, fmt.Sprintf("0 to %d bytes", maxInlineLimit)))
	}
	if options.NoTransactions && options.AppendOnly {
		problems = append(problems, wrong("NoTransactions", true, "false for an AppendOnly Log, which could not tell its own events from others'"))
	}
	if options.KeyTTL < 0 {
		problems = append(problems, wrong("KeyTTL", options.KeyTTL, "a positive duration"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("eventlog: options: %w", err)
	}
	if options.InlineLimit == 0 {
		options.InlineLimit = defaultInlineLimit
	}
	if options.KeyTTL == 0 {
		options.KeyTTL = defaultKeyTTL
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.NewID == nil {
		options.NewID = func() string { return newID(options.Now()) }
	}
	if options.DynamoDB == nil {
		options.DynamoDB = dynamodb.NewFromConfig(cfg)
	}
	if options.S3 == nil {
		options.S3 = s3.NewFromConfig(cfg)
	}
	if options.KMS == nil {
		options.KMS = kms.NewFromConfig(cfg)
	}
	db := dynamodb.New(options.DynamoDB.Options(), func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
	return &Log{
		options: options,
		db:      db,
		s3:      s3.New(options.S3.Options(), func(o *s3.Options) { o.Retryer = aws.NopRetryer{} }),
		keys: &keyring{
			db:    db,
			kms:   kms.New(options.KMS.Options(), func(o *kms.Options) { o.Retryer = aws.NopRetryer{} }),
			table: options.Subjects,
			key:   options.Key,
			ttl:   options.KeyTTL,
		},
	}, nil
}

// FromEnv returns a Log for the store that the function was granted: its names
// come from the environment variables that the construct sets, see package
// schema. The functions can change further options.
func FromEnv(cfg aws.Config, registry *Registry, change ...func(*Options)) (*Log, error) {
	options := Options{
		Table:    os.Getenv(schema.EnvStoreTable),
		Payloads: os.Getenv(schema.EnvStorePayloads),
		Subjects: os.Getenv(schema.EnvStoreSubjects),
		Key:      os.Getenv(schema.EnvStoreKey),
		Registry: registry,
	}
	if options.Table == "" {
		return nil, fmt.Errorf("eventlog: environment variable %s is not set; grant the function access to an event store", schema.EnvStoreTable)
	}
	for _, f := range change {
		f(&options)
	}
	return New(cfg, options)
}

// known reports whether the stream is known to have the version. That an event
// exists never changes, so what was seen once need not be asked again.
func (l *Log) known(stream string, version int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[stream] >= version
}

func (l *Log) learn(stream string, version int64) {
	const most = 10_000
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends == nil || len(l.ends) == most {
		l.ends = make(map[string]int64)
	}
	l.ends[stream] = max(version, l.ends[stream])
}
