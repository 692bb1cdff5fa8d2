package e2e

import (
	"context"
	"slices"
	"sync"
)

// logGroup is a log group as the target of rules.
type logGroup struct {
	d     *Deployment
	arn   string
	mu    sync.Mutex
	lines []string
}

func (d *Deployment) makeLogGroups(context.Context) error {
	for id := range d.All("AWS::Logs::LogGroup") {
		name, err := d.name(id)
		if err != nil {
			return err
		}
		arn := d.arn("logs", "log-group:"+name)
		d.groups[arn] = &logGroup{d: d, arn: arn}
	}
	return nil
}

// deliver implements sink. EventBridge writes through CloudWatch's delivery
// service and needs both to be allowed.
func (g *logGroup) deliver(_ context.Context, from caller, items []delivery) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
			for _, service := range []string{"events.amazonaws.com", "delivery.logs.amazonaws.com"} {
				if errs[i] == nil {
					errs[i] = g.d.iam.check(asService(service, from.source), action, g.arn+":log-stream:harness", nil)
				}
			}
		}
		if errs[i] != nil {
			continue
		}
		g.mu.Lock()
		g.lines = append(g.lines, string(item.payload))
		g.mu.Unlock()
		g.d.touch()
	}
	return errs
}

// Lines returns what rules wrote into a log group.
func (d *Deployment) Lines(prefix string) ([]string, error) {
	id, err := d.Find("AWS::Logs::LogGroup", prefix)
	if err != nil {
		return nil, err
	}
	name, err := d.name(id)
	if err != nil {
		return nil, err
	}
	g := d.groups[d.arn("logs", "log-group:"+name)]
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.lines), nil
}
