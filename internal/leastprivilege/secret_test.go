package leastprivilege_test

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/internal/inspection"
	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestSecret(t *testing.T) {
	fn := func(name, value string) string {
		return template(resource("AWS::Lambda::Function", `"Environment":{"Variables":{"`+name+`":`+value+`}}`))
	}
	one := func(kind, properties string) string { return template(resource(kind, properties)) }
	const at = "Environment.Variables."
	// Put together, so that no scanner takes this file for a leak.
	join := func(parts ...string) string { return `"` + strings.Join(parts, "") + `"` }
	dense := join("tJ4vQz9", "Lm2XpR7s", "KdW0nBy", "Fc8Ha")
	catches(t, leastprivilege.Secret, map[string]planted{
		"access key":         {fn("KEY_ID", join("AKIA", "IOSFODNN7EXAMPLE")), at + "KEY_ID", "AWS access key"},
		"private key":        {one("AWS::SSM::Parameter", `"Type":"String","Value":`+join("-----BEGIN RSA PRIVATE", " KEY-----\\nMII")), "Value", "private key"},
		"GitHub":             {fn("REPO", join("ghp", "_", strings.Repeat("a1B2", 9))), at + "REPO", "GitHub"},
		"Slack":              {one("AWS::Events::Connection", `"Header":`+join("xoxb", "-123456789012-abcdef")), "Header", "Slack token"},
		"web hook":           {fn("HOOK", join("https://hooks.slack", ".com/services/T000/B000/", strings.Repeat("x", 24))), at + "HOOK", "Slack web hook"},
		"Stripe":             {fn("PAY", join("sk", "_live_", strings.Repeat("4f", 12))), at + "PAY", "Stripe"},
		"Google":             {fn("MAPS", join("AI", "za", strings.Repeat("Q", 35))), at + "MAPS", "Google"},
		"token":              {fn("AUTH", join("eyJhbGciOiJI", ".eyJzdWIiOiIx", ".c2lnbmF0dXJlLWhlcmU")), at + "AUTH", "signed token"},
		"URL":                {fn("DB", join("postgres://shop:hunter", "22@db.example.com/shop")), at + "DB", "password in a URL"},
		"dense":              {fn("SALT", dense), at + "SALT", "looks like a key"},
		"hexadecimal":        {fn("SEED", join("9f86d081884c7d65", "9a2feaa0c55ad015")), at + "SEED", "looks like a key"},
		"by its name":        {fn("DB_PASSWORD", `"hunter2"`), at + "DB_PASSWORD", "…"},
		"resolved":           {fn("DB", `"{{resolve:secretsmanager:shop:SecretString:password}}"`), at + "DB", "{{resolve:secretsmanager"},
		"container":          {one("AWS::ECS::TaskDefinition", `"ContainerDefinitions":[{"Environment":[{"Name":"API_KEY","Value":"abc"}]}]`), "ContainerDefinitions[0].Environment[0].Value", "…"},
		"database":           {one("AWS::RDS::DBCluster", `"StorageEncrypted":true,"MasterUserPassword":"hunter2"`), "MasterUserPassword", "…"},
		"secret":             {one("AWS::SecretsManager::Secret", `"SecretString":"hunter2"`), "SecretString", "…"},
		"parameter":          {`{"Parameters":{"DbPassword":{"Type":"String"}},"Resources":{}}`, "NoEcho", ""},
		"default":            {`{"Parameters":{"DbPassword":{"Type":"String","NoEcho":true,"Default":"hunter2"}},"Resources":{}}`, "Default", "…"},
		"output of NoEcho":   {`{"Parameters":{"Pin":{"Type":"String","NoEcho":true}},"Outputs":{"P":{"Value":{"Ref":"Pin"}}},"Resources":{}}`, "Value", "${Pin}"},
		"output of a secret": {`{"Outputs":{"P":{"Value":"{{resolve:secretsmanager:shop}}"}},"Resources":{}}`, "Value", "{{resolve:"},
		"output of a key":    {`{"Outputs":{"P":{"Value":{"Fn::GetAtt":["User","SecretAccessKey"]}}},"Resources":{}}`, "Value", "${User.SecretAccessKey}"},
	})
	spares(t, leastprivilege.Secret, map[string]string{
		"an ARN":               fn("SECRET", `{"Ref":"Secret"}`),
		"a name":               fn("TABLE_OF_TOKENS", `"FlashSale-CartsTable8F2B1C3D-1ABCDEFGHIJKL"`),
		"a list":               fn("EVENTS", `"CartOpened,CartCheckedOut,ItemAddedToTheCart"`),
		"a dynamic reference":  one("AWS::RDS::DBCluster", `"StorageEncrypted":true,"MasterUserPassword":"{{resolve:secretsmanager:shop:SecretString:password}}"`),
		"a generated password": one("AWS::SecretsManager::Secret", `"GenerateSecretString":{"GenerateStringKey":"password","SecretStringTemplate":"{}"}`),
		"a kept access key":    one("AWS::SecretsManager::Secret", `"SecretString":{"Fn::GetAtt":["Key","SecretAccessKey"]}`),
		"NoEcho":               `{"Parameters":{"DbPassword":{"Type":"String","NoEcho":"true"}},"Resources":{}}`,
	})
}

// The report lies beside the templates, and must not show what it warns of.
func TestSecretStaysSecret(t *testing.T) {
	for _, secret := range []string{"correct-horse-battery", "hunter2"} {
		text := template(resource("AWS::Lambda::Function", `"Environment":{"Variables":{"DB_PASSWORD":"`+secret+`"}}`))
		for _, f := range judge(t, text) {
			if f.Outcome == inspection.Violated && strings.Contains(f.String()+f.Value+f.Fix, secret) {
				t.Errorf("the finding shows it: %s", f)
			}
		}
	}
}

// TestSecretSeesRandomKeys measures how many keys of 30 random bytes, as AWS's
// secret access keys are, the density gives away.
func TestSecretSeesRandomKeys(t *testing.T) {
	seen := 0
	random := rand.NewChaCha8([32]byte{1})
	for range 200 {
		key := make([]byte, 30)
		random.Read(key)
		for _, f := range judge(t, template(resource("AWS::Lambda::Function", `"Environment":{"Variables":{"SALT":"`+base64.StdEncoding.EncodeToString(key)+`"}}`))) {
			if f.Outcome == inspection.Violated && f.Rule == leastprivilege.Secret.ID {
				seen++
			}
		}
	}
	if seen < 190 {
		t.Errorf("%d of 200 were seen, want 95 %%", seen)
	}
	t.Logf("%d of 200 were seen", seen)
}
