package function

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/asset"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/props"
)

// code builds the Go package, unless the stack's context says that nothing is
// to be bundled: then the asset is an empty folder, hashed by the entry's name.
func (p *Props) code(scope constructs.Construct, id string) awslambda.Code {
	if p.Entry == "" {
		return p.Code
	}
	var dir, hash string
	var err error
	if construct.BundlingRequired(scope) {
		dir, hash, err = p.build()
	} else {
		sum := sha256.Sum256([]byte(p.Entry))
		hash = hex.EncodeToString(sum[:])
		dir, err = asset.Empty()
	}
	if err != nil {
		var c props.Check
		c.Wrong("Entry", p.Entry, "a Go main package that builds", err.Error())
		c.Panic(scope, id)
	}
	return awslambda.Code_FromAsset(&dir, &awss3assets.AssetOptions{
		AssetHash:     &hash,
		AssetHashType: awscdk.AssetHashType_CUSTOM,
		DisplayName:   jsii.String("Go handler " + p.Entry),
	})
}

func (p *Props) build() (dir, hash string, err error) {
	arch := "arm64"
	if p.Architecture != nil && *p.Architecture.Name() == *awslambda.Architecture_X86_64().Name() {
		arch = "amd64"
	}
	h, err := asset.Find(p.Entry, arch)
	if err != nil {
		return "", "", err
	}
	if hash, err = h.SourceHash(); err != nil {
		return "", "", err
	}
	dir, err = h.Build(hash)
	return dir, hash, err
}

// Prepare looks up the Go handlers that the pattern matches, such as
// "example.com/shop/functions/...", and builds those for arm64 that changed,
// side by side and before the CDK starts. Without it each function does so for
// itself, which takes two calls of the go command each; an app with more than
// a few functions calls it first. What it cannot build is left to the function
// that uses it, whose error names the construct.
//
// It tells progress, if not nil, of each handler that was built.
func Prepare(pattern string, progress func(built, of int, name string)) error {
	return asset.Prepare(pattern, "arm64", progress)
}
