import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { type Candidate, compare } from './comparison.ts'
import type { Load } from './loads/load.ts'
import { type Peer, type Running, Unavailable } from './peers/peer.ts'

const place = { folder: tmpdir(), cache: tmpdir(), serverCores: null, loadCores: null }

/** Answers ten increments a turn, has another three under way, and writes down its turns. */
function load(name: string, turns: string[] = []): Load {
  return {
    name: 'ten at a time',
    async run() {
      turns.push(name)
      return { increments: 10, seconds: 1, failures: 0, underWayMax: 3, latencyMs: null }
    },
  }
}

/** This very process, with a total of its own. */
function peer(name: string, total: number | null, more: Partial<Peer> = {}, stops: string[] = []): Peer {
  const running: Running = {
    port: 1,
    pids: [process.pid],
    stop: async () => {
      stops.push(name)
    },
    total: async () => total,
  }
  return { name, does: 'counts', start: async () => running, ...more }
}

function run(candidates: readonly Candidate[], said: string[] = []) {
  const say = (line: string) => said.push(line)
  return compare(candidates, { rounds: 1, seconds: 1, subject: 'incrementsPerSecond', place, say })
}

describe('a comparison', () => {
  test('goes in turns, and leaves the warm-up out of the rounds but not out of the total', async () => {
    const turns: string[] = []
    const { entries } = await run([
      { peer: peer('one', 20), load: load('one', turns) },
      { peer: peer('two', null), load: load('two', turns) },
    ])
    expect(turns).toEqual(['one', 'two', 'one', 'two'])
    expect(entries.map(entry => entry.rounds.length)).toEqual([1, 1])
    expect(entries[0]!.counted).toEqual({ answered: 20, total: 20, share: 1 })
    expect(entries[1]!.counted).toBeNull()
    expect(entries[0]!.cpuUs).toBeGreaterThanOrEqual(0)
  })

  test.each([19, 27])('is void when 20 were answered, 6 under way, and the total is %i', async total => {
    const stops: string[] = []
    const candidates = [{ peer: peer('wrong', total, {}, stops), load: load('wrong') }]
    await expect(run(candidates)).rejects.toThrow(`20 increments were answered, and the total is ${total}`)
    expect(stops).not.toEqual([])
  })

  test('takes what was under way at the end either way', async () => {
    const { entries } = await run([{ peer: peer('exact', 26), load: load('exact') }])
    expect(entries[0]!.counted!.share).toBe(1)
  })

  test('credits who loses datagrams with what arrived', async () => {
    const { entries } = await run([{ peer: peer('udp', 5, { loses: 'datagrams' }), load: load('udp') }])
    expect(entries[0]!.incrementsPerSecond).toBe(2.5)
    expect(entries[0]!.counted!.share).toBe(0.25)
  })

  test('goes on without who is not there, and says why', async () => {
    const absent = peer('absent', null, {
      start: async () => {
        throw new Unavailable('it is not installed', { cause: new Error('and more') })
      },
    })
    const said: string[] = []
    const one = { peer: peer('one', 20), load: load('one') }
    const needy: Candidate = { ...one, name: 'needy', load: { ...one.load, needs: ['no-such-load', 'some'] } }
    const huge = { ...one, name: 'huge', lacks: () => 'too few files' }
    const { entries, skipped } = await run([{ peer: absent, load: load('absent') }, one, needy, huge], said)
    expect(entries.map(entry => entry.name)).toEqual(['one'])
    expect(skipped).toEqual([
      { name: 'absent', reason: 'it is not installed' },
      { name: 'needy', reason: 'no-such-load is not installed (Debian package some)' },
      { name: 'huge', reason: 'too few files' },
    ])
    expect(said).toContain('  absent is skipped: it is not installed: and more')
  })
})
