package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is a request to an HTTP API.
type Request struct {
	Method string
	// Path may carry a query.
	Path   string
	Header map[string]string
	Body   []byte
	// Claims are those of the caller's JWT, whose signature nobody checks here.
	// Default: the request carries no token.
	Claims map[string]string
	// Role is the ARN of the role that signed the request, for IAM
	// authorization. Default: the request is not signed.
	Role string
}

// Response is the answer of an HTTP API.
type Response struct {
	Status int
	Header map[string]string
	Body   []byte
}

// route is a route of an HTTP API with what stands behind it.
type route struct {
	id, api, key  string
	authorization string // the type, "NONE" without
	scopes        []string
	issuer        string
	audience      []string
	custom        *authorizer // of the type CUSTOM
	parameters    []parameter
	function      string // ARN
}

func (d *Deployment) makeRoutes(context.Context) error {
	for id := range d.All("AWS::ApiGatewayV2::Route") {
		if err := d.makeRoute(id); err != nil {
			return fmt.Errorf("route %s: %w", id, err)
		}
	}
	return nil
}

func (d *Deployment) makeRoute(id string) error {
	var props struct {
		APIID               string `json:"ApiId"`
		RouteKey, Target    string
		AuthorizationType   string
		AuthorizerID        string `json:"AuthorizerId"`
		AuthorizationScopes []string
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	r := &route{id: id, api: props.APIID, key: props.RouteKey, authorization: props.AuthorizationType, scopes: props.AuthorizationScopes}
	switch r.authorization {
	case "":
		r.authorization = "NONE"
	case "NONE", "AWS_IAM":
	case "JWT":
		var authorizer struct {
			JwtConfiguration struct {
				Audience []string
				Issuer   string
			}
		}
		if err := d.named("AWS::ApiGatewayV2::Authorizer", props.AuthorizerID, &authorizer); err != nil {
			return err
		}
		r.issuer, r.audience = authorizer.JwtConfiguration.Issuer, authorizer.JwtConfiguration.Audience
	case "CUSTOM":
		var err error
		if r.custom, err = d.authorizer(r.api, props.AuthorizerID); err != nil {
			return err
		}
	default:
		return fmt.Errorf("the authorization type %s is not supported", r.authorization)
	}
	var integration struct {
		IntegrationType, IntegrationURI, PayloadFormatVersion string
		RequestParameters                                     map[string]string
	}
	if err := d.named("AWS::ApiGatewayV2::Integration", strings.TrimPrefix(props.Target, "integrations/"), &integration); err != nil {
		return err
	}
	if integration.IntegrationType != "AWS_PROXY" || integration.PayloadFormatVersion != "2.0" {
		return fmt.Errorf("only integrations of type AWS_PROXY with payload format 2.0 are supported, not %s %s", integration.IntegrationType, integration.PayloadFormatVersion)
	}
	var err error
	if r.parameters, err = parseParameters(integration.RequestParameters); err != nil {
		return err
	}
	r.function = integration.IntegrationURI
	if f, _ := d.function(r.function); f == nil {
		return fmt.Errorf("the function %s is not in the template", r.function)
	}
	d.routes = append(d.routes, r)
	return nil
}

// named resolves the properties of the resource of a type and physical name.
func (d *Deployment) named(kind, name string, props any) error {
	for id := range d.All(kind) {
		if own, err := d.name(id); err == nil && own == name {
			return d.properties(id, props)
		}
	}
	return fmt.Errorf("no %s in the template is named %s", kind, name)
}

// route returns the most specific route of an API that matches.
func (d *Deployment) route(api, method, path string) (*route, map[string]string) {
	var best *route
	var variables map[string]string
	bestScore := -1
	for _, r := range d.routes {
		if r.api != api {
			continue
		}
		if found, score, ok := matchRoute(r.key, method, path); ok && score > bestScore {
			best, variables, bestScore = r, found, score
		}
	}
	return best, variables
}

// Request sends a request to an HTTP API, whose logical id starts with the
// prefix. Its errors are those of the template; what a client would see, such
// as a refusal or a function's failure, is in the response.
func (d *Deployment) Request(ctx context.Context, prefix string, r Request) (*Response, error) {
	id, err := d.Find("AWS::ApiGatewayV2::Api", prefix)
	if err != nil {
		return nil, err
	}
	api, err := d.name(id)
	if err != nil {
		return nil, err
	}
	return d.request(ctx, api, r)
}

func (d *Deployment) request(ctx context.Context, api string, r Request) (*Response, error) {
	path, query, _ := strings.Cut(r.Path, "?")
	to, variables := d.route(api, r.Method, path)
	if to == nil {
		return refusal(http.StatusNotFound, "Not Found"), nil
	}
	_, pattern, _ := strings.Cut(to.key, " ")
	source := d.arn("execute-api", api+"/$default/"+r.Method+pattern)
	if refused := d.admit(to, r, source); refused != nil {
		return refused, nil
	}
	event := d.apiEvent(to, r, path, query, variables)
	var authorized map[string]any
	if to.custom != nil {
		var refused *Response
		if authorized, refused = to.custom.ask(ctx, d, event); refused != nil {
			return refused, ctx.Err()
		}
		event["requestContext"].(map[string]any)["authorizer"] = map[string]any{"lambda": authorized}
	}
	mapped(event, to.parameters, authorized)
	if err := d.iam.check(asService("apigateway.amazonaws.com", source), "lambda:InvokeFunction", to.function, nil); err != nil {
		return refusal(http.StatusInternalServerError, "Internal Server Error"), nil
	}
	f, _ := d.function(to.function)
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	answer, err := f.invoke(ctx, to.function, payload)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return refusal(http.StatusInternalServerError, "Internal Server Error"), nil
	}
	return apiResponse(answer)
}

