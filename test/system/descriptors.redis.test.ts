import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, freePort, Program } from '../kit/service.ts'

test('a crowd on the port of a consumer with few descriptors keeps it from nothing', async () => {
  await using redis = await RedisServer.start()
  using folder = new Folder()
  const [port, consumerPort] = [await freePort(), await freePort()]
  const shared = ['--redis', redis.url, '--database', folder.database]
  await using consumer = new Program(
    ['consumer', '--consumer-port', String(consumerPort), ...shared],
    {},
    'pipe',
    { descriptorsMax: 64 },
  )
  await consumer.says(/"msg":"started"/)
  await redis.kill()
  await consumer.says(/the queue cannot be read/)
  const sockets: Socket[] = Array.from({ length: 300 }, () => connect(consumerPort, '127.0.0.1'))
  for (const socket of sockets) socket.on('error', () => {})
  await until('the crowd is there', () => sockets.every(socket => !socket.connecting))
  // The consumer has to connect again, which takes descriptors.
  await redis.start()
  await using web = new Program(['web', '--port', String(port), ...shared])
  await web.says(/"msg":"started"/)
  const url = `http://127.0.0.1:${port}/increment?ack=committed`
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ key: 'foo', value: '1' }) })
  expect(await answer.json()).toEqual({ accepted: 1, ack: 'committed' })
  for (const socket of sockets) socket.destroy()
  await until('the port answers', () =>
    fetch(`http://127.0.0.1:${consumerPort}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  expect(await web.stop()).toBe(0)
  expect(await consumer.stop()).toBe(0)
}, 40_000)
