package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
)

// Kinds of bindings.
const (
	PlainText   = "plain_text"
	SecretText  = "secret_text"
	KVNamespace = "kv_namespace"
)

// A Binding is what a script finds in its env. Printed or logged it shows no
// text, which may be a secret.
type Binding struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	NamespaceID string `json:"namespace_id"` // of a KVNamespace
	Text        string `json:"text"`         // of a PlainText or SecretText; Cloudflare never returns a secret
}

// MarshalJSON returns what the API takes for this kind of binding.
func (b Binding) MarshalJSON() ([]byte, error) {
	fields := map[string]string{"type": b.Type, "name": b.Name}
	if b.Type == KVNamespace {
		fields["namespace_id"] = b.NamespaceID
	} else {
		fields["text"] = b.Text
	}
	return json.Marshal(fields)
}

// String returns the kind and the name.
func (b Binding) String() string { return b.Type + " " + b.Name }

// GoString returns the kind and the name.
func (b Binding) GoString() string { return b.String() }

// LogValue returns the kind and the name.
func (b Binding) LogValue() slog.Value { return slog.StringValue(b.String()) }

// An Upload is one version of a script.
type Upload struct {
	// Module is the text of the script, an ECMAScript module.
	Module string
	// CompatibilityDate fixes the runtime's behaviour: "2026-01-01".
	CompatibilityDate string
	// CompatibilityFlags change single parts of it.
	CompatibilityFlags []string
	// Bindings are what the script finds in its env.
	Bindings []Binding
	// Tags are the script's, of which a version has none.
	Tags []string
	// Tag and Message annotate the version, up to 20 and 50 characters.
	Tag, Message string
}

// module is the name of the part that holds the script.
const module = "worker.mjs"

// payload returns the multipart form that the API takes: one part of JSON and
// one for the module, whose name the first one tells.
func (u *Upload) payload() (payload, error) {
	metadata, err := json.Marshal(struct {
		MainModule         string            `json:"main_module"`
		CompatibilityDate  string            `json:"compatibility_date,omitempty"`
		CompatibilityFlags []string          `json:"compatibility_flags,omitempty"`
		Bindings           []Binding         `json:"bindings"`
		Tags               []string          `json:"tags,omitempty"`
		Annotations        map[string]string `json:"annotations,omitempty"`
	}{module, u.CompatibilityDate, u.CompatibilityFlags, append([]Binding{}, u.Bindings...), u.Tags, u.annotations()})
	if err != nil {
		return payload{}, err
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part := func(name, disposition, kind, text string) error {
		w, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf(`form-data; name=%q%s`, name, disposition)},
			"Content-Type":        {kind},
		})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		return err
	}
	if err := part("metadata", "", "application/json", string(metadata)); err != nil {
		return payload{}, err
	}
	if err := part(module, fmt.Sprintf(`; filename=%q`, module), "application/javascript+module", u.Module); err != nil {
		return payload{}, err
	}
	if err := form.Close(); err != nil {
		return payload{}, err
	}
	return payload{form.FormDataContentType(), b.Bytes()}, nil
}

func (u *Upload) annotations() map[string]string {
	m := map[string]string{}
	if u.Tag != "" {
		m[tagKey] = u.Tag
	}
	if u.Message != "" {
		m[messageKey] = u.Message
	}
	return m
}

// Annotations of a version.
const (
	tagKey     = "workers/tag"
	messageKey = "workers/message"
)

// Settings are what a script has beside its code.
type Settings struct {
	Tags     []string  `json:"tags"`
	Bindings []Binding `json:"bindings"`
}

// A Version is an uploaded version of a script. It stays as long as the script.
type Version struct {
	ID          string            `json:"id"`
	Number      float64           `json:"number"`
	Annotations map[string]string `json:"annotations"`
	Resources   struct {
		Bindings []Binding `json:"bindings"`
	} `json:"resources"`
}

// Tag returns the tag that the version was uploaded with.
func (v *Version) Tag() string { return v.Annotations[tagKey] }

// A Share is the part of all requests that a version answers.
type Share struct {
	VersionID  string  `json:"version_id"`
	Percentage float64 `json:"percentage"`
}

// A Deployment says which versions answer; there are one or two of them.
type Deployment struct {
	ID       string  `json:"id"`
	Versions []Share `json:"versions"`
}

// Settings returns the settings of a script.
func (c *Client) Settings(ctx context.Context, script string) (*Settings, error) {
	var s Settings
	return &s, c.call(ctx, http.MethodGet, c.account("workers", "scripts", script, "settings"), nil, nil, &s)
}

// PutScript uploads a script and deploys it at once, whatever was there.
func (c *Client) PutScript(ctx context.Context, script string, u *Upload) error {
	path := c.account("workers", "scripts", script)
	body, err := u.payload()
	if err != nil {
		return fmt.Errorf("PUT %s: %w", path, err)
	}
	return c.do(ctx, http.MethodPut, path, nil, body, nil)
}

// DeleteScript deletes a script with its versions, unless another Worker is
// bound to it.
func (c *Client) DeleteScript(ctx context.Context, script string) error {
	return c.call(ctx, http.MethodDelete, c.account("workers", "scripts", script), nil, nothing, nil)
}

// UploadVersion uploads a version of a script that exists, and does not deploy
// it.
func (c *Client) UploadVersion(ctx context.Context, script string, u *Upload) (*Version, error) {
	path := c.account("workers", "scripts", script, "versions")
	body, err := u.payload()
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	var v Version
	return &v, c.do(ctx, http.MethodPost, path, nil, body, &v)
}

// Version returns a version of a script.
func (c *Client) Version(ctx context.Context, script, id string) (*Version, error) {
	var v Version
	return &v, c.call(ctx, http.MethodGet, c.account("workers", "scripts", script, "versions", id), nil, nil, &v)
}

// Deployed returns the deployment of a script that is in force.
func (c *Client) Deployed(ctx context.Context, script string) (*Deployment, error) {
	path := c.account("workers", "scripts", script, "deployments")
	var list struct {
		Deployments []*Deployment `json:"deployments"` // the newest first
	}
	if err := c.call(ctx, http.MethodGet, path, nil, nil, &list); err != nil {
		return nil, err
	}
	if len(list.Deployments) == 0 || len(list.Deployments[0].Versions) == 0 {
		return nil, fmt.Errorf("GET %s: no version is deployed", path)
	}
	return list.Deployments[0], nil
}

// Deploy lets versions of a script answer. Forced, it goes back to a version
// with other secrets too.
func (c *Client) Deploy(ctx context.Context, script string, force bool, shares ...Share) error {
	var query url.Values
	if force {
		query = url.Values{"force": {"true"}}
	}
	body := map[string]any{"strategy": "percentage", "versions": shares}
	return c.call(ctx, http.MethodPost, c.account("workers", "scripts", script, "deployments"), query, body, nil)
}
