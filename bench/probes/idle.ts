import { fileURLToPath } from 'node:url'
import { cpuMsOf, startUp } from './up-service.ts'

/** Measures the CPU use of each process of an idle service, in percent of a core; `all` is their sum. */
export async function measureIdle(
  seconds: number,
  options: readonly string[] = [],
): Promise<Map<string, number>> {
  const service = await startUp(28_431, options)
  try {
    // Starting is over, and what was compiled then.
    await new Promise(resolve => setTimeout(resolve, 2_000))
    const before = new Map([...service.pids].map(([name, pid]) => [name, cpuMsOf(pid)]))
    await new Promise(resolve => setTimeout(resolve, seconds * 1_000))
    const used = new Map<string, number>()
    for (const [name, pid] of service.pids)
      used.set(name, (cpuMsOf(pid) - before.get(name)!) / (seconds * 10))
    return used.set(
      'all',
      [...used.values()].reduce((sum, each) => sum + each, 0),
    )
  } finally {
    await service.stop()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds = '20', ...options] = process.argv.slice(2)
  for (const [name, percent] of await measureIdle(Number(seconds), options))
    console.log(`${name}: ${percent.toFixed(2)} % of a core`)
}
