package stacks
import "github.com/aws/aws-cdk-go/awscdk/v2"
func NewFlashSale(app awscdk.App, id string, p any) {}
func flashSaleProps(c *Config) any { return nil }
