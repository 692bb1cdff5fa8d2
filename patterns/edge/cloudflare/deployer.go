package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What a deployment can fail with, beside the errors of single calls.
var (
	// ErrNotOwned means that somebody else made what is in the way. It is left
	// alone.
	ErrNotOwned = errors.New("cloudflare: not made by this deployment, which leaves it alone")
	// ErrNotRestored means that a deployment failed and could not be undone
	// wholly: what is left must be looked after by hand.
	ErrNotRestored = errors.New("cloudflare: not everything could be put back")
)

// A Deployer makes an account hold a Worker, or no longer hold it. Both can be
// repeated at any time, with the same result.
//
// The script has a tag, and the namespaces that hold its entries have titles,
// which name the owner. A route or a custom domain belongs to the script that it
// leads to. What belongs to another is neither changed nor deleted.
type Deployer struct {
	Client *Client
	// Owner tells this deployment from all others.
	Owner string
	// Restore is how long putting everything back may take, even if ctx is over;
	// default 1 minute.
	Restore time.Duration
}

// tag marks the scripts of the owner. Cloudflare takes a script's tags without
// "," and "&".
func (d *Deployer) tag() string { return "serverless-go-cdk-" + hash(32, d.Owner) }

// title names the namespace for the entries of one binding. It changes with
// them: what a version reads never changes under it.
func (d *Deployer) title(w *Worker, binding string) string {
	return d.titles(w) + hash(16, binding, w.Entries[binding]) + "-" + binding
}

// titles begins the titles of all namespaces of a script of the owner.
func (d *Deployer) titles(w *Worker) string { return w.Name + "-" + hash(32, d.Owner, w.Name) + "-" }

// Apply makes the account hold the Worker and returns the version that answers.
// Before is what the same deployment held, nil for nothing: what it had and this
// one has not is deleted. If it fails, it puts back everything as it was; the
// error is [ErrNotRestored] too if it could not.
//
// A new version stays in the history of its script, where it answers nothing:
// Cloudflare has no way to delete it.
func (d *Deployer) Apply(ctx context.Context, w, before *Worker) (version string, err error) {
	if before == nil {
		before = &Worker{Name: w.Name}
	}
	c := &change{Deployer: d, ctx: ctx, to: w, before: before}
	if err = c.apply(); err == nil {
		return c.version, nil
	}
	// What is left of the time may be nothing, and half a deployment is worse
	// than a late answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), or(d.Restore, time.Minute))
	defer cancel()
	for _, undo := range slices.Backward(c.undo) {
		if failure := undo(ctx); failure != nil {
			// What is still to be undone may be read by what could not be.
			return "", errors.Join(err, fmt.Errorf("%w: %w", ErrNotRestored, failure))
		}
	}
	return "", err
}

// Remove deletes the Worker and all that was made for it.
func (d *Deployer) Remove(ctx context.Context, w *Worker) error {
	owned, exists, err := d.owns(ctx, w.Name)
	if err != nil {
		return err
	}
	if owned || !exists {
		c := &change{Deployer: d, ctx: ctx, to: &Worker{Name: w.Name}, before: w}
		if err := c.prune(); err != nil {
			return err
		}
	}
	if owned {
		if err := missing(d.Client.DeleteScript(ctx, w.Name)); err != nil {
			return err
		}
	}
	return d.pruneNamespaces(ctx, w, nil)
}

// owns reports whether the script exists and whether it is the owner's.
func (d *Deployer) owns(ctx context.Context, script string) (owned, exists bool, err error) {
	settings, err := d.Client.Settings(ctx, script)
	if errors.Is(err, ErrNotFound) {
		return false, false, nil
	} else if err != nil {
		return false, false, err
	}
	return slices.Contains(settings.Tags, d.tag()), true, nil
}

