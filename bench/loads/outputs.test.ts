import { describe, expect, test } from 'vitest'
import { formIncrement } from '../rivals/rival.ts'
import { parseRedisBenchmark } from './redis-benchmark.ts'
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
  const head =
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"'

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
