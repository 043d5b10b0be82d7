import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Unavailable } from './peer.ts'

/** Returns the path of a program in the folders given, or else in those of PATH; null when it is in none. */
export function findProgram(name: string, folders: readonly string[] = []): string | null {
  return [...folders, ...pathFolders()].map(folder => join(folder, name)).find(isExecutable) ?? null
}

/** Its path. Throws Unavailable with the Debian package to install. */
export function requireProgram(name: string, debianPackage: string, folders: readonly string[] = []): string {
  const path = findProgram(name, folders)
  if (path === null) throw new Unavailable(`${name} is not installed (Debian package ${debianPackage})`)
  return path
}

let path = ''

/** Sets the folders in which programs are looked for, as in the variable PATH. */
export function searchIn(folders: string): void {
  path = folders
}

function pathFolders(): string[] {
  return path.split(delimiter).filter(folder => folder !== '')
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
