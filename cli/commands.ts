import type { Command } from './command.ts'

/**
 * Commands in the order in which the help lists them. Each is loaded when it is asked for, so that none pays
 * for the others.
 */
export const commands: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./up/up.ts')).upCommand,
  web: async () => (await import('./commands/web.ts')).webCommand,
  consumer: async () => (await import('./commands/consumer.ts')).consumerCommand,
  total: async () => (await import('./commands/total.ts')).totalCommand,
  verify: async () => (await import('./commands/verify.ts')).verifyCommand,
  recover: async () => (await import('./commands/recover.ts')).recoverCommand,
  health: async () => (await import('./commands/health.ts')).healthCommand,
  config: async () => (await import('./commands/config.ts')).configCommand,
  targets: async () => (await import('./commands/targets.ts')).targetsCommand,
  'check-sums': async () => (await import('./commands/check-sums.ts')).checkSumsCommand,
}
