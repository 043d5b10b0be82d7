import { storeError } from '../errors.ts'
import { applicationId, schemaVersion } from './schema.ts'
import type { Database } from './sqlite.ts'

/** Throws OperationError for a database that is neither ours, nor of the seed project, nor empty. */
export function refuseForeign(database: Database, path: string): void {
  if (isOurs(database)) {
    refuseNewer(database, path)
    return
  }
  const tables = tableNames(database)
  const other = tables.find(name => name !== 'numbers')
  if (other !== undefined) throw otherProgram(path, `it has a table ${other}`)
  const columns = database.pragma('table_info(numbers)') as { name: string }[]
  const isSeed = ['key', 'value'].every(name => columns.some(column => column.name.toLowerCase() === name))
  if (tables.length > 0 && !isSeed) throw otherProgram(path, 'its numbers are not ours')
}

/** Throws OperationError for a database that has no totals to read. */
export function refuseWithoutTotals(database: Database, path: string): void {
  if (!isOurs(database)) refuseForeign(database, path)
  if (tableNames(database).length === 0)
    throw storeError('store_unknown', `${path} is empty: no service has used it yet`)
}

/** Throws OperationError for a database that has no ledger that this version can read. */
export function refuseWithoutLedger(database: Database, path: string): void {
  refuseWithoutTotals(database, path)
  if (!isOurs(database))
    throw storeError('store_unknown', `${path} has no ledger: it is of the older Piccolo Daimao in Python`)
  refuseNewer(database, path)
  const version = versionOf(database)
  if (version < schemaVersion)
    throw storeError('store_older', `${path} has schema version ${version}, not ${schemaVersion}`)
}

export function tableNames(database: Database): string[] {
  const rows = database.prepare(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`,
  )
  return rows.pluck().all() as string[]
}

function isOurs(database: Database): boolean {
  return database.pragma('application_id', { simple: true }) === applicationId
}

function versionOf(database: Database): number {
  return database.pragma('user_version', { simple: true }) as number
}

function refuseNewer(database: Database, path: string): void {
  const version = versionOf(database)
  if (version <= schemaVersion) return
  throw storeError(
    'store_newer',
    `${path} has schema version ${version}, this program knows ${schemaVersion}`,
  )
}

function otherProgram(path: string, reason: string) {
  return storeError('store_unknown', `${path} is the database of another program: ${reason}`)
}
