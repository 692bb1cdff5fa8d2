// Package policies puts the resource-based policies that a stack describes on
// the replicas of a global table, each in its own region.
package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"
	"github.com/serverless-go/cdk/functions/internal/resource"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// FromEnv returns the handler of the custom resource.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	h := &Handler{Client: func(region string) *dynamodb.Client {
		return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.Region = region })
	}}
	return awslambda.NewHandler(cfn.LambdaWrap(h.Handle)), nil
}

// Handler keeps policies.
type Handler struct {
	// Client returns DynamoDB's client in a region.
	Client func(region string) *dynamodb.Client
	// Pause is between two attempts; default 5 s.
	Pause time.Duration
}

// Handle makes every replica have the policy that the resource's properties
// describe, and no other, or none when the resource is deleted. The physical ID
// names the table: another table is another resource.
//
// A region that an update takes away keeps nothing here: its replica is gone by
// then, and its policy with it.
func (h *Handler) Handle(ctx context.Context, event cfn.Event) (physicalID string, data map[string]any, err error) {
	ctx, cancel := resource.WithMargin(ctx)
	defer cancel()
	var now schema.ReplicaPolicies
	if err := resource.Properties(event.ResourceProperties, &now); err != nil {
		return event.PhysicalResourceID, nil, err
	}
	do, verb := h.put, "put"
	if event.RequestType == cfn.RequestDelete {
		do, verb = h.remove, "remove"
	}
	regions := slices.Sorted(maps.Keys(now.Policies))
	failed := make([]error, len(regions))
	var all sync.WaitGroup
	for i, region := range regions {
		all.Go(func() { // one that waits for its replica keeps no other waiting
			if err := do(ctx, region, now.ARNs[region], now.Policies[region]); err != nil {
				failed[i] = fmt.Errorf("%s the policy of %s in %s: %w", verb, now.Table, region, err)
			}
		})
	}
	all.Wait()
	return "replica-policies/" + now.Table, nil, resource.Brief(ctx, errors.Join(failed...))
}

// put returns when the policy is what the region answers with: whoever comes
// after it finds it in force. It is put even where it seems to be there
// already, for what a region answers may be from before the last change.
func (h *Handler) put(ctx context.Context, region, arn string, policy json.RawMessage) error {
	var text bytes.Buffer
	if err := json.Compact(&text, policy); err != nil { // spaces count to the 20 KB
		return err
	}
	client := h.Client(region)
	var revision string
	err := h.patiently(ctx, region, []string{denied, missing}, func() error {
		out, err := client.PutResourcePolicy(ctx, &dynamodb.PutResourcePolicyInput{ResourceArn: &arn, Policy: aws.String(text.String())})
		if err == nil {
			revision = aws.ToString(out.RevisionId)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = h.patiently(ctx, region, []string{denied, missing, noPolicy, errStale.Code}, func() error {
		out, err := client.GetResourcePolicy(ctx, &dynamodb.GetResourcePolicyInput{ResourceArn: &arn})
		if err == nil && aws.ToString(out.RevisionId) != revision {
			return errStale
		}
		return err
	})
	if err == nil {
		slog.InfoContext(ctx, "put", "region", region, "revision", revision)
	}
	return err
}

// remove takes the policy away. One that is gone is as good, with its replica or
// without. So is one that this function may no longer remove: it lost the right
// in the update by which the replica went.
func (h *Handler) remove(ctx context.Context, region, arn string, _ json.RawMessage) error {
	client := h.Client(region)
	err := h.patiently(ctx, region, nil, func() error {
		_, err := client.DeleteResourcePolicy(ctx, &dynamodb.DeleteResourcePolicyInput{ResourceArn: &arn})
		return err
	})
	switch code(err) {
	case missing, noPolicy, denied:
		slog.WarnContext(ctx, "not removed", "region", region, "error", err)
		return nil
	}
	return err
}

// Codes of DynamoDB's errors.
const (
	denied   = "AccessDeniedException"
	missing  = "ResourceNotFoundException"
	noPolicy = "PolicyNotFoundException"
)

// passing are the errors that pass: another change of the table or its policy,
// which has to be 15 s ago
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html),
// too many calls, and DynamoDB's own.
var passing = []string{"ResourceInUseException", "LimitExceededException", "ThrottlingException", "RequestLimitExceeded",
	"ProvisionedThroughputExceededException", "InternalServerError", "ServiceUnavailable"}

// errStale is a policy that is not what was put, yet.
var errStale = &smithy.GenericAPIError{Code: "StalePolicy", Message: "the policy is not the one that was put: another one put its own, or the region is behind"}

// permitted is how often a denied call is tried: a permission of the same
// deployment is known after some seconds, and one that there is not never is.
const permitted = 12

// patiently repeats what fails with an error that passes, or with one of the
// codes, until it succeeds or the time is over.
func (h *Handler) patiently(ctx context.Context, region string, codes []string, f func() error) error {
	start := time.Now()
	var last error
	waits := false
	err := resource.Repeat(ctx, h.Pause, func(attempt int, err error) bool {
		c := code(err)
		waits = (slices.Contains(passing, c) || slices.Contains(codes, c)) && !(c == denied && attempt == permitted)
		if waits {
			slog.WarnContext(ctx, "not yet", "region", region, "attempt", attempt, "error", err)
		}
		return waits
	}, func() error {
		err := f()
		if ctx.Err() != nil && last != nil {
			err = last // which says more than that the time is over
		}
		last = err
		return err
	})
	if err != nil && waits {
		return fmt.Errorf("waited for %s, as long as a deployment may: %w; see that the replica is ACTIVE, then deploy again",
			time.Since(start).Round(time.Second), err)
	}
	return err
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
