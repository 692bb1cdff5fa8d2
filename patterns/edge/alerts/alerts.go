// Package alerts tells people near a reading about it: once for each locality
// and window, in their language, not at night unless it is urgent, and louder
// until somebody acknowledges. It is the library behind edge.LocalAlerts.
//
// # Nothing is lost
//
// The table is the outbox. What is left to do is an item with a time in a sparse
// index, and a [Handler] that is invoked every minute does what is due. An alert
// held for the night, one to be tried again and one to be escalated are the same
// thing: an item whose time has not come. No timer, delayed message or schedule
// holds state that the table does not have, so a crash between any two steps, or
// an hour without Lambda, delays an alert and cannot drop it.
//
// A step claims its item first: it moves the time on by a lease, on condition
// that nobody changed the item. Two handlers never work on one alert, and one
// that dies is followed by another when the lease is over. What was sent is
// noted channel by channel. A crash between sending and noting sends again:
// delivery is at least once, and a webhook's Idempotency-Key tells.
//
// # Counts
//
// Each reading leaves a mark, named by a hash of its id, so that writing it again
// changes nothing. A count is the number of marks of a window: exact, though
// events arrive more than once. It is put on the bus of the counts when the
// window is over, and again, as the new total, when a late reading comes in.
// [schema.AlertCount] is all that this event can carry; its locality and kind are
// names from the rules, never text from a reading.
package alerts

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/serverless-go/cdk/patterns/edge/alerts/rules"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

const (
	// MaxAge is how old a reading may be. It covers 14 days in the queue and as
	// long among the dead letters, and is shorter than what is kept.
	MaxAge = 30 * 24 * time.Hour
	// keep is how long finished alerts and marks are kept.
	keep = 35 * 24 * time.Hour
	// ahead is how far a producer's clock may go before ours.
	ahead = time.Hour
	// lease is how long a step has its item to itself. It is longer than an
	// invocation takes.
	lease = 2 * time.Minute
	// grace is how long a window's report waits for late readings.
	grace = time.Minute
)

// Handler takes readings from a queue and does what is due. All fields but Now
// and Counts are required.
type Handler struct {
	Rules    *rules.Rules
	DynamoDB *dynamodb.Client
	Table    string
	// Events puts events on Bus, which stays in the jurisdiction, and on
	// Counts.
	Events *eventbridge.Client
	Bus    string
	// Counts is the bus of the counts, empty for none.
	Counts string
	// Levels are who is told at each level of escalation, one for each of the
	// rules' waits.
	Levels [][]Channel
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// FromEnv returns the handler that the environment describes.
func FromEnv(cfg aws.Config) (*Handler, error) {
	r, err := rules.Load("/opt/" + schema.RulesFolder + "/" + schema.RulesFile)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		Rules: r, DynamoDB: dynamodb.NewFromConfig(cfg), Events: eventbridge.NewFromConfig(cfg),
		Table: os.Getenv(schema.EnvAlertsTable), Bus: os.Getenv(schema.EnvAlertsBus), Counts: os.Getenv(schema.EnvAlertsCounts),
	}
	if h.Table == "" || h.Bus == "" {
		return nil, fmt.Errorf("alerts: %s and %s must be set", schema.EnvAlertsTable, schema.EnvAlertsBus)
	}
	h.Levels, err = levelsFromEnv(cfg, os.Environ(), len(r.Waits))
	return h, err
}

// levelsFromEnv returns the channels that the environment names.
func levelsFromEnv(cfg aws.Config, environ []string, n int) ([][]Channel, error) {
	levels := make([][]Channel, n)
	client, secrets := sns.NewFromConfig(cfg), newSecrets(cfg)
	http := NewHTTPClient()
	topics := 0
	slices.Sort(environ)
	for _, variable := range environ {
		key, value, _ := strings.Cut(variable, "=")
		if key == schema.EnvAlertsTopics {
			for i, arn := range strings.Split(value, ",") {
				if i < n && arn != "" {
					levels[i] = append(levels[i], &Topic{Client: client, ARN: arn})
					topics++
				}
			}
		}
		rest, ok := strings.CutPrefix(key, schema.EnvAlertsWebhook)
		if !ok {
			continue
		}
		at, name, _ := strings.Cut(rest, "_")
		level, err := strconv.Atoi(at)
		secret, url, ok := strings.Cut(value, " ")
		if err != nil || level < 0 || level >= n || !ok {
			return nil, fmt.Errorf("alerts: environment variable %s: want a level below %d, and a secret and a URL", key, n)
		}
		levels[level] = append(levels[level], &Webhook{ID: name, URL: url, Secret: secrets.of(secret), Client: http})
	}
	if topics != n {
		return nil, fmt.Errorf("alerts: %s names %d topics, want one for each of %d levels", schema.EnvAlertsTopics, topics, n)
	}
	return levels, nil
}

func (h *Handler) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// Invoke takes a batch of an SQS queue, whose messages are EventBridge events,
// or the tick of a schedule. It makes Handler a handler for lambda.Start.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in struct {
		Records    *[]events.SQSMessage `json:"Records"`
		DetailType string               `json:"detail-type"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	switch {
	case in.Records != nil:
		return json.Marshal(h.take(ctx, *in.Records))
	case in.DetailType == "Scheduled Event":
		return nil, h.Sweep(ctx)
	}
	return nil, errors.New("alerts: neither a batch of a queue nor the tick of a schedule")
}

// reading is all that is read of an event: what is not here is forgotten.
type reading struct {
	mark     string // a hash of the id
	locality string
	kind     string
	urgent   bool
	time     time.Time
}

// parse reads an event. Its detail has a locality and a kind, may have urgent,
// and may have an id by which repetitions are known; without, the event's own
// id serves.
func (h *Handler) parse(body string) (reading, error) {
	var e struct {
		ID     string    `json:"id"`
		Time   time.Time `json:"time"`
		Detail struct {
			ID       string `json:"id"`
			Locality string `json:"locality"`
			Kind     string `json:"kind"`
			Urgent   bool   `json:"urgent"`
		} `json:"detail"`
	}
	// The error of the decoder can quote what it read, which may be personal.
	if json.Unmarshal([]byte(body), &e) != nil {
		return reading{}, errors.New("not an event with a reading")
	}
	id := e.Detail.ID
	if id == "" {
		id = e.ID
	}
	if _, ok := h.Rules.Localities[e.Detail.Locality]; !ok {
		return reading{}, errors.New("the locality is not in the rules")
	}
	if _, ok := h.Rules.Templates[e.Detail.Kind]; !ok {
		return reading{}, errors.New("the kind is not in the rules")
	}
	now := h.now()
	if id == "" || e.Time.Before(now.Add(-MaxAge)) || e.Time.After(now.Add(ahead)) {
		return reading{}, fmt.Errorf("no id, older than %s or from the future", MaxAge)
	}
	sum := sha256.Sum256([]byte(id))
	return reading{
		mark:     base64.RawURLEncoding.EncodeToString(sum[:18]),
		locality: e.Detail.Locality, kind: e.Detail.Kind, urgent: e.Detail.Urgent, time: e.Time,
	}, nil
}

// alertID names the alert of a locality, kind and window.
func alertID(locality, kind string, start time.Time) string {
	return locality + "/" + kind + "/" + start.UTC().Format(time.RFC3339)
}
