import { lookup } from 'node:dns/promises'
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { fullErrorText, OperationError } from '../lib/errors.ts'
import type { OptionValues } from '../lib/config/options.ts'
import { whyNotListening } from '../lib/process/port.ts'
import { redisAddress } from '../queue/redis/address.ts'
import { checkDatabase } from '../store/sqlite/open.ts'
import type { allOptions } from './up/up-options.ts'

type Options = OptionValues<typeof allOptions>

/** Returns a sentence for each problem of valid options that do not fit together, or do not fit the machine. */
export async function optionProblems(options: Options): Promise<string[]> {
  return [
    ...timeProblems(options),
    ...portProblems(options),
    ...(await addressProblems(options)),
    ...placeProblems(options),
  ]
}

function timeProblems({ flushIntervalMs, stalenessMaxMs }: Options): string[] {
  if (flushIntervalMs < stalenessMaxMs) return []
  const between = 'increments would be older than promised, and /readyz would fail, between two flushes'
  return [
    `--flush-interval-ms ${flushIntervalMs} must be below --staleness-max-ms ${stalenessMaxMs}: ${between}`,
  ]
}

function portProblems({ port, consumerPort, redis }: Options): string[] {
  const faults: string[] = []
  if (port === consumerPort)
    faults.push(`--port and --consumer-port are both ${port}: give one of them another`)
  const address = redis === null ? null : redisAddress(redis)
  const isHere = /^(localhost|127\.[\d.]+|::1)$/.test(address?.host ?? '')
  for (const [flag, own] of [
    ['--port', port],
    ['--consumer-port', consumerPort],
  ] as const)
    if (isHere && address?.port === own) faults.push(`${flag} ${own} is the port of --redis, too`)
  return faults
}

async function addressProblems({ host, redis }: Options): Promise<string[]> {
  const faults: string[] = []
  // Any port: the one in question may be that of the service that runs.
  const reason = await whyNotListening(host, 0)
  if (reason !== null) faults.push(`--host ${host}: ${reason}`)
  const redisHost = redis === null ? undefined : redisAddress(redis)?.host
  // Not found for certain: a name server that does not answer may do so at the start.
  const code = redisHost && (await lookup(redisHost).catch(error => (error as NodeJS.ErrnoException).code))
  if (code === 'ENOTFOUND') faults.push(`--redis: there is no host ${redisHost}`)
  return faults
}

function placeProblems({ database, stateDir }: Options): string[] {
  const faults: string[] = []
  try {
    checkDatabase(database)
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    faults.push(`--database: ${fullErrorText(error)} [${error.code}]`)
  }
  if (stateDir !== null && statSync(stateDir, { throwIfNoEntry: false })?.isDirectory() === false)
    faults.push(`--state-dir ${resolve(stateDir)} is no folder`)
  return faults
}
