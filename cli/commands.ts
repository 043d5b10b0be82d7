import type { Command } from './command.ts'
import { configCommand } from './config.ts'
import { consumerCommand } from './consumer.ts'
import { healthCommand } from './health.ts'
import { targetsCommand } from './targets.ts'
import { totalCommand } from './total.ts'
import { upCommand } from './up.ts'
import { webCommand } from './web.ts'

/** In the order in which the help lists them. */
export const commands: readonly Command[] = [
  upCommand,
  webCommand,
  consumerCommand,
  totalCommand,
  healthCommand,
  configCommand,
  targetsCommand,
]
