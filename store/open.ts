import { openSqliteReader, openSqliteStore } from './sqlite/open.ts'
import type { OpenParts, Store, StoreReader } from './store.ts'

/** Opens the store of a database as its one writer; see openSqliteStore, also for the errors. */
export async function openStore(database: string, parts: OpenParts): Promise<Store> {
  return openSqliteStore(database, parts)
}

/** Opens the store of a database to read totals, beside its writer. Rejects where there is none. */
export async function openStoreReader(database: string): Promise<StoreReader> {
  return openSqliteReader(database)
}
