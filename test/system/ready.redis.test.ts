import { expect, test } from 'vitest'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, freePort, Program } from '../kit/service.ts'

/** Fields of the line that says that everything is started. */
function readyLine({ output }: Program): object {
  return JSON.parse(output.split('\n').find(line => line.includes('"msg":"ready"'))!)
}

test('web and consumer on their own say where they are, as up does', async () => {
  await using redis = await RedisServer.start()
  using folder = new Folder()
  const [port, consumerPort] = [await freePort(), await freePort()]
  const shared = ['--redis', redis.url, '--database', folder.database]
  await using consumer = new Program(['consumer', '--consumer-port', String(consumerPort), ...shared])
  await consumer.says(/"msg":"ready".*\n/)
  const where = { version: expect.stringMatching(/^\d/), host: '127.0.0.1', queue: redis.url }
  expect(readyLine(consumer)).toMatchObject({ ...where, consumerPort, database: folder.database })
  await using web = new Program(['web', '--port', String(port), ...shared])
  await web.says(/"msg":"ready".*\n/)
  expect(readyLine(web)).toMatchObject({ ...where, port })
})
