package cloudflare

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// A Namespace is a key-value store of Workers KV.
type Namespace struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Limits of one write: pairs by Cloudflare, bytes well below its 100 MB, for
// JSON escapes some characters (https://developers.cloudflare.com/kv/platform/limits/).
const (
	maxPairs = 10_000
	maxBytes = 20 << 20
)

// namespacesPage is the most that Cloudflare lists at once.
const namespacesPage = 100

// Namespaces returns all namespaces of the account.
func (c *Client) Namespaces(ctx context.Context) ([]Namespace, error) {
	var all []Namespace
	for page := 1; ; page++ {
		var some []Namespace
		query := url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(namespacesPage)}, "order": {"id"}}
		if err := c.call(ctx, http.MethodGet, c.account("storage", "kv", "namespaces"), query, nil, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < namespacesPage {
			return all, nil
		}
	}
}

// CreateNamespace makes a namespace.
func (c *Client) CreateNamespace(ctx context.Context, title string) (*Namespace, error) {
	var n Namespace
	return &n, c.call(ctx, http.MethodPost, c.account("storage", "kv", "namespaces"), nil, map[string]string{"title": title}, &n)
}

// DeleteNamespace deletes a namespace with all that is in it.
func (c *Client) DeleteNamespace(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, c.account("storage", "kv", "namespaces", id), nil, nothing, nil)
}

// WriteValues writes key-value pairs into a namespace, in as many requests as it
// takes, and keeps the keys that it does not write.
func (c *Client) WriteValues(ctx context.Context, namespace string, values map[string]string) error {
	type pair struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	var pairs []pair
	size := 0
	flush := func() error {
		if len(pairs) == 0 {
			return nil
		}
		err := c.call(ctx, http.MethodPut, c.account("storage", "kv", "namespaces", namespace, "bulk"), nil, pairs, nil)
		pairs, size = nil, 0
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		length := len(key) + len(values[key])
		if len(pairs) == maxPairs || size+length > maxBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		pairs, size = append(pairs, pair{key, values[key]}), size+length
	}
	return flush()
}
