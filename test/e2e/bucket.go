package e2e

import (
	"context"
	"fmt"
	"net/http"
)

func (d *Deployment) makeBuckets(ctx context.Context) error {
	for id := range d.All("AWS::S3::Bucket") {
		var props struct {
			BucketEncryption struct {
				ServerSideEncryptionConfiguration []struct {
					ServerSideEncryptionByDefault struct {
						KMSMasterKeyID string
					}
				}
			}
		}
		if err := d.properties(id, &props); err != nil {
			return err
		}
		name, err := d.name(id)
		if err != nil {
			return err
		}
		if _, err := d.callREST(ctx, http.MethodPut, d.options.Fauxqs+"/"+name, "s3", nil); err != nil {
			return fmt.Errorf("bucket %s: %w", id, err)
		}
		for _, rule := range props.BucketEncryption.ServerSideEncryptionConfiguration {
			d.encrypt(d.arn("s3", name), rule.ServerSideEncryptionByDefault.KMSMasterKeyID)
		}
	}
	return nil
}
