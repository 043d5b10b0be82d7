import { type ErrorPolicy, OperationError } from '../lib/errors.ts'

/** The errors of a store and how to go on after each; docs/operations.md explains them. */
export const storeErrors = {
  store_busy: {
    retry: 'soon',
    hint: 'another program holds the database locked; close it, or end its transaction',
  },
  store_full: {
    retry: 'later',
    hint: 'free disk space, and do not stop the service before; batches wait in the queue',
  },
  store_gone: {
    retry: 'later',
    hint: 'put the database back where it was; increments wait in the queue and in web processes until then',
  },
  store_replaced: {
    retry: 'restart',
    hint: 'somebody replaced files of a running service; the consumer opens what is there now and checks it',
  },
  store_failed: { retry: 'restart', hint: 'the disk failed to read or write; look at the kernel log' },
  store_corrupt: {
    retry: 'never',
    hint: 'restore a backup, or recover it with the .recover command of sqlite3',
  },
  store_locked: { retry: 'never', hint: 'only one consumer may have a database; stop the other one' },
  store_newer: { retry: 'never', hint: 'install the version of Piccolo Daimao that made it, or a later one' },
  store_older: {
    retry: 'never',
    hint: 'start the service once: it brings the database to the schema of this version',
  },
  store_unknown: {
    retry: 'never',
    hint: 'point --database to a database of Piccolo Daimao, or where there is no file yet',
  },
  store_unreadable: { retry: 'never', hint: 'check the path in --database, and who may read and write it' },
  store_on_network: {
    retry: 'never',
    hint: 'put the database on a disk of this machine, or into a volume of the container engine; it would corrupt',
  },
  store_outdated: {
    retry: 'never',
    hint: 'put the latest database back; or accept the loss by --accept-older-store',
  },
  increments_lost: {
    retry: 'never',
    hint: 'neither their producer nor the queue brings them; if they arrive all the same, they count',
  },
  sums_set_aside: { retry: 'never', hint: 'their totals would leave 64 bits; see the table set_aside' },
} as const satisfies Record<string, ErrorPolicy>

export type StoreErrorCode = keyof typeof storeErrors

export function storeError(code: StoreErrorCode, message: string, cause?: unknown): OperationError {
  return new OperationError(code, storeErrors[code], message, cause)
}
