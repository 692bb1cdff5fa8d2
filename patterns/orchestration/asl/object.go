package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// An object is a JSON object that remembers the order of its keys and which of
// them it had more than once: encoding/json forgets both.
type object struct {
	keys     []string
	fields   map[string]any
	repeated []string
}

// decode reads one JSON document, with *object for objects.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is more after the definition's end, at offset %d", d.InputOffset())
	}
	return v, nil
}

// maxNestedJSON bounds how deep a definition's JSON may be nested.
const maxNestedJSON = 500

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxNestedJSON {
		return nil, fmt.Errorf("the JSON is nested more than %d deep", maxNestedJSON)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := &object{fields: map[string]any{}}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.put(key.(string), v)
		}
		_, err := d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return token, nil
}

func (o *object) put(key string, v any) {
	if _, ok := o.fields[key]; ok {
		o.repeated = append(o.repeated, key)
	} else {
		o.keys = append(o.keys, key)
	}
	o.fields[key] = v
}

// plain turns *object into map[string]any, all the way down.
func plain(v any) any {
	switch v := v.(type) {
	case *object:
		m := make(map[string]any, len(v.fields))
		for key, field := range v.fields {
			m[key] = plain(field)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	}
	return v
}

// normalize turns any Go value into plain JSON data, through its JSON.
func normalize(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, float64, string:
		return v, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	err = json.Unmarshal(data, &out)
	return out, err
}

// kindOf names a JSON value's type for people.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case float64:
		return "the number " + compact(v)
	case string:
		return "the string " + compact(v)
	case []any:
		return "an array"
	}
	return "an object"
}

func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(data) > 80 {
		return string(data[:77]) + "..."
	}
	return string(data)
}
