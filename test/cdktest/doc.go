// Package cdktest tests CDK stacks written in Go: their templates as golden
// files, single resources with matchers, and wrong props by their message.
//
//	func TestMain(m *testing.M) { cdktest.Main(m) }
//
//	func TestShop(t *testing.T) {
//		stack := cdktest.NewStack(t)
//		NewShop(stack, "Shop", nil)
//		cdktest.Golden(t, stack)
//	}
//
//	func TestShopNeedsName(t *testing.T) {
//		stack := cdktest.NewStack(t)
//		cdktest.Rejects(t, func() { NewShop(stack, "Shop", &ShopProps{}) }, "Shop", "Name", "set it")
//	}
//
// Write the goldens with
//
//	go test ./... -update
//
// and read the difference before you commit it: a logical id that changed is a
// resource that will be replaced, with the data in it.
//
// The CDK runs in one process of Node for all tests of a package and is not
// safe for concurrent use: do not call t.Parallel in tests that synthesize.
package cdktest
