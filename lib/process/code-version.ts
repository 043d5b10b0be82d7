import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The code that install/main.sh installs; the lockfile stands for the packages. */
const folders = ['apps', 'batch', 'cli', 'consumer', 'install', 'intake', 'lib', 'queue', 'store', 'vegeta']
const files = ['package-lock.json', 'package.json', 'piccolo']
const digitCount = 12

/**
 * Names the code that is on the disk now: the version of the package and a hash of the files, such as
 * `1.0.0+3f2a9c04de71`. It moves with each of them, and is the same on every machine. A process asks when it
 * starts, and has its answer from then on.
 */
export function codeVersion(): string {
  const root = join(import.meta.dirname, '../..')
  const hash = createHash('sha256')
  for (const path of [...files, ...folders.flatMap(folder => filesBelow(root, folder))].sort())
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return `${version}+${hash.digest('hex').slice(0, digitCount)}`
}

/** Returns all files but tests, packages, and what a load test leaves: none of these is installed. */
function filesBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}/${entry.name}`
    if (entry.name === 'node_modules' || path === 'vegeta/targets') return []
    if (entry.isDirectory()) return filesBelow(root, path)
    return entry.isFile() && !path.endsWith('.test.ts') ? [path] : []
  })
}
