package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
)

// The one kind of asymmetric key that the double has.
const (
	signSpec      = "ECC_NIST_P256"
	signUsage     = "SIGN_VERIFY"
	signAlgorithm = "ECDSA_SHA_256"
)

type keyMetadata struct {
	KeyID             string `json:"KeyId"`
	Arn               string
	AWSAccountID      string `json:"AWSAccountId"`
	Enabled           bool
	KeySpec, KeyUsage string
	SigningAlgorithms []string
}

type kmsError struct{ code, message string }

// asymmetric does the operations of keys that sign.
func (k *KMS) asymmetric(operation string, in request) (*response, *kmsError) {
	arn := "arn:aws:kms:" + Region + ":" + Account + ":key/"
	if operation == "CreateKey" {
		if in.KeySpec != signSpec || in.KeyUsage != signUsage {
			return nil, &kmsError{"ValidationException", "the double makes keys of " + signSpec + " for " + signUsage + " only"}
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, &kmsError{"KMSInternalException", err.Error()}
		}
		id := uuid()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.signing[id] = key
		return &response{KeyMetadata: &keyMetadata{KeyID: id, Arn: arn + id, AWSAccountID: Account, Enabled: true,
			KeySpec: signSpec, KeyUsage: signUsage, SigningAlgorithms: []string{signAlgorithm}}}, nil
	}

	id := strings.TrimPrefix(in.KeyID, arn)
	k.mu.Lock()
	key := k.signing[id]
	k.mu.Unlock()
	if key == nil {
		return nil, &kmsError{"NotFoundException", fmt.Sprintf("Key '%s' does not exist", in.KeyID)}
	}
	if operation == "GetPublicKey" {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return nil, &kmsError{"KMSInternalException", err.Error()}
		}
		return &response{KeyID: arn + id, PublicKey: der, KeySpec: signSpec, KeyUsage: signUsage, SigningAlgorithms: []string{signAlgorithm}}, nil
	}

	digest := in.Message
	switch {
	case in.SigningAlgorithm != signAlgorithm:
		return nil, &kmsError{"InvalidKeyUsageException", fmt.Sprintf("%q is not an algorithm of this key", in.SigningAlgorithm)}
	case in.MessageType == "DIGEST" && len(in.Message) == sha256.Size:
	case (in.MessageType == "RAW" || in.MessageType == "") && len(in.Message) > 0 && len(in.Message) <= 4096:
		sum := sha256.Sum256(in.Message)
		digest = sum[:]
	default:
		return nil, &kmsError{"ValidationException", "Sign needs a DIGEST of 32 bytes, or a RAW message of 1 to 4096"}
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		return nil, &kmsError{"KMSInternalException", err.Error()}
	}
	return &response{KeyID: arn + id, Signature: signature, SigningAlgorithm: signAlgorithm}, nil
}

// uuid returns a random one, version 4 (RFC 9562).
func uuid() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
