import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeFolder } from './make-folder.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'piccolo-folder-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const codeOf = (path: string) => {
  try {
    makeFolder(path)
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

test('makes those above it, too, and nothing of what is there', () => {
  for (const path of [join(folder, 'a/b/c'), join(folder, 'a/b/c'), join(folder, 'a/b/d/'), '/', '.'])
    expect(codeOf(path), path).toBeNull()
  expect(statSync(join(folder, 'a/b/c')).isDirectory()).toBe(true)
  expect(statSync(join(folder, 'a/b/d')).isDirectory()).toBe(true)
})

test('goes through links to folders', () => {
  mkdirSync(join(folder, 'real'))
  symlinkSync('real', join(folder, 'link'))
  expect(codeOf(join(folder, 'link'))).toBeNull()
  expect(codeOf(join(folder, 'link/inside'))).toBeNull()
  expect(statSync(join(folder, 'real/inside')).isDirectory()).toBe(true)
})

test('ends with an error where there can be none, and does not try for ever', () => {
  writeFileSync(join(folder, 'file'), '')
  symlinkSync('nowhere', join(folder, 'dangling'))
  expect(codeOf(join(folder, 'file'))).toBe('EEXIST')
  expect(codeOf(join(folder, 'file/inside'))).toBe('ENOTDIR')
  expect(codeOf(join(folder, 'dangling'))).toBe('EEXIST')
  expect(codeOf(join(folder, 'dangling/inside'))).toBe('EEXIST')
  expect(codeOf('/proc/nowhere')).toBe('ENOENT')
  expect(codeOf('/proc/nowhere/further/inside')).toBe('ENOENT')
})
