import { chownSync, mkdtempSync, readdirSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { requirePackages } from '../packages.ts'
import { freePort, nodeCommand, outputOf, Server } from '../processes.ts'
import { stoppedWithTotal } from './redis.ts'
import { requireProgram } from './requirements.ts'
import { type Place, type Peer, Unavailable } from './peer.ts'

const folderOfVersions = '/usr/lib/postgresql'

export const postgres: Peer = {
  name: 'PostgreSQL upserts',
  does: 'each increment is a transaction on disk; a retry counts twice',
  async start(place) {
    const folders = versionFolders()
    const initdb = requireProgram('initdb', 'postgresql', folders)
    const program = requireProgram('postgres', 'postgresql', folders)
    await requirePackages('bench')
    const owner = await ownerOfServer()
    const folder = mkdtempSync(join(place.folder, 'postgres-'))
    if (owner !== null) chownSync(folder, owner.uid, owner.gid)
    await reachable(place)
    const options = { cwd: folder, ...owner }
    const setUp = ['-D', 'data', '-A', 'trust', '-U', 'bench', '-E', 'UTF8', '--no-locale']
    await outputOf({ program: initdb, args: setUp, cores: null, options })
    const port = await freePort()
    const args = ['-D', 'data', '-p', String(port), '-h', '127.0.0.1', '-k', folder]
    const server = new Server({ program, args, cores: place.serverCores, options })
    await server.accepting(port)
    const ask = (what: string) => outputOf(nodeCommand('bench/drivers/postgres.ts', [what, port], null))
    await server.ready(() =>
      ask('prepare').then(
        () => true,
        () => false,
      ),
    )
    return {
      port,
      pids: [server.pid],
      ...stoppedWithTotal(
        async () => Number(await ask('total')),
        // The fast kind of stop: it does not wait for sessions.
        () => server.stop('SIGINT'),
      ),
    }
  },
}

/** PostgreSQL refuses to run as root: then it runs as the user of its Debian package. */
async function ownerOfServer(): Promise<{ uid: number; gid: number } | null> {
  if (userInfo().uid !== 0) return null
  const idOf = async (flag: string) =>
    Number(await outputOf({ program: 'id', args: [flag, 'postgres'], cores: null }))
  try {
    return { uid: await idOf('-u'), gid: await idOf('-g') }
  } catch {
    throw new Unavailable('there is no user postgres to run it as')
  }
}

/** The folder of this run is its owner's alone otherwise. */
async function reachable({ folder }: Place): Promise<void> {
  await outputOf({ program: 'chmod', args: ['a+x', folder], cores: null })
}

/** Debian keeps the server's programs out of PATH, newest version first here. */
function versionFolders(): string[] {
  try {
    const versions = readdirSync(folderOfVersions).sort((left, right) => Number(right) - Number(left))
    return versions.map(version => join(folderOfVersions, version, 'bin'))
  } catch {
    return []
  }
}
