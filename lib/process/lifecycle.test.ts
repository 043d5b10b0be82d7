import { pino } from 'pino'
import { expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { OperationError } from '../errors.ts'
import { Lifecycle, type Part } from './lifecycle.ts'

function lifecycle() {
  const events: string[] = []
  const part = (name: string, overrides: Partial<Part> = {}): Part => ({
    name,
    start: () => void events.push(`start ${name}`),
    stop: () => void events.push(`stop ${name}`),
    ...overrides,
  })
  return { events, part, life: new Lifecycle(systemClock, pino({ level: 'silent' })) }
}

test('parts start in order and stop in reverse', async () => {
  const { events, part, life } = lifecycle()
  await life.start([part('a'), part('b')], 1_000)
  expect(await life.stop(1_000)).toBe(0)
  expect(events).toEqual(['start a', 'start b', 'stop b', 'stop a'])
})

test('a part that does not start stops those before it', async () => {
  const { events, part, life } = lifecycle()
  const bad = part('bad', { start: () => Promise.reject(new Error('no')) })
  await expect(life.start([part('a'), bad, part('c')], 1_000)).rejects.toThrow('no')
  expect(events).toEqual(['start a', 'stop a'])
})

test('a part that fails or hangs while stopping does not keep the others from it', async () => {
  const { events, part, life } = lifecycle()
  const failing = part('failing', { stop: () => Promise.reject(new Error('no')) })
  const hanging = part('hanging', { stop: () => new Promise(() => {}) })
  await life.start([part('a'), failing, hanging], 1_000)
  expect(await life.stop(10)).toBe(70)
  expect(events).toContain('stop a')
})

test('the last task is done however stopping ended', async () => {
  const { events, part, life } = lifecycle()
  const lastly = (name: string) => ({ lastly: () => void events.push(`lastly ${name}`) })
  const failing = part('failing', { stop: () => Promise.reject(new Error('no')), ...lastly('failing') })
  const hanging = part('hanging', { stop: () => new Promise(() => {}), ...lastly('hanging') })
  const worse = part('worse', {
    lastly: () => {
      throw new Error('no')
    },
  })
  await life.start([part('a', lastly('a')), failing, hanging, worse], 1_000)
  expect(await life.stop(10)).toBe(70)
  expect(events.slice(-5)).toEqual(['stop worse', 'lastly hanging', 'lastly failing', 'stop a', 'lastly a'])
})

test('stopping twice is stopping once', async () => {
  const { events, part, life } = lifecycle()
  await life.start([part('a')], 1_000)
  expect(await Promise.all([life.stop(1_000), life.stop(1_000)])).toEqual([0, 0])
  expect(events).toEqual(['start a', 'stop a'])
})

test('want of time is no fault', async () => {
  const { part, life } = lifecycle()
  await life.start([part('a'), part('hanging', { stop: () => new Promise(() => {}) })], 1_000)
  expect(await life.stop(10)).toBe(69)
})

test('a stop that something outside kept from being clean is no internal error', async () => {
  const { part, life } = lifecycle()
  const hanging = part('hanging', { stop: () => new Promise(() => {}) })
  const full = part('full', {
    lastly: () => {
      throw new OperationError('full', { retry: 'never', hint: 'none' }, 'no room')
    },
  })
  await life.start([full, hanging], 1_000)
  expect(await life.stop(10)).toBe(69)
})
