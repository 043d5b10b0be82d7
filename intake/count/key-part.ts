const cellCountMin = 128
/** At most half of the cells are taken: a key is nearly always in the first or second one it looks at. */
export const cellsPerKey = 2
/** A cell is two integers: the hash of a key, and the address of its record plus one, or 0 when free. */
export const cellSize = 2

/** The keys whose hashes begin alike. It grows by itself. */
export interface KeyTablePart {
  /** A power of two. */
  cells: Int32Array
  keyCount: number
  /** Records of the keys that found no cell, by their bytes as Latin-1. Empty unless somebody is after us. */
  readonly strays: Map<string, { readonly address: number; readonly hash: number }>
}

/** Returns a part with room for this many keys. */
export function newKeyTablePart(keyCount: number): KeyTablePart {
  let cellCount = cellCountMin
  while (cellCount < keyCount * cellsPerKey) cellCount *= 2
  return { cells: new Int32Array(cellCount * cellSize), keyCount: 0, strays: new Map() }
}

export function emptyKeyTablePart(part: KeyTablePart): void {
  part.cells.fill(0)
  part.keyCount = 0
  part.strays.clear()
}
