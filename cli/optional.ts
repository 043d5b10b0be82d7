import type { Option } from '../lib/config/options.ts'

/** The same option without a default: null when it is not given. */
export function optional<T>(option: Option<T>): Option<T | null> {
  return { ...option, fallback: null }
}
