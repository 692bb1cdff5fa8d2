// Package diagram turns a synthesized CloudFormation template into an
// architecture diagram: what the template makes, how events flow through it
// and who may read and write what.
//
// [Read] reads a template, [Template.Graph] finds the nodes and the arrows,
// and [Graph.D2] and [Graph.Mermaid] write them. The package draws nothing
// itself; the module in docs/diagrams lays out what D2 writes, so that nobody
// who imports a construct carries a layout engine.
//
// [All] is the table of this repository's diagrams. Its texts are in
// docs/diagrams, and the tests here fail when one no longer matches its
// template. Write them with
//
//	go test ./test/diagram -update
//
// and draw them with
//
//	go run -C docs/diagrams .
package diagram
