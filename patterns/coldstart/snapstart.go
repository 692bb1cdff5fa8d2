package coldstart

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/serverless-go/cdk/patterns/props"
)

// checkSnapStart refuses what Lambda would refuse only when the version is
// published, minutes into the deployment.
func (p *WarmFunctionProps) checkSnapStart(c *props.Check) {
	if !p.SnapStart {
		c.Require(!p.SnapStartImage, "SnapStartImage", true, "false without SnapStart", "set SnapStart too")
		return
	}
	if p.ProvisionedConcurrency != nil {
		c.Wrong("SnapStart", props.Words("set together with ProvisionedConcurrency"), "one of the two",
			"choose ProvisionedConcurrency where no invocation may wait, SnapStart where a start of a few hundred milliseconds will do and the traffic is hard to foresee")
	}
	image := p.isImage()
	switch {
	case p.Function.Entry != "":
		c.Wrong("SnapStart", props.Words("set for Go on provided.al2023"), "managed runtimes (Java 11, Python 3.12, .NET 8 or later) and container images",
			"Lambda takes no snapshot of a zip file on an OS-only runtime; a Go handler starts within milliseconds and seldom needs one: use ProvisionedConcurrency or KeepWarm, or ship it as an image with SnapStartImage")
	case image && !p.SnapStartImage:
		c.Wrong("SnapStartImage", false, "true for a container image with SnapStart",
			"give the image LABEL com.amazonaws.lambda.feature.snapstart=\"Allow\" (not needed on AWS's images of Java, Python and .NET) and set it")
	case !image && p.SnapStartImage:
		c.Wrong("SnapStartImage", true, "false for code that is no container image", "leave it out")
	case !image && (p.Function.Runtime == nil || !*p.Function.Runtime.SupportsSnapStart()):
		name := "provided.al2023"
		if p.Function.Runtime != nil {
			name = *p.Function.Runtime.Name()
		}
		c.Wrong("SnapStart", props.Words("set for "+name), "managed runtimes (Java 11, Python 3.12, .NET 8 or later) and container images",
			"use ProvisionedConcurrency or KeepWarm")
	}
	if fp := p.Function.FunctionProps; fp != nil {
		c.Require(fp.Filesystem == nil, "SnapStart", props.Words("set together with Function.FunctionProps.Filesystem"), "functions without EFS",
			"a snapshot holds no mounted file system: leave one out")
		if fp.EphemeralStorageSize != nil {
			size := *fp.EphemeralStorageSize.ToMebibytes(&awscdk.SizeConversionOptions{Rounding: awscdk.SizeRoundingBehavior_NONE})
			c.Require(size <= 512, "Function.FunctionProps.EphemeralStorageSize", size, "512 MB or less with SnapStart", "")
		}
	}
}

func (p *WarmFunctionProps) isImage() bool {
	return p.Function.Runtime != nil && *p.Function.Runtime.Name() == *awslambda.Runtime_FROM_IMAGE().Name()
}
