import { createSocket } from 'node:dgram'
import { systemClock } from '../../lib/clock.ts'
import { shuffledKeys } from '../loads/keys.ts'
import { printSample } from '../loads/print-sample.ts'

/** `PORT SECONDS KEYS INCREMENTS`: datagrams in the format of StatsD, with so many increments each. */
const [port, seconds, keyCount, perDatagram] = process.argv.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
]
/** Handed to the kernel before we wait for it to have taken them. */
const burst = 64

const keys = shuffledKeys(keyCount)
const datagrams = keys.map((_, index) =>
  Array.from({ length: perDatagram }, (_, ahead) => `${keys[(index + ahead) % keyCount]}:1|c`).join('\n'),
)
const socket = createSocket('udp4')
await new Promise<void>(resolve => socket.connect(port, '127.0.0.1', resolve))
let sent = 0
let failures = 0
let turn = 0
const startedMs = systemClock.monotonicMs()
const endMs = startedMs + seconds * 1_000
while (systemClock.monotonicMs() < endMs) await Promise.all(Array.from({ length: burst }, send))
const taken = (systemClock.monotonicMs() - startedMs) / 1_000
socket.close()
printSample({ increments: sent, seconds: taken, failures, underWayMax: 0 }, [])

function send(): Promise<void> {
  return new Promise(resolve => {
    socket.send(datagrams[turn++ % datagrams.length]!, error => {
      if (error) failures++
      else sent += perDatagram
      resolve()
    })
  })
}
