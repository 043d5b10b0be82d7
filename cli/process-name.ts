/** The variable with the name that `piccolo up` gives a child process: `web 1`. */
export const processNameVariable = 'PICCOLO_PROCESS_NAME'

/** The variable that says that the service runs already: errors of the surroundings may pass then. */
export const restartVariable = 'PICCOLO_RESTART'

export function isRestart(environment: Readonly<Record<string, string | undefined>>): boolean {
  return environment[restartVariable] === 'true'
}

/** Returns the name of the process; null if it was not started by `piccolo up`. */
export function processName(environment: Readonly<Record<string, string | undefined>>): string | null {
  return environment[processNameVariable] || null
}
