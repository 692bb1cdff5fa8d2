package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// metrics are CloudWatch's, in virtual minutes.
type metrics struct {
	mu     sync.Mutex
	minute int // the one that is being filled
	series map[string]map[int]*statistics
}

// statistics are the values of a metric in one minute.
type statistics struct{ sum, count, min, max float64 }

func newMetrics() *metrics { return &metrics{series: map[string]map[int]*statistics{}} }

// metricKey names a metric; dimensions are pairs of name and value.
func metricKey(namespace, name string, dimensions []string) string {
	var pairs []string
	for i := 0; i+1 < len(dimensions); i += 2 {
		pairs = append(pairs, dimensions[i]+"="+dimensions[i+1])
	}
	slices.Sort(pairs)
	return namespace + " " + name + " " + strings.Join(pairs, ",")
}

func (m *metrics) add(namespace, name string, value float64, dimensions ...string) {
	key := metricKey(namespace, name, dimensions)
	m.mu.Lock()
	defer m.mu.Unlock()
	minutes := m.series[key]
	if minutes == nil {
		minutes = map[int]*statistics{}
		m.series[key] = minutes
	}
	s := minutes[m.minute]
	if s == nil {
		s = &statistics{min: value, max: value}
		minutes[m.minute] = s
	}
	s.sum += value
	s.count++
	s.min, s.max = min(s.min, value), max(s.max, value)
}

// value is a statistic over the minutes from and up to, but not including, to.
// It reports false when there are no data.
func (m *metrics) value(key, statistic string, from, to int) (float64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all *statistics
	for minute := from; minute < to; minute++ {
		s := m.series[key][minute]
		switch {
		case s == nil:
		case all == nil:
			clone := *s
			all = &clone
		default:
			all.sum, all.count = all.sum+s.sum, all.count+s.count
			all.min, all.max = min(all.min, s.min), max(all.max, s.max)
		}
	}
	if all == nil {
		return 0, false
	}
	switch statistic {
	case "Average":
		return all.sum / all.count, true
	case "Minimum":
		return all.min, true
	case "SampleCount":
		return all.count, true
	case "Sum":
		return all.sum, true
	}
	return all.max, true // Maximum, and percentiles from above
}

// embedded reads a log line in CloudWatch's embedded metric format, if it is in
// it.
func (m *metrics) embedded(line string) {
	if !strings.Contains(line, `"CloudWatchMetrics"`) {
		return
	}
	var values map[string]any
	if json.Unmarshal([]byte(line), &values) != nil {
		return
	}
	var document struct {
		AWS struct {
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name string }
			}
		} `json:"_aws"`
	}
	if json.Unmarshal([]byte(line), &document) != nil {
		return
	}
	for _, directive := range document.AWS.CloudWatchMetrics {
		sets := directive.Dimensions
		if len(sets) == 0 {
			sets = [][]string{nil}
		}
		for _, set := range sets {
			var dimensions []string
			for _, name := range set {
				dimensions = append(dimensions, name, fmt.Sprint(values[name]))
			}
			for _, metric := range directive.Metrics {
				list, ok := values[metric.Name].([]any)
				if !ok {
					list = []any{values[metric.Name]}
				}
				for _, v := range list {
					if n, ok := v.(float64); ok {
						m.add(directive.Namespace, metric.Name, n, dimensions...)
					}
				}
			}
		}
	}
}

// Metric returns the sum of a metric over the whole time, dimensions being
// pairs of name and value.
func (d *Deployment) Metric(namespace, name string, dimensions ...string) float64 {
	d.metrics.mu.Lock()
	now := d.metrics.minute
	d.metrics.mu.Unlock()
	sum, _ := d.metrics.value(metricKey(namespace, name, dimensions), "Sum", 0, now+1)
	return sum
}
