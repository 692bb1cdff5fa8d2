package transcript

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const traced = `Node 20 is end-of-life
> {"api":"load","name":"constructs"}
< {"ok":{"assembly":"constructs","types":1}}
> {"api":"create","fqn":"aws-cdk-lib.App","args":[null]}
< {"ok":{"$jsii.byref":"aws-cdk-lib.App@1"}}
[@jsii/kernel] a dump of objects that ends at onc> {"api":"create","fqn":"aws-cdk-lib.Stack","args":[{"$jsii.byref":"aws-cdk-lib.App@1"},"Shop1",null]}
< {"ok":{"$jsii.byref":"aws-cdk-lib.Stack@2"}}
> {"api":"create","fqn":"constructs.Construct","args":[{"$jsii.byref":"aws-cdk-lib.Stack@2"},"Cart"],"interfaces":["aws-cdk-lib.aws_iam.IGrantable"],"overrides":[{"property":"grantPrincipal","cookie":"GrantPrincipal"},{"method":"grantRead","cookie":"GrantRead"}]}
< {"ok":{"$jsii.byref":"constructs.Construct@3","$jsii.interfaces":["aws-cdk-lib.aws_iam.IGrantable"]}}
> {"api":"create","fqn":"aws-cdk-lib.aws_sqs.Queue","args":[{"$jsii.byref":"constructs.Construct@3"},"Queue",{"$jsii.struct":{"fqn":"aws-cdk-lib.aws_sqs.QueueProps","data":{"encryption":{"$jsii.enum":"aws-cdk-lib.aws_sqs.QueueEncryption/KMS"},"fifo":null,"maxMessageSizeBytes":1e6}}}]}
< {"ok":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}
> {"api":"get","property":"queueArn","objref":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}
< {"ok":{"value":"arn:${Token[A.7]}:sqs:${Token[B.8]}"}}
> {"api":"get","property":"queueArn","objref":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}
< {"ok":{"value":"arn:${Token[A.7]}:sqs:${Token[B.8]}"}}
> {"api":"sinvoke","fqn":"aws-cdk-lib.Names","method":"uniqueId","args":[{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}]}
< {"ok":{"result":"Shop1Queue4BDA"}}
> {"api":"sinvoke","fqn":"aws-cdk-lib.Token","method":"isUnresolved","args":["x"]}
< {"ok":{"result":false}}
> {"api":"sinvoke","fqn":"aws-cdk-lib.Token","method":"asNumber","args":[{"$jsii.map":{"Ref":"Shop1Size","To":"bus/Shop1Queue4BDA","in":"shop1-shop1queue4bda"}}]}
< {"ok":{"result":-1.8881545897087503e+289}}
> {"api":"invoke","method":"grantSendMessages","args":[{"$jsii.byref":"constructs.Construct@3"},null],"objref":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}
< {"callback":{"cookie":"GrantPrincipal","cbid":"1","get":{"objref":{"$jsii.byref":"constructs.Construct@3"},"property":"grantPrincipal"}}}
> {"complete":{"cbid":"1","result":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}}
< {"callback":{"cookie":"GrantPrincipal","cbid":"2","get":{"objref":{"$jsii.byref":"constructs.Construct@3"},"property":"grantPrincipal"}}}
> {"api":"get","property":"queueName","objref":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}
< {"ok":{"value":"${Token[C.9]}"}}
> {"complete":{"cbid":"2","result":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}}
< {"ok":{}}
> {"api":"set","property":"size","value":-1.8881545897087503e+289,"objref":{"$jsii.byref":"aws-cdk-lib.aws_sqs.Queue@4"}}
< {"ok":{}}
> {"api":"create","fqn":"aws-cdk-lib.CfnOutput","args":[{"$jsii.byref":"aws-cdk-lib.Stack@2"},"O",{"$jsii.map":{"${Token[C.9]}":["${Token[B.8]}/${Token[C.9]}","<arn:${Token[A.7]}:sqs:${Token[B.8]}/*>",null,{"$jsii.date":"2026-11-28T00:00:00.000Z"},null]}}]}
< {"error":"no","name":"@jsii/kernel.RuntimeError"}
> {"api":"invoke","method":"synth","args":[null],"objref":{"$jsii.byref":"aws-cdk-lib.App@1"}}
< {"ok":{"result":{"$jsii.byref":"aws-cdk-lib.cx_api.CloudAssembly@5"}}}
> {"exit":0}
`