// pruneNamespaces deletes the namespaces of the script but those that are kept.
func (d *Deployer) pruneNamespaces(ctx context.Context, w *Worker, kept map[string]bool) error {
	namespaces, err := d.Client.Namespaces(ctx)
	if err != nil {
		return err
	}
	for _, n := range namespaces {
		if strings.HasPrefix(n.Title, d.titles(w)) && !kept[n.ID] {
			if err := missing(d.Client.DeleteNamespace(ctx, n.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing takes what is not there for deleted.
func missing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// A change is a deployment on its way, with how to undo what is done. Each undo
// is noted before what it undoes, whose answer may be lost, and looks first
// whether there is something to undo.
type change struct {
	*Deployer
	ctx        context.Context
	to, before *Worker
	former     string // the script's name before, if it had another
	version    string // that answers in the end
	undo       []func(context.Context) error
}

func (c *change) undoing(f func(context.Context) error) { c.undo = append(c.undo, f) }

// apply checks first, then makes what nobody sees yet, then deploys, then opens
// the addresses, and deletes last.
func (c *change) apply() error {
	owned, exists, err := c.owns(c.ctx, c.to.Name)
	if err != nil {
		return err
	}
	if exists && !owned {
		return fmt.Errorf("%w: script %s: choose another name", ErrNotOwned, c.to.Name)
	}
	if c.before.Name != c.to.Name {
		// A renamed Worker takes its addresses along.
		owned, _, err := c.owns(c.ctx, c.before.Name)
		if err != nil {
			return err
		}
		if owned {
			c.former = c.before.Name
		}
	}
	routes, err := c.routes()
	if err != nil {
		return err
	}
	domains, err := c.domains()
	if err != nil {
		return err
	}
	kept, err := c.deploy(exists)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := c.route(r); err != nil {
			return err
		}
	}
	for _, domain := range domains {
		if err := c.domain(domain); err != nil {
			return err
		}
	}
	if err := c.prune(); err != nil {
		return err
	}
	if kept == nil {
		return nil
	}
	return c.pruneNamespaces(c.ctx, c.to, kept)
}

// mine reports whether an address that leads to the script is the deployment's.
func (c *change) mine(script string) bool {
	return script == c.to.Name || c.former != "" && script == c.former
}

// routes returns the routes that do not lead to the script yet: with the ID and
// script that they have, or without any.
func (c *change) routes() ([]Route, error) {
	var open []Route
	for _, zone := range zones(c.to) {
		there, err := c.Client.Routes(c.ctx, zone)
		if err != nil {
			return nil, err
		}
		for _, want := range c.to.Routes {
			if want.ZoneID != zone {
				continue
			}
			i := slices.IndexFunc(there, func(r Route) bool { return r.Pattern == want.Pattern })
			switch {
			case i < 0:
				open = append(open, Route{ZoneID: zone, Pattern: want.Pattern})
			case !c.mine(there[i].Script):
				return nil, fmt.Errorf("%w: route %s leads to the script %q", ErrNotOwned, want.Pattern, there[i].Script)
			case there[i].Script != c.to.Name:
				open = append(open, there[i])
			}
		}
	}
	return open, nil
}

// domains does the same for custom domains.
func (c *change) domains() ([]Domain, error) {
	var open []Domain
	for _, want := range c.to.Domains {
		there, err := c.Client.Domains(c.ctx, want.Hostname)
		if err != nil {
			return nil, err
		}
		switch {
		case len(there) == 0:
			open = append(open, Domain{ZoneID: want.ZoneID, Hostname: want.Hostname})
		case !c.mine(there[0].Service):
			return nil, fmt.Errorf("%w: domain %s belongs to the script %q", ErrNotOwned, want.Hostname, there[0].Service)
		case there[0].Service != c.to.Name:
			open = append(open, there[0])
		}
	}
	return open, nil
}

// deploy makes the script's new version answer. It returns the namespaces that
// are still read, or nil if nothing was deployed: of the version before, too,
// which answers for some seconds more.
func (c *change) deploy(exists bool) (kept map[string]bool, err error) {
	var there *Deployment
	var base, next Version // what answers, and the new one if it is uploaded
	if exists {
		if there, err = c.Client.Deployed(c.ctx, c.to.Name); err != nil {
			return nil, err
		}
		most := 0.0
		for _, share := range there.Versions {
			v, err := c.Client.Version(c.ctx, c.to.Name, share.VersionID)
			if err != nil {
				return nil, err
			}
			same := v.Tag() == c.to.digest()
			if same {
				if same, err = c.holds(v); err != nil {
					return nil, err
				}
			}
			if same {
				next = *v
			} else if share.Percentage > most {
				base, most = *v, share.Percentage
			}
		}
		if next.ID != "" && len(there.Versions) == 1 {
			c.version = next.ID
			return nil, nil
		}
	}
	entries, err := c.namespaces()
	if err != nil {
		return nil, err
	}
	kept = map[string]bool{}
	for _, id := range entries {
		kept[id] = true
	}
	upload := c.to.upload(entries, c.tag())
	if !exists {
		return kept, c.create(upload)
	}
	for _, b := range base.Resources.Bindings {
		kept[b.NamespaceID] = true
	}
	if next.ID == "" {
		v, err := c.Client.UploadVersion(c.ctx, c.to.Name, upload)
		if err != nil {
			return nil, err
		}
		next = *v
	}
	c.undoing(func(ctx context.Context) error { return c.Client.Deploy(ctx, c.to.Name, true, there.Versions...) })
	c.version = next.ID
	if base.ID != "" {
		for _, step := range c.to.Steps {
			if err := c.share(step.Wait, Share{next.ID, step.Percentage}, Share{base.ID, 100 - step.Percentage}); err != nil {
				return nil, err
			}
		}
	}
	return kept, c.share(0, Share{next.ID, 100})
}

// holds reports whether the namespaces that a version reads are still there: a
// deployment that could not be undone wholly may have left it without.
func (c *change) holds(v *Version) (bool, error) {
	if len(c.to.Entries) == 0 {
		return true, nil
	}
	there, err := c.Client.Namespaces(c.ctx)
	if err != nil {
		return false, err
	}
	for binding := range c.to.Entries {
		id, found := find(there, c.title(c.to, binding))
		if !found || !slices.ContainsFunc(v.Resources.Bindings, func(b Binding) bool { return b.Name == binding && b.NamespaceID == id }) {
			return false, nil
		}
	}
	return true, nil
}

// share deploys versions, waits, and asks the first one for an answer.
func (c *change) share(wait time.Duration, shares ...Share) error {
	if err := c.Client.Deploy(c.ctx, c.to.Name, false, shares...); err != nil {
		return err
	}
	if err := sleep(c.ctx, wait); err != nil {
		return fmt.Errorf("wait for %s at %g %%: %w", wait, shares[0].Percentage, err)
	}
	return c.probe(shares[0])
}

// create uploads the first version, which is deployed at once and which no
// request reaches yet.
func (c *change) create(upload *Upload) error {
	c.undoing(func(ctx context.Context) error {
		owned, _, err := c.owns(ctx, c.to.Name)
		if err != nil || !owned {
			return err
		}
		return missing(c.Client.DeleteScript(ctx, c.to.Name))
	})
	if err := c.Client.PutScript(c.ctx, c.to.Name, upload); err != nil {
		return err
	}
	there, err := c.Client.Deployed(c.ctx, c.to.Name)
	if err == nil {
		c.version = there.Versions[0].VersionID
	}
	return err
}

// namespaces makes the namespaces that hold the entries and returns their IDs.
func (c *change) namespaces() (map[string]string, error) {
	ids := map[string]string{}
	if len(c.to.Entries) == 0 {
		return ids, nil
	}
	there, err := c.Client.Namespaces(c.ctx)
	if err != nil {
		return nil, err
	}
	for _, binding := range slices.Sorted(maps.Keys(c.to.Entries)) {
		title := c.title(c.to, binding)
		id, found := find(there, title)
		if !found {
			c.undoing(func(ctx context.Context) error {
				there, err := c.Client.Namespaces(ctx)
				if err != nil {
					return err
				}
				if id, found := find(there, title); found {
					return missing(c.Client.DeleteNamespace(ctx, id))
				}
				return nil
			})
			if id, err = c.namespace(title); err != nil {
				return nil, err
			}
		}
		// One that was found may be half filled.
		if err := c.Client.WriteValues(c.ctx, id, c.to.Entries[binding]); err != nil {
			return nil, err
		}
		ids[binding] = id
	}
	return ids, nil
}

func find(namespaces []Namespace, title string) (id string, found bool) {
	i := slices.IndexFunc(namespaces, func(n Namespace) bool { return n.Title == title })
	if i < 0 {
		return "", false
	}
	return namespaces[i].ID, true
}

// namespace makes a namespace, or finds the one that was made when the answer
// was lost.
func (c *change) namespace(title string) (string, error) {
	n, err := c.Client.CreateNamespace(c.ctx, title)
	if err == nil {
		return n.ID, nil
	}
	if !errors.Is(err, ErrExists) {
		return "", err
	}
	there, listing := c.Client.Namespaces(c.ctx)
	if listing != nil {
		return "", listing
	}
	id, found := find(there, title)
	if !found {
		return "", err
	}
	return id, nil
}

// route leads a route to the script.
func (c *change) route(r Route) error {
	if r.ID != "" { // the script's former name has it
		c.undoing(func(ctx context.Context) error { return c.Client.UpdateRoute(ctx, r) })
		moved := r
		moved.Script = c.to.Name
		return c.Client.UpdateRoute(c.ctx, moved)
	}
	c.undoing(func(ctx context.Context) error { return c.dropRoute(ctx, r) })
	r.Script = c.to.Name
	return c.addRoute(c.ctx, r)
}

// addRoute makes a route, unless it was made when the answer was lost.
func (c *change) addRoute(ctx context.Context, r Route) error {
	err := c.Client.CreateRoute(ctx, r)
	if !errors.Is(err, ErrExists) {
		return err
	}
	there, listing := c.Client.Routes(ctx, r.ZoneID)
	if listing != nil {
		return listing
	}
	i := slices.IndexFunc(there, func(other Route) bool { return other.Pattern == r.Pattern })
	if i >= 0 && there[i].Script == r.Script {
		return nil
	}
	return err
}

// dropRoute deletes the route if it leads to the script.
func (c *change) dropRoute(ctx context.Context, r Route) error {
	there, err := c.Client.Routes(ctx, r.ZoneID)
	if err != nil {
		return err
	}
	for _, other := range there {
		if other.Pattern == r.Pattern && other.Script == c.to.Name {
			return missing(c.Client.DeleteRoute(ctx, other))
		}
	}
	return nil
}

// domain gives a custom domain to the script.
func (c *change) domain(d Domain) error {
	if d.ID != "" { // the script's former name has it
		c.undoing(func(ctx context.Context) error { return c.Client.AttachDomain(ctx, d) })
	} else {
		c.undoing(func(ctx context.Context) error {
			there, err := c.Client.Domains(ctx, d.Hostname)
			if err != nil || len(there) == 0 || there[0].Service != c.to.Name {
				return err
			}
			return missing(c.Client.DetachDomain(ctx, there[0].ID))
		})
	}
	taken := d
	taken.Service = c.to.Name
	return c.Client.AttachDomain(c.ctx, taken)
}

// prune deletes the addresses that the Worker had and no longer has.
func (c *change) prune() error {
	for _, zone := range zones(c.before) {
		there, err := c.Client.Routes(c.ctx, zone)
		if err != nil {
			return err
		}
		for _, r := range there {
			if r.Script != c.to.Name || !c.before.hasRoute(r) || c.to.hasRoute(r) {
				continue
			}
			c.undoing(func(ctx context.Context) error { return c.addRoute(ctx, r) })
			if err := missing(c.Client.DeleteRoute(c.ctx, r)); err != nil {
				return err
			}
		}
	}
	for _, old := range c.before.Domains {
		if c.to.hasDomain(old.Hostname) {
			continue
		}
		there, err := c.Client.Domains(c.ctx, old.Hostname)
		if err != nil {
			return err
		}
		if len(there) == 0 || there[0].Service != c.to.Name {
			continue
		}
		c.undoing(func(ctx context.Context) error { return c.Client.AttachDomain(ctx, there[0]) })
		if err := missing(c.Client.DetachDomain(c.ctx, there[0].ID)); err != nil {
			return err
		}
	}
	return nil
}

// overrides chooses the version that answers a request
// (https://developers.cloudflare.com/workers/configuration/versions-and-deployments/version-overrides/).
const overrides = "Cloudflare-Workers-Version-Overrides"

// probe asks a version for an answer, several times, for its deployment takes
// seconds to reach all of Cloudflare's network. It sends no token.
func (c *change) probe(share Share) error {
	if c.to.Probe == "" {
		return nil
	}
	pause := or(c.Client.Backoff, time.Second)
	for attempt := 1; ; attempt++ {
		err := c.ask(share.VersionID)
		if err == nil {
			return nil
		}
		if attempt >= or(c.Client.Attempts, 5) || sleep(c.ctx, pause) != nil {
			return fmt.Errorf("the new version fails at %g %%: %w", share.Percentage, err)
		}
		pause *= 2
	}
}

func (c *change) ask(version string) error {
	ctx, cancel := context.WithTimeout(c.ctx, or(c.Client.Timeout, 30*time.Second))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.to.Probe, nil)
	if err != nil {
		return err
	}
	request.Header.Set(overrides, fmt.Sprintf("%s=%q", c.to.Name, version))
	response, err := still(c.Client.HTTP).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection can be used again
	if response.StatusCode >= 400 {
		return fmt.Errorf("GET %s answers %s", c.to.Probe, response.Status)
	}
	return nil
}
