package leastprivilege_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

// large is the document of a policy with as many statements, of some 120
// characters each.
func large(statements int) string {
	list := make([]string, statements)
	for i := range list {
		list[i] = fmt.Sprintf(`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":["arn:aws:sqs:eu-west-1:111122223333:queue-%04d",{"Fn::GetAtt":["Queue","Arn"]}]}`, i)
	}
	return `{ "Statement": [` + strings.Join(list, " ,\n") + `]}`
}

func TestPolicySize(t *testing.T) {
	inline := func(statements int) string {
		return `"Policies":[{"PolicyName":"p","PolicyDocument":` + large(statements) + `}]`
	}
	beside := func(kind, attached string, statements int) string {
		return `"Beside":{"Type":"` + kind + `","Properties":{` + attached + `,"PolicyName":"b","PolicyDocument":` + large(statements) + `}}`
	}
	catches(t, leastprivilege.PolicySize, map[string]planted{
		"in the role":     {template(resource("AWS::IAM::Role", inline(90))), "the size of its inline policies", "at least 1"},
		"beside the role": {template(resource("AWS::IAM::Role", `"RoleName":"r"`), beside("AWS::IAM::Policy", `"Roles":[{"Ref":"It"}]`, 90)), "the size of its inline policies", "at least 1"},
		"both":            {template(resource("AWS::IAM::Role", inline(45)), beside("AWS::IAM::RolePolicy", `"RoleName":{"Ref":"It"}`, 45)), "the size of its inline policies", "at least 1"},
		"of a group":      {template(resource("AWS::IAM::Group", inline(45))), "the size of its inline policies", "at least 5"},
		"beside the user": {template(resource("AWS::IAM::User", `"UserName":"u"`), beside("AWS::IAM::Policy", `"Users":[{"Ref":"It"}]`, 20)), "the size of its inline policies", "at least 2"},
		"if a condition":  {template(resource("AWS::IAM::Role", `"Policies":{"Fn::If":["Prod",[{"PolicyName":"p","PolicyDocument":`+large(90)+`}],[]]}`)), "the size of its inline policies", "at least 1"},
	})
	spares(t, leastprivilege.PolicySize, map[string]string{
		"half":              template(resource("AWS::IAM::Role", inline(45))),
		"another's":         template(resource("AWS::IAM::Role", inline(45)), beside("AWS::IAM::Policy", `"Roles":["other"]`, 45)),
		"what is not known": template(resource("AWS::IAM::Role", `"Policies":[{"PolicyName":"p","PolicyDocument":{"Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":[`+strings.TrimSuffix(strings.Repeat(`{"Ref":"AQueueWithALongLogicalName"},`, 500), ",")+`]}]}}]`)),
		"either":            template(resource("AWS::IAM::Role", `"Policies":{"Fn::If":["Prod",[{"PolicyName":"p","PolicyDocument":`+large(45)+`}],[{"PolicyName":"p","PolicyDocument":`+large(46)+`}]]}`)),
		"no policy":         template(resource("AWS::IAM::User", `"UserName":"u"`)),
	})
}
