/** Waits until `condition` holds, looking every few milliseconds; fails with `what` after the deadline. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 40_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`still not so after ${deadlineMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
