import { connect, createServer, type Server, type Socket } from 'node:net'

const sliceMs = 20

/** A TCP port through which another socket is reached, over a link that can be slow, dead or cut. */
export class Link {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isHeld = false
  /** Cuts the connections when a client sends it; null when nothing does. */
  #cutAt: string | null = null
  #cutCount = 0

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
      if (this.#isHeld) client.pause()
      client.on('data', chunk => {
        if (this.#cutAt === null || !chunk.includes(this.#cutAt)) return server.write(chunk)
        this.#cutCount++
        this.cut()
      })
      if (bytesPerSecond === Number.POSITIVE_INFINITY) server.on('data', chunk => client.write(chunk))
      else server.on('data', chunk => void trickle(chunk, server, client, bytesPerSecond))
    })
  }

  /** `target` is the path of a unix socket; `bytesPerSecond` is for the way back. */
  static async to(target: string, bytesPerSecond = Number.POSITIVE_INFINITY): Promise<Link> {
    const link = new Link(target, bytesPerSecond)
    await new Promise<void>(resolve => link.#server.listen(0, '127.0.0.1', resolve))
    return link
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** Closes all connections that there are, whatever is on its way in them. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Cuts them whenever a client sends that text, before it arrives; never again with null. */
  cutAt(text: string | null): void {
    this.#cutAt = text
  }

  /** How often that happened. */
  get cutCount(): number {
    return this.#cutCount
  }

  /** Connections stay open, and nothing comes through, until `release`: as when a cable is pulled. */
  hold(): void {
    this.#isHeld = true
    for (const socket of this.#sockets) socket.pause()
  }

  release(): void {
    this.#isHeld = false
    for (const socket of this.#sockets) socket.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
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
