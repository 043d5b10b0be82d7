/** How many HTTP connections are open, and how many may be: each costs memory and a descriptor. */
export class Connections {
  count = 0
  readonly max: number

  constructor(max: number) {
    this.max = max
  }

  get isOverfull(): boolean {
    return this.count > this.max
  }
}

/** Returns why connections are refused, or wait because of the error with that code; for readiness. */
export function connectionReasons(connections: Connections, error: string | null): string[] {
  const { count, max, isOverfull } = connections
  const reasons: string[] = []
  if (error !== null) reasons.push(`new connections have to wait, ${count} are open: ${error}`)
  if (isOverfull) reasons.push(`${count} connections are open, ${max} are served`)
  return reasons
}
