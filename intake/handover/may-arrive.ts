import type { Clock } from '../../lib/clock.ts'
import { type Log, RepeatedError } from '../../lib/process/log.ts'
import { handoverErrorOf } from './errors.ts'
import { isHandedOver, type Place } from './handover-files.ts'

/**
 * Returns a function that reports whether batches of a producer may wait in a hand-over file. While the files
 * cannot be listed, they may.
 */
export function mayArrive(place: Place, clock: Clock, log: Log): (producer: string) => boolean {
  const listing = new RepeatedError(log, clock, 'hand-over files cannot be listed')
  return producer => {
    try {
      const isThere = isHandedOver(place, producer)
      listing.over()
      return isThere
    } catch (error) {
      listing.happened(handoverErrorOf(error))
      return true
    }
  }
}
