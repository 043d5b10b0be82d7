import { connect, createServer, type Server, type Socket } from 'node:net'

const sliceMs = 20

/** A TCP port through which another socket is reached, at so many bytes a second in the way back. */
export class SlowLink {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: string, bytesPerSecond: number) {
    this.#server = createServer(client => {
      const server = connect(target)
      for (const socket of [client, server]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          client.destroy()
          server.destroy()
        })
      }
      client.pipe(server)
      server.on('data', chunk => void trickle(chunk, server, client, bytesPerSecond))
    })
  }

  /** `target` is the path of a unix socket. */
  static async to(target: string, bytesPerSecond: number): Promise<SlowLink> {
    const link = new SlowLink(target, bytesPerSecond)
    await new Promise<void>(resolve => link.#server.listen(0, '127.0.0.1', resolve))
    return link
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

async function trickle(chunk: Buffer, from: Socket, to: Socket, bytesPerSecond: number): Promise<void> {
  from.pause()
  const sliceBytes = Math.max(1, Math.floor((bytesPerSecond * sliceMs) / 1_000))
  for (let start = 0; start < chunk.length && !to.destroyed; start += sliceBytes) {
    to.write(chunk.subarray(start, start + sliceBytes))
    await new Promise(resolve => setTimeout(resolve, sliceMs))
  }
  from.resume()
}
