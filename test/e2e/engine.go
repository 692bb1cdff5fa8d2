package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client calls the engines, and forwards to them what handlers call.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}, Timeout: time.Minute}

// ServiceError is an error that an engine, or a service of this package,
// answered.
type ServiceError struct {
	Operation string
	Status    int
	Code      string // such as "ConditionalCheckFailedException"
	Message   string
}

// Error returns the operation with the code and message it failed with.
func (e *ServiceError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Operation, e.Code, e.Message)
}

// authorization names the caller's key and the service, which is all that the
// engines and the proxy read of it.
func authorization(key, service, region string) string {
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=none", key, region, service)
}

// callJSON calls an operation of a service with a JSON protocol, target being
// such as "AmazonSQS.SendMessage".
func (d *Deployment) callJSON(ctx context.Context, base, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	service := "dynamodb"
	if strings.HasPrefix(target, "AmazonSQS") {
		service = "sqs"
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("X-Amz-Date", "20260101T000000Z")
	request.Header.Set("Authorization", authorization("harness", service, d.region))
	answer, err := send(request, target)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	return nil
}

// callForm calls an operation of a service with the query protocol.
func (d *Deployment) callForm(ctx context.Context, base, service string, form url.Values, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", authorization("harness", service, d.region))
	answer, err := send(request, form.Get("Action"))
	if err != nil || out == nil {
		return err
	}
	return xml.Unmarshal(answer, out)
}

// callREST calls a service whose operations are methods and paths.
func (d *Deployment) callREST(ctx context.Context, method, address, service string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", authorization("harness", service, d.region))
	return send(request, method+" "+request.URL.Path)
}

func send(request *http.Request, operation string) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	if response.StatusCode/100 != 2 {
		var detail struct {
			Type           string `json:"__type"`
			Message, Error string
		}
		if json.Unmarshal(answer, &detail) != nil || detail.Type == "" {
			detail.Type, detail.Message = response.Status, string(answer)
		}
		return nil, &ServiceError{operation, response.StatusCode, detail.Type[strings.LastIndex(detail.Type, "#")+1:], detail.Message}
	}
	return answer, nil
}
