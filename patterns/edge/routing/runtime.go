package routing

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"
	"github.com/evanw/esbuild/pkg/api"
)

// lack is something that CloudFront's runtime does not have.
type lack struct {
	at   file.Idx
	what string
}

const (
	awaitArgument = "await in the arguments of a call is not supported by CloudFront's runtime: give its result a name first"
	spread        = "spread arguments are not supported by CloudFront's runtime: use apply"
	debugger      = "debugger is not supported by CloudFront's runtime"
	asyncClosure  = "an async function inside a function is not supported by CloudFront's runtime: declare it at the top of the module"
)

// refuse returns an error for each lack that esbuild has no name for
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/async-await-syntax.html).
// The engine that can be installed runs async functions inside functions, which
// AWS rules out, and ends itself at awaits that its parser overlooks. The program is bundled again as a script, which the parser of goja reads:
// esbuild's own syntax tree is not public.
func refuse(options api.BuildOptions) error {
	options.Format = api.FormatCommonJS
	options.MinifyWhitespace, options.MinifyIdentifiers = false, false
	options.Sourcemap = api.SourceMapInline
	options.SourcesContent = api.SourcesContentExclude
	result := api.Build(options)
	if err := problems(append(result.Errors, result.Warnings...)); err != nil {
		return err
	}
	program, err := parser.ParseFile(nil, "", result.OutputFiles[0].Contents, parser.IgnoreRegExpErrors)
	if err != nil {
		return fmt.Errorf("routing: look for what CloudFront's runtime lacks: %w", err)
	}
	var found []error
	for _, l := range lacks(reflect.ValueOf(program), place{}) {
		p := program.File.Position(int(l.at) - program.File.Base())
		found = append(found, fmt.Errorf("routing: %s:%d:%d: %s", p.Filename, p.Line, p.Column+1, l.what))
	}
	return errors.Join(found...)
}

// place says what a part of the program is inside of.
type place struct{ arguments, function bool }

// lacks searches a tree.
func lacks(v reflect.Value, in place) (found []lack) {
	switch v.Kind() {
	case reflect.Interface:
		return lacks(v.Elem(), in)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		switch node := v.Interface().(type) {
		case *file.File:
			return nil
		case *ast.AwaitExpression:
			if in.arguments {
				found = append(found, lack{node.Await, awaitArgument})
			}
		case *ast.DebuggerStatement:
			found = append(found, lack{node.Debugger, debugger})
		case *ast.CallExpression:
			return append(lacks(reflect.ValueOf(node.Callee), in), arguments(node.ArgumentList, in)...)
		case *ast.NewExpression:
			return append(lacks(reflect.ValueOf(node.Callee), in), arguments(node.ArgumentList, in)...)
		case *ast.FunctionLiteral:
			found = closure(node.Function, node.Async, in)
			in = place{function: true}
		case *ast.ArrowFunctionLiteral:
			found = closure(node.Start, node.Async, in)
			in = place{function: true}
		}
		return append(found, lacks(v.Elem(), in)...)
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, lacks(v.Index(i), in)...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			// A function lists its declarations again.
			if f := v.Type().Field(i); f.IsExported() && f.Name != "DeclarationList" {
				found = append(found, lacks(v.Field(i), in)...)
			}
		}
	}
	return found
}

func arguments(list []ast.Expression, in place) (found []lack) {
	in.arguments = true
	for _, a := range list {
		if s, ok := a.(*ast.SpreadElement); ok {
			found = append(found, lack{s.Idx0() - 1, spread}) // Position rounds up to the operand
		}
		found = append(found, lacks(reflect.ValueOf(a), in)...)
	}
	return found
}

func closure(at file.Idx, async bool, in place) []lack {
	if async && in.function {
		return []lack{{at, asyncClosure}}
	}
	return nil
}
