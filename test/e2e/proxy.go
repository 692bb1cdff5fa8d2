package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// credential is what an access key id stands for.
type credential struct {
	caller  caller
	process *process // nil for a state machine and a session
	token   string   // that a session's calls must carry, too
}

// handler serves what processes call: the Runtime API, the template's HTTP APIs
// and, under every other path, AWS.
func (d *Deployment) handler() http.Handler {
	runtime := d.serveRuntime()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/runtime/") {
			runtime.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, apiPath) {
			d.serveAPI(w, r)
			return
		}
		d.serveAWS(w, r)
	})
}

// scope is the credential scope in an Authorization header: it names the key
// and the service, whatever the protocol.
var scope = regexp.MustCompile(`Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request`)

// call is a request of a handler to AWS.
type call struct {
	caller    caller
	service   string // as in the credential scope
	operation string // such as "PutItem"
	request   *http.Request
	body      []byte
}

// access is one thing that a call needs permission for.
type access struct {
	action, resource string
	context          map[string][]string
}

// serveAWS allows or refuses a call and forwards it to its engine, or answers
// it for the services that have none.
func (d *Deployment) serveAWS(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	found := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if found == nil {
		http.Error(w, "the request is not signed", http.StatusForbidden)
		return
	}
	c := &call{service: found[3], request: r, body: body}
	key, ok := d.credentials.Load(found[1])
	if !ok {
		c.refuse(w, http.StatusForbidden, "UnrecognizedClientException", "the access key belongs to no running process")
		return
	}
	who := key.(*credential)
	if who.token != "" && r.Header.Get("X-Amz-Security-Token") != who.token {
		c.refuse(w, http.StatusForbidden, "UnrecognizedClientException", "the session's token is missing or wrong")
		return
	}
	c.caller = who.caller
	answer, err := d.serve(c)
	if who.process != nil && who.process.called() {
		return // its process is dead: nobody reads the answer
	}
	var denied *DeniedError
	var failed *ServiceError
	switch {
	case errors.As(err, &denied):
		c.deny(w, denied)
	case errors.As(err, &failed):
		c.refuse(w, failed.Status, failed.Code, failed.Message)
	case err != nil:
		c.refuse(w, http.StatusInternalServerError, "InternalFailure", err.Error())
	default:
		for name, values := range answer.header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.status)
		w.Write(answer.body)
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (d *Deployment) serve(c *call) (*answer, error) {
	c.operation = c.operationName()
	accesses, err := d.accesses(c)
	if err != nil {
		return nil, err
	}
	for _, a := range accesses {
		if err := d.iam.check(c.caller, a.action, a.resource, a.context); err != nil {
			return nil, err
		}
		if err := d.checkKeyOf(c, a); err != nil {
			return nil, err
		}
	}
	switch c.service {
	case "dynamodb":
		if d.faults.hit("Throttle", d.faults.Throttle) {
			return nil, &ServiceError{c.operation, http.StatusBadRequest, "ProvisionedThroughputExceededException", "injected by the test"}
		}
		answer, err := d.forward(c, d.options.DynamoDB)
		if err == nil {
			// The engine leaves out of errors what the SDK checks answers by.
			answer.header.Set("X-Amz-Crc32", checksum(answer.body))
		}
		return answer, err
	case "s3":
		return d.forward(c, d.options.Fauxqs)
	case "sqs":
		if err := d.readdress(c); err != nil {
			return nil, err
		}
		return d.forward(c, d.options.Fauxqs)
	case "sns":
		return d.publish(c)
	case "kms":
		if d.options.KMS == "" {
			return nil, fmt.Errorf("the deployment has no KMS: set Options.KMS")
		}
		return d.useKey(c)
	}
	return d.emulate(c)
}

// operationName finds the operation in the protocol's place for it.
func (c *call) operationName() string {
	if target := c.request.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndex(target, ".")+1:]
	}
	if c.form() != nil {
		return c.form().Get("Action")
	}
	return c.request.Method
}

// readdress replaces the URL of a queue by the engine's.
func (d *Deployment) readdress(c *call) error {
	var in map[string]json.RawMessage
	var url string
	if err := json.Unmarshal(c.body, &in); err != nil {
		return err
	}
	if json.Unmarshal(in["QueueUrl"], &url) != nil {
		return nil // of an operation that names its queue otherwise
	}
	q := d.queueOf(url)
	if q == nil {
		return nil // the engine says so better
	}
	in["QueueUrl"], _ = json.Marshal(q.url)
	body, err := json.Marshal(in)
	c.body = body
	return err
}

// forward sends the call to an engine, which takes any credentials.
func (d *Deployment) forward(c *call, base string) (*answer, error) {
	request, err := http.NewRequestWithContext(c.request.Context(), c.request.Method, base+c.request.URL.RequestURI(), bytes.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	request.Header = c.request.Header.Clone()
	request.Header.Del("Connection")
	request.Header.Del("Content-Length") // the body may have been changed
	request.ContentLength = int64(len(c.body))
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	d.touch()
	return &answer{response.StatusCode, response.Header, body}, err
}

func checksum(body []byte) string { return fmt.Sprint(crc32.ChecksumIEEE(body)) }

// deny answers as the service does when IAM refuses.
func (c *call) deny(w http.ResponseWriter, denied *DeniedError) {
	code, status := "AccessDeniedException", http.StatusBadRequest
	switch c.service {
	case "s3", "sqs", "sts":
		code, status = "AccessDenied", http.StatusForbidden
	case "sns":
		code, status = "AuthorizationError", http.StatusForbidden
	}
	c.refuse(w, status, code, "User: "+denied.Error())
}

// refuse answers an error in the protocol of the service.
func (c *call) refuse(w http.ResponseWriter, status int, code, message string) {
	switch {
	case c.service == "s3":
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		xml.NewEncoder(w).Encode(struct {
			XMLName       xml.Name `xml:"Error"`
			Code, Message string
		}{Code: code, Message: message})
	case c.form() != nil:
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		xml.NewEncoder(w).Encode(struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Type    string   `xml:"Error>Type"`
			Code    string   `xml:"Error>Code"`
			Message string   `xml:"Error>Message"`
		}{Type: "Sender", Code: code, Message: message})
	default:
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amzn-ErrorType", code)
		body, _ := json.Marshal(map[string]string{"__type": code, "message": message})
		w.Header().Set("X-Amz-Crc32", checksum(body))
		w.WriteHeader(status)
		w.Write(body)
	}
}
