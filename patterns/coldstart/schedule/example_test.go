package schedule_test

import (
	"fmt"
	"time"

	"github.com/serverless-go/cdk/patterns/coldstart/schedule"
)

// A shop is busy on working days and a little on weekends. The sale runs
// through a Friday night: the end of Friday's working day does not end it.
func Example() {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		panic(err)
	}
	opens := time.Date(2026, time.November, 27, 18, 0, 0, 0, paris)

	shop := schedule.Schedule{
		schedule.Always(2),
		schedule.Weekdays("Europe/Paris", 8, 20, 40),
		schedule.Weekends("Europe/Paris", 10, 18, 15),
		schedule.Window(opens, opens.Add(6*time.Hour), 400),
	}

	for _, clock := range []string{"Fri 27 Nov 07:00", "Fri 27 Nov 12:00", "Fri 27 Nov 21:00", "Sat 28 Nov 12:00"} {
		t, err := time.ParseInLocation("Mon 2 Jan 15:04 2006", clock+" 2026", paris)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %d\n", clock, shop.At(t))
	}
	// Output:
	// Fri 27 Nov 07:00: 2
	// Fri 27 Nov 12:00: 40
	// Fri 27 Nov 21:00: 400
	// Sat 28 Nov 12:00: 15
}

// What Application Auto Scaling is told to do for working hours: get ready five
// minutes early, let go on time.
func ExampleSchedule_Actions() {
	hours := schedule.Schedule{
		schedule.Always(1),
		schedule.Weekdays("America/New_York", 9, 17, 20),
	}
	actions, err := hours.Actions(0)
	if err != nil {
		panic(err)
	}
	for _, a := range actions {
		fmt.Printf("%-26s %s: %d\n", a.Expression, a.Zone, a.Concurrency)
	}
	// Output:
	// cron(55 8 ? * MON-FRI *)   America/New_York: 20
	// cron(0 17 ? * MON-FRI *)   America/New_York: 1
}

// Every problem is reported at once.
func ExampleSchedule_Validate() {
	err := schedule.Schedule{
		schedule.Weekdays("Europe/Pari", 8, 20, 40),
		schedule.Daily("Europe/Paris", 9, 9, 0),
	}.Validate()
	fmt.Println(err)
	// Output:
	// schedule entry 1 (MON-FRI 08:00-20:00 Europe/Pari: 40): zone "Europe/Pari" is not an IANA time zone; write a name such as "Europe/Paris" or "UTC"
	// schedule entry 2 (MON-SUN 09:00-09:00 Europe/Paris: 0): concurrency is 0; it must be 1 or more, leave the entry out to keep nothing ready
	// schedule entry 2 (MON-SUN 09:00-09:00 Europe/Paris: 0): it starts and ends at the same time; write 0 and 24 for a whole day
}