func refusal(status int, text string) *Response {
	return &Response{Status: status, Body: fmt.Appendf(nil, `{"message":%q}`, text)}
}

// matchRoute matches a route key, such as "POST /carts/{id}". A higher score is
// more specific: a literal segment beats a variable, that beats a greedy one.
func matchRoute(key, method, path string) (map[string]string, int, bool) {
	if key == "$default" {
		return nil, 0, true
	}
	verb, pattern, _ := strings.Cut(key, " ")
	if verb != "ANY" && verb != method {
		return nil, 0, false
	}
	score := 1
	if verb != "ANY" {
		score++
	}
	variables := map[string]string{}
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, segment := range want {
		name, isVariable := strings.CutPrefix(segment, "{")
		name = strings.TrimSuffix(name, "}")
		if greedy, ok := strings.CutSuffix(name, "+"); ok && isVariable && i < len(have) {
			variables[greedy] = strings.Join(have[i:], "/")
			return variables, score, true
		}
		if i >= len(have) {
			return nil, 0, false
		}
		value, err := url.PathUnescape(have[i])
		if err != nil {
			return nil, 0, false
		}
		switch {
		case isVariable && value != "":
			variables[name] = value
			score += 2
		case segment == value:
			score += 4
		default:
			return nil, 0, false
		}
	}
	return variables, score, len(want) == len(have)
}

// admit returns the response of a request that is refused, nil for others.
func (d *Deployment) admit(to *route, r Request, source string) *Response {
	switch to.authorization {
	case "AWS_IAM":
		if r.Role == "" || d.iam.check(asRole(r.Role), "execute-api:Invoke", source, nil) != nil {
			return refusal(http.StatusForbidden, "Forbidden")
		}
	case "JWT":
		// Claims that the test leaves out are taken for right.
		wrongIssuer := r.Claims["iss"] != "" && r.Claims["iss"] != to.issuer
		wrongAudience := r.Claims["aud"] != "" && !slices.Contains(to.audience, r.Claims["aud"])
		if r.Claims == nil || wrongIssuer || wrongAudience {
			return refusal(http.StatusUnauthorized, "Unauthorized")
		}
		has := strings.Fields(r.Claims["scope"])
		if len(to.scopes) > 0 && !slices.ContainsFunc(to.scopes, func(s string) bool { return slices.Contains(has, s) }) {
			return refusal(http.StatusForbidden, "Forbidden")
		}
	}
	return nil
}

