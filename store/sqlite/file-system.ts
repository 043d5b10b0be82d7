import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Log } from '../../lib/process/log.ts'
import { storeError } from '../errors.ts'

/**
 * File systems that several machines use at a time, or a machine and what runs in it: their locks or their
 * shared memory do not hold from one to the other. Named as in /proc/self/mountinfo.
 */
const sharedFileSystems = new Set([
  // Networks and clusters.
  'afs',
  'beegfs',
  'ceph',
  'cifs',
  'coda',
  'cvfs',
  'davfs',
  'gfs',
  'gfs2',
  'glusterfs',
  'gpfs',
  'lustre',
  'ncpfs',
  'nfs',
  'nfs4',
  'ocfs2',
  'orangefs',
  'panfs',
  'pvfs2',
  'smb3',
  'smbfs',
  'wekafs',
  // A host shares these with its virtual machines and containers.
  '9p',
  'drvfs',
  'fakeowner',
  'grpcfuse',
  'hostfs',
  'osxfs',
  'prl_fs',
  'vboxsf',
  'virtiofs',
  'vmhgfs',
])

/**
 * The FUSE file systems, most of which come from a host, a network or an object store, that keep their
 * files on a disk of this machine.
 */
const localFuse = new Set([
  'fuse.cryfs',
  'fuse.encfs',
  'fuse.exfat',
  'fuse.fuse-ext2',
  'fuse.fuse-overlayfs',
  'fuse.fuse2fs',
  'fuse.gocryptfs',
  'fuse.mergerfs',
  'fuse.ntfs-3g',
  'fuse.zfs-fuse',
])

interface Mount {
  readonly point: string
  readonly type: string
}

/**
 * Throws OperationError `store_on_network` when the file or folder is on a file system that machines share,
 * or on one of FUSE that is not known to be local. Where the kernel has no mountinfo (macOS) nothing can be
 * told and nothing is refused.
 */
export function refuseNetworkFileSystem(path: string, mountinfo = readMountinfo()): void {
  const mount = mountOf(realPath(path), mountinfo)
  if (mount !== null && isShared(mount))
    throw storeError('store_on_network', `${path} is on a file system that machines share (${mount.type})`)
}

/** Refuses the place of a database, wherever links lead; warns of one that a restart of the machine takes. */
export function checkPlace(database: string, log: Log, mountinfo = readMountinfo()): void {
  const file = realPath(database)
  // The log of SQLite lies beside the file, which may be mounted by itself.
  for (const path of [file, dirname(file)]) refuseNetworkFileSystem(path, mountinfo)
  const type = mountOf(file, mountinfo)?.type
  if (type === 'tmpfs' || type === 'ramfs')
    log.warn({ database, type }, 'the database is in memory: it is gone when this machine restarts')
}

function isShared({ type, point }: Mount): boolean {
  // Some sandboxes have it as their root, each its own.
  if (type === '9p' && point === '/') return false
  return sharedFileSystems.has(type) || (/^fuse(\.|$)/.test(type) && !localFuse.has(type))
}

/** The mount that holds `path`; null when unknown. Format: proc(5), /proc/pid/mountinfo. */
function mountOf(path: string, mountinfo: string): Mount | null {
  let best: Mount | null = null
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ')
    const point = unescapeOctal(left?.split(' ')[4] ?? '')
    const type = right?.split(' ')[0] ?? ''
    const holds = point === '/' || path === point || path.startsWith(`${point}/`)
    // The last of several mounts on one point is on top.
    if (point !== '' && holds && point.length >= (best?.point.length ?? 0)) best = { point, type }
  }
  return best
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

const linksMax = 40

/**
 * Resolves links as far as the path exists: neither the folder nor what a link points to may have been
 * made yet.
 */
function realPath(path: string, linksLeft = linksMax): string {
  const whole = resolve(path)
  try {
    return realpathSync(whole)
  } catch {
    if (whole === dirname(whole)) return whole
    const folder = realPath(dirname(whole), linksLeft)
    const target = linksLeft > 0 ? linkTarget(whole) : null
    return target === null ? join(folder, basename(whole)) : realPath(resolve(folder, target), linksLeft - 1)
  }
}

/** Null for what is no link. */
function linkTarget(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}

function readMountinfo(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return ''
  }
}
