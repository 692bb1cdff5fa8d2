package capacity_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/serverless-go/cdk/functions/training/capacity"
	"github.com/serverless-go/cdk/patterns/orchestration/training"
	"github.com/serverless-go/cdk/test/engine"
)

func TestMain(m *testing.M) { engine.Main(m) }

func newBook(t *testing.T) *capacity.Book {
	t.Helper()
	db := dynamodb.NewFromConfig(engine.DynamoDB(t).Config())
	table := strings.ReplaceAll(t.Name(), "/", "_")
	_, err := db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(capacity.Key), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(capacity.Key), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &capacity.Book{DynamoDB: db, Table: table}
}

func booking(name string, units int) training.CapacityRequest {
	return training.CapacityRequest{Op: training.OpBook, Pool: "gpu", Booking: name, Units: units, Limit: 4}
}

func release(name string) training.CapacityRequest {
	return training.CapacityRequest{Op: training.OpRelease, Pool: "gpu", Booking: name}
}

// Each step says what is asked, and how many units are booked then; -1 for a
// CapacityError.
func TestBook(t *testing.T) {
	other := booking("a", 2)
	other.Pool = "cpu"
	for name, steps := range map[string][]struct {
		training.CapacityRequest
		units int
	}{
		"up to the limit":         {{booking("a", 3), 3}, {booking("b", 2), -1}, {booking("b", 1), 1}, {booking("c", 1), -1}},
		"again":                   {{booking("a", 3), 3}, {booking("a", 3), 3}, {booking("b", 1), 1}},
		"again with other units":  {{booking("a", 3), 3}, {booking("a", 2), -1}},
		"released":                {{booking("a", 4), 4}, {release("a"), 0}, {booking("b", 4), 4}},
		"released twice":          {{booking("a", 2), 2}, {booking("b", 2), 2}, {release("a"), 0}, {release("a"), 0}, {booking("c", 3), -1}, {booking("c", 2), 2}},
		"released before it came": {{release("a"), 0}, {booking("a", 1), -1}, {booking("b", 4), 4}},
		"booked after its end":    {{booking("a", 1), 1}, {release("a"), 0}, {booking("a", 1), -1}},
		"another pool":            {{booking("a", 4), 4}, {other, 2}},
		"more than there is":      {{booking("a", 5), -1}, {booking("a", 0), -1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			for i, s := range steps {
				answer, err := b.Handle(t.Context(), s.CapacityRequest)
				full := (*training.CapacityError)(nil)
				switch {
				case s.units < 0 && !errors.As(err, &full):
					t.Errorf("step %d: got %v, %v; want a CapacityError", i, answer, err)
				case s.units >= 0 && (err != nil || answer.Units != s.units):
					t.Errorf("step %d: got %v, %v; want %d units", i, answer, err, s.units)
				}
			}
		})
	}
}

// However bookings and releases come, twice and side by side: never more is
// booked than there is, and in the end everything is free.
func TestBookConcurrently(t *testing.T) {
	b := newBook(t)
	var sagas sync.WaitGroup
	for i := range 12 {
		sagas.Go(func() {
			name := fmt.Sprint(i)
			for range 2 {
				retry(t, b, booking(name, 1+i%2))
			}
			for range 1 + rand.IntN(2) {
				retry(t, b, release(name))
			}
		})
	}
	sagas.Wait()
	if answer, err := b.Handle(t.Context(), booking("all", 4)); err != nil || answer.Units != 4 {
		t.Errorf("in the end not all is free: %v, %v", answer, err)
	}
}

// retry asks until DynamoDB has no conflict, as the workflow does.
func retry(t *testing.T, b *capacity.Book, r training.CapacityRequest) {
	for range 200 {
		_, err := b.Handle(context.Background(), r)
		if down := (*training.UnavailableError)(nil); !errors.As(err, &down) {
			if full := (*training.CapacityError)(nil); err != nil && !errors.As(err, &full) {
				t.Error(err)
			}
			return
		}
	}
	t.Errorf("%v is never answered", r)
}

func TestHandleRefuses(t *testing.T) {
	for _, r := range []training.CapacityRequest{{Op: "borrow", Pool: "gpu", Booking: "a"}, {Op: training.OpRelease, Booking: "a"}, {Op: training.OpRelease, Pool: "gpu"}} {
		if _, err := (&capacity.Book{}).Handle(t.Context(), r); err == nil {
			t.Errorf("%v was carried out", r)
		}
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv(training.EnvCapacity, "")
	if _, err := capacity.FromEnv(aws.Config{}); err == nil || !strings.Contains(err.Error(), training.EnvCapacity) {
		t.Errorf("got %v", err)
	}
}
