package construct

import (
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
)

// Every call of the CDK goes to another process. So what never changes
// is asked for once: an attribute of an object by [Once], a value that belongs
// to no object by [Shared].
//
// Both remember objects for as long as the process lives. jsii itself does so
// until it is closed; after that nobody can reach the old objects, and with
// them what was remembered of them. That is why a shared value belongs to a
// tree and not to the process: a duration of a kernel that was closed is
// unknown to the next.
var known = struct {
	sync.Mutex
	values map[property]any
	places map[any]place // of a construct of ours
}{values: map[property]any{}, places: map[any]place{}}

// place is where a construct of ours stands.
type place struct {
	tree constructs.Construct // what stands for its tree
	path string               // below the tree, with a slash before
}

// property names what is known of an object, which is a pointer.
type property struct {
	of   any
	name string
}

// Once returns an attribute of the object, which it reads the first time only.
// The name tells the object's attributes apart.
func Once[T any](object any, name string, read func() T) T {
	key := property{object, name}
	known.Lock()
	stored, ok := known.values[key]
	known.Unlock()
	if ok {
		value, _ := stored.(T) // nil stays nil
		return value
	}
	value := read()
	known.Lock()
	known.values[key] = value
	known.Unlock()
	return value
}

// Shared returns the value of that name that the constructs around the scope
// share, which make makes for the first of them. It must be immutable.
func Shared[T any](scope constructs.Construct, name string, make func() T) T {
	return Once(tree(scope), name, make)
}

// Constant is [Shared] for a value that depends on no stack, such as a duration
// or a principal: the app shares it.
func Constant[T any](scope constructs.Construct, name string, make func() T) T {
	return Once(app(scope), name, make)
}

// app returns the root of the scope's tree, for which the CDK is asked once a
// tree. It is not the stage around, of which Stage_Of of a stage is another than
// that of what is in it.
func app(scope constructs.Construct) constructs.IConstruct {
	root := tree(scope)
	return Once(root, "app", func() constructs.IConstruct { return Node(root).Root() })
}

// tree returns what stands for the scope's tree: the outermost construct that
// is not ours, a stack as a rule.
func tree(scope constructs.Construct) constructs.Construct { return placeOf(scope).tree }

func placeOf(scope constructs.Construct) place {
	known.Lock()
	defer known.Unlock()
	if p, ok := known.places[scope]; ok {
		return p
	}
	return place{tree: scope}
}

// join makes x part of the scope's tree.
func join(x, scope constructs.Construct, id string) {
	p := placeOf(scope)
	p.path = child(p.path, id)
	known.Lock()
	known.places[x] = p
	known.Unlock()
}

// Path returns the scope's construct path.
func Path(scope constructs.Construct) string {
	p := placeOf(scope)
	above := Once(p.tree, "path", func() string { return *Node(p.tree).Path() })
	return strings.TrimPrefix(above+p.path, "/") // the app's own path is empty
}

// child returns the path of what has the id below a path, as constructs names it.
func child(path, id string) string { return path + "/" + strings.ReplaceAll(id, "/", "--") }

// Below reports whether the construct path is another's, or below it. All paths
// are below the app's, which is empty.
func Below(path, other string) bool {
	return other == "" || path == other || strings.HasPrefix(path, other+"/")
}

// StackOf returns the stack that the scope is in.
func StackOf(scope constructs.Construct) awscdk.Stack {
	root := tree(scope)
	if stack, ok := root.(awscdk.Stack); ok {
		return stack
	}
	return Once(root, "stack", func() awscdk.Stack { return awscdk.Stack_Of(root) })
}

// SharedDuration is [Duration] for a value that many constructs use.
func SharedDuration(scope constructs.Construct, d time.Duration) awscdk.Duration {
	return Constant(scope, "duration "+d.String(), func() awscdk.Duration { return Duration(d) })
}
