package eventlog

import (
	"errors"
	"fmt"
	"strings"
)

// What a failed call can be tested for with errors.Is. Each stands for the
// type of the same name, which errors.As finds and which says more.
var (
	ErrConflict  = errors.New("eventlog: conflict")
	ErrGap       = errors.New("eventlog: gap")
	ErrThrottled = errors.New("eventlog: throttled")
	ErrOversize  = errors.New("eventlog: oversize")
	ErrCodec     = errors.New("eventlog: codec")
	ErrForgotten = errors.New("eventlog: subject forgotten")
)

// ConflictError is Append's when the stream is not at the version that the
// caller expected: somebody else appended first. Load the stream and decide
// again, or let Aggregate.Update do so.
type ConflictError struct {
	Stream   string
	Expected int64
}

func (e *ConflictError) Error() string {
	if e.Expected == NoStream {
		return fmt.Sprintf("eventlog: stream %q exists already", e.Stream)
	}
	return fmt.Sprintf("eventlog: stream %q has gone beyond version %d", e.Stream, e.Expected)
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// GapError is Append's when the stream has not reached the version that the
// caller expected: the events would stand behind a gap. It is a mistake of the
// caller; trying again does not help.
type GapError struct {
	Stream   string
	Expected int64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("eventlog: stream %q has no version %d to append after; expect the version that Load or Append returned", e.Stream, e.Expected)
}

// Is reports whether target is ErrGap.
func (e *GapError) Is(target error) bool { return target == ErrGap }

// ThrottledError is any call's when a service refused it for its rate, or for
// colliding transactions, until the attempts or the context's time were used
// up.
type ThrottledError struct {
	// Op is the operation that was refused, such as "ExecuteTransaction".
	Op string
	// Attempts is how often it was tried.
	Attempts int
	// Err is the last refusal.
	Err error
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("eventlog: %s throttled %d times: %v", e.Op, e.Attempts, e.Err)
}

// Is reports whether target is ErrThrottled.
func (e *ThrottledError) Is(target error) bool { return target == ErrThrottled }

// Unwrap returns the last refusal.
func (e *ThrottledError) Unwrap() error { return e.Err }

// OversizeError is Append's when the events do not fit: into one transaction,
// or inline where the Log has no bucket for large payloads.
type OversizeError struct {
	Stream string
	// What is too large, such as "transaction".
	What string
	// Size and Limit are in Unit, "bytes" or "events".
	Size, Limit int
	Unit        string
}

func (e *OversizeError) Error() string {
	return fmt.Sprintf("eventlog: %s for stream %q has %d %s, at most %d are allowed", e.What, e.Stream, e.Size, e.Unit, e.Limit)
}

// Is reports whether target is ErrOversize.
func (e *OversizeError) Is(target error) bool { return target == ErrOversize }

// CodecError says that an event cannot be written or read: its type is not
// registered, its payload does not fit the type, an upcaster failed, its S3
// object is missing or altered, a message is no event at all. Trying again does
// not help; a consumer lets the message go to its dead-letter queue.
type CodecError struct {
	Stream      string
	Version     int64 // 0 for an event that is not recorded yet
	Type        string
	TypeVersion int
	Err         error
}

func (e *CodecError) Error() string {
	var b strings.Builder
	b.WriteString("eventlog: event")
	if e.Type != "" {
		fmt.Fprintf(&b, " %s/%d", e.Type, e.TypeVersion)
	}
	if e.Stream != "" {
		fmt.Fprintf(&b, " in %q", e.Stream)
	}
	if e.Version > 0 {
		fmt.Fprintf(&b, " at version %d", e.Version)
	}
	return fmt.Sprintf("%s: %v", b.String(), e.Err)
}

// Is reports whether target is ErrCodec.
func (e *CodecError) Is(target error) bool { return target == ErrCodec }

// Unwrap returns the cause.
func (e *CodecError) Unwrap() error { return e.Err }

// ForgottenError is Append's when an event has personal fields of a subject
// that was forgotten.
type ForgottenError struct{ Subject string }

func (e *ForgottenError) Error() string {
	return fmt.Sprintf("eventlog: subject %q was forgotten; no personal data can be recorded", e.Subject)
}

// Is reports whether target is ErrForgotten.
func (e *ForgottenError) Is(target error) bool { return target == ErrForgotten }

func wrong(place string, value any, want string) error {
	return fmt.Errorf("%s is %#v, want %s", place, value, want)
}

// nameCharacters are those of streams, subjects and event ids. "#" separates a
// stream from a version and is therefore not among them.
const nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/=+-"

// checkName checks the name of a stream ("stream"), which may hold an @, or of
// a subject or an event, which may not.
func checkName(what, name string) error {
	allowed := nameCharacters
	if what == "stream" {
		allowed += "@"
	}
	if name == "" || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(allowed, r) }) {
		return wrong(what, name, fmt.Sprintf("1 to 100 characters of %s", allowed))
	}
	return nil
}
