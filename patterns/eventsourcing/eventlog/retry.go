package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

const (
	attempts   = 10
	firstDelay = 25 * time.Millisecond
	lastDelay  = 2 * time.Second
)

// do calls f until it succeeds, fails in a way that will not pass, or attempts
// or time are used up. Op names what f calls.
func do(ctx context.Context, op string, f func() error) error {
	var refusal error
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		throttled := isThrottled(err)
		if throttled {
			refusal = err
		}
		if (throttled || isTransient(err)) && attempt < attempts && pause(ctx, attempt) {
			continue
		}
		// A context that ends during a call hides why it took so long.
		if throttled || refusal != nil && ctx.Err() != nil {
			return &ThrottledError{Op: op, Attempts: attempt, Err: refusal}
		}
		return fmt.Errorf("eventlog: %s, attempt %d: %w", op, attempt, err)
	}
}

// pause waits before the next attempt. It reports false, at once, when the
// context would end first.
func pause(ctx context.Context, attempt int) bool {
	most := min(firstDelay<<(attempt-1), lastDelay)
	delay := rand.N(most) + 1
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Codes of a transaction's cancellation reasons, of the API reference of
// TransactWriteItems and of BatchStatementError.
const (
	reasonDuplicate   = "DuplicateItem"
	reasonConflict    = "TransactionConflict"
	reasonThrottled   = "ThrottlingError"
	reasonProvisioned = "ProvisionedThroughputExceeded"
)

func isThrottled(err error) bool {
	if errors.As(err, new(*types.TransactionInProgressException)) {
		return true
	}
	// Another region of a strongly consistent global table writes the item.
	if errors.As(err, new(*types.ReplicatedWriteConflictException)) {
		return true
	}
	if cancelled := new(types.TransactionCanceledException); errors.As(err, &cancelled) {
		busy := false
		for _, reason := range cancelled.CancellationReasons {
			switch aws.ToString(reason.Code) {
			case reasonConflict, reasonThrottled, reasonProvisioned:
				busy = true
			case "None", "":
			default:
				return false // trying again meets this reason again
			}
		}
		return busy
	}
	codes := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	return codes.IsErrorThrottle(err) == aws.TrueTernary
}

// isTransient reports whether the call failed on its way or inside the
// service.
func isTransient(err error) bool {
	return retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary
}

// isDuplicate reports whether an INSERT failed because the item exists.
func isDuplicate(err error) bool {
	cancelled := new(types.TransactionCanceledException)
	if errors.As(err, &cancelled) {
		for _, reason := range cancelled.CancellationReasons {
			// DynamoDB Local gives the code ValidationError with this message.
			if aws.ToString(reason.Code) == reasonDuplicate || strings.HasPrefix(aws.ToString(reason.Message), "Duplicate primary key") {
				return true
			}
		}
		return false
	}
	// DynamoDB Local leaves out "Exception".
	var api smithy.APIError
	return errors.As(err, &api) && strings.TrimSuffix(api.ErrorCode(), "Exception") == reasonDuplicate
}
