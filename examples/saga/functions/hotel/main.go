// Command hotel books rooms for a trip.
package main

import "example.com/travel/booking"

func main() { booking.Start(30) }
