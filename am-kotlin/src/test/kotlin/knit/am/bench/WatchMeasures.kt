package knit.am.bench

import knit.am.core.Application
import knit.am.core.ChangeSet
import knit.am.core.Happenings
import knit.am.core.Input
import knit.am.core.NOW
import knit.am.core.decide
import knit.am.grpc.EventFilter
import knit.am.grpc.EventTeller
import knit.v1.WatchEventsRequest

/** What it costs to tell one who watches [lives], each of them an input to [initial], of all that they change. */
internal fun measureWatch(
  initial: Application,
  lives: List<Input>,
  note: (Figure, Double) -> Unit,
) {
  val turns = ArrayList<ChangeSet>(lives.size)
  val last =
    lives.fold(initial) { soFar, input ->
      val decision = soFar.decide(input, NOW)
      decision.changes?.let(turns::add)
      decision.application
    }
  val happenings = Happenings(last)
  val watcher = EventTeller(EventFilter.of(WatchEventsRequest.getDefaultInstance(), seesValues = true)) { happenings.snapshots.value }
  var events = 0
  val told =
    Spent.on {
      for (turn in turns) {
        for (event in watcher.messagesOf(turn)) {
          check(event.toByteArray().isNotEmpty())
          events++
        }
      }
    }
  check(events >= lives.size) { "$events events of ${lives.size} changes" }
  note(Figure.WATCH, told.micros / 1e3)
  note(Figure.WATCH_EVENT, told.micros / events)
  note(Figure.WATCH_RATE, events / told.micros * 1e6)
}
