import { expect, test } from 'vitest'
import {
  choiceOption,
  integerOption,
  optionsEnvironment,
  optionsHelp,
  parseOptions,
  switchOption,
  textOption,
} from './options.ts'

const table = {
  flushIntervalMs: integerOption({
    min: 10,
    max: 60_000,
    fallback: 100,
    placeholder: 'MS',
    help: 'how often',
  }),
  host: textOption({ fallback: '127.0.0.1', placeholder: 'ADDRESS', help: 'where' }),
  level: choiceOption({ choices: ['low', 'high'], fallback: 'low', placeholder: 'LEVEL', help: 'how much' }),
  force: switchOption({ help: 'even so' }),
}
const parse = (args: string[], environment: Record<string, string> = {}) =>
  parseOptions(table, args, environment)

test('flags beat the environment, which beats defaults', () => {
  const parsed = parse(['--flush-interval-ms', '20', 'word'], {
    PICCOLO_FLUSH_INTERVAL_MS: '30',
    PICCOLO_HOST: '::',
  })
  expect(parsed.values).toEqual({ flushIntervalMs: 20, host: '::', level: 'low', force: false })
  expect(parsed.sources).toEqual({
    flushIntervalMs: 'flag',
    host: 'environment',
    level: 'default',
    force: 'default',
  })
  expect(parsed.positionals).toEqual(['word'])
})

test('a value may follow an equals sign, and a switch needs none', () => {
  const { values } = parse(['--flush-interval-ms=20', '--level=high', '--force'])
  expect(values).toEqual({ flushIntervalMs: 20, host: '127.0.0.1', level: 'high', force: true })
})

test('an empty variable counts as unset', () => {
  expect(parse([], { PICCOLO_HOST: '' }).sources.host).toBe('default')
})

test.each([
  [['--flush-interval-ms', '9'], {}, '--flush-interval-ms must be 10 to 60000, got 9', 64],
  [['--flush-interval-ms', '1e3'], {}, '--flush-interval-ms must be 10 to 60000, got 1e3', 64],
  [['--flush-interval-ms', ''], {}, '--flush-interval-ms must be 10 to 60000, got ', 64],
  [[], { PICCOLO_LEVEL: 'mid' }, 'PICCOLO_LEVEL must be one of low, high, got mid', 78],
  [[], { PICCOLO_FORCE: 'yes' }, 'PICCOLO_FORCE must be true or false, got yes', 78],
  [['--host', '--force'], {}, '--host needs a value: --host ADDRESS', 64],
  [['--host'], {}, '--host needs a value: --host ADDRESS', 64],
  [['--host', 'a', '--host', 'b'], {}, '--host is given twice', 64],
  [['--hos', 'a'], {}, 'unknown option --hos; did you mean --host?', 64],
  [['--flsuh-interval-ms', '20'], {}, 'did you mean --flush-interval-ms?', 64],
  [['--flush-interval', '20'], {}, 'did you mean --flush-interval-ms?', 64],
  [['-h'], {}, 'unknown option -h', 64],
])('%j with %j is refused: %s', (args, environment, message, exitCode) => {
  expect(() => parse(args, environment)).toThrowError(
    expect.objectContaining({ message: expect.stringContaining(message), exitCode }),
  )
})

test('a child that is given the values as its environment parses the same values', () => {
  const { values } = parse(['--flush-interval-ms', '20', '--force'])
  expect(parseOptions(table, [], optionsEnvironment(table, values)).values).toEqual(values)
})

test('the help has a line for each option', () => {
  expect(optionsHelp(table).split('\n')).toEqual([
    '  --flush-interval-ms MS  how often (default: 100)',
    '  --host ADDRESS          where (default: 127.0.0.1)',
    '  --level LEVEL           how much (default: low)',
    '  --force                 even so',
  ])
})
