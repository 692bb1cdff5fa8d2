package opaque_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// gateway is a double of an HTTP API: Lambda authorizers with payload format
// 2.0, simple responses and a cache by identity source; JWT authorizers; and
// Lambda integrations with parameter mapping. Header names reach functions in
// lower case and headers of one name are joined by commas, as
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
// and http-api-lambda-authorizer.html say.
type gateway struct {
	*httptest.Server
	routes map[string]*gatewayRoute
	// authorizer is asked about the routes that say so; identity are its identity
	// sources, ttl is how long an answer is kept.
	authorizer lambda.Handler
	identity   []string
	ttl        time.Duration
	now        func() time.Time
	// people are the claims of the provider's tokens, for routes with JWTs.
	people map[string]map[string]string

	mu     sync.Mutex
	cache  map[string]gatewayAnswer
	asked  int      // how often the authorizer was
	events []string // that functions behind the authorizer got
}

type gatewayRoute struct {
	kind       string // CUSTOM, JWT or NONE
	function   lambda.Handler
	parameters map[string]string // parameter mapping
}

type gatewayAnswer struct {
	authorized bool
	context    map[string]any
	until      time.Time
}

func newGateway(t testing.TB, c *clock) *gateway {
	g := &gateway{routes: map[string]*gatewayRoute{}, now: c.Now, people: map[string]map[string]string{}, cache: map[string]gatewayAnswer{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, parameters, route := g.route(r)
	if route == nil {
		say(w, http.StatusNotFound, "Not Found")
		return
	}
	headers := map[string]string{}
	for name, values := range r.Header {
		if name != "Cookie" {
			headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	query := map[string]string{}
	for name, values := range r.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	var cookies []string
	for _, line := range r.Header["Cookie"] {
		for _, cookie := range strings.Split(line, ";") {
			cookies = append(cookies, strings.TrimSpace(cookie))
		}
	}
	request := events.APIGatewayV2HTTPRequestContext{RouteKey: key, Stage: "$default", RequestID: "request-1",
		HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: r.URL.Path, SourceIP: "192.0.2.1"}}
	switch route.kind {
	case "CUSTOM":
		answer, status := g.authorize(events.APIGatewayV2CustomAuthorizerV2Request{
			Version: "2.0", Type: "REQUEST", RouteArn: "arn:aws:execute-api:us-east-1:123456789012:api/$default/" + key, RouteKey: key,
			RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery, Cookies: cookies, Headers: headers, QueryStringParameters: query,
			RequestContext: request, PathParameters: parameters,
		})
		if status != 0 {
			say(w, status, http.StatusText(status))
			return
		}
		request.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: answer}
	case "JWT":
		claims, ok := g.people[strings.TrimPrefix(headers["authorization"], "Bearer ")]
		if !ok {
			say(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		request.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: claims}}
	}
	for name := range route.parameters {
		if header, ok := strings.CutPrefix(name, "remove:header."); ok {
			delete(headers, strings.ToLower(header))
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		say(w, http.StatusBadRequest, "Bad Request")
		return
	}
	event := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: key, RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery, Cookies: cookies,
		Headers: headers, QueryStringParameters: query, PathParameters: parameters, RequestContext: request, Body: string(body)}
	if len(body) > 0 && !strings.HasPrefix(headers["content-type"], "application/json") {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	payload, err := json.Marshal(event)
	if err != nil {
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	if route.kind == "CUSTOM" {
		g.mu.Lock()
		g.events = append(g.events, string(payload))
		g.mu.Unlock()
	}
	reply, err := route.function.Invoke(context.Background(), payload)
	var out events.APIGatewayV2HTTPResponse
	if err != nil || json.Unmarshal(reply, &out) != nil {
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	for name, value := range out.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(out.StatusCode)
	io.WriteString(w, out.Body)
}

// authorize returns the authorizer's context, or the status to answer with.
func (g *gateway) authorize(in events.APIGatewayV2CustomAuthorizerV2Request) (map[string]any, int) {
	for _, source := range g.identity {
		value := in.RouteKey // of $context.routeKey
		if name, ok := strings.CutPrefix(source, "$request.header."); ok {
			value = in.Headers[strings.ToLower(name)]
		}
		if value == "" {
			return nil, http.StatusUnauthorized
		}
		in.IdentitySource = append(in.IdentitySource, value)
	}
	key := strings.Join(in.IdentitySource, "\x00")
	g.mu.Lock()
	kept, ok := g.cache[key]
	g.mu.Unlock()
	if !ok || !g.now().Before(kept.until) {
		payload, err := json.Marshal(in)
		if err != nil {
			return nil, http.StatusInternalServerError
		}
		reply, err := g.authorizer.Invoke(context.Background(), payload)
		g.mu.Lock()
		g.asked++
		g.mu.Unlock()
		var out events.APIGatewayV2CustomAuthorizerSimpleResponse
		if err != nil || json.Unmarshal(reply, &out) != nil {
			return nil, http.StatusInternalServerError
		}
		kept = gatewayAnswer{out.IsAuthorized, out.Context, g.now().Add(g.ttl)}
		if g.ttl > 0 {
			g.mu.Lock()
			g.cache[key] = kept
			g.mu.Unlock()
		}
	}
	if !kept.authorized {
		return nil, http.StatusForbidden
	}
	return kept.context, 0
}

// route finds the route of a request; "{name}" in a key stands for one part of
// the path.
func (g *gateway) route(r *http.Request) (key string, parameters map[string]string, _ *gatewayRoute) {
	parts := strings.Split(r.URL.EscapedPath(), "/")
next:
	for key, route := range g.routes {
		method, path, _ := strings.Cut(key, " ")
		want := strings.Split(path, "/")
		if method != r.Method || len(want) != len(parts) {
			continue
		}
		parameters = map[string]string{}
		for i, part := range want {
			if name, ok := strings.CutPrefix(part, "{"); ok {
				value, err := url.PathUnescape(parts[i])
				if err != nil {
					continue next
				}
				parameters[strings.TrimSuffix(name, "}")] = value
			} else if part != parts[i] {
				continue next
			}
		}
		return key, parameters, route
	}
	return "", nil, nil
}

func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}
