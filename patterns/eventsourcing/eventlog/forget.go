package eventlog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Forget destroys the subject's key, which leaves the personal fields of all
// its events unreadable for good, and appends a SubjectForgotten to a stream of
// the subject's own. It can be called again, also after an error; one tombstone
// is appended.
//
// Personal data of the subject cannot be appended any more. Other processes
// can read and seal with the key until Options.KeyTTL is over.
func (l *Log) Forget(ctx context.Context, subject string) error {
	if err := checkName("subject", subject); err != nil {
		return fmt.Errorf("eventlog: Forget: %w", err)
	}
	// First the key: if only one of the steps takes place, it is this one.
	if err := l.keys.destroy(ctx, subject, l.options.Now().UTC()); err != nil {
		return err
	}
	_, err := l.Append(ctx, tombstoneStream(subject), NoStream, Of(SubjectForgotten{Subject: subject}))
	if errors.Is(err, ErrConflict) {
		return nil // forgotten before
	}
	return err
}

// tombstoneStream returns the name of the stream that records that the subject
// was forgotten. Names of streams are shown in places that events are not, such
// as metrics: this one does not tell the subject.
func tombstoneStream(subject string) string {
	return fmt.Sprintf("subject:%x", sha256.Sum256([]byte(subject)))
}
