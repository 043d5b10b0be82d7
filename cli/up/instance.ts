import { exitCodes, UsageError } from '../../lib/errors.ts'
import { whyNotListening } from '../../lib/process/port.ts'
import { isMarkSet, type PortMark, markToShow, setPortMark } from './port-mark.ts'

/**
 * One `piccolo up` per port: web processes share a port by SO_REUSEPORT, so without care a second, accidental
 * one would silently take a part of the traffic into another database.
 */
export async function takePortMark(host: string, port: number): Promise<PortMark> {
  const mark = await setPortMark(markOf(port))
  if (mark === 'taken') {
    const found = `to find out, sudo ss -xlp | grep ${markToShow(markOf(port))}`
    const reason = `another piccolo up has it, or a program that poses as one; ${found}`
    throw new UsageError(`cannot have --port ${port}: ${reason}`, exitCodes.badConfiguration)
  }
  const reason = await whyNotListening(host, port)
  if (reason !== null) {
    mark?.release()
    throw new UsageError(`cannot listen on ${host} port ${port}: ${reason}`, exitCodes.badConfiguration)
  }
  return mark ?? { release: () => {} }
}

/** Reports whether a `piccolo up` on this machine has the port. */
export function isInstanceUp(port: number): Promise<boolean> {
  return isMarkSet(markOf(port))
}

function markOf(port: number): string {
  return `up/${port}`
}
