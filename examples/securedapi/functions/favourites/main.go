// Command favourites answers for what users like.
package main

import "example.com/securedapi/favourites"

func main() { favourites.Start() }
