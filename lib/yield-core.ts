const sleeper = new Int32Array(new SharedArrayBuffer(4))
/** Linux is some 0.05 ms late with it. */
const sleepMs = 0.1

/**
 * Blocks this thread so briefly that nobody minds, and long enough that who waits for its core gets it. Linux
 * lets a process that has a core go on for a millisecond and more, even when one is woken that runs little.
 */
export function yieldCore(): void {
  Atomics.wait(sleeper, 0, 0, sleepMs)
}
