package cloudflare

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Worker is all that a [Deployer] deploys: a script with its stores, and the
// addresses where it answers.
type Worker struct {
	// Name is the script's.
	Name string
	// Module, CompatibilityDate and CompatibilityFlags are as in [Upload].
	Module             string
	CompatibilityDate  string
	CompatibilityFlags []string
	// Variables are texts by the name that the script finds them under.
	Variables map[string]string
	// Secrets are the same, and nobody can read them in Cloudflare.
	Secrets map[string]Secret
	// Entries are the contents of key-value namespaces, by the name that the
	// script finds them under. They are made, filled and deleted with the
	// versions that read them.
	Entries map[string]map[string]string
	// Namespaces are the IDs of namespaces that are there already, by that name.
	Namespaces map[string]string
	// Routes and Domains are where the Worker answers; their Script and Service
	// are the Worker whatever they say.
	Routes  []Route
	Domains []Domain
	// Steps are the parts of a gradual deployment, before the new version
	// answers everything. None: it does so at once.
	Steps []Step
	// Probe is an address at which each step asks the new version for an answer
	// below 400. Empty: it is not asked.
	Probe string
	// Revision has no meaning but that another one is another version.
	Revision string
}

// A Secret is a secret's text, and what changes when the text does.
type Secret struct {
	Text    string
	Version string
}

// String returns no part of the secret.
func (Secret) String() string { return redacted }

// GoString returns no part of the secret.
func (Secret) GoString() string { return redacted }

// MarshalText returns no part of the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Step lets a new version answer a percentage of the requests for some time.
type Step struct {
	Percentage float64
	Wait       time.Duration
}

// hash returns the beginning of a hash of values as JSON has them.
func hash(length int, values ...any) string {
	h := sha256.New()
	// Strings, maps and slices of them always marshal.
	_ = json.NewEncoder(h).Encode(values)
	return hex.EncodeToString(h.Sum(nil))[:length]
}

// digest changes with everything that makes another version. Of secrets it has
// the versions only, for it can be read in Cloudflare.
func (w *Worker) digest() string {
	versions := map[string]string{}
	for name, s := range w.Secrets {
		versions[name] = s.Version
	}
	// An annotation has room for 20 characters.
	return hash(20, w.Module, w.CompatibilityDate, w.CompatibilityFlags, w.Variables, versions, w.Entries, w.Namespaces, w.Revision)
}

// upload returns the version, with the namespaces that hold the entries.
func (w *Worker) upload(entries map[string]string, owner string) *Upload {
	u := &Upload{
		Module: w.Module, CompatibilityDate: w.CompatibilityDate, CompatibilityFlags: w.CompatibilityFlags,
		Tags: []string{owner}, Tag: w.digest(), Message: "Deployed by CloudFormation",
	}
	for name, text := range w.Variables {
		u.Bindings = append(u.Bindings, Binding{Type: PlainText, Name: name, Text: text})
	}
	for name, secret := range w.Secrets {
		u.Bindings = append(u.Bindings, Binding{Type: SecretText, Name: name, Text: secret.Text})
	}
	for _, ids := range []map[string]string{entries, w.Namespaces} {
		for name, id := range ids {
			u.Bindings = append(u.Bindings, Binding{Type: KVNamespace, Name: name, NamespaceID: id})
		}
	}
	slices.SortFunc(u.Bindings, func(a, b Binding) int { return strings.Compare(a.Name, b.Name) })
	return u
}

// zones returns the zones of the routes of all the workers, each once.
func zones(workers ...*Worker) []string {
	ids := map[string]bool{}
	for _, w := range workers {
		for _, r := range w.Routes {
			ids[r.ZoneID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

func (w *Worker) hasRoute(r Route) bool {
	return slices.ContainsFunc(w.Routes, func(own Route) bool { return own.ZoneID == r.ZoneID && own.Pattern == r.Pattern })
}

func (w *Worker) hasDomain(hostname string) bool {
	return slices.ContainsFunc(w.Domains, func(own Domain) bool { return own.Hostname == hostname })
}
