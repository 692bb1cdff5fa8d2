package eventlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// payloadPath is where the event's payload is in the bucket, up to its hash.
func payloadPath(e *Event) string { return "payloads/" + e.ID + "/" }

// putPayload moves the event's data to S3 if it is over the inline limit.
func (l *Log) putPayload(ctx context.Context, e *Event) error {
	if len(e.Data) <= l.options.InlineLimit {
		return nil
	}
	if l.options.Payloads == "" {
		return &OversizeError{Stream: e.Stream, What: "payload of " + e.Type, Size: len(e.Data), Limit: l.options.InlineLimit, Unit: "bytes"}
	}
	// With the hash in its key an object says what it must hold: it cannot be
	// replaced unnoticed, and an attempt that is repeated finds its own object.
	e.Ref = fmt.Sprintf("%s%x", payloadPath(e), sha256.Sum256(e.Data))
	err := do(ctx, "PutObject of a payload", func() error {
		_, err := l.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket:      &l.options.Payloads,
			Key:         &e.Ref,
			Body:        bytes.NewReader(e.Data),
			ContentType: aws.String("application/json"),
			IfNoneMatch: aws.String("*"),
		})
		if response := new(awshttp.ResponseError); errors.As(err, &response) && response.HTTPStatusCode() == http.StatusPreconditionFailed {
			return nil
		}
		return err
	})
	return err
}

// fetchPayload sets the data of an event whose payload is in S3.
func (l *Log) fetchPayload(ctx context.Context, e *Event) error {
	if e.Ref == "" {
		return nil
	}
	hash, found := strings.CutPrefix(e.Ref, payloadPath(e))
	want, err := hex.DecodeString(hash)
	if !found || err != nil || len(want) != sha256.Size {
		return e.codecError(wrong("ref", e.Ref, payloadPath(e)+"SHA-256"))
	}
	if l.options.Payloads == "" {
		return e.codecError(errors.New("the payload is in S3; Options.Payloads is empty"))
	}
	data, err := l.getObject(ctx, "GetObject of a payload", e.Ref)
	if err != nil {
		return err
	}
	if data == nil {
		return e.codecError(fmt.Errorf("bucket %s has no object %s", l.options.Payloads, e.Ref))
	}
	if got := sha256.Sum256(data); !bytes.Equal(got[:], want) {
		return e.codecError(fmt.Errorf("object %s in bucket %s is not what was recorded; its SHA-256 is %x", e.Ref, l.options.Payloads, got))
	}
	e.Data = data
	return nil
}

// getObject returns the content of an object, nil if there is none.
func (l *Log) getObject(ctx context.Context, op, key string) (data []byte, err error) {
	err = do(ctx, op, func() error {
		out, err := l.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.options.Payloads, Key: &key})
		if errors.As(err, new(*s3types.NoSuchKey)) {
			return nil
		}
		if err != nil {
			return err
		}
		defer out.Body.Close()
		data, err = io.ReadAll(out.Body)
		return err
	})
	return data, err
}
