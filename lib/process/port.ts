import { createServer } from 'node:net'

/** Resolves to why no process of ours could have `host` and `port`; null when nothing is in the way. */
export function whyNotListening(host: string, port: number): Promise<string | null> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(reasons[error.code ?? ''] ?? error.message))
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(null)))
  })
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has the port; to find out which, sudo ss -ltnp',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EAI_AGAIN: 'the host cannot be looked up now',
  EACCES: 'only root may have that port',
  ENOTFOUND: 'there is no such host',
}
