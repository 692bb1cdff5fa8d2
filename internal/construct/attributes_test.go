package construct

import "testing"

// sealed is a thing that may have a key.
type sealed struct {
	thing
	key any
}

func (x *sealed) EncryptionKey() any {
	x.reads++
	return x.key
}

func TestEncryptionKeyIsReadOnceEvenIfThereIsNone(t *testing.T) {
	for _, key := range []any{nil, "key"} {
		x := &sealed{key: key}
		for range 2 {
			if EncryptionKey(x) != key {
				t.Errorf("the key is not %v", key)
			}
		}
		if x.reads != 1 {
			t.Errorf("the key %v was read %d times, want once", key, x.reads)
		}
	}
}

func TestEncryptionKeyThatIsKnownIsNotRead(t *testing.T) {
	for _, key := range []any{nil, "key"} {
		x := &sealed{key: "another"}
		KnowEncryptionKey(x, key)
		if EncryptionKey(x) != key || x.reads != 0 {
			t.Errorf("the key %v was read %d times, want %v, never read", EncryptionKey(x), x.reads, key)
		}
	}
}
