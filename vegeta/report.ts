import { readFileSync } from 'node:fs'
import { errorText, exitCodes, UsageError } from '../lib/errors.ts'

/** Answers that say that an increment is, or will be, counted. */
const counted = new Set(['200', '202'])

/**
 * Returns how many requests vegeta sent, from `vegeta report -type json`. Throws UsageError when the file is
 * no such report, and when a request failed: the report does not tell which, so nobody can say what the
 * totals must be.
 */
export function requestCountOf(path: string): number {
  const { requests, status_codes: statusCodes } = readReport(path)
  const failed = Object.entries(statusCodes).filter(([status]) => !counted.has(status))
  if (failed.length === 0) return requests
  const count = failed.reduce((sum, [, each]) => sum + each, 0)
  const statuses = failed.map(([status, each]) => `${each} with ${status === '0' ? 'no answer' : status}`)
  throw new UsageError(
    `${count} of ${requests} requests in ${path} failed (${statuses.join(', ')}): which ones, the report ` +
      'does not say, so the totals cannot be checked; make other targets, and attack at a lower rate ' +
      'or with fewer -max-workers',
    exitCodes.failed,
  )
}

interface Report {
  readonly requests: number
  readonly status_codes: Readonly<Record<string, number>>
}

function readReport(path: string): Report {
  let report: Partial<Report> | null
  try {
    report = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError(`cannot read ${path} as a report of vegeta report -type json: ${errorText(error)}`)
  }
  const { requests, status_codes } = report ?? {}
  if (!Number.isSafeInteger(requests) || typeof status_codes !== 'object')
    throw new UsageError(`${path} is not a report of vegeta report -type json`)
  return { requests: requests!, status_codes }
}
