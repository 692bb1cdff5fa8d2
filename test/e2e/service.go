package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// publish forwards a call to SNS under the engine's name of the topic, and
// shows the topic what was published.
func (d *Deployment) publish(c *call) (*answer, error) {
	form := c.form()
	t := d.topics[form.Get("TopicArn")]
	if t == nil || c.operation != "Publish" {
		return nil, &ServiceError{c.operation, http.StatusNotImplemented, "NotImplemented", "only Publish to a topic of the template is driven"}
	}
	form.Set("TopicArn", t.engine)
	c.body = []byte(form.Encode())
	answer, err := d.forward(c, d.options.Fauxqs)
	if err == nil && answer.status == http.StatusOK {
		t.accept(form.Get("Message"), form.Get("Subject"))
	}
	return answer, err
}

// emulate answers the services that have no engine.
func (d *Deployment) emulate(c *call) (*answer, error) {
	switch c.service + ":" + c.operation {
	case "events:PutEvents":
		return d.putEvents(c)
	case "firehose:PutRecord":
		var in struct {
			DeliveryStreamName string
			Record             struct{ Data []byte }
		}
		if err := json.Unmarshal(c.body, &in); err != nil {
			return nil, err
		}
		return d.putRecords(in.DeliveryStreamName, map[string]any{"RecordId": d.newID()}, in.Record.Data)
	case "firehose:PutRecordBatch":
		var in struct {
			DeliveryStreamName string
			Records            []struct{ Data []byte }
		}
		if err := json.Unmarshal(c.body, &in); err != nil {
			return nil, err
		}
		var data [][]byte
		var responses []map[string]string
		for _, r := range in.Records {
			data, responses = append(data, r.Data), append(responses, map[string]string{"RecordId": d.newID()})
		}
		return d.putRecords(in.DeliveryStreamName, map[string]any{"FailedPutCount": 0, "RequestResponses": responses}, data...)
	case "states:StartExecution":
		return d.startExecution(c)
	case "sts:AssumeRole":
		return d.assumeRole(c)
	case "sts:GetCallerIdentity":
		body := fmt.Sprintf(`<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>%s</Arn><Account>%s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
			c.caller.principal.ARN, d.account)
		return &answer{http.StatusOK, http.Header{"Content-Type": {"text/xml"}}, []byte(body)}, nil
	}
	if c.service == "lambda" {
		return d.invokeForHandler(c)
	}
	return nil, &ServiceError{c.operation, http.StatusNotImplemented, "NotImplemented", "the operation is not driven"}
}

func jsonAnswer(v any) (*answer, error) {
	body, err := json.Marshal(v)
	return &answer{http.StatusOK, http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, body}, err
}

func (d *Deployment) putEvents(c *call) (*answer, error) {
	var in struct {
		Entries []struct {
			EventBusName, Source, DetailType, Detail string
			Resources                                []string
		}
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, err
	}
	if len(in.Entries) == 0 || len(in.Entries) > 10 {
		return nil, &ServiceError{c.operation, http.StatusBadRequest, "ValidationException", "PutEvents takes 1 to 10 entries"}
	}
	failed := 0
	var results []map[string]string
	for _, e := range in.Entries {
		event := Event{ID: d.newID(), Source: e.Source, DetailType: e.DetailType, Detail: json.RawMessage(e.Detail), Resources: e.Resources}
		b, err := d.busNamed(e.EventBusName), error(nil)
		if b == nil {
			err = errors.New("the event bus does not exist")
		} else {
			err = b.put(c.caller, event)
		}
		if err != nil {
			failed++
			results = append(results, map[string]string{"ErrorCode": "InternalFailure", "ErrorMessage": err.Error()})
			continue
		}
		results = append(results, map[string]string{"EventId": event.ID})
	}
	return jsonAnswer(map[string]any{"FailedEntryCount": failed, "Entries": results})
}

func (d *Deployment) putRecords(name string, response any, data ...[]byte) (*answer, error) {
	s := d.streamNamed(name)
	if s == nil {
		return nil, &ServiceError{"PutRecord", http.StatusBadRequest, "ResourceNotFoundException", "no delivery stream " + name}
	}
	for _, record := range data {
		s.accept(record)
	}
	return jsonAnswer(response)
}

// invokeForHandler serves Lambda's Invoke.
func (d *Deployment) invokeForHandler(c *call) (*answer, error) {
	name, _ := invokedFunction(c)
	arn := d.iam.functionARN(name)
	f, qualifier := d.function(arn)
	if f == nil {
		return nil, &ServiceError{c.operation, http.StatusNotFound, "ResourceNotFoundException", "no function " + name}
	}
	if strings.EqualFold(c.request.Header.Get("X-Amz-Invocation-Type"), "Event") {
		// serve has checked the permission; the sink checks it once more.
		err := (&asyncInvoker{f, arn, qualifier}).deliver(c.request.Context(), c.caller, []delivery{{payload: c.body}})[0]
		return &answer{http.StatusAccepted, http.Header{}, nil}, err
	}
	payload, err := f.invoke(c.request.Context(), arn, c.body)
	header := http.Header{"Content-Type": {"application/json"}, "X-Amz-Executed-Version": {"$LATEST"}}
	var failure *FunctionError
	switch {
	case errors.As(err, &failure):
		header.Set("X-Amz-Function-Error", "Unhandled")
		payload, err = failure.Payload, nil
	case errors.Is(err, errThrottled):
		return nil, &ServiceError{c.operation, http.StatusTooManyRequests, "TooManyRequestsException", err.Error()}
	}
	return &answer{http.StatusOK, header, payload}, err
}
