import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { batch, producerId } from '../test/builders.ts'
import { Folder } from '../test/service.ts'
import { encodeBatch } from './batch-writer.ts'
import { listHandovers, readHandover, removeHandover, writeHandover } from './handover.ts'

test('what is written is read back, and is gone once it is removed', () => {
  using folder = new Folder()
  const elements = [1, 2, 3].map(sequence => encodeBatch(batch({ sequence, sums: { 'é\u2028': sequence } })))
  const path = writeHandover(folder.database, producerId(1), elements)
  expect(listHandovers(folder.database)).toEqual([{ path, producer: producerId(1) }])
  expect(readHandover(path)).toEqual(elements)
  removeHandover(path)
  removeHandover(path)
  expect(listHandovers(folder.database)).toEqual([])
  expect(readHandover(path)).toBeNull()
})

test('a file of many pieces is read whole', () => {
  using folder = new Folder()
  const elements = Array.from({ length: 30 }, (_, index) => `${index} ${'é'.repeat(150_000 + index)}`)
  expect(readHandover(writeHandover(folder.database, producerId(1), elements))).toEqual(elements)
})

test('other files, those of other databases, and unfinished ones are not hand-overs', () => {
  using folder = new Folder()
  for (const name of ['numbers.db', 'numbers.db-wal', 'other.db-1.handover', 'numbers.db-1.handover.part'])
    writeFileSync(join(folder.path, name), '')
  expect(listHandovers(folder.database)).toEqual([])
  expect(listHandovers(join(folder.path, 'nowhere', 'numbers.db'))).toEqual([])
})

test('what cannot be written leaves nothing behind', () => {
  using folder = new Folder()
  const huge = {
    toString: () => {
      throw new Error('no space')
    },
  } as unknown as string
  expect(() => writeHandover(folder.database, producerId(1), [huge])).toThrow('no space')
  expect(folder.files()).toEqual([])
})
