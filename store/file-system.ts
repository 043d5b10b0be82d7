import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { storeError } from './errors.ts'

/**
 * File systems whose locks or shared memory do not hold across machines, as /proc/self/mountinfo names
 * them.
 */
const networkFileSystems = new Set([
  'afs',
  'beegfs',
  'ceph',
  'cifs',
  'coda',
  'fuse.ceph',
  'fuse.cephfs',
  'fuse.glusterfs',
  'fuse.rclone',
  'fuse.s3fs',
  'fuse.sshfs',
  'gfs2',
  'gpfs',
  'lustre',
  'ncpfs',
  'nfs',
  'nfs4',
  'ocfs2',
  'orangefs',
  'smb3',
  'smbfs',
  'vboxsf',
])

/**
 * Throws OperationError `store_on_network` when the folder is on a network file system.
 * Where the kernel has no mountinfo (macOS) nothing can be told and nothing is refused.
 */
export function refuseNetworkFileSystem(folder: string, mountinfo = readMountinfo()): void {
  const type = fileSystemOf(realPath(folder), mountinfo)
  if (type !== null && networkFileSystems.has(type))
    throw storeError('store_on_network', `${folder} is on a network file system (${type})`)
}

/** Type of the file system that holds `path`; null when unknown. Format: proc(5), /proc/pid/mountinfo. */
function fileSystemOf(path: string, mountinfo: string): string | null {
  let best = { mountPoint: '', type: null as string | null }
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ')
    const mountPoint = unescapeOctal(left?.split(' ')[4] ?? '')
    const type = right?.split(' ')[0] ?? null
    const holds = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`)
    // Of mounts on the same point the last one is on top.
    if (mountPoint !== '' && holds && mountPoint.length >= best.mountPoint.length) best = { mountPoint, type }
  }
  return best.type
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** With links resolved as far as the path exists: the folder itself may not have been made yet. */
function realPath(folder: string): string {
  const path = resolve(folder)
  try {
    return realpathSync(path)
  } catch {
    return path === dirname(path) ? path : join(realPath(dirname(path)), basename(path))
  }
}

function readMountinfo(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return ''
  }
}
