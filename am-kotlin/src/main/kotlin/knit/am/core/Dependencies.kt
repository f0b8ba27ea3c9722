package knit.am.core

// What has to be so elsewhere before the first containers of a service are asked for. Until then they are there, PENDING.

/** Whether what is waited for is so at this moment; of a service without ranks it is. */
internal fun Application.isMet(dependency: Dependency): Boolean {
  val tally = tally(dependency.serviceName)
  return when (dependency.condition) {
    DependencyCondition.STARTED -> tally.neverStartedRanks == 0
    DependencyCondition.READY -> tally.readyRanks + tally.succeededRanks == tally.ranks
    DependencyCondition.FINISHED -> tally.succeededRanks == tally.ranks
  }
}

/** What the service still waits for; nothing once it has begun. */
internal fun Application.unmet(serviceName: String): List<Dependency> =
  if (services.getValue(serviceName).hasBegun) emptyList() else spec(serviceName).depends.filterNot { isMet(it) }

/** Begins the services whose last dependency one of [touched] has been. */
internal fun Turn.beginDependents(touched: Set<String>) {
  for (name in application.index.waitingServices) {
    val depends = application.spec(name).depends
    if (name in touched || depends.any { it.serviceName in touched }) {
      if (depends.all { application.isMet(it) }) begin(name)
    }
  }
}

private fun Turn.begin(serviceName: String) {
  put(ServiceChanged(application.services.getValue(serviceName).copy(hasBegun = true)))
  for (slot in application.slots.getValue(serviceName)) {
    if (slot.latest.waitsForPlace && slot.earlier.all { it.state.isFinal }) request(slot.latest)
  }
}

/** Whether nothing will happen by itself any more: all that is open waits for services that will not come so far. */
internal val Application.waitsInVain: Boolean
  get() = openCount > 0 && openCount == index.waitingServices.sumOf { tally(it).open }

/** The outcome where services wait in vain, whatever they wait for. */
internal fun Application.vainOutcome(): Outcome {
  standingFailure?.let { return failureOutcome(it) }
  val name = index.waitingServices.first()
  val sentence = "Service $name can never begin: it waits for ${unmet(
    name,
  ).joinToString(" and ") { it.inWords() }}, and nothing else is left to run."
  return Outcome(FinalStatus.FAILED, sentence, 1)
}

/** For example: `service db to be ready`. */
internal fun Dependency.inWords(): String =
  "service $serviceName to " +
    when (condition) {
      DependencyCondition.STARTED -> "have started"
      DependencyCondition.READY -> "be ready"
      DependencyCondition.FINISHED -> "have succeeded"
    }

/** Why these cannot depend on one another as they say, in a sentence for people; null if they can. */
internal fun problemInDependencies(services: Map<String, ServiceSpec>): String? {
  for ((name, service) in services.toSortedMap()) {
    for (other in service.depends.map { it.serviceName }) {
      if (other == name) return "Service $name depends on itself. Leave that out."
      if (other !in services) {
        return "Service $name depends on '${other.take(
          MAX_NAME_SHOWN,
        )}', which is none of the services: ${services.keys.sorted().joinToString()}."
      }
    }
    val twice =
      service.depends
        .groupBy { it.serviceName }
        .values
        .firstOrNull { it.size > 1 }
    if (twice != null) return "Service $name depends on ${twice.first().serviceName} more than once. Say it once."
  }
  val circle = circleIn(services.mapValues { (_, service) -> service.depends.map { it.serviceName } }) ?: return null
  return "Services depend on one another in a circle: ${circle.joinToString(" on ")}. Break it somewhere."
}

/** A way from one of these back to it, where there is one: takes away who depends on nobody that is left, until nobody is. */
private fun circleIn(depends: Map<String, List<String>>): List<String>? {
  val left = depends.toSortedMap()
  do {
    val isFewer = left.entries.removeIf { (_, others) -> others.none { it in left.keys } }
  } while (isFewer)
  var name = left.keys.firstOrNull() ?: return null
  val way = ArrayList<String>()
  while (name !in way) {
    way += name
    name = left.getValue(name).first { it in left.keys }
  }
  return way.drop(way.indexOf(name)) + name
}

private const val MAX_NAME_SHOWN = 63
