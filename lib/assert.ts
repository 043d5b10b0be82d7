/** Crashes on an internal error. Never for input from outside: that gets an error with a code. */
export function assert(condition: unknown, message = 'assertion failed'): asserts condition {
  if (!condition) throw new AssertionError(message)
}

class AssertionError extends Error {
  override name = 'AssertionError'
}
