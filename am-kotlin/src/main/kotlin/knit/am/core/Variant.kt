package knit.am.core

/**
 * What containers of one service may differ in. Each container refers to one, by [number] wherever it is written down: ten
 * thousand that were added alike must not hold their variables ten thousand times.
 *
 * Variants never change and are never forgotten, for ranks are not either. Equal ones are one, and equal variables are
 * kept once where only the sizes differ.
 */
data class Variant(
  /** From 0, without gaps. */
  val number: Int,
  /** What is asked for. */
  val resource: Resource,
  /** Over the service's own, for containers added with variables of their own. */
  val environment: Map<String, String>,
) {
  /** Without the values of [environment], which may be secret. */
  override fun toString(): String = "Variant($number, $resource, environment=${environment.keys})"
}
