import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'

test('string methods are fast again after a class has extended String', () => {
  const program = `
    import { makeStringMethodsFast } from './lib/process/string-methods.ts'
    const isFast = () => %HasFastProperties(String.prototype)
    class Derived extends String {}
    const before = isFast()
    makeStringMethodsFast()
    console.log(before, isFast())
  `
  const flags = ['--allow-natives-syntax', '--disable-warning=ExperimentalWarning', '--input-type=module']
  expect(execFileSync(process.execPath, [...flags, '-e', program], { encoding: 'utf8' })).toBe('false true\n')
})
