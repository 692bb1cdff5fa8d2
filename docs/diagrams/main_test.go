package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/test/diagram"
)

const sample = `{"Resources": {
	"OrdersQueue": {"Type": "AWS::SQS::Queue", "Metadata": {"aws:cdk:path": "Dev/Orders/Queue/Resource"}, "Properties": {
		"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["OrdersDead", "Arn"]}}}},
	"OrdersDead": {"Type": "AWS::SQS::Queue", "Metadata": {"aws:cdk:path": "Dev/Orders/Dead/Resource"}},
	"Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {
		"EventSourceArn": {"Fn::GetAtt": ["OrdersQueue", "Arn"]}, "FunctionName": {"Ref": "Label"}}},
	"Label": {"Type": "AWS::Lambda::Function", "Properties": {}}}}`

// TestDraw draws a sample whose function has a name that D2 reserves.
func TestDraw(t *testing.T) {
	dir := t.TempDir()
	template := filepath.Join(dir, "Shop.template.json")
	if err := os.WriteFile(template, []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range []string{"svg", "d2", "mermaid"} {
		files[name] = filepath.Join(dir, name)
	}
	var out bytes.Buffer
	if err := run([]string{"-svg", files["svg"], "-d2", files["d2"], "-mermaid", files["mermaid"], template}, &out); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(files[name])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	svg := read("svg")
	for _, want := range []string{">Orders<", ">Label<", ">Lambda<", ">Dead letters<", "what failed"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("the picture does not show %s", want)
		}
	}
	if !diagram.Fresh(svg, read("d2")) {
		t.Error("the picture does not say what it was drawn from")
	}
	if !bytes.HasPrefix(read("mermaid"), []byte("flowchart TB\n  subgraph frame_Orders")) {
		t.Errorf("Mermaid:\n%s", read("mermaid"))
	}
	out.Reset()
	if err := run([]string{template}, &out); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), svg) {
		t.Error("the same template is drawn differently the second time")
	}
	if err := run([]string{filepath.Join(dir, "none")}, &out); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a missing template: %v", err)
	}
	if err := run([]string{"-part", "=Title", template}, &out); err == nil {
		t.Error("a part without a prefix is accepted")
	}
}

// TestPictures draws one of the repository's pictures again: another version
// of the layout library would draw them all differently.
func TestPictures(t *testing.T) {
	text, err := os.ReadFile("function.d2")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("function.svg")
	if err != nil {
		t.Fatal(err)
	}
	got, err := draw(text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("function.svg is not what is drawn now: `go run . -all` draws each picture anew")
	}
}
