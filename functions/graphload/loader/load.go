package loader

import (
	"context"
	"fmt"
	"strings"

	"github.com/serverless-go/cdk/patterns/orchestration/graph"
	"github.com/serverless-go/cdk/patterns/orchestration/neptune"
)

// Statuses that lead to an error of their own.
const (
	statusFailed          = "LOAD_FAILED"
	statusCancelled       = "LOAD_CANCELLED_DUE_TO_ERRORS"
	statusCancelledByUser = "LOAD_CANCELLED_BY_USER"
	statusAccessDenied    = "LOAD_S3_ACCESS_DENIED_ERROR"
	statusChanged         = "LOAD_DATA_FAILED_DUE_TO_FEED_MODIFIED_OR_DELETED"
)

// phases tells what the loader's statuses mean. One that is not here is a
// failure (https://docs.aws.amazon.com/neptune/latest/userguide/loader-message.html).
var phases = map[string]graph.Phase{
	"LOAD_NOT_STARTED": graph.Running,
	"LOAD_IN_QUEUE":    graph.Running,
	"LOAD_IN_PROGRESS": graph.Running,

	"LOAD_COMPLETED": graph.Completed,

	"LOAD_UNEXPECTED_ERROR":            graph.Resumable,
	"LOAD_S3_READ_ERROR":               graph.Resumable,
	"LOAD_DATA_DEADLOCK":               graph.Resumable,
	"LOAD_COMMITTED_W_WRITE_CONFLICTS": graph.Resumable,

	statusFailed:          graph.Failed,
	statusCancelled:       graph.Failed,
	statusCancelledByUser: graph.Failed,
	statusAccessDenied:    graph.Failed,
	statusChanged:         graph.Failed,
	"LOAD_FAILED_BECAUSE_DEPENDENCY_NOT_SATISFIED": graph.Failed,
	"LOAD_FAILED_INVALID_REQUEST":                  graph.Failed,
}

// start returns the load of the prefix. The answer to an earlier request may
// have been lost, so it looks for that load first.
func (h *Handler) start(ctx context.Context, r *graph.Start) (*graph.Load, error) {
	source := "s3://" + h.Bucket + "/" + r.Prefix
	found, err := h.Cluster.FindLoad(ctx, source)
	if err != nil {
		return nil, err
	}
	if found != nil {
		phase := progress(found).Phase
		if phase == graph.Running || phase == graph.Completed || !r.Resume {
			return &graph.Load{ID: found.ID}, nil
		}
	}
	id, err := h.Cluster.StartLoad(ctx, neptune.Load{
		Source: source,
		Format: string(graph.Gremlin),
		Role:   h.Role,
		Resume: found != nil,
	})
	if err != nil {
		return nil, err
	}
	return &graph.Load{ID: id}, nil
}

func (h *Handler) poll(ctx context.Context, l *graph.Load) (*graph.Progress, error) {
	status, err := h.Cluster.LoadStatus(ctx, l.ID)
	if err != nil {
		return nil, err
	}
	return progress(status), nil
}

// cancel stops the load, unless it ended meanwhile.
func (h *Handler) cancel(ctx context.Context, l *graph.Load) error {
	status, err := h.Cluster.LoadStatus(ctx, l.ID)
	if err != nil {
		return err
	}
	if progress(status).Phase != graph.Running {
		return nil
	}
	return h.Cluster.CancelLoad(ctx, l.ID)
}

// progress tells what the status means. A load that failed as a whole says why
// in its files only.
func progress(s *neptune.LoadStatus) *graph.Progress {
	p := &graph.Progress{Status: s.Overall.Status, Detail: detail(s)}
	var ok bool
	if p.Phase, ok = phases[p.Status]; !ok {
		p.Phase = graph.Failed
	}
	if p.Status != statusFailed && p.Status != statusCancelled {
		return p
	}
	resumable := len(s.FailedFeeds) > 0
	for _, feed := range s.FailedFeeds {
		switch phases[feed.Status] {
		case graph.Resumable:
		case graph.Failed:
			resumable = false
			if feed.Status != statusFailed && feed.Status != statusCancelled {
				p.Status = feed.Status
			}
		default:
			resumable = false
		}
	}
	if resumable {
		p.Phase = graph.Resumable
	}
	return p
}

// detail tells what went wrong with the first files and rows, within what fits
// the cause of an execution's failure.
func detail(s *neptune.LoadStatus) string {
	all := s.Overall
	lines := []string{fmt.Sprintf("load %s of %s, run %d: %d rows, %d parsing, %d type, %d insert errors",
		s.ID, all.URI, all.Run, all.Records, all.ParsingErrors, all.DatatypeMismatchErrors, all.InsertErrors)}
	for _, feed := range s.FailedFeeds[:min(3, len(s.FailedFeeds))] {
		lines = append(lines, feed.URI+" "+feed.Status)
	}
	for _, e := range s.Errors {
		lines = append(lines, fmt.Sprintf("%s, row %d: %s %s", e.File, e.Record, e.Code, e.Message))
	}
	text := strings.Join(lines, "; ")
	return strings.ToValidUTF8(text[:min(len(text), 4000)], "")
}
