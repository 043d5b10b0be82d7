export interface Timer {
  /** Does nothing when the timer has fired or was cancelled before. */
  cancel(): void
}

/** Where time comes from. Everything that waits or measures takes one, so that a simulation can own it. */
export interface Clock {
  /** Milliseconds since the epoch. May jump; for what other processes and people read. */
  nowMs(): number
  /** Milliseconds from an arbitrary start, never going back. For ages, intervals and deadlines. */
  monotonicMs(): number
  after(delayMs: number, run: () => void): Timer
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timeout = setTimeout(run, delayMs)
    return { cancel: () => clearTimeout(timeout) }
  },
}

export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise(resolve => clock.after(delayMs, resolve))
}

/** Resolves when what came in meanwhile has been served, which takes no time if that is nothing. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

/**
 * Settles as `work` does, or rejects with `late()` after `deadlineMs`, whichever comes first.
 * The work itself is not cancelled: it may still happen afterwards.
 */
export function withDeadline<T>(
  clock: Clock,
  deadlineMs: number,
  work: Promise<T>,
  late: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadlineMs, () => reject(late()))
    work.then(resolve, reject).finally(timer.cancel)
  })
}

/** Waits for `work`, however long it takes; after `patienceMs` it calls `giveUp`, which is to end it. */
export function withPatience<T>(
  clock: Clock,
  patienceMs: number,
  work: Promise<T>,
  giveUp: () => void,
): Promise<T> {
  const timer = clock.after(patienceMs, giveUp)
  return work.finally(timer.cancel)
}
