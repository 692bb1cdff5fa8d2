// Package watch tells of a locality that has unusually many readings of a kind.
//
// It reads the stream of the counts, and counts nothing itself. A window is
// unusual when it has more readings than the locality's threshold and more than
// the mean of the same hour in the seven days before, plus three times that
// mean's square root: the upper limit of a c-chart, as Poisson-distributed
// counts have it
// (https://www.itl.nist.gov/div898/handbook/pmc/section3/pmc331.htm).
//
// The event may come more than once, and local alerts know it by its id. It is
// about windows in which this region took readings in: the standby, which has
// the others' readings too, is silent until it is asked.
package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/serverless-go/cdk/functions/healthwatch"
	"github.com/serverless-go/cdk/functions/healthwatch/counts"
)

// Spike is the detail of healthwatch.LocalitySpike. It names no person.
type Spike struct {
	ID       string    `json:"id"`
	Locality string    `json:"locality"`
	Kind     string    `json:"kind"`
	Urgent   bool      `json:"urgent"`
	Window   time.Time `json:"window"`
	Count    int       `json:"count"`
	Limit    float64   `json:"limit"`
}

// Bus is what is needed of EventBridge; *eventbridge.Client has it.
type Bus interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// Handler takes batches of the stream of the counts. All fields but Now are
// required.
type Handler struct {
	Counts  counts.Table
	Plan    healthwatch.Plan
	Bus     Bus
	BusName string
	Now     func() time.Time // Default: time.Now
}

const (
	// late is how long after its start a window is still told of. A replay, or a
	// client that was offline, brings older ones.
	late = 24 * time.Hour
	// urgent is how many times the limit breaks the quiet hours.
	urgent = 3
	days   = 7
)

// FromEnv returns the handler that the environment describes.
func FromEnv(cfg aws.Config) (*Handler, error) {
	plan, err := healthwatch.ParsePlan(os.Getenv(healthwatch.EnvPlan))
	h := &Handler{
		Counts: counts.Table{DynamoDB: dynamodb.NewFromConfig(cfg), Name: os.Getenv(healthwatch.EnvCounts)},
		Plan:   plan, Bus: eventbridge.NewFromConfig(cfg), BusName: os.Getenv(healthwatch.EnvBus),
	}
	if h.Counts.Name == "" || h.BusName == "" {
		err = errors.Join(err, fmt.Errorf("watch: %s and %s must be set", healthwatch.EnvCounts, healthwatch.EnvBus))
	}
	return h, err
}

// Invoke looks at the counts that a batch changed. An error has the batch come
// again.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	keys, err := counts.Changed(payload)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, k := range keys {
		errs = append(errs, h.look(ctx, k))
	}
	return nil, errors.Join(errs...)
}

func (h *Handler) look(ctx context.Context, k counts.Key) error {
	now := time.Now
	if h.Now != nil {
		now = h.Now
	}
	threshold, known := h.Plan.Thresholds[k.Locality]
	if !known || now().Sub(k.Window) > late {
		return nil
	}
	total, err := h.Counts.Total(ctx, k)
	if err != nil || total.Here == 0 || total.All <= threshold {
		return err
	}
	limit, err := h.limit(ctx, k, threshold)
	if err != nil || float64(total.All) <= limit {
		return err
	}
	s := Spike{ID: k.String(), Locality: k.Locality, Kind: k.Kind, Window: k.Window, Count: total.All, Limit: limit}
	if float64(total.All) > urgent*limit {
		s.Urgent, s.ID = true, s.ID+"/urgent"
	}
	return h.tell(ctx, s)
}

// limit returns how many readings are still normal.
func (h *Handler) limit(ctx context.Context, k counts.Key, threshold int) (float64, error) {
	var before []counts.Key
	for day := range days {
		earlier := k
		earlier.Window = k.Window.AddDate(0, 0, -day-1)
		before = append(before, earlier)
	}
	sum, err := h.Counts.Totals(ctx, before...)
	mean := float64(sum.All) / days
	return max(float64(threshold), mean+3*math.Sqrt(mean)), err
}

func (h *Handler) tell(ctx context.Context, s Spike) error {
	detail, err := json.Marshal(s)
	if err != nil {
		return err
	}
	out, err := h.Bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &h.BusName, Source: aws.String(healthwatch.WatchSource), DetailType: aws.String(healthwatch.LocalitySpike),
		Detail: aws.String(string(detail)),
	}}})
	if err == nil && (len(out.Entries) != 1 || aws.ToString(out.Entries[0].EventId) == "") {
		err = fmt.Errorf("watch: EventBridge did not take the event %s", s.ID)
	}
	return err
}