// apiEvent is the event of payload format 2.0.
func (d *Deployment) apiEvent(to *route, r Request, path, query string, variables map[string]string) map[string]any {
	now := time.Now().UTC()
	headers := map[string]string{"host": to.api + ".execute-api." + d.region + ".amazonaws.com"}
	for name, value := range r.Header {
		headers[strings.ToLower(name)] = value
	}
	if len(r.Body) > 0 && headers["content-type"] == "" {
		headers["content-type"] = "application/json"
	}
	requestContext := map[string]any{
		"accountId": d.account, "apiId": to.api, "domainName": headers["host"], "domainPrefix": to.api, "stage": "$default",
		"requestId": d.newID(), "routeKey": to.key, "time": now.Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": now.UnixMilli(),
		"http": map[string]any{"method": r.Method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": headers["user-agent"]},
	}
	switch {
	case to.authorization == "JWT":
		requestContext["authorizer"] = map[string]any{"jwt": map[string]any{"claims": r.Claims, "scopes": to.scopes}}
	case to.authorization == "AWS_IAM":
		who := assumed(r.Role)
		requestContext["authorizer"] = map[string]any{"iam": map[string]any{"accountId": d.account, "userArn": who, "callerId": who, "userId": who}}
	}
	event := map[string]any{
		"version": "2.0", "routeKey": to.key, "rawPath": path, "rawQueryString": query, "headers": headers,
		"requestContext": requestContext, "isBase64Encoded": false,
	}
	if len(variables) > 0 {
		event["pathParameters"] = variables
	}
	if values, err := url.ParseQuery(query); err == nil && len(values) > 0 {
		parameters := map[string]string{}
		for name, list := range values {
			parameters[name] = strings.Join(list, ",")
		}
		event["queryStringParameters"] = parameters
	}
	if len(r.Body) > 0 {
		event["body"] = string(r.Body)
		if !isText(headers["content-type"]) {
			event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(r.Body), true
		}
	}
	return event
}

// assumed returns the ARN that a request of a role's has: that of its session.
func assumed(role string) string {
	before, name, ok := strings.Cut(role, ":role/")
	if !ok {
		return role
	}
	return strings.Replace(before, ":iam:", ":sts:", 1) + ":assumed-role/" + name[strings.LastIndex(name, "/")+1:] + "/session"
}

// isText reports whether API Gateway hands a body of the type on as it is; it
// encodes all others.
func isText(contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "json") || strings.HasSuffix(media, "xml") || media == "application/javascript"
}

// apiPath is where the proxy serves the template's HTTP APIs, each below its
// id: what a function is told to be an API's endpoint leads there.
const apiPath = "/apis/"

// serveAPI answers a function's request to an HTTP API.
func (d *Deployment) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	api, path, _ := strings.Cut(strings.TrimPrefix(r.URL.RequestURI(), apiPath), "/")
	request := Request{Method: r.Method, Path: "/" + path, Header: map[string]string{}, Body: body}
	for name, values := range r.Header {
		request.Header[name] = strings.Join(values, ",")
	}
	if found := scope.FindStringSubmatch(r.Header.Get("Authorization")); found != nil {
		key, ok := d.credentials.Load(found[1])
		if !ok || found[3] != "execute-api" {
			http.Error(w, `{"message":"Forbidden"}`, http.StatusForbidden)
			return
		}
		request.Role = key.(*credential).caller.principal.ARN
	}
	response, err := d.request(r.Context(), api, request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for name, value := range response.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.Status)
	w.Write(response.Body)
}

// apiResponse reads a function's answer: with a statusCode it is a response,
// without one it is the body of a 200.
func apiResponse(answer []byte) (*Response, error) {
	var out struct {
		StatusCode      int               `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Body            string            `json:"body"`
		IsBase64Encoded bool              `json:"isBase64Encoded"`
	}
	if json.Unmarshal(answer, &out) != nil || out.StatusCode == 0 {
		return &Response{Status: http.StatusOK, Header: map[string]string{"content-type": "application/json"}, Body: answer}, nil
	}
	response := &Response{Status: out.StatusCode, Header: out.Headers, Body: []byte(out.Body)}
	if out.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(out.Body)
		if err != nil {
			return refusal(http.StatusInternalServerError, "Internal Server Error"), nil
		}
		response.Body = body
	}
	return response, nil
}
