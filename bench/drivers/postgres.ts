import pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { shuffledKeys } from '../loads/keys.ts'
import { printSample } from '../loads/print-sample.ts'

/**
 * `prepare PORT` makes the table, `total PORT` prints the sum of all totals, and
 * `load PORT SECONDS CONNECTIONS KEYS` upserts in a closed loop, each increment a transaction of its own.
 */
const [what, port, seconds, connections, keyCount] = process.argv.slice(2)
const address = { host: '127.0.0.1', port: Number(port), user: 'bench', database: 'postgres' }
const upsert =
  'INSERT INTO numbers VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = numbers.value + excluded.value'

if (what === 'prepare')
  await once('CREATE TABLE IF NOT EXISTS numbers (key text PRIMARY KEY, value bigint NOT NULL)')
else if (what === 'total') console.log(await once('SELECT coalesce(sum(value), 0) AS total FROM numbers'))
else await load(Number(seconds), Number(connections), shuffledKeys(Number(keyCount)))

async function once(query: string): Promise<string | undefined> {
  const client = new pg.Client(address)
  await client.connect()
  const { rows } = await client.query(query)
  await client.end()
  return rows[0]?.total
}

async function load(seconds: number, connections: number, keys: readonly string[]): Promise<void> {
  const clients = Array.from({ length: connections }, () => new pg.Client(address))
  await Promise.all(clients.map(client => client.connect()))
  const latenciesMs: number[] = []
  let turn = 0
  const startedMs = systemClock.monotonicMs()
  const endMs = startedMs + seconds * 1_000
  await Promise.all(
    clients.map(async client => {
      for (let beganMs = startedMs; beganMs < endMs; ) {
        const key = keys[turn++ % keys.length]
        await client.query({ name: 'upsert', text: upsert, values: [key, 1] })
        const nowMs = systemClock.monotonicMs()
        latenciesMs.push(nowMs - beganMs)
        beganMs = nowMs
      }
    }),
  )
  const taken = (systemClock.monotonicMs() - startedMs) / 1_000
  await Promise.all(clients.map(client => client.end()))
  const increments = latenciesMs.length
  printSample({ increments, seconds: taken, failures: 0, underWayMax: 0 }, latenciesMs)
}
