import type { Part } from '../../lib/process/lifecycle.ts'
import type { Log } from '../../lib/process/log.ts'
import type { Binding } from '../../queue/store-binding.ts'
import { leaveBatches, type Place, runsOf, unwritable } from '../handover/handover-files.ts'
import type { Flusher } from './flusher.ts'
import type { Producer } from './producer.ts'

/** The share of the stop timeout for handing on what is there. The last moments are for writing. */
const drainShare = 0.6

/**
 * The flusher as a part of a service. What it has not handed on when its stop is over, however that ended,
 * is written down.
 */
export function flusherPart(
  { flusher, producer, binding }: { flusher: Flusher; producer: Producer; binding: Binding },
  options: Place & { readonly stopTimeoutMs: number },
  log: Log,
): Part {
  let isSafe = false
  return {
    name: 'flusher',
    start: () => {
      void binding.refresh()
      void flusher.start()
    },
    stop: async () => {
      void binding.refresh()
      isSafe = await flusher.drain(options.stopTimeoutMs * drainShare)
    },
    lastly: () => {
      if (isSafe) return
      sealRest(flusher, log)
      const elements = producer.unconfirmed.map(({ element }) => element)
      const leave = (run: string[]) =>
        leaveBatches(options, { store: binding.store, producer: producer.id, elements: run }, log)
      const unwritten = runsOf(elements).flatMap(run => leave(run).unwritten)
      if (unwritten.length > 0) throw unwritable(unwritten, log)
    },
  }
}

/** Seals what was being sealed and what has come since, even if some of it cannot be sealed. */
function sealRest(flusher: Flusher, log: Log): void {
  for (let tries = 0; tries < 3; tries++) {
    try {
      flusher.sealEverything()
      return
    } catch (error) {
      log.fatal({ err: error }, 'increments that cannot be sealed are lost')
    }
  }
}
