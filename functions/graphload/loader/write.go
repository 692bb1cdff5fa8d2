package loader

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/serverless-go/cdk/patterns/orchestration/graph"
)

// write writes the CSV files of the files that Athena unloaded, until the
// invocation has used half of its time. Names follow from those files' order,
// so that what is written twice is the same file.
func (h *Handler) write(ctx context.Context, w *graph.Write) (*graph.Written, error) {
	enough := time.Now().Add(5 * time.Minute)
	if deadline, ok := ctx.Deadline(); ok {
		enough = time.Now().Add(time.Until(deadline) / 2)
	}
	written := &graph.Written{Cursor: w.Cursor}
	for {
		page, err := h.Objects.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
			Bucket:     &h.Bucket,
			Prefix:     &w.Source,
			StartAfter: aws.String(written.Cursor),
		})
		if err != nil {
			return nil, fmt.Errorf("graphload: list %s: %w", w.Source, err)
		}
		for _, object := range page.Contents {
			if written.Rows > 0 && time.Now().After(enough) {
				return written, nil
			}
			rows, err := h.convert(ctx, w, *object.Key)
			if err != nil {
				return nil, err
			}
			written.Rows += rows
			written.Cursor = *object.Key
		}
		if !aws.ToBool(page.IsTruncated) {
			written.Done = true
			return written, nil
		}
	}
}

// convert writes the CSV files of one file, and returns how many rows it has.
func (h *Handler) convert(ctx context.Context, w *graph.Write, key string) (rows int, err error) {
	object, err := h.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &h.Bucket, Key: &key})
	if err != nil {
		return 0, fmt.Errorf("graphload: read %s: %w", key, err)
	}
	defer object.Body.Close()
	body, err := plain(object.Body)
	if err != nil {
		return 0, fmt.Errorf("graphload: read %s: %w", key, err)
	}
	decoder := json.NewDecoder(body)
	decoder.UseNumber() // a number goes into the graph as it came
	name := key[len(w.Source):]
	for part := 0; ; part++ {
		var file bytes.Buffer
		compressed := gzip.NewWriter(&file)
		out := newTableWriter(compressed, &w.Table, w.Format, w.Run)
		for out.size < h.fileSize() {
			var row map[string]any
			if err = decoder.Decode(&row); err != nil {
				break
			}
			if wrong := out.write(row); wrong != nil {
				wrong.Key, wrong.Row = key, rows+out.rows+1
				return 0, wrong
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("graphload: %s, after row %d: %w", key, rows+out.rows, err)
		}
		if err := errors.Join(out.flush(), compressed.Close()); err != nil {
			return 0, err
		}
		if out.rows > 0 {
			target := fmt.Sprintf("%s%03d-%s-%04d.csv.gz", w.Target, w.Index, name, part)
			if _, err := h.Objects.PutObject(ctx, &s3.PutObjectInput{
				Bucket: &h.Bucket, Key: &target, Body: bytes.NewReader(file.Bytes()),
			}); err != nil {
				return 0, fmt.Errorf("graphload: write %s: %w", target, err)
			}
		}
		rows += out.rows
		if err != nil {
			return rows, nil
		}
	}
}

func (h *Handler) fileSize() int {
	if h.FileSize == 0 {
		return 32 << 20
	}
	return h.FileSize
}

// plain returns what is in the file, which may be compressed.
func plain(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 1<<20)
	if magic, _ := buffered.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}
