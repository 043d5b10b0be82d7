import { connect } from 'node:net'
import { systemClock } from '../../lib/clock.ts'
import { sampledKeys, shuffledKeys } from '../loads/keys.ts'
import { printSample } from '../loads/print-sample.ts'

/**
 * `PORT SECONDS CONNECTIONS LINES KEYS RATE`: bodies are made before the load begins, and sent in turn; at
 * most RATE increments a second, unless that is 0.
 */
const [port, seconds, connections, lines, keyCount, rate] = process.argv.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
  number,
  number,
]
/** Bodies that are made in advance. For more keys than they have lines, random ones are taken. */
const bodiesMax = 2_000

const requests = makeRequests()
const latenciesMs: number[] = []
let accepted = 0
let failures = 0
let turn = 0
const startedMs = systemClock.monotonicMs()
const endMs = startedMs + seconds * 1_000
await Promise.all(Array.from({ length: connections }, loop))
const taken = (systemClock.monotonicMs() - startedMs) / 1_000
printSample({ increments: accepted, seconds: taken, failures, underWayMax: 0 }, latenciesMs)

function makeRequests(): Buffer[] {
  const keys =
    keyCount > bodiesMax * lines ? sampledKeys(bodiesMax * lines, keyCount) : shuffledKeys(keyCount)
  const count = Math.min(bodiesMax, Math.max(1, Math.ceil(keyCount / lines)))
  return Array.from({ length: count }, (_, index) => {
    const line = (at: number) => `{"key":"${keys[(index * lines + at) % keys.length]}","value":1}\n`
    const body = Array.from({ length: lines }, (_, at) => line(at)).join('')
    const head = `POST /increment HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\n`
    return Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
  })
}

/** One connection, one request at a time; resolves when the time is over and the last one is answered. */
function loop(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').setNoDelay().setEncoding('latin1')
    let answer = ''
    let beganMs = 0
    const send = () => {
      const waitMs = rate === 0 ? 0 : startedMs + (turn * lines * 1_000) / rate - systemClock.monotonicMs()
      // Timers have no finer steps; several bodies may then go at once.
      if (waitMs >= 1) {
        systemClock.after(waitMs, send)
        return
      }
      beganMs = systemClock.monotonicMs()
      if (beganMs >= endMs) {
        socket.destroy()
        resolve()
        return
      }
      socket.write(requests[turn++ % requests.length]!)
    }
    socket.once('connect', send)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed the connection')))
    socket.on('data', text => {
      answer += text
      const count = acceptedIn(answer)
      if (count === null) return
      answer = ''
      if (count === 'refused') failures++
      else accepted += count
      latenciesMs.push(systemClock.monotonicMs() - beganMs)
      send()
    })
  })
}

/** Returns how many increments the answer accepted; null while it is not complete. */
function acceptedIn(answer: string): number | 'refused' | null {
  const bodyStart = answer.indexOf('\r\n\r\n') + 4
  const length = /content-length: (\d+)/i.exec(answer)?.[1]
  if (bodyStart < 4 || length === undefined || answer.length < bodyStart + Number(length)) return null
  if (!answer.startsWith('HTTP/1.1 200 ')) return 'refused'
  return JSON.parse(answer.slice(bodyStart)).accepted
}
