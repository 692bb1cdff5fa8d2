package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// KMS is a double of AWS KMS. It speaks the service's JSON protocol.
//
// With symmetric keys it does GenerateDataKey, Encrypt and Decrypt: it really
// encrypts, and binds the encryption context as KMS does. Any key id is taken
// for such a key.
//
// With asymmetric keys on P-256, which CreateKey makes, it does Sign and
// GetPublicKey.
type KMS struct {
	Endpoint
	// Signatures checks the requests. Set it before the first. Default: none is
	// checked, as those that a proxy passes on have not been signed for the double.
	Signatures *SigV4

	script
	gcm     cipher.AEAD
	mu      sync.Mutex
	signing map[string]*ecdsa.PrivateKey // by key id
	delay   time.Duration
}

// NewKMS starts a double that ends with the test.
func NewKMS(t testing.TB) *KMS {
	t.Helper()
	master := make([]byte, 32)
	rand.Read(master)
	block, err := aes.NewCipher(master)
	if err != nil {
		t.Fatal(err)
	}
	k := &KMS{signing: make(map[string]*ecdsa.PrivateKey)}
	if k.gcm, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	k.Endpoint = listen(t, k)
	return k
}

// Fail makes the next calls of an operation, such as "Decrypt", fail with an
// error code, such as "ThrottlingException" or "AccessDeniedException".
func (k *KMS) Fail(operation, code string, times int) {
	k.add(fault{operation: operation, code: code, left: times})
}

// Delay makes every call from now on take at least that long, unless the caller
// leaves earlier.
func (k *KMS) Delay(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delay = d
}

// count notes a call and returns the error code it shall fail with, if any.
func (k *KMS) count(r *http.Request, operation string) (code string) {
	k.mu.Lock()
	delay := k.delay
	k.mu.Unlock()
	f, _ := k.take(operation)
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
	}
	return f.code
}

// request holds the fields of all operations' requests.
type request struct {
	KeyID             string `json:"KeyId"`
	KeySpec, KeyUsage string
	NumberOfBytes     int
	Plaintext         []byte
	CiphertextBlob    []byte
	EncryptionContext map[string]string

	Message                       []byte
	MessageType, SigningAlgorithm string
}

type response struct {
	KeyID          string `json:"KeyId,omitempty"`
	Plaintext      []byte `json:",omitempty"`
	CiphertextBlob []byte `json:",omitempty"`

	KeyMetadata       *keyMetadata `json:",omitempty"`
	KeySpec           string       `json:",omitempty"`
	KeyUsage          string       `json:",omitempty"`
	PublicKey         []byte       `json:",omitempty"`
	Signature         []byte       `json:",omitempty"`
	SigningAlgorithm  string       `json:",omitempty"`
	SigningAlgorithms []string     `json:",omitempty"`
}

// ServeHTTP answers as KMS does.
func (k *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	body, err := io.ReadAll(r.Body)
	if err == nil && k.Signatures != nil {
		_, err := k.Signatures.Verify(r, body)
		if wrong := (*SignatureError)(nil); errors.As(err, &wrong) {
			refuse(w, wrong.Code, wrong.Message)
			return
		}
	}
	if code := k.count(r, operation); code != "" {
		refuse(w, code, "injected by the test")
		return
	}
	var in request
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		refuse(w, "SerializationException", err.Error())
		return
	}
	// Maps are written with sorted keys: equal contexts give equal bytes.
	context, _ := json.Marshal(in.EncryptionContext)

	out := response{KeyID: in.KeyID}
	switch operation {
	case "GenerateDataKey":
		size := in.NumberOfBytes
		if size == 0 {
			size = map[string]int{"AES_128": 16, "AES_256": 32}[in.KeySpec]
		}
		if in.KeyID == "" || size < 1 || size > 1024 {
			refuse(w, "ValidationException", "GenerateDataKey needs KeyId, and KeySpec or NumberOfBytes from 1 to 1024")
			return
		}
		out.Plaintext = make([]byte, size)
		rand.Read(out.Plaintext)
		out.CiphertextBlob = k.wrap(in.KeyID, out.Plaintext, context)
	case "Encrypt":
		if in.KeyID == "" || len(in.Plaintext) == 0 || len(in.Plaintext) > 4096 {
			refuse(w, "ValidationException", "Encrypt needs KeyId, and Plaintext of 1 to 4096 bytes")
			return
		}
		out.CiphertextBlob = k.wrap(in.KeyID, in.Plaintext, context)
	case "Decrypt":
		key, plaintext, err := k.unwrap(in.CiphertextBlob, context)
		if err != nil {
			refuse(w, "InvalidCiphertextException", err.Error())
			return
		}
		if in.KeyID != "" && in.KeyID != key {
			refuse(w, "IncorrectKeyException", "the ciphertext was made with another key")
			return
		}
		out.KeyID, out.Plaintext = key, plaintext
	case "CreateKey", "GetPublicKey", "Sign":
		answer, wrong := k.asymmetric(operation, in)
		if wrong != nil {
			refuse(w, wrong.code, wrong.message)
			return
		}
		out = *answer
	default:
		refuse(w, "UnknownOperationException",
			fmt.Sprintf("operation %q is not one of GenerateDataKey, Encrypt, Decrypt, CreateKey, GetPublicKey, Sign", operation))
		return
	}
	json.NewEncoder(w).Encode(out)
}

// wrap returns the key's id, a zero byte, the nonce and the sealed plaintext.
func (k *KMS) wrap(key string, plaintext, context []byte) []byte {
	blob := append([]byte(key), 0)
	nonce := make([]byte, k.gcm.NonceSize())
	rand.Read(nonce)
	return k.gcm.Seal(append(blob, nonce...), nonce, plaintext, append([]byte(key), context...))
}

func (k *KMS) unwrap(blob, context []byte) (key string, plaintext []byte, err error) {
	id, sealed, found := bytes.Cut(blob, []byte{0})
	if !found || len(sealed) < k.gcm.NonceSize() {
		return "", nil, fmt.Errorf("ciphertext of %d bytes is not of this KMS", len(blob))
	}
	nonce, sealed := sealed[:k.gcm.NonceSize()], sealed[k.gcm.NonceSize():]
	plaintext, err = k.gcm.Open(nil, nonce, sealed, append(bytes.Clone(id), context...))
	return string(id), plaintext, err
}

func refuse(w http.ResponseWriter, code, message string) {
	w.Header().Set("X-Amzn-ErrorType", code)
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}
