import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { errorText, exitCodes, UsageError } from '../lib/errors.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { httpTarget, jsonTarget } from './formats.ts'
import { LineWriter } from './lines.ts'
import { type Plan, targetsOf } from './targets.ts'

/** Stands in `plan.json`, and so tells a folder of ours. */
const maker = 'piccolo targets'
const progressTargets = 100_000

/** Absolute paths of what a folder of targets holds. */
export interface FolderPaths {
  /** The plan that the rest was made from. */
  readonly plan: string
  /** vegeta's JSON format, one target a line. */
  readonly json: string
  /** vegeta's HTTP format; the body of each target is a file in `bodies`. */
  readonly http: string
  readonly bodies: string
  /** `key<tab>sum`, what one pass over the targets adds. Written last: without it, the rest is not whole. */
  readonly sums: string
}

export function folderPaths(folder: string): FolderPaths {
  const path = (name: string) => join(resolve(folder), name)
  return {
    plan: path('plan.json'),
    json: path('targets.jsonl'),
    http: path('targets.http'),
    bodies: path('bodies'),
    sums: path('sums.tsv'),
  }
}

/**
 * Writes targets and their sums into `folder`, over those of an earlier time; whatever else is in it stays.
 * Throws UsageError: when the folder is not empty and not one of ours, which is then as it was; or when it
 * cannot be written, and then it has no sums.
 */
export function writeFolder(
  folder: string,
  plan: Plan,
  url: string,
  { withHttp, onProgress }: { withHttp: boolean; onProgress(targetCount: number): void },
): void {
  const paths = folderPaths(folder)
  if (/[\r\n]/.test(paths.bodies)) throw new UsageError('--folder must not have a line break in its path')
  try {
    makeFolder(folder)
    if (readdirSync(folder).length > 0 && madePlan(paths) === null)
      throw new UsageError(
        `--folder ${folder} is not empty, and piccolo targets did not make it; name another`,
      )
    rmSync(paths.sums, { force: true })
    writeFileSync(paths.plan, `${JSON.stringify({ maker, url, ...plan }, null, 2)}\n`)
    removeBodies(paths)
    const sums = writeTargets(paths, plan, url, withHttp, onProgress)
    writeSums(paths, sums)
  } catch (error) {
    if (error instanceof UsageError || !(error instanceof Error && 'syscall' in error)) throw error
    throw new UsageError(`cannot write to --folder ${folder}: ${errorText(error)}`, exitCodes.failed)
  }
}

/** Throws UsageError when there are no complete targets in `folder`. */
export function readPlan(folder: string): Plan {
  const paths = folderPaths(folder)
  const plan = madePlan(paths)
  if (plan !== null && existsSync(paths.sums)) return plan
  throw new UsageError(`--folder ${folder} has no complete targets; piccolo targets makes them`)
}

function madePlan(paths: FolderPaths): Plan | null {
  try {
    const made = JSON.parse(readFileSync(paths.plan, 'utf8'))
    return made.maker === maker && made.targetCount >= 1 ? made : null
  } catch {
    return null
  }
}

function removeBodies(paths: FolderPaths): void {
  rmSync(paths.http, { force: true })
  if (!existsSync(paths.bodies)) return
  for (const name of readdirSync(paths.bodies)) if (/^\d{7}$/.test(name)) rmSync(join(paths.bodies, name))
}

function writeTargets(
  paths: FolderPaths,
  plan: Plan,
  url: string,
  withHttp: boolean,
  onProgress: (targetCount: number) => void,
): Map<string, bigint> {
  const sums = new Map<string, bigint>()
  if (withHttp) makeFolder(paths.bodies)
  const json = new LineWriter(paths.json)
  const http = withHttp ? new LineWriter(paths.http) : null
  let count = 0
  try {
    for (const { key, value, body } of targetsOf(plan)) {
      count++
      sums.set(key, (sums.get(key) ?? 0n) + value)
      json.write(jsonTarget(url, body))
      if (http !== null) {
        const bodyPath = join(paths.bodies, String(count).padStart(7, '0'))
        writeFileSync(bodyPath, body)
        http.write(httpTarget(url, bodyPath))
      }
      if (count % progressTargets === 0) onProgress(count)
    }
  } finally {
    json.close()
    http?.close()
  }
  return sums
}

function writeSums(paths: FolderPaths, sums: ReadonlyMap<string, bigint>): void {
  const part = `${paths.sums}.part`
  const lines = new LineWriter(part)
  try {
    for (const [key, sum] of sums) lines.write(`${key}\t${sum}`)
  } finally {
    lines.close()
  }
  renameSync(part, paths.sums)
}
