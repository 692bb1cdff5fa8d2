// Command flight books seats for a trip.
package main

import "example.com/travel/booking"

func main() { booking.Start(14) }
