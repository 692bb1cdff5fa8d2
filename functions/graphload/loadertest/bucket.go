// Package loadertest is what the tests of the graph loader share: a bucket in
// memory.
package loadertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Bucket is a bucket in memory. Its zero value is empty and ready to use.
type Bucket struct {
	// Page is how many keys a listing returns at a time.
	//
	// Default: 1000.
	Page int
	// Err, unless nil, is what operations fail with.
	Err error

	mu      sync.Mutex
	objects map[string][]byte
}

// Put puts an object.
func (b *Bucket) Put(key string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects == nil {
		b.objects = map[string][]byte{}
	}
	b.objects[key] = data
}

// Keys returns the keys that start with the prefix, in order.
func (b *Bucket) Keys(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := slices.Sorted(maps.Keys(b.objects))
	return slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) })
}

// Text returns what is in a compressed object.
func (b *Bucket) Text(key string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := gzip.NewReader(bytes.NewReader(b.objects[key]))
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	data, err := io.ReadAll(r)
	return string(data), err
}

// Compressed returns the text as gzip writes it.
func Compressed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

// ListObjectsV2 is S3's.
func (b *Bucket) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	if b.Err != nil {
		return nil, b.Err
	}
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Bool(false)}
	page := b.Page
	if page == 0 {
		page = 1000
	}
	for _, key := range b.Keys(aws.ToString(in.Prefix)) {
		if key <= aws.ToString(in.StartAfter) {
			continue
		}
		if len(out.Contents) == page {
			out.IsTruncated = aws.Bool(true)
			break
		}
		out.Contents = append(out.Contents, types.Object{Key: aws.String(key)})
	}
	return out, nil
}

// GetObject is S3's.
func (b *Bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if b.Err != nil {
		return nil, b.Err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.objects[*in.Key]
	if !ok {
		return nil, &smithy.GenericAPIError{Code: "NoSuchKey", Message: *in.Key, Fault: smithy.FaultClient}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(data))}, nil
}

// PutObject is S3's.
func (b *Bucket) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	if b.Err != nil {
		return nil, b.Err
	}
	data, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	b.Put(*in.Key, data)
	return &s3.PutObjectOutput{}, nil
}
