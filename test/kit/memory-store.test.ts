import { describe } from 'vitest'
import { MemoryStore } from './memory-store.ts'
import { contractOptions, storeContract } from './store-contract.ts'

describe('the store in memory', () => {
  storeContract(async ({ nowMs }) => {
    const store = new MemoryStore({ ...contractOptions, nowMs })
    return {
      store,
      total: async key => store.totals.get(key) ?? 0n,
      reopen: async () => store,
      dispose: () => store.close(),
    }
  })
})
