import { beforeEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { type Answer, line, RawWebSocket } from '../kit/raw-websocket.ts'
import type { RedisServer } from '../kit/redis-server.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()
let redis: RedisServer

beforeEach(async () => {
  redis = await bed.startRedis()
})

async function open(query: string): Promise<RawWebSocket> {
  return bed.use(await RawWebSocket.open(bed.service.port, { query }))
}
const acceptedBy = (answers: readonly Answer[]) =>
  answers.reduce((sum, answer) => sum + (answer.accepted ?? 0), 0)

test('every acknowledgement is true at the moment when it comes', async () => {
  const service = await bed.start('--redis', redis.url, '--flush-interval-ms', '60000')
  for (let round = 1; round <= 5; round++) {
    const stream = await open('?ack=committed')
    stream.sendLines(line('now'), line('now'))
    await stream.answered(2)
    expect(bed.folder.totals().get('now')).toBe(String(2 * round))
  }
  const client = redis.client()
  const stream = await open('?ack=queued')
  process.kill(service.children().get('piccolo consumer')!, 'SIGSTOP')
  stream.sendLines(line('now'))
  expect(await stream.answered(1)).toEqual([{ message: 1, accepted: 1, ack: 'queued' }])
  expect(await client.llen('piccolo:{0}:batches')).toBe(1)
  process.kill(service.children().get('piccolo consumer')!, 'SIGCONT')
  await client.quit()
  await service.hasTotals(new Map([['now', '11']]))
})

test('a Redis that is killed with all it had costs no message, whatever its acknowledgement', async () => {
  const service = await bed.start('--redis', redis.url, '--ack-timeout-ms', '60000')
  const acks = ['memory', 'queued', 'committed']
  const opened = await Promise.all(acks.map(ack => open(`?ack=${ack}`)))
  const burst = () => {
    for (const [index, stream] of opened.entries())
      stream.sendLines(...Array.from({ length: 100 }, (_, number) => line(`${acks[index]} ${number}`)))
  }
  const rounds = 20
  for (let round = 0; round < rounds; round++) {
    burst()
    if (round === 8) await redis.kill()
    if (round === 12) await redis.start()
    await new Promise(resolve => setImmediate(resolve))
  }
  for (const stream of opened) expect(acceptedBy(await stream.answered(rounds * 100))).toBe(rounds * 100)
  const totals = acks.flatMap(ack =>
    Array.from({ length: 100 }, (_, number) => [`${ack} ${number}`, String(rounds)] as const),
  )
  await service.hasTotals(new Map(totals))
  await until('nobody waits', async () => (await service.metric('piccolo_requests_waiting')) === 0)
})

test('a web process that is killed takes with it no message that was acknowledged as committed', async () => {
  const service = await bed.start('--redis', redis.url, '--web-processes', '1')
  const stream = await open('?ack=committed')
  let sent = 0
  while (!stream.isClosed) {
    stream.sendLines(...Array.from({ length: 20 }, () => line('killed')))
    sent += 20
    if (sent === 1_000) {
      await stream.answered(100)
      process.kill(service.children().get('piccolo web 1')!, 'SIGKILL')
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  const acknowledged = acceptedBy(stream.answers.filter(({ ack }) => ack === 'committed'))
  expect(acknowledged).toBeGreaterThanOrEqual(100)
  const total = Number(bed.folder.totals().get('killed'))
  expect(total).toBeGreaterThanOrEqual(acknowledged)
  expect(total).toBeLessThanOrEqual(sent)
})
