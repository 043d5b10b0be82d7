import { connect, createServer, type Server, type Socket } from 'node:net'

const sliceMs = 20

/** A TCP port through which another socket is reached, over a link that can be slow, dead or cut. */
export class FaultyLink {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isHeld = false
  /** Cuts the connections when a client sends it; null when nothing does. */
  #cutAt: string | null = null
  #cutCount = 0
  /** Swallows all further answers of a connection when a client sends it; null when nothing does. */
  #muteAt: string | null = null
  #muteCount = 0

  private constructor(target: string, { back, there }: { back: number; there: number }) {
    this.#server = createServer(client => {
      // Over a slow link hardly anything is on its way in a connection that was given up; here the kernel
      // keeps megabytes.
      if (there < Number.POSITIVE_INFINITY) this.cut()
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
      let isMute = false
      client.on('data', chunk => {
        if (this.#muteAt !== null && chunk.includes(this.#muteAt)) {
          this.#muteCount++
          isMute = true
        }
        if (this.#cutAt !== null && chunk.includes(this.#cutAt)) {
          this.#cutCount++
          this.cut()
        } else carry(chunk, client, server, there)
      })
      server.on('data', chunk => {
        if (!isMute) carry(chunk, server, client, back)
      })
    })
  }

  /** `target` is the path of a unix socket; speeds are in bytes per second. */
  static async to(
    target: string,
    { back = Number.POSITIVE_INFINITY, there = Number.POSITIVE_INFINITY } = {},
  ): Promise<FaultyLink> {
    const link = new FaultyLink(target, { back, there })
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

  /** A connection in which a client sends that text gets no answer any more, though everything arrives. */
  muteAt(text: string | null): void {
    this.#muteAt = text
  }

  /** How often that happened. */
  get muteCount(): number {
    return this.#muteCount
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

function carry(chunk: Buffer, from: Socket, to: Socket, bytesPerSecond: number): void {
  if (bytesPerSecond === Number.POSITIVE_INFINITY) to.write(chunk)
  else void trickle(chunk, from, to, bytesPerSecond)
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
