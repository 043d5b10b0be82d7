import { integerOption, switchOption } from '../lib/config/options.ts'

export const benchOptions = {
  rounds: integerOption({
    min: 1,
    max: 1_000,
    fallback: 5,
    placeholder: 'COUNT',
    help: 'turns of each candidate, after one to warm up; the numbers are their medians',
  }),
  seconds: integerOption({
    min: 1,
    max: 600,
    fallback: 2,
    placeholder: 'SECONDS',
    help: 'how long a turn lasts',
  }),
  docs: switchOption({ help: 'write docs/benchmarks.md anew, from what was measured last' }),
}
