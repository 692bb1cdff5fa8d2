package routing

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/serverless-go/cdk/patterns/edge/schema"
)

// Target is the platform that a source is compiled for.
type Target string

const (
	// CloudFront is CloudFront Functions with the JavaScript runtime 2.0.
	CloudFront Target = "cloudfront"
	// Cloudflare is Cloudflare Workers in the format of ES modules.
	Cloudflare Target = "cloudflare"
)

// MaxFunction is the limit of a CloudFront Function's code in bytes, which
// cannot be raised
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions).
const MaxFunction = 10 << 10

// Core is the import path by which a source uses the decision of this package:
//
//	import { decide } from '@serverless-go/routing';
const Core = "@serverless-go/routing"

// Source is a TypeScript or JavaScript program. For CloudFront it exports a
// function handler(event), for Cloudflare its default export is a module
// Worker. What it imports by a relative path is bundled with it.
type Source struct {
	// File is the path of the source. Relative imports start at its folder.
	File string

	// Text is the program.
	// Default: the file is read.
	Text string
}

//go:embed source/*.ts
var sources embed.FS

// CloudFrontFunction returns the code of a CloudFront Function for viewer
// requests that decides by the entries of the associated KeyValueStore. The
// distribution needs an origin for each host name in the table, with the host
// name as its id, and policies that add CloudFront-Viewer-Country and make
// schema.RoutingJurisdiction and schema.RoutingExperiments part of the key of
// what is cached.
func CloudFrontFunction() (string, error) { return builtin(CloudFront) }

// Worker returns the module of a Cloudflare Worker that decides by the entries
// of the KV namespace that is bound as schema.RoutingBinding, and passes
// requests on by HTTPS.
func Worker() (string, error) { return builtin(Cloudflare) }

func builtin(target Target) (string, error) {
	name := "source/" + map[Target]string{CloudFront: "cloudfront.ts", Cloudflare: "worker.ts"}[target]
	text, err := sources.ReadFile(name)
	if err != nil {
		return "", err
	}
	return Compile(target, Source{File: name, Text: string(text)})
}

// Compile returns the code of a source for a target, as one module without
// comments and blanks. The error lists every problem with its file, line and
// column. For CloudFront that includes what the runtime 2.0 has no syntax for
// and esbuild cannot express in what it has, await and spread in the arguments
// of calls, async functions inside functions, and code of more than MaxFunction
// bytes. Types are removed, not checked.
func Compile(target Target, source Source) (string, error) {
	if target != CloudFront && target != Cloudflare {
		return "", fmt.Errorf("routing: target %q is neither %q nor %q", target, CloudFront, Cloudflare)
	}
	if source.Text == "" {
		text, err := os.ReadFile(source.File)
		if err != nil {
			return "", fmt.Errorf("routing: %w", err)
		}
		source.Text = string(text)
	}
	folder, err := filepath.Abs(filepath.Dir(source.File))
	if err != nil {
		return "", fmt.Errorf("routing: %w", err)
	}
	options := api.BuildOptions{
		Stdin:         &api.StdinOptions{Contents: source.Text, Sourcefile: source.File, ResolveDir: folder, Loader: loader(source.File)},
		AbsWorkingDir: folder,
		Bundle:        true,
		Format:        api.FormatESModule,
		Platform:      api.PlatformNeutral,
		Charset:       api.CharsetASCII,
		LegalComments: api.LegalCommentsNone,
		// A tsconfig.json that happens to lie above must not change the code.
		TsconfigRaw: "{}",
		LogLevel:    api.LogLevelSilent,
		Define: map[string]string{
			"PREFIX":  strconv.Quote(schema.RoutingPrefix),
			"BINDING": strconv.Quote(schema.RoutingBinding),
			"VERSION": strconv.Itoa(Version),
		},
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		// The minifier moves await into arguments, which CloudFront's runtime
		// does not have.
		MinifySyntax: target != CloudFront,
		Plugins:      []api.Plugin{core},
	}
	if target == CloudFront {
		options.Target = api.ES5
		options.Supported = runtime2
		options.External = modules2
		options.LogOverride = map[string]api.LogLevel{"unsupported-regexp": api.LogLevelError}
	} else {
		options.Target = api.ES2022
		options.External = []string{"cloudflare:*", "node:*"}
	}
	result := api.Build(options)
	if err := problems(append(result.Errors, result.Warnings...)); err != nil {
		return "", err
	}
	code := string(result.OutputFiles[0].Contents)
	if target == CloudFront {
		if err := refuse(options); err != nil {
			return "", err
		}
		return global(source.File, code)
	}
	return code, nil
}

// runtime2 is the syntax beyond ECMAScript 5.1 of CloudFront's JavaScript
// runtime 2.0
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-javascript-runtime-20.html).
var runtime2 = map[string]bool{
	"arrow":                       true,
	"async-await":                 true,
	"const-and-let":               true,
	"exponent-operator":           true,
	"regexp-named-capture-groups": true,
	"rest-argument":               true,
	"template-literal":            true,
}

// modules2 are the modules of that runtime.
var modules2 = []string{"cloudfront", "crypto", "querystring", "buffer"}

// core resolves Core to the embedded file.
var core = api.Plugin{
	Name: "core",
	Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: "^" + regexp.QuoteMeta(Core) + "$"}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: "core.ts", Namespace: Core}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: Core}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			text, err := sources.ReadFile("source/core.ts")
			contents := string(text)
			return api.OnLoadResult{Contents: &contents, Loader: api.LoaderTS}, err
		})
	},
}

func loader(file string) api.Loader {
	switch filepath.Ext(file) {
	case ".js", ".mjs":
		return api.LoaderJS
	}
	return api.LoaderTS
}

// exported is how esbuild ends a module with one named export.
var exported = regexp.MustCompile(`export\{([A-Za-z_$][\w$]*)(?: as handler)?\};\s*$`)

// global makes the exported handler the global function that CloudFront calls:
// its runtime knows no exports.
func global(file, code string) (string, error) {
	at := exported.FindStringSubmatchIndex(code)
	if at == nil {
		return "", fmt.Errorf("routing: %s: a CloudFront Function exports one function, handler(event), and nothing else", file)
	}
	if name := code[at[2]:at[3]]; name != "handler" {
		code = code[:at[0]] + "function handler(e){return " + name + "(e)}\n"
	} else {
		code = code[:at[0]] + "\n"
	}
	if len(code) > MaxFunction {
		return "", fmt.Errorf("routing: %s: the code takes %d bytes; a CloudFront Function may have %d", file, len(code), MaxFunction)
	}
	return code, nil
}

// problems joins esbuild's messages, each with the place it is about.
func problems(messages []api.Message) error {
	var all []error
	for _, m := range messages {
		place := ""
		if m.Location != nil {
			place = fmt.Sprintf("%s:%d:%d: ", m.Location.File, m.Location.Line, m.Location.Column+1)
		}
		all = append(all, fmt.Errorf("routing: %s%s", place, m.Text))
	}
	return errors.Join(all...)
}
