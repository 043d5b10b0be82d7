type Numbers = Float64Array | Uint32Array | Uint8Array

/**
 * A long array in pages, whose first page starts small: growing never copies more than one page, so that
 * nothing waits for it. `pages[index >>> lengthLog2][index & mask]` is an element.
 */
export class PagedArray<T extends Numbers> {
  readonly pages: T[]
  readonly lengthLog2: number
  readonly #make: (length: number) => T

  /** `lengthLog2` of a page; `expected` elements have room at once, as far as one page goes. */
  constructor(make: (length: number) => T, lengthLog2: number, expected: number) {
    this.#make = make
    this.lengthLog2 = lengthLog2
    this.pages = [make(Math.min(this.#lengthMax, expected))]
  }

  /** Makes room for all elements below `end`, with which at most one page begins. */
  reserve(end: number): void {
    const index = (end - 1) >>> this.lengthLog2
    const page = this.pages[index]
    const wanted = end - (index << this.lengthLog2)
    if (page === undefined) this.pages.push(this.#make(this.#lengthMax))
    else if (wanted > page.length) {
      const larger = this.#make(Math.min(this.#lengthMax, Math.max(2 * page.length, wanted)))
      larger.set(page)
      this.pages[index] = larger
    }
  }

  get #lengthMax(): number {
    return 1 << this.lengthLog2
  }
}
