/**
 * Undoes what a class that extends String does to this process: V8 keeps String.prototype in a slow form from
 * then on, in which optimized code looks up every string method by its name. Writing to an object that
 * inherits from it brings the fast form back.
 */
export function makeStringMethodsFast(): void {
  const heir: { touched?: boolean } = Object.create(String.prototype)
  heir.touched = true
}
