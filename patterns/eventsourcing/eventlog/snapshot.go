package eventlog

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// snapshot is the object that keeps a state. Its key holds the aggregate's name
// and schema and the stream; a later snapshot replaces it.
type snapshot struct {
	Version  int64           `json:"version"`
	Subjects []string        `json:"subjects,omitempty"` // sorted
	State    json.RawMessage `json:"state,omitempty"`    // without subjects
	Sealed   []byte          `json:"sealed,omitempty"`   // with subjects: nonce and ciphertext
}

func (a *Aggregate[S]) snapshotKey(stream string) string {
	return fmt.Sprintf("snapshots/%s/%d/%s", a.Name, a.Schema, stream)
}

// restore returns the state of the last snapshot, or the zero state if there is
// none that can be used.
func (a *Aggregate[S]) restore(ctx context.Context, stream string) (*fold[S], error) {
	f := &fold[S]{subjects: make(map[string]bool)}
	if a.Every == 0 {
		return f, nil
	}
	if err := a.check(stream); err != nil {
		return f, err
	}
	data, err := a.Log.getObject(ctx, "GetObject of a snapshot", a.snapshotKey(stream))
	if err != nil || data == nil {
		return f, err
	}
	var s snapshot
	if json.Unmarshal(data, &s) != nil {
		return f, nil // the events are the truth; a snapshot is only quicker
	}
	state := []byte(s.State)
	if len(s.Subjects) > 0 {
		key, err := a.snapshotSecret(ctx, stream, s.Subjects)
		if err != nil || key == nil {
			return f, err
		}
		if state, err = openSnapshot(key, s); err != nil {
			return f, nil
		}
	}
	var restored S
	if json.Unmarshal(state, &restored) != nil {
		return f, nil
	}
	f.state, f.version = restored, s.Version
	for _, subject := range s.Subjects {
		f.subjects[subject] = true
	}
	return f, nil
}

// keep replaces the stream's snapshot. It does nothing where a subject's key is
// out of reach: others, who can read the personal data, would miss it.
func (a *Aggregate[S]) keep(ctx context.Context, stream string, f *fold[S]) error {
	state, err := json.Marshal(f.state)
	if err != nil {
		return fmt.Errorf("eventlog: snapshot of %q: %w", stream, err)
	}
	s := snapshot{Version: f.version, Subjects: slices.Sorted(maps.Keys(f.subjects))}
	if len(s.Subjects) == 0 {
		s.State = state
	} else {
		key, err := a.snapshotSecret(ctx, stream, s.Subjects)
		if err != nil || key == nil {
			return err
		}
		gcm, err := newGCM(key)
		if err != nil {
			return err
		}
		nonce := make([]byte, gcm.NonceSize())
		rand.Read(nonce)
		s.Sealed = gcm.Seal(nonce, nonce, state, s.bind())
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return do(ctx, "PutObject of a snapshot", func() error {
		_, err := a.Log.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket:      &a.Log.options.Payloads,
			Key:         aws.String(a.snapshotKey(stream)),
			Body:        bytes.NewReader(data),
			ContentType: aws.String("application/json"),
		})
		return err
	})
}

// snapshotSecret derives the key of the stream's snapshot from the keys of all
// the subjects (HKDF, RFC 5869), so that it takes every one of them to open it.
// It returns nil if one is forgotten, or if this Log may not read them.
func (a *Aggregate[S]) snapshotSecret(ctx context.Context, stream string, subjects []string) ([]byte, error) {
	if a.Log.options.Subjects == "" {
		return nil, nil
	}
	var secret []byte
	for _, subject := range subjects {
		key, err := a.Log.keys.find(ctx, subject)
		if errors.Is(err, errNoKey) || err == nil && key == nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		secret = append(secret, key...)
	}
	return hkdf.Key(sha256.New, secret, nil, a.snapshotKey(stream), 32)
}

func openSnapshot(key []byte, s snapshot) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	if len(s.Sealed) < gcm.NonceSize() {
		return nil, fmt.Errorf("sealed state of %d bytes", len(s.Sealed))
	}
	return gcm.Open(nil, s.Sealed[:gcm.NonceSize()], s.Sealed[gcm.NonceSize():], s.bind())
}

// bind returns the additional data that ties a sealed state to its version;
// its key ties it to everything else.
func (s snapshot) bind() []byte { return strconv.AppendInt(nil, s.Version, 10) }

// check checks what snapshots need.
func (a *Aggregate[S]) check(stream string) error {
	if a.Log.options.Payloads == "" {
		return fmt.Errorf("eventlog: Aggregate: Every is %d, but Options.Payloads names no bucket for snapshots", a.Every)
	}
	if err := errors.Join(checkName("Name", a.Name), checkName("stream", stream)); err != nil {
		return fmt.Errorf("eventlog: Aggregate: %w", err)
	}
	return nil
}
