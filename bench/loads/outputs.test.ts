import { describe, expect, test } from 'vitest'
import { formIncrement } from '../peers/peer.ts'
import { parseRedisBenchmark } from './redis-benchmark.ts'
import { parseHistogram, parseVegeta } from './vegeta.ts'
import { answersIn, clientFrame } from './web-socket.ts'
import { parseWrk, wrkScript } from './wrk.ts'

describe('what wrk says', () => {
  const sample =
    'SAMPLE {"requests":2000,"us":1000000,"status":0,"socket":0,"p50Us":472,"p99Us":14600,"p999Us":22200}'

  test('is found between its own lines', () => {
    expect(parseWrk(`Running 1s test @ http://127.0.0.1:1\n${sample}\n`)).toEqual({
      increments: 2_000,
      seconds: 1,
      failures: 0,
      latencyMs: { p50: 0.472, p99: 14.6, p999: 22.2 },
    })
  })

  test('with errors: a refused request is no increment', () => {
    const failed = sample.replace('"status":0', '"status":300').replace('"socket":0', '"socket":2')
    expect(parseWrk(failed)).toMatchObject({ increments: 1_700, failures: 302 })
  })

  test('is never taken for a result when the result is missing', () => {
    expect(() => parseWrk('2000 requests in 1.00s')).toThrow('did not say')
  })
})

describe('the script for wrk', () => {
  test('carries a text with quotes and line breaks unharmed', () => {
    const request = { ...formIncrement, body: "it's \\ {key}\n" }
    expect(wrkScript(request, { connections: 1, keyCount: 1, pipeline: 1 })).toContain(
      `string.gsub('it\\'s \\\\ {key}\\n', '{key}', key)`,
    )
  })
})

describe('what redis-benchmark says', () => {
  const names = ['test', 'rps', 'avg', 'min', 'p50', 'p95', 'p99', 'max']
  const head = names.map(name => `"${name}"`).join(',')

  test('is in its last line, whatever the command has in it', () => {
    const line = '"INCRBY key:__rand_int__ 1","1018643.25","0.400","0.100","0.599","1.500","2.663","9.000"'
    expect(parseRedisBenchmark(`${head}\n${line}\n`)).toEqual({
      requestsPerSecond: 1_018_643.25,
      latencyMs: { p50: 0.599, p99: 2.663, p999: null },
    })
  })

  test('is never taken for a result when the result is missing', () => {
    expect(() => parseRedisBenchmark(head)).toThrow('did not say')
  })
})

describe('what vegeta says', () => {
  test('counts as accepted only what was answered with 200', () => {
    const report = '{"requests":900,"status_codes":{"0":1,"200":890,"503":9}}'
    expect(parseVegeta(report)).toEqual({ requests: 900, accepted: 890 })
    expect(parseVegeta('{"requests":3,"status_codes":{"0":3}}').accepted).toBe(0)
  })

  test('has latencies at the first point that reaches the share', () => {
    const plot = `Value(ms)  Percentile  TotalCount  1/(1-Percentile)
0.110      0.000000    1           1.000000
0.250      0.500000    50          2.000000
0.900      0.990000    99          100.000000
4.500      0.999000    100         1000.000000
9.000      1.000000    100         10000000.000000
`
    expect(parseHistogram(plot)).toEqual({ p50: 0.25, p99: 0.9, p999: 4.5 })
    expect(() => parseHistogram('Value(ms)  Percentile')).toThrow('did not say')
  })
})

describe('a WebSocket', () => {
  const answer = (text: string) => Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)])

  test('has its messages masked, and unmasked they are what was said', () => {
    const frame = clientFrame('{"key":"a"}', [9, 8, 7, 6])
    expect([...frame.subarray(0, 6)]).toEqual([0x81, 0x80 | 11, 9, 8, 7, 6])
    const unmasked = frame.subarray(6).map((byte, index) => byte ^ [9, 8, 7, 6][index % 4]!)
    expect(Buffer.from(unmasked).toString()).toBe('{"key":"a"}')
  })

  test('has its answers counted, refusals apart, and what is cut off left for later', () => {
    const ok = answer('{"message":1,"accepted":1,"ack":"memory"}')
    const refused = answer('{"message":2,"code":"key_missing"}')
    const received = Buffer.concat([ok, refused, ok, ok.subarray(0, 9)])
    expect(answersIn(received)).toEqual({ bytes: received.length - 9, accepted: 2, refused: 1 })
  })

  test('has joined answers counted by their messages, unless some of them were refused', () => {
    const joined = answer('{"message":7,"messages":6,"accepted":6,"ack":"memory"}')
    const inPart = answer('{"message":9,"messages":2,"accepted":1,"ack":"memory"}')
    const received = Buffer.concat([joined, inPart])
    expect(answersIn(received)).toEqual({ bytes: received.length, accepted: 6, refused: 1 })
  })

  test('that is closed ends the load', () => {
    expect(() => answersIn(Buffer.from([0x88, 2, 3, 0xe8]))).toThrow('closed')
  })
})
