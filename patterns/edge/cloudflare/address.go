package cloudflare

import (
	"context"
	"net/http"
	"net/url"
)

// A Route gives the requests of a zone that match a pattern to a script.
type Route struct {
	ID      string `json:"id"`
	Pattern string `json:"pattern"`
	Script  string `json:"script"` // empty: to none
	ZoneID  string `json:"-"`
}

// A Domain is a host name of a zone that belongs to a script, with its DNS
// record and certificate.
type Domain struct {
	ID       string `json:"id"`
	Hostname string `json:"hostname"`
	Service  string `json:"service"` // the script
	ZoneID   string `json:"zone_id"`
}

// Routes returns all routes of a zone.
func (c *Client) Routes(ctx context.Context, zoneID string) ([]Route, error) {
	var routes []Route
	err := c.call(ctx, http.MethodGet, zone(zoneID, "workers", "routes"), nil, nil, &routes)
	for i := range routes {
		routes[i].ZoneID = zoneID
	}
	return routes, err
}

func (r Route) body() map[string]string {
	return map[string]string{"pattern": r.Pattern, "script": r.Script}
}

// CreateRoute makes a route.
func (c *Client) CreateRoute(ctx context.Context, r Route) error {
	return c.call(ctx, http.MethodPost, zone(r.ZoneID, "workers", "routes"), nil, r.body(), nil)
}

// UpdateRoute changes the route of this ID.
func (c *Client) UpdateRoute(ctx context.Context, r Route) error {
	return c.call(ctx, http.MethodPut, zone(r.ZoneID, "workers", "routes", r.ID), nil, r.body(), nil)
}

// DeleteRoute deletes the route of this ID.
func (c *Client) DeleteRoute(ctx context.Context, r Route) error {
	return c.call(ctx, http.MethodDelete, zone(r.ZoneID, "workers", "routes", r.ID), nil, nothing, nil)
}

// Domains returns the custom domains of a host name: one or none.
func (c *Client) Domains(ctx context.Context, hostname string) ([]Domain, error) {
	var domains []Domain
	query := url.Values{"hostname": {hostname}}
	err := c.call(ctx, http.MethodGet, c.account("workers", "domains"), query, nil, &domains)
	return domains, err
}

// AttachDomain gives a host name to a script, whichever had it before.
func (c *Client) AttachDomain(ctx context.Context, d Domain) error {
	body := map[string]string{"zone_id": d.ZoneID, "hostname": d.Hostname, "service": d.Service, "environment": "production"}
	return c.call(ctx, http.MethodPut, c.account("workers", "domains"), nil, body, nil)
}

// DetachDomain takes the host name of this ID from its script.
func (c *Client) DetachDomain(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, c.account("workers", "domains", id), nil, nothing, nil)
}