func TestJavaScript(t *testing.T) {
	const want = `'use strict';
const { App, CfnOutput, Names, Stack, Token, aws_sqs } = require("aws-cdk-lib");
const { Construct } = require("constructs");
const next = (calls) => (calls.length > 1 ? calls.shift() : calls[0]);
const v1 = new App();
function copy(name) {
let v4, v10;
const part1 = () => {
const v2 = new Stack(v1, name);
const v3 = new (class extends Construct {
get grantPrincipal() { return next(this.grantPrincipalAnswers ??= [() => {
return v4;
}, () => {
v10 = v4.queueName;
return v4;
}, ])(); }
grantRead() { throw new Error('Go has no answer'); }
})(v2, "Cart");
v4 = new aws_sqs.Queue(v3, "Queue", {"encryption": aws_sqs.QueueEncryption.KMS, "maxMessageSizeBytes": 1e+06});
v4.queueArn;
const v6 = v4.queueArn;
const v7 = Names.uniqueId(v4);
Token.isUnresolved("x");
const v9 = Token.asNumber({"Ref": name + "Size", "To": "bus/" + v7, "in": name.toLowerCase() + "-" + v7.toLowerCase()});
v4.grantSendMessages(v3);
v4.size = v9;
try { new CfnOutput(v2, "O", {[v10]: [v6.match(/[$#]\{Token\[[^\]]*\]\}/g)[1] + "/" + v10, "<" + v6 + "/*>", undefined, new Date("2026-11-28T00:00:00.000Z"), undefined]}); } catch {}
};
part1();
}
for (let i = 1; i <= Number(process.argv[2]); i++) copy("Shop" + i);
v1.synth();
`
	got, err := JavaScript([]byte(traced), Options{Name: "Shop1", Prefix: "Shop"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	got, err = JavaScript([]byte(traced), Options{Name: "Shop1", Prefix: "Shop", Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	lean := strings.NewReplacer("v4.queueArn;\nconst v6 = v4.queueArn;\n", "const v5 = v4.queueArn;\n", "Token.isUnresolved(\"x\");\n", "", "v6", "v5").Replace(want)
	if diff := cmp.Diff(lean, got); diff != "" {
		t.Error(diff)
	}
}

func TestJavaScriptRefuses(t *testing.T) {
	app := traced[:strings.Index(traced, "[@jsii/kernel]")]
	call := func(request string) string {
		return app + "> " + request + "\n< {\"ok\":{}}\n"
	}
	for want, traced := range map[string]string{
		"makes no app":                             "> {\"exit\":0}\n",
		"does not synthesize":                      app,
		"no call returned the object A@1":          call(`{"api":"get","property":"x","objref":{"$jsii.byref":"A@1"}}`),
		"no call returned the token ${Token[A.1]}": call(`{"api":"sinvoke","fqn":"a.B","method":"c","args":["${Token[A.1]}"]}`),
		"no call returned the token -1.9e+289":     call(`{"api":"sinvoke","fqn":"a.B","method":"c","args":[-1.9e289]}`),
		"no such call in plain JavaScript":         call(`{"api":"begin"}`),
		"an answer to no request":                  "< {\"ok\":{}}\n",
		"is not Go's":                              app + "> {\"api\":\"sinvoke\",\"fqn\":\"a.B\",\"method\":\"c\"}\n< {\"callback\":{\"cbid\":\"1\",\"get\":{\"objref\":{\"$jsii.byref\":\"aws-cdk-lib.App@1\"},\"property\":\"x\"}}}\n> {\"complete\":{\"cbid\":\"1\"}}\n< {\"ok\":{}}\n",
	} {
		if _, err := JavaScript([]byte(traced), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

func TestRequests(t *testing.T) {
	if got := len(Requests([]byte(traced))); got != 18 {
		t.Errorf("%d requests", got)
	}
}
