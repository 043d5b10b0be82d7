import { describe } from 'vitest'
import { MemoryStore } from './memory-store.ts'
import { contractKeysMax, storeContract } from './store-contract.ts'

describe('the store in memory', () => {
  storeContract(async () => {
    const store = new MemoryStore({ idempotencyKeysMax: contractKeysMax })
    return { store, total: key => store.totals.get(key) ?? 0n, dispose: () => store.close() }
  })
})
