package eventlog

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
)

// sealedKey is the member of a recorded payload that holds the sealed fields:
// an object from the field's JSON pointer (RFC 6901) to nonce and ciphertext in
// base64. The fields are not where they were, so that who cannot open them
// decodes zero values.
const sealedKey = "$sealed"

// personal is the part of a Go type that leads to personal fields, by their
// names in JSON. It is a graph: a recursive type leads back to itself.
type personal struct {
	leaf    bool                 // the value is personal as a whole
	fields  map[string]*personal // members of an object
	element *personal            // elements of an array, or values of an object used as a map
}

// scanner finds tagged fields.
type scanner struct {
	event *eventType
	seen  map[reflect.Type]*personal
	found bool
}

// scanTags takes the tags of the payload's type into the event type.
func (t *eventType) scanTags() {
	if t.payload.Kind() == reflect.Struct {
		for _, f := range reflect.VisibleFields(t.payload) {
			if f.Tag.Get("eventlog") == "subject" {
				if f.Type.Kind() != reflect.String || t.subject != nil {
					t.problem(`has the tag eventlog:"subject" on %s, want it on one string field`, f.Name)
				}
				t.subject = f.Index
			}
		}
	}
	s := &scanner{event: t, seen: make(map[reflect.Type]*personal)}
	if p := s.scan(t.payload); s.found {
		t.personal = append(t.personal, p)
	}
}

// scan returns nil for a type that cannot have fields.
func (s *scanner) scan(typ reflect.Type) *personal {
	if p := s.seen[typ]; p != nil {
		return p
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return s.scan(typ.Elem())
	case reflect.Slice, reflect.Array, reflect.Map:
		p := &personal{}
		s.seen[typ] = p
		p.element = s.scan(typ.Elem())
		return p
	case reflect.Struct:
		if !marshals(typ) {
			return s.scanFields(typ)
		}
		inside := &scanner{event: s.event, seen: make(map[reflect.Type]*personal)}
		if inside.scanFields(typ); inside.found {
			s.event.problem("has personal fields in %v, which writes its own JSON; tag the field that holds it", typ)
		}
	}
	return nil
}

func (s *scanner) scanFields(typ reflect.Type) *personal {
	p := &personal{fields: make(map[string]*personal)}
	s.seen[typ] = p
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag := f.Tag.Get("eventlog")
		name, written := jsonName(f)
		switch {
		case tag == "personal" && written:
			p.fields[name] = &personal{leaf: true}
			s.found = true
		case tag != "" && tag != "subject":
			s.event.problem(`has the tag eventlog:%q on %s, want "personal" or "subject" on a field that JSON names`, tag, f.Name)
		case written:
			if inner := s.scan(f.Type); inner != nil {
				p.fields[name] = inner
			}
		case f.Anonymous:
			if embedded := s.scan(f.Type); embedded != nil {
				maps.Copy(p.fields, embedded.fields)
			}
		}
	}
	return p
}

