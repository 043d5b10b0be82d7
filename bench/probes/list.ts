export interface Probe {
  readonly name: string
  /** Its arguments, as the help shows them. */
  readonly parameters: string
  readonly title: string
  readonly nodeOptions: readonly string[]
}

const probe = (
  name: string,
  parameters: string,
  title: string,
  ...nodeOptions: readonly string[]
): Probe => ({
  name,
  parameters,
  title,
  nodeOptions,
})

/** Measurements of this service alone, or of a part of it: each a program, `bench/probes/NAME.ts`. */
export const probes: readonly Probe[] = [
  probe('consumer', '[ROUNDS] [WORD ...]', 'Rows a second, beside a bare loop on the same rows'),
  probe('lag', '[SECONDS]', 'From accept to commit'),
  probe('flush-stall', '[KEYS]', 'How long large flushes hold up the event loop'),
  probe('soak', '[SECONDS] [KEYS]', 'Memory over time, under all the load that it takes'),
  probe(
    'flood',
    '[SECONDS] [CONNECTIONS ...]',
    'Waits of others, and what kill -9 costs, while clients pipeline',
  ),
  probe('idle', '[SECONDS] [OPTION ...]', 'CPU of an idle service, which takes the options'),
]
