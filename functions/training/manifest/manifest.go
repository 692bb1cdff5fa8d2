// Package manifest checks that the files of a data set are in the raw zone as
// its manifest says, before a training run pays for anything.
package manifest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// The most that a manifest may have.
const (
	MaxBytes = 4 << 20
	MaxFiles = 10_000
)

// Client is what Checker needs of S3.
type Client interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
}

// Checker checks manifests.
type Checker struct {
	S3 Client
}

// FromEnv returns the function's handler.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	c := &Checker{S3: s3.NewFromConfig(cfg)}
	return awslambda.NewHandler(c.Check), nil
}

// Check reads the manifest and looks at each of its files. It changes nothing,
// so it can be asked again at any time. What is wrong with the manifest is a
// *training.ManifestError with every problem; what is wrong with S3 is a
// *training.UnavailableError.
func (c *Checker) Check(ctx context.Context, r training.ManifestRequest) (*training.ManifestAnswer, error) {
	if !strings.HasPrefix(r.Key, r.Prefix) {
		return nil, refuse(fmt.Sprintf("the key is %q; allowed are keys below %q", r.Key, r.Prefix))
	}
	text, version, err := c.read(ctx, r)
	if err != nil {
		return nil, err
	}
	m, err := parse(text)
	if err != nil {
		return nil, err
	}
	if problems := check(m, r.Prefix); len(problems) > 0 {
		return nil, refuse(problems...)
	}
	if err := c.look(ctx, r.Bucket, m.Files); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	answer := &training.ManifestAnswer{Dataset: m.Dataset, Files: len(m.Files), Version: version, Digest: hex.EncodeToString(digest[:])}
	for _, f := range m.Files {
		answer.Bytes += f.Bytes
	}
	return answer, nil
}

func refuse(problems ...string) error { return &training.ManifestError{Problems: problems} }

func (c *Checker) read(ctx context.Context, r training.ManifestRequest) (text []byte, version string, err error) {
	out, err := c.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key})
	if missing(err) {
		return nil, "", refuse(fmt.Sprintf("there is no object %s in %s", r.Key, r.Bucket))
	}
	if err != nil {
		return nil, "", &training.UnavailableError{Err: fmt.Errorf("get %s: %w", r.Key, err)}
	}
	defer out.Body.Close()
	text, err = io.ReadAll(io.LimitReader(out.Body, MaxBytes+1))
	if err != nil {
		return nil, "", &training.UnavailableError{Err: fmt.Errorf("read %s: %w", r.Key, err)}
	}
	if len(text) > MaxBytes {
		return nil, "", refuse(fmt.Sprintf("the manifest has more than %d bytes; split the data set", MaxBytes))
	}
	return text, aws.ToString(out.VersionId), nil
}

// missing reports whether S3 says that there is no such object. HeadObject has
// no body and so says it by the status alone.
func missing(err error) bool {
	var noKey *types.NoSuchKey
	var notFound *types.NotFound
	if errors.As(err, &noKey) || errors.As(err, &notFound) {
		return true
	}
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "NotFound" || api.ErrorCode() == "NoSuchKey")
}

func parse(text []byte) (training.Manifest, error) {
	var m training.Manifest
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, refuse("not the JSON of a manifest: " + err.Error())
	}
	if _, err := dec.Token(); err != io.EOF {
		return m, refuse("something follows the manifest's object")
	}
	return m, nil
}

var datasetName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func check(m training.Manifest, prefix string) (problems []string) {
	wrong := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	if !datasetName.MatchString(m.Dataset) {
		wrong("dataset is %q; allowed are 1 to 63 lower-case letters, digits, - and _, the first a letter", m.Dataset)
	}
	if len(m.Files) == 0 || len(m.Files) > MaxFiles {
		wrong("%d files; allowed are 1 to %d", len(m.Files), MaxFiles)
	}
	seen := make(map[string]bool, len(m.Files))
	for i, f := range m.Files {
		switch {
		case !strings.HasPrefix(f.Key, prefix) || f.Key == prefix:
			wrong("files[%d].key is %q; allowed are keys below %q", i, f.Key, prefix)
		case seen[f.Key]:
			wrong("files[%d].key is %q, which is listed before; list each file once", i, f.Key)
		}
		seen[f.Key] = true
		if f.Bytes <= 0 {
			wrong("files[%d].bytes is %d; allowed is 1 or more", i, f.Bytes)
		}
	}
	return problems
}

// lookers is how many files are looked at side by side.
const lookers = 32

// look compares the files with the objects in S3. After the first failure of S3
// itself it stops; problems of the files it collects, in the manifest's order.
func (c *Checker) look(ctx context.Context, bucket string, files []training.File) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	problems := make([]string, len(files))
	next := make(chan int)
	var working sync.WaitGroup
	for range min(lookers, len(files)) {
		working.Go(func() {
			for i := range next {
				problem, err := c.compare(ctx, bucket, files[i])
				if err != nil {
					cancel(err)
				}
				problems[i] = problem
			}
		})
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	working.Wait()
	if err := context.Cause(ctx); err != nil {
		return &training.UnavailableError{Err: err}
	}
	var found []string
	for _, p := range problems {
		if p != "" {
			found = append(found, p)
		}
	}
	if len(found) > 0 {
		return refuse(found...)
	}
	return nil
}

func (c *Checker) compare(ctx context.Context, bucket string, f training.File) (problem string, err error) {
	in := &s3.HeadObjectInput{Bucket: &bucket, Key: &f.Key}
	if f.SHA256 != "" {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := c.S3.HeadObject(ctx, in)
	switch {
	case missing(err):
		return f.Key + " is not there", nil
	case err != nil:
		return "", fmt.Errorf("look at %s: %w", f.Key, err)
	case aws.ToInt64(out.ContentLength) != f.Bytes:
		return fmt.Sprintf("%s has %d bytes, the manifest says %d", f.Key, aws.ToInt64(out.ContentLength), f.Bytes), nil
	case f.SHA256 != "" && out.ChecksumSHA256 == nil:
		return f.Key + " has no SHA-256 in S3: upload it with one, or leave sha256 out", nil
	case f.SHA256 != "" && *out.ChecksumSHA256 != f.SHA256:
		return fmt.Sprintf("%s has the SHA-256 %s, the manifest says %s", f.Key, *out.ChecksumSHA256, f.SHA256), nil
	}
	return "", nil
}
