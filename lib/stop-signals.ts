/**
 * Set to `true` where SIGHUP was ignored when the program was started, as by nohup: Node forgets that, so the
 * launcher says it.
 */
export const ignoreHangUpVariable = 'PICCOLO_IGNORE_HANGUP'

/** What a terminal, a service manager and a person send to stop a program. */
export const allStopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
export type StopSignal = (typeof allStopSignals)[number]

/** Those that a process with this environment obeys; the others it ignores. */
export function stopSignals(
  environment: Readonly<Record<string, string | undefined>>,
): readonly StopSignal[] {
  const isHangUpIgnored = environment[ignoreHangUpVariable] === 'true'
  return allStopSignals.filter(signal => signal !== 'SIGHUP' || !isHangUpIgnored)
}
