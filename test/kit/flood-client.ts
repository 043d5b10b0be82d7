import { createConnection, type Socket } from 'node:net'
import { workerData } from 'node:worker_threads'
import { counting, type FloodOptions } from './flood.ts'

/** One client of a flood, in a thread of its own. */
const burstBytes = 1_048_576
const { port, opening, first, piece, isStream, underWay, answer, counters } = workerData as FloodOptions
const count = (what: keyof typeof counting, more = 1) => Atomics.add(counters, counting[what], more)
const isStopped = () => Atomics.load(counters, counting.isStopped) === 1

const pieces = Buffer.from(piece.repeat(underWay ?? Math.ceil(burstBytes / piece.length)), 'latin1')

function connect(): void {
  const socket = createConnection({ port, host: '127.0.0.1' })
  let pending = 0
  let tail = ''
  const begin = () => {
    socket.write(first, 'latin1')
    send()
  }
  const send = () => {
    pending = underWay ?? 0
    if (underWay !== null) socket.write(pieces)
    else pour(socket)
  }
  socket.setNoDelay(true)
  socket.on('connect', () => {
    count('connections')
    socket.write(opening, 'latin1')
    if (!isStream) begin()
  })
  if (isStream) socket.once('data', begin)
  socket.on('data', chunk => {
    const text = tail + chunk.toString('latin1')
    const found = text.split(answer).length - 1
    count('answered', found)
    const rest = text.lastIndexOf(answer)
    tail = text.slice(Math.max(rest === -1 ? 0 : rest + answer.length, text.length - answer.length + 1))
    pending -= found
    if (underWay !== null && pending === 0 && !isStopped()) send()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    if (isStopped()) return
    count('closed')
    setTimeout(connect, 5)
  })
}

function pour(socket: Socket): void {
  if (isStopped() || !socket.writable) return
  const isTaken = socket.write(pieces, () => count('sentKib', pieces.length >> 10))
  if (isTaken) setImmediate(pour, socket)
  else socket.once('drain', () => pour(socket))
}

connect()
