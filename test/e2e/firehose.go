package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// deliveryStream is a Firehose stream to S3. Its records are kept as they would
// be delivered; they are not converted and not written.
type deliveryStream struct {
	d           *Deployment
	id, arn     string
	role        string
	object      string // ARN of an object as it writes them
	bucket      string
	transform   string // ARN of the function that transforms, "" without one
	work        *backlog[*streamRecord]
	mu          sync.Mutex
	delivered   []string
	undelivered []string
}

type streamRecord struct {
	data []byte
	end  func()
}

func (d *Deployment) makeStreams(context.Context) error {
	for id := range d.All("AWS::KinesisFirehose::DeliveryStream") {
		if err := d.makeStream(id); err != nil {
			return fmt.Errorf("delivery stream %s: %w", id, err)
		}
	}
	return nil
}

func (d *Deployment) makeStream(id string) error {
	var props struct {
		ExtendedS3DestinationConfiguration *struct {
			BucketARN, RoleARN      string
			Prefix                  string
			ProcessingConfiguration struct {
				Enabled    bool
				Processors []struct {
					Type       string
					Parameters []struct{ ParameterName, ParameterValue string }
				}
			}
			DataFormatConversionConfiguration struct {
				Enabled             *bool
				SchemaConfiguration *struct{ RoleARN, DatabaseName, TableName string }
			}
		}
	}
	if err := d.properties(id, &props); err != nil {
		return err
	}
	to := props.ExtendedS3DestinationConfiguration
	if to == nil {
		return fmt.Errorf("only streams with ExtendedS3DestinationConfiguration are supported")
	}
	name, err := d.name(id)
	if err != nil {
		return err
	}
	s := &deliveryStream{d: d, id: id, arn: d.arn("firehose", "deliverystream/"+name), role: to.RoleARN, bucket: to.BucketARN, work: newBacklog[*streamRecord]()}
	static, _, _ := strings.Cut(to.Prefix, "!{")
	s.object = to.BucketARN + "/" + static + "records"
	if err := d.iam.trusts(to.RoleARN, "firehose.amazonaws.com", s.arn); err != nil {
		return err
	}
	if schema := to.DataFormatConversionConfiguration.SchemaConfiguration; schema != nil {
		for _, resource := range []string{"catalog", "database/" + schema.DatabaseName, "table/" + schema.DatabaseName + "/" + schema.TableName} {
			if err := d.iam.check(asRole(schema.RoleARN), "glue:GetTableVersions", d.arn("glue", resource), nil); err != nil {
				return err
			}
		}
	}
	if to.ProcessingConfiguration.Enabled {
		for _, p := range to.ProcessingConfiguration.Processors {
			for _, parameter := range p.Parameters {
				if p.Type == "Lambda" && parameter.ParameterName == "LambdaArn" {
					s.transform = parameter.ParameterValue
				}
			}
		}
	}
	if s.transform != "" {
		if f, _ := d.function(s.transform); f == nil {
			return fmt.Errorf("the function %s is not in the template", s.transform)
		}
	}
	d.streams[s.arn] = s
	d.spawn(s.run)
	return nil
}

// deliver implements sink.
func (s *deliveryStream) deliver(_ context.Context, from caller, items []delivery) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		// A rule sends single records, everybody else batches.
		if errs[i] = s.d.iam.check(from, "firehose:PutRecord", s.arn, nil); errs[i] == nil {
			s.accept(item.payload)
		}
	}
	return errs
}

func (s *deliveryStream) accept(data []byte) {
	s.work.put(&streamRecord{data, s.d.begin("delivery stream " + s.id)})
}

func (s *deliveryStream) run() {
	for {
		batch := s.work.take(s.d.ctx, 500)
		if len(batch) == 0 {
			return
		}
		if err := s.write(batch); err != nil && s.d.ctx.Err() == nil {
			s.d.drop("delivery stream "+s.id, err, nil)
		}
		for _, r := range batch {
			r.end()
		}
	}
}

func (s *deliveryStream) write(batch []*streamRecord) error {
	if err := s.d.iam.check(asRole(s.role), "s3:PutObject", s.object, nil); err != nil {
		return err
	}
	if err := s.d.iam.checkKey(asRole(s.role), s.bucket, "kms:GenerateDataKey"); err != nil {
		return err
	}
	var delivered, undelivered []string
	if s.transform == "" {
		for _, r := range batch {
			delivered = append(delivered, string(r.data))
		}
	} else {
		var err error
		if delivered, undelivered, err = s.transformed(batch); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered, s.undelivered = append(s.delivered, delivered...), append(s.undelivered, undelivered...)
	return nil
}

// transformed hands records to the stream's function, which it tries three
// times, as Firehose does.
func (s *deliveryStream) transformed(batch []*streamRecord) (delivered, undelivered []string, err error) {
	if err := s.d.iam.check(asRole(s.role), "lambda:InvokeFunction", s.transform, nil); err != nil {
		return nil, nil, err
	}
	type record struct {
		ID      string `json:"recordId"`
		Arrival int64  `json:"approximateArrivalTimestamp,omitempty"`
		Result  string `json:"result,omitempty"`
		Data    string `json:"data"`
	}
	records := make([]record, len(batch))
	for i, r := range batch {
		records[i] = record{ID: fmt.Sprint(i), Arrival: time.Now().UnixMilli(), Data: base64.StdEncoding.EncodeToString(r.data)}
	}
	payload, err := json.Marshal(map[string]any{"invocationId": s.d.newID(), "deliveryStreamArn": s.arn, "region": s.d.region, "records": records})
	if err != nil {
		return nil, nil, err
	}
	f, _ := s.d.function(s.transform)
	var answer []byte
	for range 3 {
		if answer, err = f.invoke(s.d.ctx, s.transform, payload); err == nil {
			break
		}
	}
	var out struct{ Records []record }
	if err == nil {
		err = json.Unmarshal(answer, &out)
	}
	if err != nil {
		for _, r := range batch {
			undelivered = append(undelivered, string(r.data))
		}
		return nil, undelivered, nil
	}
	for _, r := range out.Records {
		data, err := base64.StdEncoding.DecodeString(r.Data)
		if err != nil {
			return nil, nil, err
		}
		switch r.Result {
		case "Ok":
			delivered = append(delivered, string(data))
		case "ProcessingFailed":
			undelivered = append(undelivered, string(data))
		}
	}
	return delivered, undelivered, nil
}

// Delivered returns the records that a Firehose stream delivered, and those
// its function failed on, which go to the error prefix.
func (d *Deployment) Delivered(prefix string) (delivered, failed []string, err error) {
	id, err := d.Find("AWS::KinesisFirehose::DeliveryStream", prefix)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range d.streams {
		if s.id == id {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(s.delivered), slices.Clone(s.undelivered), nil
		}
	}
	return nil, nil, fmt.Errorf("delivery stream %s was not made", id)
}

// streamNamed returns the stream of a physical name.
func (d *Deployment) streamNamed(name string) *deliveryStream {
	return d.streams[d.arn("firehose", "deliverystream/"+strings.TrimSpace(name))]
}
