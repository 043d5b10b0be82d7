import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { errorCounts } from './error-counts.ts'
import { LogOutput } from './log-output.ts'
import { nextDescriptor } from './descriptors.ts'

const processUsage = globalThis.process

/** A registry's metrics in a form that can cross to another process. */
export type MetricsSnapshot = object

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE

/** The metrics of one process, every one labelled with the process' name. */
/** Durations from a fast disk to a stalled one, in seconds. */
export const diskBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]

export class Metrics {
  readonly #registry = new Registry()

  /** `version` is that of its code; its log goes to `output`. */
  constructor(process: string, { version = 'unknown', output = new LogOutput() } = {}) {
    this.#registry.setDefaultLabels({ process })
    // Not the library's default metrics: they watch every garbage collection and wake up every 10 ms.
    const cpuSeconds = () => {
      const { user, system } = processUsage.cpuUsage()
      return (user + system) / 1e6
    }
    this.counterOf('process_cpu_seconds_total', 'CPU time, user and system', cpuSeconds)
    this.gaugeOf('process_resident_memory_bytes', 'Resident memory', residentBytes)
    const startSeconds = performance.timeOrigin / 1000
    this.gaugeOf('process_start_time_seconds', 'Start, in seconds since the epoch', () => startSeconds)
    this.gaugeOf('process_uptime_seconds', 'Time since the start', () => processUsage.uptime())
    const build = new Gauge({
      name: 'piccolo_build_info',
      help: '1, with the version of the code that runs',
      labelNames: ['version'],
      registers: [this.#registry],
    })
    build.set({ version }, 1)
    this.counterOf(
      'piccolo_log_lines_dropped_total',
      'Lines of the log that could not be written',
      () => output.linesDropped,
    )
    const help = 'Errors that were logged or answered, those that were not logged again included'
    this.countersOf('piccolo_errors_total', help, 'code', errorCounts)
  }

  /** One series for each key of `counts`, which only grow. */
  countersOf(name: string, help: string, label: string, counts: ReadonlyMap<string, number>): void {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const [value, count] of counts) this.inc({ [label]: value }, count)
      },
    })
  }

  /** A count that the code at hand keeps itself, in a plain field, and that is read when somebody asks. */
  counterOf(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }

  gaugeOf(name: string, help: string, read: () => number | Promise<number>): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      async collect() {
        this.set(await read())
      },
    })
  }

  counter<Label extends string = never>(
    name: string,
    help: string,
    labelNames: Label[] = [],
  ): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] })
  }

  histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.#registry] })
  }

  snapshot(): Promise<MetricsSnapshot> {
    return this.#registry.getMetricsAsJSON()
  }
}

/** Returns NaN where no descriptor is free to find out with. */
function residentBytes(): number {
  return nextDescriptor() === null ? Number.NaN : processUsage.memoryUsage.rss()
}

/** Returns the metrics in Prometheus' text format; the snapshots are of different processes. */
export function metricsText(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate([...snapshots] as never).metrics()
}
