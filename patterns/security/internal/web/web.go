// Package web holds what the clients of token services have in common.
package web

import (
	"net"
	"net/http"
	"net/url"
)

// IsSecure reports whether what is sent to the address can be read on the way
// by nobody: https, or http that stays on this machine.
func IsSecure(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

// Client returns a client that follows no redirects.
func Client() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
