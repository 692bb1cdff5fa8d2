// Package version readies a function's new versions and deletes its old ones.
package version

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/serverless-go/cdk/patterns/coldstart/schema"
)

// Client is what the operations need of Lambda.
type Client interface {
	lambda.GetFunctionConfigurationAPIClient
	lambda.ListAliasesAPIClient
	lambda.ListVersionsByFunctionAPIClient
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
	DeleteFunction(context.Context, *lambda.DeleteFunctionInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error)
}

// FromEnv returns the handler of the custom resources.
func FromEnv(cfg aws.Config) (awslambda.Handler, error) {
	h := &Handler{Client: lambda.NewFromConfig(cfg)}
	return awslambda.NewHandler(cfn.LambdaWrap(h.Handle)), nil
}

// Handler carries out the operations.
type Handler struct {
	Client Client
}

// Handle carries out the operation that a custom resource asks for. A deleted
// resource asks for nothing: its function is deleted with all its versions.
func (h *Handler) Handle(ctx context.Context, event cfn.Event) (physicalID string, data map[string]any, err error) {
	operation := text(event, schema.Operation)
	function := text(event, schema.FunctionName)
	// The same id at each deployment: another would make CloudFormation delete
	// the resource before.
	id := function + " " + operation
	if event.RequestType == cfn.RequestDelete {
		return event.PhysicalResourceID, nil, nil
	}
	switch operation {
	case schema.OpPreWarm:
		err = h.preWarm(ctx, function, event)
	case schema.OpPrune:
		data, err = h.prune(ctx, function, event)
	default:
		err = fmt.Errorf("property %s is %q; it must be %q or %q", schema.Operation, operation, schema.OpPreWarm, schema.OpPrune)
	}
	return id, data, err
}

func text(event cfn.Event, property string) string {
	s, _ := event.ResourceProperties[property].(string)
	return s
}

// number reads a number, which CloudFormation hands over as a string.
func number(event cfn.Event, property string) (int, error) {
	n, err := strconv.Atoi(fmt.Sprint(event.ResourceProperties[property]))
	if err != nil {
		return 0, fmt.Errorf("property %s: %w", property, err)
	}
	return n, nil
}

// margin is kept to answer CloudFormation, which would wait on in silence.
const margin = 20 * time.Second

// preWarm waits until the version is there and invokes it, several times at
// once.
func (h *Handler) preWarm(ctx context.Context, function string, event cfn.Event) error {
	version := text(event, schema.Version)
	n, err := number(event, schema.Concurrency)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
	}
	// A version with a snapshot or in a VPC becomes active minutes after it
	// was published.
	waiter := lambda.NewPublishedVersionActiveWaiter(h.Client, func(o *lambda.PublishedVersionActiveWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 10*time.Second
	})
	err = waiter.Wait(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &function, Qualifier: &version}, 10*time.Minute)
	if err != nil {
		return fmt.Errorf("version %s of %s does not become active: %w", version, function, err)
	}
	failures := make([]error, n)
	var invocations sync.WaitGroup
	for i := range failures {
		invocations.Go(func() { failures[i] = h.invoke(ctx, function, version, text(event, schema.Payload)) })
	}
	invocations.Wait()
	for _, err := range failures {
		if err != nil { // one is enough to know; CloudFormation shows 4 KB
			return fmt.Errorf("version %s of %s gets no traffic: %w", version, function, err)
		}
	}
	return nil
}

// invoke invokes the version once. An error of the handler is an error here.
func (h *Handler) invoke(ctx context.Context, function, version, payload string) error {
	out, err := h.Client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Qualifier: &version, Payload: []byte(payload)})
	if err != nil {
		return err
	}
	if out.FunctionError != nil {
		return fmt.Errorf("%s error: %.500s", *out.FunctionError, out.Payload)
	}
	return nil
}

// latest is the code being edited, which is no version.
const latest = "$LATEST"

// prune deletes the oldest versions. It never fails a deployment that has
// succeeded: what cannot be deleted today is deleted after the next one.
func (h *Handler) prune(ctx context.Context, function string, event cfn.Event) (map[string]any, error) {
	keep, err := number(event, schema.Keep)
	if err != nil {
		return nil, err
	}
	// What was live before is what a deployment that still fails rolls back to,
	// and what is live now is what a rollback has just come back to.
	live, _ := event.OldResourceProperties[schema.Version].(string)
	old, err := h.unneeded(ctx, function, keep, live, text(event, schema.Version))
	if err != nil {
		slog.ErrorContext(ctx, "old versions are not deleted", "function", function, "error", err)
		return map[string]any{"Deleted": 0}, nil
	}
	deleted := 0
	for _, version := range old {
		qualifier := strconv.Itoa(version)
		if _, err := h.Client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &function, Qualifier: &qualifier}); err != nil {
			slog.ErrorContext(ctx, "an old version is not deleted", "function", function, "version", version, "error", err)
			continue
		}
		deleted++
	}
	return map[string]any{"Deleted": deleted}, nil
}

// unneeded returns the versions that are neither among the newest nor behind an
// alias nor used.
func (h *Handler) unneeded(ctx context.Context, function string, keep int, used ...string) ([]int, error) {
	if keep < 2 {
		return nil, errors.New("at least two versions must be kept, to roll back to the last but one")
	}
	needed := map[string]bool{latest: true}
	for _, version := range used {
		needed[version] = true
	}
	for pages := lambda.NewListAliasesPaginator(h.Client, &lambda.ListAliasesInput{FunctionName: &function}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list aliases: %w", err)
		}
		for _, alias := range page.Aliases {
			needed[aws.ToString(alias.FunctionVersion)] = true
			if alias.RoutingConfig == nil {
				continue
			}
			for version := range alias.RoutingConfig.AdditionalVersionWeights {
				needed[version] = true
			}
		}
	}
	var versions []int
	for pages := lambda.NewListVersionsByFunctionPaginator(h.Client, &lambda.ListVersionsByFunctionInput{FunctionName: &function}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list versions: %w", err)
		}
		for _, v := range page.Versions {
			// $LATEST is no number; deleting it would delete the function.
			if n, err := strconv.Atoi(aws.ToString(v.Version)); err == nil {
				versions = append(versions, n)
			}
		}
	}
	slices.Sort(versions)
	versions = versions[:max(0, len(versions)-keep)]
	return slices.DeleteFunc(versions, func(n int) bool { return needed[strconv.Itoa(n)] }), nil
}
