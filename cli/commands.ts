import type { Command } from './command.ts'

/**
 * In the order in which the help lists them. Each is loaded when it is asked for, so that none pays for the
 * others.
 */
export const commands: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./up.ts')).upCommand,
  web: async () => (await import('./web.ts')).webCommand,
  consumer: async () => (await import('./consumer.ts')).consumerCommand,
  total: async () => (await import('./total.ts')).totalCommand,
  verify: async () => (await import('./verify.ts')).verifyCommand,
  recover: async () => (await import('./recover.ts')).recoverCommand,
  health: async () => (await import('./health.ts')).healthCommand,
  config: async () => (await import('./config.ts')).configCommand,
  targets: async () => (await import('./targets.ts')).targetsCommand,
  'check-sums': async () => (await import('./check-sums.ts')).checkSumsCommand,
}
