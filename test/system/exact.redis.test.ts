import { afterEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { post, RawConnection } from '../kit/raw-http.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { differenceOf, Folder, Service } from '../kit/service.ts'

/** CI makes do with fewer than one would by hand: `EXACT_REQUESTS=200000 npm test -- test/exact.test.ts`. */
const requestCount = Number(process.env.EXACT_REQUESTS ?? 20_000)
const connectionCount = 64
const keyCount = 600
const incrementsPerRequestMax = 5
const extreme = 9007199254740991n
/** No total comes near 2^63, where increments are set aside: in whatever order they are added. */
const totalMax = 2n ** 62n
/** The promise, and how long a machine with other things to do may take. */
const promisedMs = 2_000
const deadlineMs = 60_000
const testTimeoutMs = deadlineMs + 60_000 + requestCount

let folder: Folder | null = null
let service: Service | null = null
let redis: RedisServer | null = null

afterEach(async () => {
  await service?.[Symbol.asyncDispose]()
  await redis?.[Symbol.asyncDispose]()
  folder?.[Symbol.dispose]()
  service = redis = folder = null
})

test('every total is exact after many connections at once, on the embedded queue', {
  timeout: testTimeoutMs,
}, async () => {
  await countExactly()
})

test('every total is exact after many connections at once, through Redis', {
  timeout: testTimeoutMs,
}, async () => {
  redis = await RedisServer.start()
  await countExactly('--redis', redis.url)
})

async function countExactly(...args: string[]): Promise<void> {
  folder = new Folder()
  service = await Service.start(folder, '--web-processes', '2', ...args)
  const { port, url } = service
  const book = new Book(1)
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: connectionCount }, () => runClient(port, book)))
  const lastAnswerAt = performance.now()
  let difference = ''
  await until(
    'every total is exact',
    () => {
      difference = differenceOf(book.totals(), folder!.totals())
      return difference === ''
    },
    deadlineMs,
  ).catch(() => {
    throw new Error(`${difference}\n${service!.output.slice(-4_000)}`)
  })
  report(book, { requestsMs: lastAnswerAt - startedAt, totalsMs: performance.now() - lastAnswerAt })
  // Nothing is added afterwards, and both processes took part.
  const accepted = await acceptedByProcess(url)
  expect([...accepted.keys()].sort()).toEqual(['web 1', 'web 2'])
  expect(Math.min(...accepted.values())).toBeGreaterThan(0)
  expect([...accepted.values()].reduce((sum, each) => sum + each)).toBe(book.incrementCount)
  expect(differenceOf(book.totals(), folder.totals())).toBe('')
}

function report(book: Book, { requestsMs, totalsMs }: { requestsMs: number; totalsMs: number }): void {
  const late = totalsMs > promisedMs ? `, over the promised ${promisedMs} ms` : ''
  console.info(
    `${requestCount} requests with ${book.incrementCount} increments in ${Math.round(requestsMs)} ms, ` +
      `${book.totals().size} totals exact ${Math.round(totalsMs)} ms after the last answer${late}`,
  )
}

async function acceptedByProcess(url: string): Promise<Map<string, number>> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const lines = metrics.matchAll(/^piccolo_increments_accepted_total\{process="([^"]+)"\} (\d+)$/gm)
  return new Map([...lines].map(([, name, value]) => [name!, Number(value)]))
}

/** One connection that is kept: sends a request, waits for its answer, and sends the next. */
async function runClient(port: number, book: Book): Promise<void> {
  const connection = await RawConnection.connect(port)
  try {
    for (let request = book.next(); request !== null; request = book.next()) {
      connection.send(request.bytes)
      expect(await connection.answer()).toMatchObject({
        status: 200,
        body: `{"accepted":${request.increments},"ack":"memory"}`,
      })
    }
  } finally {
    connection[Symbol.dispose]()
  }
}

