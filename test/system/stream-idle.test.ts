import { beforeEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { line, RawWebSocket } from '../kit/raw-websocket.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()
beforeEach(() => bed.start('--web-processes', '1'))

/** Far longer than the documented 32 s: the server looks at its connections every few seconds. */
const patienceMs = 90_000

test('a silent client is pinged: one that does not answer is cut, and one that does may go on', async () => {
  using silent = await RawWebSocket.open(bed.service.port)
  using alive = await RawWebSocket.open(bed.service.port)
  silent.answersPings = false
  silent.sendLines(line('silent'))
  await silent.answered(1)
  await until('the silent one is cut', () => silent.isClosed, patienceMs)
  expect(silent.pingCount).toBeGreaterThan(0)
  await until('the other one was pinged, too', () => alive.pingCount > 0, patienceMs)
  expect(alive.isClosed).toBe(false)
  alive.sendLines(line('alive'))
  await alive.answered(1)
  await bed.service.hasTotals(
    new Map([
      ['silent', '1'],
      ['alive', '1'],
    ]),
  )
  expect(await bed.service.metric('piccolo_stream_connections')).toBe(1)
}, 200_000)
