import { webOptions } from '../../intake/options.ts'
import { errorText, exitCodes } from '../../lib/errors.ts'
import { integerOption } from '../../lib/config/options.ts'
import { command } from '../command.ts'

export const healthCommand = command({
  name: 'health',
  parameters: [],
  summary: 'exit with 0 if a running service can keep its promises now, else with 1',
  about:
    'Asks /readyz, as a container health check does. For a consumer on its own, give its port by --port.',
  options: {
    host: webOptions.host,
    port: webOptions.port,
    timeoutMs: integerOption({
      min: 10,
      max: 60_000,
      fallback: 2_000,
      placeholder: 'MS',
      help: 'how long to wait for an answer',
    }),
  },
  async run({ values: { host, port, timeoutMs } }, { print }) {
    const url = `http://${urlHost(host)}:${port}/readyz`
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
      print(await response.text())
      return response.ok ? exitCodes.done : exitCodes.failed
    } catch (error) {
      const cause = (error as { cause?: { code?: string } }).cause
      print(
        JSON.stringify({
          ready: false,
          reasons: [`no answer from ${url}: ${cause?.code ?? errorText(error)}`],
        }),
      )
      return exitCodes.failed
    }
  },
})

/** Returns the host at which a process on `host` is reached from this machine, fit for a URL. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
