import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { line, RawWebSocket } from '../kit/raw-websocket.ts'
import { Folder, Service } from '../kit/service.ts'

let folder: Folder
let service: Service
const streams: RawWebSocket[] = []

beforeEach(async () => {
  folder = new Folder()
  service = await Service.start(folder, '--web-processes', '1')
})
afterEach(async () => {
  for (const stream of streams.splice(0)) stream[Symbol.dispose]()
  await service[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

/** Far longer than the documented 32 s: the server looks at its connections every few seconds. */
const patienceMs = 90_000

test('who says nothing is pinged; who does not answer is cut, and who does may go on', async () => {
  const silent = await RawWebSocket.open(service.port)
  const alive = await RawWebSocket.open(service.port)
  streams.push(silent, alive)
  silent.answersPings = false
  silent.sendLines(line('silent'))
  await silent.answered(1)
  await until('the silent one is cut', () => silent.isClosed, patienceMs)
  expect(silent.pingCount).toBeGreaterThan(0)
  await until('the other one was pinged, too', () => alive.pingCount > 0, patienceMs)
  expect(alive.isClosed).toBe(false)
  alive.sendLines(line('alive'))
  await alive.answered(1)
  await service.hasTotals(
    new Map([
      ['silent', '1'],
      ['alive', '1'],
    ]),
  )
  expect(await service.metric('piccolo_stream_connections')).toBe(1)
}, 200_000)
