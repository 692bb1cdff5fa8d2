package asl

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// An ObjectStore stands for Amazon S3 in distributed Map states.
type ObjectStore interface {
	// Object returns the content of an object.
	Object(ctx context.Context, bucket, key string) ([]byte, error)
	// Keys yields the keys that start with the prefix, in their order.
	Keys(ctx context.Context, bucket, prefix string) iter.Seq2[string, error]
	// Put stores an object.
	Put(ctx context.Context, bucket, key string, content []byte) error
}

// Objects is an ObjectStore in memory: the contents by "bucket/key". Make it
// with a literal; it is not safe for concurrent use.
type Objects map[string]string

// Object returns the content of an object, or the error S3.NoSuchKeyException.
func (o Objects) Object(_ context.Context, bucket, key string) ([]byte, error) {
	content, ok := o[bucket+"/"+key]
	if !ok {
		return nil, &Error{Name: "S3.NoSuchKeyException", Cause: fmt.Sprintf("bucket %q has no object %q", bucket, key)}
	}
	return []byte(content), nil
}

// Keys yields the keys that start with the prefix.
func (o Objects) Keys(_ context.Context, bucket, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if key, ok := strings.CutPrefix(name, bucket+"/"); ok && strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}

// Put stores an object.
func (o Objects) Put(_ context.Context, bucket, key string, content []byte) error {
	o[bucket+"/"+key] = string(content)
	return nil
}

// objectHandler serves the S3 calls of distributed Map states.
func objectHandler(store ObjectStore, t *PendingTask) Handler {
	arguments, _ := t.Arguments.(map[string]any)
	text := func(field string) string {
		s, _ := arguments[field].(string)
		return s
	}
	bucket := text("Bucket")
	_, operation, _ := strings.Cut(t.Resource, ":s3:")
	switch {
	case operation == "getObject" && t.Reader != nil:
		return func(ctx context.Context, _ *PendingTask) (any, error) {
			return t.Reader.object(ctx, store, bucket, text("Key"))
		}
	case operation == "listObjectsV2" && t.Reader != nil:
		return func(ctx context.Context, _ *PendingTask) (any, error) {
			return t.Reader.list(ctx, store, bucket, text("Prefix"))
		}
	case operation == "putObject":
		return func(ctx context.Context, _ *PendingTask) (any, error) {
			return map[string]any{}, store.Put(ctx, bucket, text("Key"), []byte(text("Body")))
		}
	}
	return nil
}

// errEnough ends reading once there are MaxItems.
var errEnough = errors.New("enough items")

// items collects what a reader finds.
type items struct {
	max  int
	list []any
}

func (i *items) add(v any) error {
	if i.max > 0 && len(i.list) >= i.max {
		return errEnough
	}
	i.list = append(i.list, v)
	return nil
}

func (r *ItemReader) object(ctx context.Context, store ObjectStore, bucket, key string) (any, error) {
	content, err := store.Object(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	found := &items{max: r.MaxItems, list: []any{}}
	if r.InputType == "MANIFEST" {
		err = r.manifest(ctx, store, content, found)
	} else {
		err = r.decode(content, found)
	}
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("read items from %s/%s: %w", bucket, key, err)
	}
	return found.list, nil
}

func (r *ItemReader) list(ctx context.Context, store ObjectStore, bucket, prefix string) (any, error) {
	found := &items{max: r.MaxItems, list: []any{}}
	for key, err := range store.Keys(ctx, bucket, prefix) {
		if err != nil {
			return nil, err
		}
		content, err := store.Object(ctx, bucket, key)
		if err != nil {
			return nil, err
		}
		if r.Transformation == "LOAD_AND_FLATTEN" {
			err = r.decode(content, found)
		} else {
			err = found.add(map[string]any{"Key": key, "Size": float64(len(content))})
		}
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read items from %s/%s: %w", bucket, key, err)
		}
	}
	return found.list, nil
}

