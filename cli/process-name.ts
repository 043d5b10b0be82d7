/** By this variable `piccolo up` tells a child process its name: `web 1`. */
export const processNameVariable = 'PICCOLO_PROCESS_NAME'

/** By this one, whether the service runs already: what is wrong outside may pass then. */
export const restartVariable = 'PICCOLO_RESTART'

export function isRestart(environment: Readonly<Record<string, string | undefined>>): boolean {
  return environment[restartVariable] === 'true'
}

/** Null for a process that was not started by `piccolo up`. */
export function processName(environment: Readonly<Record<string, string | undefined>>): string | null {
  return environment[processNameVariable] || null
}
