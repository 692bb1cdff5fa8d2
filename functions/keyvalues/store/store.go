// Package store makes a CloudFront KeyValueStore hold the entries that a stack
// describes.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	kvs "github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore"
	"github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/serverless-go/cdk/functions/internal/resource"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// FromEnv returns the handler of the custom resource.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	h := &Handler{Store: kvs.NewFromConfig(cfg), Objects: s3.NewFromConfig(cfg)}
	return awslambda.NewHandler(cfn.LambdaWrap(h.Handle)), nil
}

// Handler keeps entries.
type Handler struct {
	Store   *kvs.Client
	Objects resource.Objects
	// Pause is between two attempts at what another writer or a new permission
	// was in the way of; default 5 s.
	Pause time.Duration
}

// attempts bounds how often a store that others write to is read again.
const attempts = 8

// Handle makes the store hold the entries. The physical ID is the store's ARN.
// Delete changes nothing: what reads the entries may outlive the resource, and
// the store itself is CloudFormation's.
func (h *Handler) Handle(ctx context.Context, event cfn.Event) (physicalID string, data map[string]any, err error) {
	physicalID = event.PhysicalResourceID
	if event.RequestType == cfn.RequestDelete {
		return physicalID, nil, nil
	}
	ctx, cancel := resource.WithMargin(ctx)
	defer cancel()
	var now, old schema.KeyValues
	if err := resource.Properties(event.ResourceProperties, &now); err != nil {
		return physicalID, nil, err
	}
	want, err := h.entries(ctx, &now)
	if err != nil {
		return physicalID, nil, resource.Brief(ctx, err)
	}
	owned := map[string]string{}
	if event.RequestType == cfn.RequestUpdate && !now.Exclusive {
		if err := resource.Properties(event.OldResourceProperties, &old); err != nil {
			return physicalID, nil, err
		}
		if old.Store == now.Store { // else it is another resource
			if owned, err = h.entries(ctx, &old); err != nil {
				return physicalID, nil, resource.Brief(ctx, fmt.Errorf("find the keys of before: %w", err))
			}
		}
	}
	err = h.apply(ctx, now.Store, want, func(key string) bool {
		_, ok := owned[key]
		return ok || now.Exclusive
	})
	if err != nil {
		err = resource.Brief(ctx, fmt.Errorf("update the store %s: %w", now.Store, err))
	}
	return now.Store, nil, err
}

func (h *Handler) entries(ctx context.Context, p *schema.KeyValues) (entries map[string]string, err error) {
	data, err := resource.ReadObject(ctx, h.Objects, p.Bucket, p.Key, h.Pause)
	if err == nil {
		err = json.Unmarshal(data, &entries)
	}
	if err != nil {
		return nil, fmt.Errorf("read the entries s3://%s/%s: %w", p.Bucket, p.Key, err)
	}
	return entries, nil
}

// apply reads the store, and writes what differs. A conflict says that somebody
// else wrote, or that an answer to us was lost: all is read again, so that what
// is there already is not written twice.
func (h *Handler) apply(ctx context.Context, arn string, want map[string]string, owned func(key string) bool) error {
	again := func(attempt int, err error) bool {
		var conflict *types.ConflictException
		var denied *types.AccessDeniedException
		if !errors.As(err, &conflict) && !errors.As(err, &denied) || attempt == attempts {
			return false
		}
		slog.WarnContext(ctx, "not updated yet", "store", arn, "attempt", attempt, "error", err)
		return true
	}
	return resource.Repeat(ctx, h.Pause, again, func() error { return h.write(ctx, arn, want, owned) })
}

// write does the work once. The ETag is read before the keys, so that a write of
// others in between is a conflict.
func (h *Handler) write(ctx context.Context, arn string, want map[string]string, owned func(key string) bool) error {
	about, err := h.Store.DescribeKeyValueStore(ctx, &kvs.DescribeKeyValueStoreInput{KvsARN: &arn})
	if err != nil {
		return err
	}
	have := map[string]string{}
	pages := kvs.NewListKeysPaginator(h.Store, &kvs.ListKeysInput{KvsARN: &arn, MaxResults: aws.Int32(50)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			have[*item.Key] = aws.ToString(item.Value)
		}
	}
	etag := about.ETag
	for _, b := range batches(want, have, owned, aws.ToInt64(about.TotalSizeInBytes)) {
		out, err := h.Store.UpdateKeys(ctx, &kvs.UpdateKeysInput{KvsARN: &arn, IfMatch: etag, Puts: b.puts, Deletes: b.deletes})
		if err != nil {
			return err
		}
		etag = out.ETag
		slog.InfoContext(ctx, "updated", "store", arn, "puts", len(b.puts), "deletes", len(b.deletes))
	}
	return nil
}

// A batch is what one call changes.
type batch struct {
	puts    []types.PutKeyRequestListItem
	deletes []types.DeleteKeyRequestListItem
	bytes   int
}

// batches returns the changes in calls within the quotas. Keys are deleted last,
// for what is at the edge may still read them, unless the store has no room for
// both.
func batches(want, have map[string]string, owned func(key string) bool, size int64) []*batch {
	var puts, deletes []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if value, ok := have[key]; !ok || value != want[key] {
			puts = append(puts, key)
			size += int64(len(key) + len(want[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[key]; !ok && owned(key) {
			deletes = append(deletes, key)
		}
	}
	keys := append(slices.Clone(puts), deletes...)
	if size > schema.KeyValuesStoreBytes {
		keys = append(deletes, puts...)
	}
	var all []*batch
	for _, key := range keys {
		value, put := want[key]
		n := len(key) + len(value)
		if len(all) == 0 || len(all[len(all)-1].puts)+len(all[len(all)-1].deletes) == schema.KeyValuesBatchKeys || all[len(all)-1].bytes+n > schema.KeyValuesBatchBytes {
			all = append(all, &batch{})
		}
		b := all[len(all)-1]
		b.bytes += n
		if put {
			b.puts = append(b.puts, types.PutKeyRequestListItem{Key: &key, Value: &value})
		} else {
			b.deletes = append(b.deletes, types.DeleteKeyRequestListItem{Key: &key})
		}
	}
	return all
}
