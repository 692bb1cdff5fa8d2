package offer

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverless-go/cdk/patterns/eventsourcing/cascade"
	"github.com/serverless-go/cdk/patterns/eventsourcing/eventlog"
)

// Handler issues an offer for an alarm that goes off. All fields but Now are
// required.
type Handler struct {
	Guard *cascade.Guard
	// Log must have been made with Registry; it needs GrantAppend and GrantRead
	// on the store.
	Log   *eventlog.Log
	Terms Terms
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// FromEnv returns the handler that the environment describes.
func FromEnv(cfg aws.Config) (*Handler, error) {
	guard, guardErr := cascade.FromEnv(cfg)
	log, logErr := eventlog.FromEnv(cfg, Registry())
	terms, termsErr := TermsFromEnv()
	if err := errors.Join(guardErr, logErr, termsErr); err != nil {
		return nil, err
	}
	return &Handler{Guard: guard, Log: log, Terms: terms}, nil
}

// Invoke takes an EventBridge event of an alarm's change of state. It makes
// Handler a handler for lambda.Start. An alarm that must not lead to an offer is
// logged and is no error: a retry or a redrive would not change that.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	alarm, err := cascade.ParseAlarm(payload)
	if err != nil {
		return nil, err
	}
	now := time.Now
	if h.Now != nil {
		now = h.Now
	}
	log := slog.With("alarm", alarm.Name, "event", alarm.ID)
	switch {
	case !alarm.Firing():
		log.InfoContext(ctx, "no offer: the alarm is not firing", "state", alarm.State.Value)
		return nil, nil
	case now().Sub(alarm.Time) >= Validity:
		// Redriven or replayed late, it would lead to an offer that has expired.
		log.InfoContext(ctx, "no offer: the alarm is old", "time", alarm.Time)
		return nil, nil
	}
	err = h.Guard.Do(ctx, alarm.Cause(), alarm.Name, func(ctx context.Context) error {
		return h.issue(ctx, alarm, log)
	})
	if cascade.Refused(err) {
		log.InfoContext(ctx, "no offer: the guard refuses", "reason", err.Error())
		return nil, nil
	}
	return nil, err
}

// issue appends the offer to the stream of the alarm's day.
func (h *Handler) issue(ctx context.Context, alarm cascade.Alarm, log *slog.Logger) error {
	from := alarm.Time.UTC()
	offer := Issued{
		Code: code(alarm.ID), Percent: h.Terms.Percent, Redemptions: h.Terms.Redemptions,
		From: from, Until: from.Add(Validity), Alarm: alarm.Name,
	}
	days := eventlog.Aggregate[day]{Log: h.Log, Apply: apply}
	issued, err := days.Update(ctx, "offers-"+from.Format(time.DateOnly), func(d day) ([]eventlog.Event, error) {
		return d.issue(alarm.ID, offer, h.Terms)
	})
	if limit := (*LimitError)(nil); errors.As(err, &limit) {
		log.WarnContext(ctx, "no offer: the day has no more", "reason", err.Error())
		return nil
	}
	if err == nil && len(issued) > 0 {
		log.InfoContext(ctx, "offer issued", "code", offer.Code, "percent", offer.Percent, "redemptions", offer.Redemptions)
	}
	return err
}

// code returns what customers enter. The same alarm has the same code.
func code(cause string) string {
	sum := sha256.Sum256([]byte(cause))
	return "BACK-" + base32.StdEncoding.EncodeToString(sum[:])[:10]
}
