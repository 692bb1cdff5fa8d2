package e2e

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/serverless-go/cdk/test/iam"
)

// session is what a session of a role has beyond the role.
type session struct {
	tags   map[string]string
	policy *iam.Policy // nil without
}

// assumeRole begins a session as STS does: the caller's policies and the role's
// trust policy must allow it, and each thing that it sets.
func (d *Deployment) assumeRole(c *call) (*answer, error) {
	form := c.form()
	role, name := form.Get("RoleArn"), form.Get("RoleSessionName")
	if d.iam.roles[role] == nil {
		return nil, &ServiceError{c.operation, http.StatusForbidden, "AccessDenied", "there is no role " + role}
	}
	s := &session{tags: map[string]string{}}
	context := iam.Context{"sts:RoleSessionName": {name}, "sts:TransitiveTagKeys": listed(form, "TransitiveTagKeys.member.%d")}
	for i := 1; form.Has(fmt.Sprintf("Tags.member.%d.Key", i)); i++ {
		key, value := form.Get(fmt.Sprintf("Tags.member.%d.Key", i)), form.Get(fmt.Sprintf("Tags.member.%d.Value", i))
		s.tags[key] = value
		context["aws:TagKeys"] = append(context["aws:TagKeys"], key)
		context["aws:RequestTag/"+key] = []string{value}
	}
	actions := []string{"sts:AssumeRole"}
	if len(s.tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if form.Has("SourceIdentity") {
		context["sts:SourceIdentity"] = []string{form.Get("SourceIdentity")}
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		if err := d.iam.check(c.caller, action, role, context); err != nil {
			return nil, err
		}
	}
	if text := form.Get("Policy"); text != "" {
		var err error
		if s.policy, err = iam.Parse(json.RawMessage(text)); err != nil || len(text) > 2048 {
			return nil, &ServiceError{c.operation, http.StatusBadRequest, "MalformedPolicyDocument", fmt.Sprintf("%d characters: %v", len(text), err)}
		}
	}
	key, token := "ASIA"+strings.ToUpper(strings.ReplaceAll(d.newID(), "-", "")), "session-"+d.newID()
	d.credentials.Store(key, &credential{caller: caller{principal: iam.Principal{ARN: role}, session: s}, token: token})
	type credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	}
	body, err := xml.Marshal(struct {
		XMLName     xml.Name    `xml:"AssumeRoleResponse"`
		Credentials credentials `xml:"AssumeRoleResult>Credentials"`
	}{Credentials: credentials{key, "none", token, time.Now().Add(15 * time.Minute).UTC().Format(time.RFC3339)}})
	return &answer{http.StatusOK, http.Header{"Content-Type": {"text/xml"}}, body}, err
}

// listed returns the elements of a list in a form.
func listed(form url.Values, name string) []string {
	var list []string
	for form.Has(fmt.Sprintf(name, len(list)+1)) {
		list = append(list, form.Get(fmt.Sprintf(name, len(list)+1)))
	}
	return list
}
