/** How many HTTP connections are open, and how many may be: each costs memory and a descriptor. */
export class Connections {
  count = 0
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get isOverfull(): boolean {
    return this.count > this.#max
  }
}
