/**
 * Set to `true` where SIGHUP was ignored when the program was started, as by nohup: Node forgets that, so the
 * launcher says it.
 */
export const ignoreHangUpVariable = 'PICCOLO_IGNORE_HANGUP'

/**
 * Signals that a terminal, a service manager, a container engine or a person sends to stop a program, or that
 * mean a power failure or a limit on processor time.
 */
export const allStopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGPWR', 'SIGXCPU'] as const
/**
 * Signals that would end a process at once and mean nothing here. SIGUSR1 would open the port of Node's
 * inspector, through which anybody on the machine could run code. Node ignores SIGPIPE and SIGXFSZ by itself.
 */
const ignoredSignals = [
  ...(['SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGPROF', 'SIGIO', 'SIGSTKFLT'] as const),
]
export type StopSignal = (typeof allStopSignals)[number]

/** Returns the signals that a process with this environment obeys; it ignores the others. */
export function stopSignals(
  environment: Readonly<Record<string, string | undefined>>,
): readonly StopSignal[] {
  const isHangUpIgnored = environment[ignoreHangUpVariable] === 'true'
  return allStopSignals.filter(signal => signal !== 'SIGHUP' || !isHangUpIgnored)
}

/** Must be the first call of every program that may hold increments in memory. */
export function ignoreOtherSignals(host: NodeJS.Process): void {
  for (const signal of ignoredSignals) host.on(signal, () => {})
}
