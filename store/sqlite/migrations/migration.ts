/** One step from a version of the schema to the next. A step that was released never changes. */
export interface Migration {
  /** The version that it leads to. */
  readonly version: number
  /** Runs in the transaction of all steps, with the function sum_of_decimals. */
  readonly sql: string
  /** True when a program that knows only the version before can still work with the result. */
  readonly isReadableBefore: boolean
}
