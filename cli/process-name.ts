/** By this variable `piccolo up` tells a child process its name: `web 1`. */
export const processNameVariable = 'PICCOLO_PROCESS_NAME'

/** Null for a process that was not started by `piccolo up`. */
export function processName(environment: Readonly<Record<string, string | undefined>>): string | null {
  return environment[processNameVariable] || null
}
