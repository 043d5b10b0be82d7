/**
 * The parts of the peers' packages that we use. The packages are only installed where bench/ runs; their own
 * types would have to be there for every check of the project.
 */
declare module 'fastify' {
  interface Reply {
    code(status: number): this
    type(type: string): this
    send(body: string): this
  }
  interface CommitRequest {
    addContentTypeParser(
      type: string,
      options: { parseAs: 'string' },
      parse: (request: unknown, body: string, done: (error: null, body: string) => void) => void,
    ): void
    post(path: string, handle: (request: { readonly body: string }, reply: Reply) => void): void
    listen(address: { host: string; port: number }): Promise<string>
  }
  export default function fastify(): CommitRequest
}

declare module 'pg' {
  interface Client {
    connect(): Promise<void>
    query(
      query: string | { name: string; text: string; values: readonly unknown[] },
    ): Promise<{ rows: Record<string, string>[] }>
    end(): Promise<void>
  }
  const pg: {
    Client: new (options: { host: string; port: number; user: string; database: string }) => Client
  }
  export default pg
}
