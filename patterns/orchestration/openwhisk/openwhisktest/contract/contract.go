// Package contract holds requests to OpenWhisk, and a double's answers, against
// Apache's own description of the API.
package contract

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/serverless-go/cdk/test/apidescription"
)

// A Contract checks what passes through it.
type Contract struct {
	t      testing.TB
	router routers.Router
	next   http.Handler
	// Operations counts the requests by operation, such as "updateRule".
	Operations map[string]int
}

// file is beside the module, where the projects' shared files are.
const file = "shared/specs/openwhisk-apiv1swagger.json"

// New returns a handler in front of another, which fails the test for a request
// or an answer that the API's description does not have. It skips the test where
// the description is not there, unless the environment has REQUIRE_ENGINES=1.
func New(t testing.TB, next http.Handler) *Contract {
	t.Helper()
	var old openapi2.T
	if err := json.Unmarshal(apidescription.Read(t, "OpenWhisk", file), &old); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	spec, err := openapi2conv.ToV3(&old)
	if err != nil {
		t.Fatalf("convert %s: %v", file, err)
	}
	spec.Servers = openapi3.Servers{{URL: old.BasePath}}
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return &Contract{t: t, router: router, next: next, Operations: map[string]int{}}
}

func (c *Contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		c.t.Errorf("%s %s is no operation of OpenWhisk: %v", r.Method, r.URL, err)
		c.next.ServeHTTP(w, r)
		return
	}
	c.Operations[route.Operation.OperationID]++
	request := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
		c.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	if _, _, ok := r.BasicAuth(); !ok {
		c.t.Errorf("%s %s has no credentials", r.Method, r.URL)
	}
	answer := httptest.NewRecorder()
	c.next.ServeHTTP(answer, r)
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: answer.Code, Header: answer.Header(), Options: request.Options,
	}
	response.SetBodyBytes(bytes.Clone(answer.Body.Bytes()))
	if err := openapi3filter.ValidateResponse(r.Context(), response); err != nil {
		c.t.Errorf("the double's answer to %s %s: %v", r.Method, r.URL, err)
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the client may have gone
}