// decode reads the items in a file.
func (r *ItemReader) decode(content []byte, found *items) error {
	switch r.InputType {
	case "CSV":
		return r.csv(content, found)
	case "JSONL":
		lines := bufio.NewScanner(bytes.NewReader(content))
		lines.Buffer(nil, MaxDataSize)
		for lines.Scan() {
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			var v any
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				return err
			}
			if err := found.add(v); err != nil {
				return err
			}
		}
		return lines.Err()
	case "JSON":
		return r.json(content, found)
	}
	return fmt.Errorf("input type %q cannot be read from an object store: bind the reader's resource to a handler that returns the items", r.InputType)
}

func (r *ItemReader) json(content []byte, found *items) error {
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		return err
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(r.Pointer, "/"), "/") {
		if r.Pointer == "" {
			break
		}
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch at := v.(type) {
		case map[string]any:
			v = at[token]
		case []any:
			n, err := strconv.Atoi(token)
			if err != nil || n < 0 || n >= len(at) {
				return fmt.Errorf("ItemsPointer %s leads nowhere", r.Pointer)
			}
			v = at[n]
		default:
			return fmt.Errorf("ItemsPointer %s leads nowhere", r.Pointer)
		}
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := found.add(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := found.add(map[string]any{"Key": key, "Value": v[key]}); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("the items must be an array or an object, not %s", kindOf(v))
	}
	return nil
}

var delimiters = map[string]rune{"": ',', "COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "SPACE": ' ', "TAB": '\t'}

func (r *ItemReader) csv(content []byte, found *items) error {
	rows := csv.NewReader(bytes.NewReader(content))
	rows.Comma = delimiters[r.Delimiter]
	rows.FieldsPerRecord = -1
	headers := r.Headers
	if r.HeaderLocation != "GIVEN" {
		first, err := rows.Read()
		if err != nil {
			return fmt.Errorf("the header row: %w", err)
		}
		headers = first
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		item := map[string]any{}
		for i, name := range headers {
			item[name] = ""
			if i < len(row) {
				item[name] = row[i]
			}
		}
		if err := found.add(item); err != nil {
			return err
		}
	}
}

// manifest reads the items of the files that a manifest of S3 Inventory lists.
func (r *ItemReader) manifest(ctx context.Context, store ObjectStore, content []byte, found *items) error {
	if r.ManifestType == "ATHENA_DATA" {
		return r.athena(ctx, store, content, found)
	}
	var m struct {
		DestinationBucket string `json:"destinationBucket"`
		FileFormat        string `json:"fileFormat"`
		FileSchema        string `json:"fileSchema"`
		Files             []struct {
			Key string `json:"key"`
		} `json:"files"`
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return err
	}
	if m.FileFormat != "CSV" {
		return fmt.Errorf("the inventory's format is %q; only CSV can be read", m.FileFormat)
	}
	schema := &ItemReader{InputType: "CSV", HeaderLocation: "GIVEN"}
	for column := range strings.SplitSeq(m.FileSchema, ",") {
		schema.Headers = append(schema.Headers, strings.TrimSpace(column))
	}
	bucket := m.DestinationBucket[strings.LastIndexByte(m.DestinationBucket, ':')+1:]
	for _, f := range m.Files {
		data, err := load(ctx, store, bucket, f.Key)
		if err != nil {
			return err
		}
		if err := schema.decode(data, found); err != nil {
			return err
		}
	}
	return nil
}

// athena reads the items of the files of an UNLOAD, which the manifest lists
// by their URIs.
func (r *ItemReader) athena(ctx context.Context, store ObjectStore, content []byte, found *items) error {
	inner := *r
	inner.InputType = "JSONL"
	for line := range strings.Lines(string(content)) {
		uri := strings.TrimSpace(line)
		if uri == "" {
			continue
		}
		bucket, key, ok := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
		if !ok {
			return fmt.Errorf("the manifest's line %q is not an S3 URI", uri)
		}
		data, err := load(ctx, store, bucket, key)
		if err != nil {
			return err
		}
		if err := inner.decode(data, found); err != nil {
			return err
		}
	}
	return nil
}

// load reads a file and unpacks it when its name ends in ".gz".
func load(ctx context.Context, store ObjectStore, bucket, key string) ([]byte, error) {
	data, err := store.Object(ctx, bucket, key)
	if err != nil || !strings.HasSuffix(key, ".gz") {
		return data, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
