package manifest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/serverless-go/cdk/functions/training/manifest"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
)

// bucket is what S3 has, by key. An error stands for a failure of S3.
type bucket map[string]any

func (b bucket) find(key string) (string, error) {
	switch v := b[key].(type) {
	case string:
		return v, nil
	case error:
		return "", v
	}
	return "", &types.NoSuchKey{}
}

func (b bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	text, err := b.find(*in.Key)
	if err != nil {
		return nil, err
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(text)), VersionId: aws.String("v7")}, nil
}

func (b bucket) HeadObject(_ context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	text, err := b.find(*in.Key)
	if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
		return nil, &types.NotFound{} // as S3 answers HEAD
	} else if err != nil {
		return nil, err
	}
	out := &s3.HeadObjectOutput{ContentLength: aws.Int64(int64(len(text)))}
	if in.ChecksumMode == types.ChecksumModeEnabled && strings.HasSuffix(*in.Key, ".sum") {
		out.ChecksumSHA256 = aws.String(sum(text))
	}
	return out, nil
}

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(digest[:])
}

func check(t *testing.T, b bucket, m any) (*training.ManifestAnswer, error) {
	t.Helper()
	text, ok := m.(string)
	if !ok {
		encoded, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	b["raw/m.json"] = text
	return (&manifest.Checker{S3: b}).Check(t.Context(), training.ManifestRequest{Bucket: "raw", Key: "raw/m.json", Prefix: "raw/"})
}

func TestCheck(t *testing.T) {
	b := bucket{"raw/1": "12345", "raw/2.sum": "123"}
	got, err := check(t, b, `{"dataset": "carts", "files": [{"key": "raw/1", "bytes": 5}, {"key": "raw/2.sum", "bytes": 3, "sha256": "`+sum("123")+`"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &training.ManifestAnswer{Dataset: "carts", Files: 2, Bytes: 8, Version: "v7", Digest: got.Digest}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Digest) != 64 {
		t.Error(diff, got.Digest)
	}
	again, err := (&manifest.Checker{S3: b}).Check(t.Context(), training.ManifestRequest{Bucket: "raw", Key: "raw/m.json", Prefix: "raw/"})
	if diff := cmp.Diff(got, again); diff != "" || err != nil {
		t.Errorf("asked again it answers otherwise: %v %s", err, diff)
	}
}

func TestCheckRefuses(t *testing.T) {
	one := func(f training.File) training.Manifest {
		return training.Manifest{Dataset: "carts", Files: []training.File{f}}
	}
	many := training.Manifest{Dataset: "carts"}
	for i := range manifest.MaxFiles + 1 {
		many.Files = append(many.Files, training.File{Key: fmt.Sprintf("raw/%d", i), Bytes: 1})
	}
	for name, tt := range map[string]struct {
		manifest any
		problems []string
	}{
		"not JSON":      {"{", []string{"not the JSON of a manifest: unexpected EOF"}},
		"more than one": {"{}{}", []string{"something follows the manifest's object"}},
		"unknown field": {`{"data": 1}`, []string{`not the JSON of a manifest: json: unknown field "data"`}},
		"empty":         {"{}", []string{`dataset is ""; allowed are 1 to 63 lower-case letters, digits, - and _, the first a letter`, "0 files; allowed are 1 to 10000"}},
		"too many":      {many, []string{"10001 files; allowed are 1 to 10000"}},
		"outside":       {one(training.File{Key: "curated/1", Bytes: 1}), []string{`files[0].key is "curated/1"; allowed are keys below "raw/"`}},
		"the folder":    {one(training.File{Key: "raw/", Bytes: 1}), []string{`files[0].key is "raw/"; allowed are keys below "raw/"`}},
		"twice and no size": {training.Manifest{Dataset: "carts", Files: []training.File{{Key: "raw/1", Bytes: 5}, {Key: "raw/1"}}},
			[]string{`files[1].key is "raw/1", which is listed before; list each file once`, "files[1].bytes is 0; allowed is 1 or more"}},
		"missing":     {one(training.File{Key: "raw/3", Bytes: 1}), []string{"raw/3 is not there"}},
		"other size":  {one(training.File{Key: "raw/1", Bytes: 6}), []string{"raw/1 has 5 bytes, the manifest says 6"}},
		"other sum":   {one(training.File{Key: "raw/2.sum", Bytes: 3, SHA256: "x"}), []string{"raw/2.sum has the SHA-256 " + sum("123") + ", the manifest says x"}},
		"without sum": {one(training.File{Key: "raw/1", Bytes: 5, SHA256: "x"}), []string{"raw/1 has no SHA-256 in S3: upload it with one, or leave sha256 out"}},
		"too large":   {strings.Repeat(" ", manifest.MaxBytes+1), []string{"the manifest has more than 4194304 bytes; split the data set"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := check(t, bucket{"raw/1": "12345", "raw/2.sum": "123"}, tt.manifest)
			var wrong *training.ManifestError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, %v", got, err)
			}
			if diff := cmp.Diff(tt.problems, wrong.Problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckRefusesKeys(t *testing.T) {
	for _, key := range []string{"raw/none.json", "elsewhere/m.json"} {
		_, err := (&manifest.Checker{S3: bucket{}}).Check(t.Context(), training.ManifestRequest{Bucket: "raw", Key: key, Prefix: "raw/"})
		if wrong := (*training.ManifestError)(nil); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

func TestCheckTellsWhenS3Fails(t *testing.T) {
	down := errors.New("slow down")
	many := training.Manifest{Dataset: "carts"}
	for i := range 500 {
		many.Files = append(many.Files, training.File{Key: fmt.Sprintf("raw/%d", i), Bytes: 1})
	}
	for name, b := range map[string]bucket{"a file": {"raw/250": down}, "many": {"raw/1": down, "raw/2": down, "raw/3": down}} {
		_, err := check(t, b, many)
		if unavailable := (*training.UnavailableError)(nil); !errors.As(err, &unavailable) || !errors.Is(err, down) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := (&manifest.Checker{S3: bucket{"raw/m.json": down}}).Check(t.Context(), training.ManifestRequest{Bucket: "raw", Key: "raw/m.json", Prefix: "raw/"})
	if unavailable := (*training.UnavailableError)(nil); !errors.As(err, &unavailable) {
		t.Errorf("the manifest: got %v", err)
	}
}
