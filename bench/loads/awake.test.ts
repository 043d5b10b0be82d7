import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { until } from '../../test/kit/condition.ts'
import { childrenTitled } from '../processes.ts'
import { coresIn, whileAwake } from './awake.ts'

/** The scheduling policy of a process, as proc(5) numbers them. */
function policyOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38])
}

/** A container may forbid it. */
const mayIdle = spawnSync('chrt', ['--idle', '0', 'true']).status === 0

test('the cores that a process may use are read from its status', () => {
  expect(coresIn('Cpus_allowed:\t27\nCpus_allowed_list:\t0-2,5\n')).toEqual([0, 1, 2, 5])
})

test.runIf(mayIdle)('keeps cores awake for as long as the work lasts, behind everything else', async () => {
  const schedIdle = 5
  const spinners = () => childrenTitled(process.pid, /node$/).filter(pid => policyOf(pid) === schedIdle)
  const answer = await whileAwake(async () => {
    await until(
      'they spin',
      () => spinners().length === coresIn(readFileSync('/proc/self/status', 'latin1')).length,
    )
    return 'measured'
  })
  expect(answer).toBe('measured')
  expect(spinners()).toEqual([])
  await expect(whileAwake(() => Promise.reject(new Error('no load')))).rejects.toThrow('no load')
  expect(spinners()).toEqual([])
})