// marshals reports whether the type writes its JSON itself, so that its fields
// do not tell what it writes.
func marshals(typ reflect.Type) bool {
	pointer := reflect.PointerTo(typ)
	return pointer.Implements(reflect.TypeFor[json.Marshaler]()) || pointer.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// jsonName returns the name under which encoding/json writes a field, and
// false for a field that it does not write, or writes as part of the struct
// around it.
func jsonName(f reflect.StructField) (name string, written bool) {
	tag := f.Tag.Get("json")
	name, _, _ = strings.Cut(tag, ",")
	switch {
	case tag == "-" || !f.IsExported():
		return "", false
	case name != "":
		return name, true
	}
	return f.Name, !f.Anonymous
}

// declare returns what leads from the type to the field at a path such as
// "Address.Street", nil when there is none.
func declare(typ reflect.Type, path string) *personal {
	switch typ.Kind() {
	case reflect.Pointer:
		return declare(typ.Elem(), path)
	case reflect.Slice, reflect.Array, reflect.Map:
		if element := declare(typ.Elem(), path); element != nil {
			return &personal{element: element}
		}
	case reflect.Struct:
		first, rest, nested := strings.Cut(path, ".")
		f, found := typ.FieldByName(first)
		name, written := jsonName(f)
		if !found || !written || marshals(typ) {
			return nil
		}
		inner := &personal{leaf: true}
		if nested {
			inner = declare(f.Type, rest)
		}
		if inner != nil {
			return &personal{fields: map[string]*personal{name: inner}}
		}
	}
	return nil
}

// seal moves the personal fields of a payload, JSON, into sealed form.
func seal(fields []*personal, data, key []byte, eventID string) ([]byte, error) {
	tree, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	sealed := make(map[string][]byte)
	for _, p := range fields {
		p.take(tree, "", func(pointer string, value any) {
			plaintext, _ := json.Marshal(value) // it comes from JSON
			nonce := make([]byte, gcm.NonceSize())
			rand.Read(nonce)
			sealed[pointer] = gcm.Seal(nonce, nonce, plaintext, bind(eventID, pointer))
		})
	}
	tree[sealedKey] = sealed
	return json.Marshal(tree)
}

// take removes the personal fields from the value at the pointer and hands
// them over.
func (p *personal) take(value any, pointer string, hand func(pointer string, value any)) {
	switch value := value.(type) {
	case []any:
		if p.element != nil {
			for i, v := range value {
				p.element.take(v, pointer+"/"+strconv.Itoa(i), hand)
			}
		}
	case map[string]any:
		for name, v := range value {
			inner := p.element
			if inner == nil {
				inner = p.fields[name]
			}
			if inner == nil {
				continue
			}
			at := pointer + "/" + escapePointer.Replace(name)
			if inner.leaf {
				hand(at, v)
				delete(value, name)
			} else {
				inner.take(v, at, hand)
			}
		}
	}
}

// unseal puts the sealed fields of a payload back where they were. Without a
// key it leaves them out.
func unseal(data, key []byte, eventID string) ([]byte, error) {
	tree, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	sealed, _ := tree[sealedKey].(map[string]any)
	delete(tree, sealedKey)
	if key != nil {
		gcm, err := newGCM(key)
		if err != nil {
			return nil, err
		}
		for pointer, text := range sealed {
			value, err := openField(gcm, text, eventID, pointer)
			if err != nil {
				return nil, fmt.Errorf("personal field %s: %w", pointer, err)
			}
			if err := put(tree, strings.Split(pointer, "/")[1:], value); err != nil {
				return nil, fmt.Errorf("personal field %s: %w", pointer, err)
			}
		}
	}
	return json.Marshal(tree)
}

func openField(gcm cipher.AEAD, text any, eventID, pointer string) (json.RawMessage, error) {
	var sealed []byte
	if s, ok := text.(string); !ok || json.Unmarshal(strconv.AppendQuote(nil, s), &sealed) != nil || len(sealed) < gcm.NonceSize() {
		return nil, errors.New("not in sealed form")
	}
	nonce, ciphertext := sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():]
	return gcm.Open(nil, nonce, ciphertext, bind(eventID, pointer))
}

// put sets the value at the path. Everything on the way is there, as only
// leaves were taken.
func put(value any, path []string, leaf json.RawMessage) error {
	for i, name := range path {
		name = unescapePointer.Replace(name)
		switch container := value.(type) {
		case map[string]any:
			if i == len(path)-1 {
				container[name] = leaf
				return nil
			}
			value = container[name]
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(container) {
				return fmt.Errorf("no element %q", name)
			}
			value = container[index]
		default:
			return fmt.Errorf("no object around %q", name)
		}
	}
	return errors.New("no object around it")
}

var (
	escapePointer   = strings.NewReplacer("~", "~0", "/", "~1")
	unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")
)

// hasSealed reports whether a recorded payload has sealed fields.
func hasSealed(data []byte) bool {
	if !bytes.Contains(data, []byte(`"`+sealedKey+`"`)) {
		return false
	}
	var object map[string]json.RawMessage
	return json.Unmarshal(data, &object) == nil && object[sealedKey] != nil
}

func parseObject(data []byte) (map[string]any, error) {
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // keeps numbers as they were written
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if tree == nil {
		return nil, errors.New("personal fields need a payload that is a JSON object")
	}
	return tree, nil
}

// bind returns the additional data that ties a sealed field to its place. An id
// has no #.
func bind(eventID, pointer string) []byte { return []byte(eventID + "#" + pointer) }

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
