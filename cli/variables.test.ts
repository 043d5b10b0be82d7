import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../test/kit/condition.ts'
import { Folder, freePort, Program } from '../test/kit/service.ts'

// Kubernetes sets these in every pod of a namespace with Services called `piccolo`, `piccolo-consumer` and
// `piccolo-redis`, and Docker in a container that is linked to one called `piccolo`.
const derived = {
  PICCOLO_SERVICE_HOST: '10.0.0.1',
  PICCOLO_SERVICE_PORT: '3333',
  PICCOLO_SERVICE_PORT_HTTP: '3333',
  PICCOLO_PORT: 'tcp://10.0.0.1:3333',
  PICCOLO_PORT_3333_TCP: 'tcp://10.0.0.1:3333',
  PICCOLO_PORT_3333_TCP_PROTO: 'tcp',
  PICCOLO_PORT_3333_TCP_PORT: '3333',
  PICCOLO_PORT_3333_TCP_ADDR: '10.0.0.1',
  PICCOLO_CONSUMER_PORT: 'udp://[fd00::1]:3335',
  PICCOLO_CONSUMER_SERVICE_PORT_STATUS_CHECK: '3335',
  PICCOLO_REDIS_PORT: 'tcp://10.0.0.2:6379',
  PICCOLO_REDIS_SERVICE_HOST: '10.0.0.2',
  PICCOLO_REDIS_PORT_6379_TCP_ADDR: '10.0.0.2',
  PICCOLO_NAME: '/web/piccolo',
  PICCOLO_ENV_NODE_VERSION: '22',
}

let folder: Folder
beforeEach(() => {
  folder = new Folder()
})
afterEach(() => folder[Symbol.dispose]())

/** Warnings in a log, one object each. */
function warnings(
  output: string,
): { process: string; variable?: string; nearest?: string[]; variables?: string[] }[] {
  const lines = output
    .split('\n')
    .filter(line => line.includes('"level":"warn"') && line.includes('"variable'))
  return lines.map(line => JSON.parse(line))
}

test('up starts among variables of Kubernetes and Docker, and says once that it ignores them', async () => {
  const args = ['up', '--database', folder.database, '--port', String(await freePort())]
  await using up = new Program(args, { ...derived, PICCOLO_PROT: '1', PICCOLO_HOST: '' })
  await up.says(/"msg":"ready"/)
  expect(warnings(up.output)).toMatchObject([
    { process: 'up', variable: 'PICCOLO_PROT', nearest: ['PICCOLO_PORT'] },
    { process: 'up', variables: Object.keys(derived) },
  ])
  expect(await up.stop()).toBe(0)
})

test.each(['web', 'consumer'])('so does %s on its own', async role => {
  const args = [role, '--database', folder.database, '--redis', '/nowhere/redis.sock']
  const own = { PICCOLO_FLUSH_INTERVALL_MS: '5', PICCOLO_QWERTZ: '1', PICCOLO_EMPTY: '' }
  const ports = role === 'web' ? ['--port', String(await freePort())] : []
  await using program = new Program([...args, ...ports], { ...derived, ...own })
  await until('it has said what it ignores', () => warnings(program.output).length === 3)
  expect(warnings(program.output)).toMatchObject([
    { process: role, variable: 'PICCOLO_FLUSH_INTERVALL_MS', nearest: ['PICCOLO_FLUSH_INTERVAL_MS'] },
    { process: role, variable: 'PICCOLO_QWERTZ', nearest: [] },
    { process: role, variables: Object.keys(derived) },
  ])
})

test('config check takes them, and names what was meant by another', async () => {
  await using good = new Program(['config', 'check'], derived)
  expect(await good.exited, good.output).toBe(0)
  expect(good.output).toContain('PICCOLO_SERVICE_HOST')
  await using bad = new Program(['config', 'check'], { ...derived, PICCOLO_PROT: '3333' })
  expect(await bad.exited).toBe(78)
  expect(bad.output).toBe('piccolo config: unknown variable PICCOLO_PROT; did you mean PICCOLO_PORT?\n')
})

test('a health check in such a pod asks the default port', async () => {
  await using health = new Program(['health', '--timeout-ms', '10'], derived)
  expect(await health.exited).toBe(1)
  expect(health.output).toContain('http://127.0.0.1:3333/readyz')
})
