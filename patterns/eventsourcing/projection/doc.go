// Package projection keeps a read model in step with an event store. It is the
// library of the function behind eventsourcing.EventStore.AddProjection and of
// the functions that query the model.
//
// The user writes one function, [Apply], that turns an event into writes:
//
//	func apply(ctx context.Context, event eventlog.Event) ([]projection.Write, error) {
//		paid, ok := event.Payload.(OrderPaid)
//		if !ok {
//			return nil, nil
//		}
//		return []projection.Write{
//			projection.Update("revenue", event.Time.Format(time.DateOnly), "ADD cents :cents",
//				projection.Values{":cents": paid.Cents}),
//		}, nil
//	}
//
// [Projection] calls it for the messages of its queue and for the pages of a
// rebuild; [Model] reads what it wrote. Neither shows the version of the model:
// a rebuild fills a second version beside the one being read, and a switch
// makes it the one that is read. A change of Apply is deployed first and then
// followed by a rebuild; until the switch, live events go into the old version
// through the new code. A projection added to a store that has events already
// wants a rebuild too.
//
// # Exactly once
//
// An event's writes and the note that it was applied are one DynamoDB
// transaction, conditional on that note: per version of the model an event
// takes effect once, however often it is delivered. An ordered projection notes
// one version number per stream, its checkpoint. An event just after the
// checkpoint is applied; one at or below it is a duplicate; for one further
// ahead, the events between are first loaded from the store. An unordered
// projection notes each event's id for [Projection.Window].
//
// # A rebuild equals live
//
// A rebuild misses nothing and doubles nothing. Every event is in the event
// table before anything delivers it, and reaches the new version by one of two
// ways at least:
//
//   - A batch of messages that asks which versions there are after
//     [schema.OpBegin] gets to know of the new one, and applies its events to
//     both.
//   - A batch that asked earlier carries events from before the begin. They are
//     in the table when the first page is read, and pages read streams with
//     strong consistency. Only the index that lists the streams lags; the
//     workflow must wait after the begin for longer than it does. The lag is a
//     fraction of a second as a rule; a minute is ample. A stream opened after
//     the begin gets all of its events by the first way, listed or not.
//
// An event that comes both ways meets the condition of the transaction, which
// lets it pass once. Both ways apply a stream's events to an ordered projection
// in order, as either fills gaps from the table.
//
// The switch is one conditional write. A batch that asked before it goes on
// writing to both versions, one that asks after it writes to the new one; a
// reader that still remembers the old version reads one that was complete up to
// the switch. Hence a workflow must let [Model.MaxAge] and the function's
// time-out pass between the switch and the sweep of the old version, and the
// function's time-out between giving a version up and its sweep. No number is
// given to two versions, so that a late write lands in a dead one.
//
// A rebuild catches up if events are replayed faster than they are appended.
//
// # What cannot be applied
//
// A message whose event cannot be applied fails, is delivered again, and ends
// in the dead-letter queue. In an ordered projection the later events of its
// stream fail with it, for they must not be applied before it; other streams go
// on. Once the code is mended, the next event of the stream or a redrive of the
// dead letters heals the model. An event that only the version under
// construction cannot take spoils that version, not the message: its switch is
// refused.
//
// # Costs
//
// A transaction costs two write units per item and KB: with one write of the
// user's, an event costs four. While a rebuild runs, live events cost double. A
// sweep scans the whole table once. An item that all streams write to, such as
// one grand total, makes their transactions collide; they are tried again until
// the time is up. Spread such a counter over several items.
package projection
