import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkPlace, refuseNetworkFileSystem } from './file-system.ts'

const silent = pino({ level: 'silent' })
let folder: string

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'piccolo-place-')))
})
afterEach(() => rmSync(folder, { recursive: true }))

const root = '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw'
/** A line of mountinfo for each mount, from its point to its type. */
function mounts(points: Record<string, string>): string {
  const lines = Object.entries(points).map(
    ([point, type], index) =>
      `${40 + index} 22 0:${42 + index} / ${point} rw shared:5 master:1 - ${type} source rw`,
  )
  return [root, ...lines].join('\n')
}
const isRefused = (path: string, mountinfo: string): boolean => {
  try {
    refuseNetworkFileSystem(path, mountinfo)
    return false
  } catch (error) {
    expect(error).toMatchObject({ code: 'store_on_network' })
    return true
  }
}

test.each([
  ['of a network', ['nfs', 'nfs4', 'cifs', 'smb3', 'ceph', 'fuse.sshfs', 'fuse.glusterfs', 'fuse.juicefs']],
  [
    'of an object store',
    ['fuse.gcsfuse', 'fuse.mount-s3', 'fuse.s3fs', 'fuse.blobfuse2', 'fuse.goofys', 'fuse'],
  ],
  [
    'of a host',
    ['virtiofs', '9p', 'vboxsf', 'prl_fs', 'fuse.prl_fsd', 'vmhgfs', 'fuse.vmhgfs-fuse', 'drvfs'],
  ],
  ['of an engine for containers', ['fuse.grpcfuse', 'grpcfuse', 'fakeowner', 'fuse.osxfs', 'osxfs']],
  ['of FUSE that nobody knows', ['fuse.shfs', 'fuse.something-new']],
])('a file system %s is refused by its type', (_, types) => {
  for (const type of types) {
    expect(() => refuseNetworkFileSystem('/data/sqlite', mounts({ '/data': type }))).toThrow(`(${type})`)
    expect(isRefused('/data', mounts({ '/data': type }))).toBe(true)
    expect(isRefused('/database', mounts({ '/data': type }))).toBe(false)
  }
})

test.each([
  'ext4',
  'xfs',
  'btrfs',
  'zfs',
  'overlay',
  'tmpfs',
  'fuseblk',
  'fuse.fuse-overlayfs',
  'lxfs',
  'wslfs',
])('%s is taken', type => {
  expect(isRefused('/data/sqlite', mounts({ '/data': type }))).toBe(false)
})

test('9p is taken as the root of a sandbox, and refused as a share in it', () => {
  const sandbox = root.replace('ext4', '9p')
  expect(isRefused('/data', sandbox)).toBe(false)
  expect(isRefused('/mnt/c/data', `${sandbox}\n40 22 0:42 / /mnt/c rw - 9p C:\\134 rw`)).toBe(true)
})

test('of several mounts the innermost counts, and on one point the last; names may have spaces', () => {
  const shared = { '/mnt/share\\040one': 'nfs4', '/mnt/share\\040one/local': 'ext4' }
  expect(isRefused('/mnt/share one/counts', mounts(shared))).toBe(true)
  expect(isRefused('/mnt/share one/local/counts', mounts(shared))).toBe(false)
  expect(isRefused('/mnt', mounts(shared))).toBe(false)
  const stacked = `${mounts({ '/data': 'virtiofs' })}\n90 40 0:90 / /data rw - ext4 /dev/vdb rw`
  expect(isRefused('/data', stacked)).toBe(false)
  expect(isRefused('/anywhere', '')).toBe(false)
})

test('a database is where its file is, through links of folders and files, made or not', () => {
  const [share, here] = [join(folder, 'share'), join(folder, 'here')]
  for (const each of [share, here]) mkdirSync(each)
  const mountinfo = mounts({ [share]: 'virtiofs' })
  const place = (path: string) => () => checkPlace(path, silent, mountinfo)
  writeFileSync(join(share, 'there.db'), '')
  symlinkSync(join(share, 'there.db'), join(here, 'linked.db'))
  symlinkSync('../share/not-yet/new.db', join(here, 'dangling.db'))
  symlinkSync('loop.db', join(here, 'loop.db'))
  symlinkSync(share, join(folder, 'folder'))
  for (const path of ['here/linked.db', 'here/dangling.db', 'folder/new.db', 'folder/not/yet/new.db'])
    expect(place(join(folder, path)), path).toThrow('share (virtiofs)')
  expect(place(join(here, 'new.db'))).not.toThrow()
  expect(place(join(here, 'loop.db'))).not.toThrow()
})

test('a file that is mounted by itself is refused by its own mount, and by that of its folder', () => {
  expect(() => checkPlace('/data/numbers.db', silent, mounts({ '/data/numbers.db': 'fakeowner' }))).toThrow(
    'fakeowner',
  )
  const inShare = mounts({ '/data': 'fakeowner', '/data/numbers.db': 'ext4' })
  expect(() => checkPlace('/data/numbers.db', silent, inShare)).toThrow('fakeowner')
})

test('a database in memory is warned of', () => {
  const lines: string[] = []
  const log = pino({}, { write: line => void lines.push(line) })
  checkPlace('/data/numbers.db', log, mounts({ '/data': 'ext4' }))
  checkPlace('/run/numbers.db', log, mounts({ '/run': 'tmpfs' }))
  expect(lines.map(line => JSON.parse(line))).toMatchObject([{ database: '/run/numbers.db', type: 'tmpfs' }])
})
