import { parentPort } from 'node:worker_threads'
import type { Element } from '../../batch/batch.ts'
import { type Answer, packPrepared } from './prepare.ts'

/** A thread that does nothing but prepare what it is given, one list of elements at a time. */
parentPort!.on('message', (elements: readonly Element[]) => {
  const answer: Answer | null = packPrepared(elements)
  const buffers = answer === null ? [] : [answer.merged.sums.buffer, answer.merged.ends.buffer]
  parentPort!.postMessage(answer, buffers as ArrayBuffer[])
})
