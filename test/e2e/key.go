package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// makeKeys makes the keys that sign. The double of KMS takes any id for one that
// encrypts.
func (d *Deployment) makeKeys(ctx context.Context) error {
	for id := range d.All("AWS::KMS::Key") {
		var props struct{ KeySpec, KeyUsage string }
		if err := d.properties(id, &props); err != nil {
			return err
		}
		if props.KeyUsage != "SIGN_VERIFY" || d.options.KMS == "" {
			continue
		}
		arn, err := d.attribute(id, "Arn")
		if err != nil {
			return err
		}
		var made struct {
			KeyMetadata struct {
				KeyID string `json:"KeyId"`
			}
		}
		if err := d.callJSON(ctx, d.options.KMS, "TrentService.CreateKey", props, &made); err != nil {
			return fmt.Errorf("key %s: %w", id, err)
		}
		d.signing[arn.(string)] = made.KeyMetadata.KeyID
	}
	return nil
}

// useKey forwards a call to KMS under the engine's id of a key that signs.
func (d *Deployment) useKey(c *call) (*answer, error) {
	var in map[string]json.RawMessage
	var arn string
	if err := json.Unmarshal(c.body, &in); err != nil {
		return nil, err
	}
	if json.Unmarshal(in["KeyId"], &arn) != nil || d.signing[arn] == "" {
		return d.forward(c, d.options.KMS)
	}
	var err error
	in["KeyId"], _ = json.Marshal(d.signing[arn])
	if c.body, err = json.Marshal(in); err != nil {
		return nil, err
	}
	out, err := d.forward(c, d.options.KMS)
	if err != nil {
		return nil, err
	}
	// The caller goes on with the ARN that the answer names.
	out.body = bytes.ReplaceAll(out.body, []byte(d.arn("kms", "key/"+d.signing[arn])), []byte(arn))
	out.header.Del("Content-Length")
	return out, nil
}
