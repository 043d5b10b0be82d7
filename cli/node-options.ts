/**
 * Room for what requests leave behind: with V8's first size of 1 MiB a busy web process collects garbage over
 * a hundred times a second. See docs/decisions.md.
 */
export const webNodeOptions = ['--min-semi-space-size=16']
