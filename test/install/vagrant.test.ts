import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { checkout } from './installation.ts'

// The Vagrantfile, run by a Ruby that only writes down what it asks of Vagrant.

test('the virtual machine is reached from this machine only, and provisioned by scripts that exist', () => {
  const vm = runVagrantfile()
  expect(vm.settings).toMatchObject({ box: 'bento/ubuntu-24.04' })
  expect(vm.settings).not.toHaveProperty('box_architecture')
  expect(vm.calls.filter(([name]) => name === 'network')).toEqual(
    [3333, 3334].map(port => [
      'network',
      'forwarded_port',
      { guest: port, host: port, host_ip: '127.0.0.1' },
    ]),
  )
  expect(vm.calls).toContainEqual(['synced_folder', '.', '/vagrant'])
  const provisioned = vm.calls.filter(([name]) => name === 'provision')
  expect(provisioned).toEqual([['provision', 'shell', { inline: 'sh /vagrant/vagrant/provision.sh' }]])
  const script = fs.readFileSync(path.join(checkout, 'vagrant/provision.sh'), 'utf8')
  const ran = [...script.matchAll(/^sh "\$checkout\/(.+)"$/gm)].map(match => match[1]!)
  expect(ran).toEqual(['install/ubuntu.sh', 'install/main.sh'])
  for (const file of ran) expect(fs.existsSync(path.join(checkout, file))).toBe(true)
})

test.each(['virtualbox', 'parallels', 'vmware_desktop', 'libvirt'])(
  '%s gets two cores and 2 GB',
  provider => {
    const { machine } = runVagrantfile().providers[provider]!
    expect(Object.values(machine).map(Number)).toEqual([2, 2048])
  },
)

test('libvirt has a box of its own, and gets a copy without the packages of this machine', () => {
  const { settings, calls } = runVagrantfile().providers.libvirt!
  expect(settings.box).toBe('cloud-image/ubuntu-24.04')
  const excluded = expect.arrayContaining(['node_modules/', '.node/'])
  expect(calls).toEqual([['synced_folder', '.', '/vagrant', { type: 'rsync', rsync__exclude: excluded }]])
})

test('box and architecture of the virtual machine can be chosen', () => {
  const vm = runVagrantfile({ PICCOLO_VAGRANT_BOX: 'bento/debian-13', PICCOLO_VAGRANT_ARCH: 'arm64' })
  expect(vm.settings).toMatchObject({ box: 'bento/debian-13', box_architecture: 'arm64' })
  expect(vm.providers.libvirt!.settings.box).toBe('bento/debian-13')
})

interface Vm {
  settings: Record<string, unknown>
  calls: unknown[][]
}

/** Stands in for Vagrant: knows the settings and calls that there are, and writes them down as JSON. */
const vagrantStub = `
require 'json'
class Vm
  attr_reader :settings, :calls, :providers
  def initialize = (@settings, @calls, @providers = {}, [], {})
  %w[box box_architecture hostname post_up_message].each do |name|
    define_method("#{name}=") { |value| @settings[name] = value }
  end
  %w[network synced_folder provision].each do |name|
    define_method(name) { |*args, **options| @calls << [name, *args, *[options].reject(&:empty?)] }
  end
  def provider(name)
    vm, machine = Vm.new, Machine.new
    yield machine, Struct.new(:vm).new(vm)
    @providers[name] = { machine: machine.values, settings: vm.settings, calls: vm.calls }
  end
end
class Machine
  attr_reader :values
  def initialize = @values = {}
  %i[cpus memory].each { |name| define_method("#{name}=") { |value| @values[name] = value } }
  def vmx = @values
end
module Vagrant
  def self.configure(version)
    raise "version #{version}" unless version == '2'
    config = Struct.new(:vm).new(Vm.new)
    yield config
    puts JSON.generate(settings: config.vm.settings, calls: config.vm.calls, providers: config.vm.providers)
  end
end
load ARGV[0]
`

function runVagrantfile(env: Record<string, string> = {}) {
  const run = spawnSync('ruby', ['-w', '-e', vagrantStub, path.join(checkout, 'Vagrantfile')], {
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
  })
  expect(run.stderr).toBe('')
  return JSON.parse(run.stdout) as Vm & {
    providers: Record<string, Vm & { machine: Record<string, unknown> }>
  }
}
