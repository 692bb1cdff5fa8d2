package token

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// hasDuplicate says the same as strict does, by the decoder of the standard
// library.
func hasDuplicate(d *json.Decoder) bool {
	t, err := d.Token()
	if err != nil {
		return false
	}
	open, ok := t.(json.Delim)
	if !ok {
		return false
	}
	found, names := false, map[string]bool{}
	for d.More() {
		if open == '{' {
			name, _ := d.Token()
			s, _ := name.(string)
			found = found || names[s]
			names[s] = true
		}
		found = hasDuplicate(d) || found
	}
	_, err = d.Token()
	return found && err == nil
}

func FuzzStrict(f *testing.F) {
	for _, s := range []string{
		`{"a":{"a":1},"b":[{"a":1},{"a":2}]}`, `{"a":1,"\u0061":2}`, `{"a\"b":1,"a\"b":2}`, `{"\\":1,"\\\\":2}`, `[",","{",{"a":"a"}]`,
		`{"a":{"b":1},"c":2,"a":3}`, `[[1,2],{"a":[{},{"b":"\""}]}]`, `"{"`, `1`, ``, `{"\ud800":1,"\udfff":2}`, `{"a":"b","b":"a"}`, strings.Repeat("[", 20),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := strict(data)
		if err != nil && !strings.HasSuffix(err.Error(), "twice") {
			return
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if !json.Valid(data) || hasDuplicate(d) != (err != nil) {
			t.Errorf("%q: error %v", data, err)
		}
	})
}
