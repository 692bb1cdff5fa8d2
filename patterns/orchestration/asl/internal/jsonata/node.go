package jsonata

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
)

// A Node is a node of an expression's syntax tree, as the reference
// implementation makes it.
type Node struct {
	// Type is the kind of node: "path", "name", "variable", "lambda", "bind",
	// "block", "function" and so on.
	Type string
	// Value is the node's name, operator or literal.
	Value any
	// Position is the offset of the node's token, in UTF-16 units.
	Position int
	// Fields are the other properties of the node.
	Fields map[string]any
}

// UnmarshalJSON reads a node and, in Fields, the nodes below it.
func (n *Node) UnmarshalJSON(data []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	*n = *asNode(fields)
	return nil
}

func asNode(fields map[string]any) *Node {
	n := &Node{Fields: fields, Value: fields["value"]}
	n.Type, _ = fields["type"].(string)
	position, _ := fields["position"].(float64)
	n.Position = int(position)
	return n
}

// Child returns the node in a field, nil if there is none.
func (n *Node) Child(field string) *Node {
	fields, ok := n.Fields[field].(map[string]any)
	if !ok {
		return nil
	}
	return asNode(fields)
}

// List returns the nodes in a field that holds a list.
func (n *Node) List(field string) []*Node {
	var nodes []*Node
	list, _ := n.Fields[field].([]any)
	for _, v := range list {
		switch v := v.(type) {
		case map[string]any:
			nodes = append(nodes, asNode(v))
		case []any:
			// An object constructor holds its pairs of key and value as lists.
			for _, v := range v {
				if fields, ok := v.(map[string]any); ok {
					nodes = append(nodes, asNode(fields))
				}
			}
		}
	}
	return nodes
}

// Children returns all nodes directly below n, with the field that holds each.
func (n *Node) Children() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		for _, field := range slices.Sorted(maps.Keys(n.Fields)) {
			if c := n.Child(field); c != nil && c.Type != "" {
				if !yield(field, c) {
					return
				}
			}
			for _, c := range n.List(field) {
				if c.Type != "" && !yield(field, c) {
					return
				}
			}
		}
	}
}