/** Makes requests, and keeps account of what the totals must be when all of them are answered. */
class Book {
  readonly #random: () => number
  readonly #keys: readonly string[]
  readonly #totals = new Map<string, bigint>()
  #requestsLeft = requestCount
  incrementCount = 0

  constructor(seed: number) {
    this.#random = randomNumbers(seed)
    this.#keys = Array.from({ length: keyCount }, (_, index) => anyKey(index, this.#random))
    expect(new Set(this.#keys).size).toBe(keyCount)
  }

  /** Returns null when all requests are made. */
  next(): { bytes: string; increments: number } | null {
    if (this.#requestsLeft === 0) return null
    this.#requestsLeft--
    const form = this.#below(3)
    const increments = form === 0 ? 1 : this.#below(incrementsPerRequestMax + 1)
    const items = Array.from({ length: increments }, () => this.#increment())
    return { bytes: this.#request(form, items), increments }
  }

  totals(): Map<string, string> {
    return new Map([...this.#totals].map(([key, total]) => [key, String(total)]))
  }

  #increment(): [key: string, value: bigint] {
    // A tenth of the keys gets half of the increments.
    const key = this.#keys[this.#below(this.#random() < 0.5 ? keyCount / 10 : keyCount)]!
    const total = this.#totals.get(key) ?? 0n
    let value = this.#value()
    if ((total < 0n ? -total : total) > totalMax && total < 0n === value < 0n) value = -value
    this.#totals.set(key, total + value)
    this.incrementCount++
    return [key, value]
  }

  #value(): bigint {
    const kind = this.#random()
    if (kind < 0.1) return extreme
    if (kind < 0.2) return -extreme
    if (kind < 0.3) return 0n
    if (kind < 0.4) return BigInt(Math.floor((this.#random() - 0.5) * 2 ** 53))
    return BigInt(this.#below(2_001)) - 1_000n
  }

  #request(form: number, items: readonly [string, bigint][]): string {
    if (form === 0) {
      const [key, value] = items[0]!
      const isRaw = this.#random() < 0.3 && !/[&=+%]/.test(key)
      const fields = [`key=${isRaw ? key : encodeURIComponent(key)}`, `value=${value}`]
      return post((this.#random() < 0.5 ? fields : fields.reverse()).join('&'))
    }
    // JSON.stringify knows no BigInt.
    const objects = items.map(([key, value]) => `{"key":${this.#jsonText(key)},"value":${value}}`)
    if (form === 1) return post(`[${objects.join(', ')}]`, { type: 'application/json' })
    return post(objects.join('\n'), { type: 'application/x-ndjson' })
  }

  #jsonText(text: string): string {
    if (this.#random() < 0.5) return JSON.stringify(text)
    const units = Array.from({ length: text.length }, (_, index) => text.charCodeAt(index))
    return `"${units.map(unit => `\\u${unit.toString(16).padStart(4, '0')}`).join('')}"`
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound)
  }
}

/** Easily taken for another key, or for something else than a key. */
const specialKeys = [
  '__proto__',
  'constructor',
  'foo',
  'Foo',
  'foo ',
  ' foo',
  'foo\u0301',
  'NULL',
  '0',
  '\ufeff',
]

const alphabets = [
  'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
  ' !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~',
  'éèüßøÅ\u0301\u00a0\u200b\ufeff\ufffd\uffff日本語кириллица',
  '😀🎉𝒳𐍈\u{10ffff}',
]

/** The index makes it unique. */
function anyKey(index: number, random: () => number): string {
  const special = specialKeys[index]
  if (special !== undefined) return special
  const alphabet = [...alphabets[index % alphabets.length]!]
  const bytesMax = index % 20 === 0 ? 512 : 8 + Math.floor(random() * 40)
  let key = String(index)
  for (;;) {
    const longer = key + alphabet[Math.floor(random() * alphabet.length)]
    if (Buffer.byteLength(longer) > bytesMax) break
    key = longer
  }
  return key.padEnd(key.length + bytesMax - Buffer.byteLength(key), 'x')
}

/** The same from 0 to 1 for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
