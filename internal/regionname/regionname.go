// Package regionname tells the names of AWS's regions from other texts.
package regionname

import (
	"regexp"
	"strings"
)

// pattern is how AWS names regions, of every partition: eu-west-1,
// us-gov-east-1, us-isob-west-1, eusc-de-east-1
// (https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html).
// It is no list, which would be out of date with the next region.
const pattern = `(?:[a-z]{2}(?:-gov|-iso[a-z]?)?|eusc-[a-z]{2})-(?:central|north|south|east|west|northeast|northwest|southeast|southwest)-\d`

var (
	name      = regexp.MustCompile(`^` + pattern + `$`)
	mentioned = regexp.MustCompile(`\b` + pattern + `\b`)
)

// Valid reports whether the text is the name of a region, as far as its form
// tells.
func Valid(text string) bool { return name.MatchString(text) }

// Mentioned returns the names of regions in the text.
func Mentioned(text string) []string { return mentioned.FindAllString(text, -1) }

// Partition returns which of AWS's partitions the region is in.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	case strings.HasPrefix(region, "eusc-"):
		return "aws-eusc"
	}
	if _, after, isolated := strings.Cut(region, "-iso"); isolated {
		letter, _, _ := strings.Cut(after, "-")
		return strings.TrimSuffix("aws-iso-"+letter, "-")
	}
	return "aws"
}
