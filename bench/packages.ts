import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { outputOf, root } from './processes.ts'
import { Unavailable } from './peers/peer.ts'

const stampName = 'node_modules/.installed-for-bench'

/**
 * The npm packages of a folder with a lockfile of its own. Does nothing when they are there. Throws
 * Unavailable when npm cannot get them.
 */
export async function requirePackages(folder: string): Promise<void> {
  const path = join(root, folder)
  const lockfile = readFileSync(join(path, 'package-lock.json'), 'utf8')
  const stamp = join(path, stampName)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockfile) return
  const args = ['ci', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund']
  try {
    await outputOf({ program: 'npm', args, cores: null, options: { cwd: path } })
  } catch (error) {
    throw new Unavailable(`npm could not install the packages of ${folder}`, { cause: error })
  }
  writeFileSync(stamp, lockfile)
}
