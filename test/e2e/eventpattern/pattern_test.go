package eventpattern

import (
	"encoding/json"
	"strings"
	"testing"
)

const event = `{
	"source": "eventstore.carts", "detail-type": "CartOpened", "account": "111122223333",
	"resources": ["arn:aws:s3:::a", "arn:aws:s3:::b"], "empty": [], "nothing": null, "blank": "",
	"detail": {
		"hops": "0", "amount": 300, "ok": true, "ip": "10.1.2.3", "file": "img/Photo.PNG", "star": "a*b",
		"state": {"value": "ALARM"},
		"lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}]
	}
}`

func TestMatch(t *testing.T) {
	var decoded any
	if err := json.Unmarshal([]byte(event), &decoded); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pattern string
		want    bool
	}{
		{`{"source":["eventstore.carts"]}`, true},
		{`{"source":["a","eventstore.carts"],"detail-type":["CartOpened"]}`, true},
		{`{"source":["eventstore.carts"],"detail-type":["CartClosed"]}`, false},
		{`{"resources":["arn:aws:s3:::b"]}`, true},
		{`{"resources":["arn:aws:s3:::c"]}`, false},
		{`{"detail":{"state":{"value":["ALARM"]}}}`, true},
		{`{"detail":{"state":["ALARM"]}}`, false},
		{`{"detail":{"amount":[3.0e2]}}`, true},
		{`{"detail":{"amount":["300"]}}`, false},
		{`{"detail":{"ok":[true]}}`, true},
		{`{"nothing":[null]}`, true},
		{`{"missing":[null]}`, false},
		{`{"blank":[""]}`, true},
		{`{"detail":{"missing":{"deeper":["x"]}}}`, false},

		{`{"detail":{"hops":[{"exists":true}]}}`, true},
		{`{"detail":{"replay":[{"exists":false}]}}`, true},
		{`{"replay-name":[{"exists":false}],"source":["x"]}`, false},
		{`{"detail":{"state":[{"exists":true}]}}`, false},
		{`{"nothing":[{"exists":true}]}`, true},
		{`{"empty":[{"exists":false}]}`, true},
		{`{"a":{"b":{"c":[{"exists":false}]}}}`, true},

		{`{"source":[{"prefix":"eventstore."}]}`, true},
		{`{"source":[{"prefix":"EVENTSTORE."}]}`, false},
		{`{"source":[{"prefix":{"equals-ignore-case":"EVENTSTORE."}}]}`, true},
		{`{"detail":{"file":[{"suffix":".png"}]}}`, false},
		{`{"detail":{"file":[{"suffix":{"equals-ignore-case":".png"}}]}}`, true},
		{`{"detail":{"file":[{"equals-ignore-case":"IMG/photo.png"}]}}`, true},

		{`{"source":[{"anything-but":"x"}]}`, true},
		{`{"source":[{"anything-but":["x","eventstore.carts"]}]}`, false},
		{`{"detail":{"amount":[{"anything-but":[300]}]}}`, false},
		{`{"missing":[{"anything-but":"x"}]}`, false},
		{`{"source":[{"anything-but":{"prefix":"eventstore"}}]}`, false},
		{`{"source":[{"anything-but":{"prefix":["a","b"]}}]}`, true},
		{`{"source":[{"anything-but":{"suffix":["carts"]}}]}`, false},
		{`{"source":[{"anything-but":{"equals-ignore-case":"EventStore.Carts"}}]}`, false},
		{`{"source":[{"anything-but":{"wildcard":"*.carts"}}]}`, false},

		{`{"detail":{"amount":[{"numeric":["=",300]}]}}`, true},
		{`{"detail":{"amount":[{"numeric":[">",0,"<=",300]}]}}`, true},
		{`{"detail":{"amount":[{"numeric":[">=",0,"<",300]}]}}`, false},
		{`{"detail":{"hops":[{"numeric":["=",0]}]}}`, false},

		{`{"detail":{"ip":[{"cidr":"10.0.0.0/8"}]}}`, true},
		{`{"detail":{"ip":[{"cidr":"192.168.0.0/16"}]}}`, false},
		{`{"detail":{"hops":[{"cidr":"10.0.0.0/8"}]}}`, false},

		{`{"source":[{"wildcard":"*store.c*s"}]}`, true},
		{`{"source":[{"wildcard":"*store.d*s"}]}`, false},
		{`{"detail":{"star":[{"wildcard":"a\\*b"}]}}`, true},
		{`{"source":[{"wildcard":"eventstore\\*"}]}`, false},
		{`{"source":[{"wildcard":"eventstore.carts*eventstore.carts"}]}`, false},

		{`{"$or":[{"source":["x"]},{"detail":{"hops":["0"]}}]}`, true},
		{`{"$or":[{"source":["x"]},{"detail":{"hops":["1"]}}]}`, false},
		{`{"detail":{"$or":[{"hops":["9"]},{"amount":[{"numeric":[">",100]}]}]},"source":["eventstore.carts"]}`, true},
		{`{"detail":{"lines":{"sku":["a"],"count":[1]}}}`, true},
		{`{"detail":{"lines":{"sku":["a"],"count":[2]}}}`, false},
	} {
		p, err := Compile([]byte(c.pattern))
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := p.Match(decoded); got != c.want {
			t.Errorf("%s: %v, want %v", c.pattern, got, c.want)
		}
	}
}

func TestCompileRejects(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{`{}`, "empty object"},
		{`{"source":"x"}`, "$.source is x; it must be a list"},
		{`{"detail":{"a":[]}}`, "$.detail.a is an empty list"},
		{`{"a":[{"prefix":1}]}`, "prefix takes a string"},
		{`{"a":[{"like":"x"}]}`, `unknown operator "like"`},
		{`{"a":[{"prefix":"x","suffix":"y"}]}`, "2 operators"},
		{`{"a":[{"exists":"true"}]}`, "exists takes true or false"},
		{`{"a":[{"numeric":[">"]}]}`, "one or two pairs"},
		{`{"a":[{"numeric":["!",1]}]}`, "no operator !"},
		{`{"a":[{"cidr":"10.0.0.0"}]}`, "cidr"},
		{`{"a":[{"wildcard":"a**b"}]}`, "two stars"},
		{`{"a":[{"wildcard":"a\\b"}]}`, "a backslash may only stand"},
		{`{"$or":["x"]}`, "$.$or[0] is x"},
		{`[]`, "cannot unmarshal"},
	} {
		if _, err := Compile([]byte(c.pattern)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Compile(%s) = %v, want an error with %q", c.pattern, err, c.want)
		}
	}
}
